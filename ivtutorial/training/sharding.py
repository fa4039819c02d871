"""The frozen UNet spread over several GPUs (FSDP), for a model that one GPU cannot hold beside its activations.

    accelerate launch --config_file configs/accelerate/fsdp.yaml -m ivtutorial.cli finetune ...

Each process keeps 1/W of every block's weights and gets the rest while the block computes. Only frozen weights are
spread: the adapter, its gradients and the optimiser's state are small (1.7 million numbers at full size), stay whole
in every process, and are averaged, saved and continued as without FSDP. So a run's files are the same however it
was spread.

Every process must call the UNet equally often. Training does; rounds of samples repeat a clip where shares differ;
what would not is refused (a random number of steps with gradient).

DeepSpeed is refused, too. What its ZeRO would save at full size on each of W = 4 GPUs, by arithmetic:

| spread                              | bytes                | saved on each   |
|-------------------------------------|----------------------|-----------------|
| ZeRO 1: Adam's two means            | 8 * 1,661,440        | 10 MB           |
| ZeRO 2: and the gradient            | 12 * 1,661,440       | 15 MB           |
| FSDP (or ZeRO 3): the UNet in fp16  | 2 * 1,411,233,860    | 2,117 MB        |

For the first two, its engine would have to take the optimiser's step, inside the backward call. Then a step that is not
finite could not be seen, skipped and counted first, methods with several updates a step would need another loop, and
checkpoints would depend on the number of processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ivtutorial.errors import InputError
from ivtutorial.models.lora import lora_parameters

if TYPE_CHECKING:
    from ivtutorial.models.unet import VideoUNet
    from ivtutorial.training.config import FinetuneConfig


def is_sharded(accelerator: Any) -> bool:
    """Whether accelerate is configured to use FSDP."""
    return str(getattr(accelerator.distributed_type, "value", "")) == "FSDP"


def check_sharding(accelerator: Any, config: FinetuneConfig) -> None:
    """Refuse what cannot run under the way that accelerate was configured.

    Raises:
        InputError: DeepSpeed, or FSDP with a random number of steps with gradient.
    """
    refuse_deepspeed(str(getattr(accelerator.distributed_type, "value", "")) == "DEEPSPEED")
    if is_sharded(accelerator) and getattr(config.method, "K", None) == "uniform":
        raise InputError("K = 'uniform' differs from process to process, which FSDP cannot do: choose a number.")


def refuse_deepspeed(is_asked_for: bool) -> None:
    """Refuse DeepSpeed, see the module's first lines.

    Raises:
        InputError: it is asked for.
    """
    if is_asked_for:
        raise InputError(
            "DeepSpeed spreads the state of the optimiser, which for a LoRA is 13 MB. Use "
            "configs/accelerate/fsdp.yaml to spread the frozen weights, or multi_gpu.yaml; without accelerate launch, "
            "unset ACCELERATE_USE_DEEPSPEED."
        )


def shard_frozen(unet: VideoUNet, device_type: str) -> None:
    """Spread the frozen weights over the processes of the default group (in place).

    Args:
        unet: with its adapter attached, the same in every process.
        device_type: "cuda", or "cpu" for a test.

    Raises:
        InputError: torch is too old, or there is no group.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if not torch.distributed.is_initialized():
        raise InputError("FSDP needs several processes: start them with accelerate launch or torchrun.")
    mesh = init_device_mesh(device_type, (torch.distributed.get_world_size(),))
    adapter = set(lora_parameters(unet))
    try:
        for block in blocks_of(unet):
            fully_shard(block, mesh=mesh, ignored_params=adapter)
        fully_shard(unet, mesh=mesh, ignored_params=adapter)
    except TypeError as error:
        raise InputError(f"FSDP needs torch 2.7 or newer, this is {torch.__version__}.") from error


def blocks_of(unet: Any) -> list[torch.nn.Module]:
    """The parts that are gathered one at a time: a transformer's blocks, or a UNet's."""
    if hasattr(unet, "down_blocks"):
        return [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    return list(getattr(unet, "blocks", None) or unet.transformer_blocks)
