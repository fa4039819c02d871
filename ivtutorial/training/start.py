"""Everything before the first step: models, encoded data, adapter and optimiser, fresh or as a checkpoint has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ivtutorial.data.clips import Clip, read_clips
from ivtutorial.data.dataset import LatentDataset, encode_clips
from ivtutorial.errors import InputError
from ivtutorial.models.lora import attach_lora, load_lora
from ivtutorial.rewards.base import HasTextTower
from ivtutorial.system.device import choose_device
from ivtutorial.system.progress import bar
from ivtutorial.system.provenance import describe, provenance
from ivtutorial.system.share import gather
from ivtutorial.training import checkpoints as training_state, run_folder
from ivtutorial.training.checkpoints import Progress
from ivtutorial.training.config import FinetuneConfig, differing
from ivtutorial.training.fit import offload_text
from ivtutorial.training.methods import once, step_losses
from ivtutorial.training.sharding import check_sharding, is_sharded, shard_frozen
from ivtutorial.training.step import LossFn, Run
from ivtutorial.weights.fingerprint import fingerprint

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone
    from ivtutorial.rewards.base import ImageReward


@dataclass(frozen=True)
class Given:
    """The arguments of `ivtutorial.training.finetuning.finetune`, as every process gets them."""

    model: Backbone | str | Path
    clips: str | Path | Sequence[Clip] | LatentDataset
    reward: ImageReward | str | Path
    out: Path
    config: FinetuneConfig
    loss_fn: LossFn | None
    cache: Path
    device: str | None
    progress: bool
    skip_bad: bool = False


def make_accelerator(given: Given) -> Any:
    """Join the processes, if there are several, and choose the device.

    Raises:
        InputError: a device that is not there, fp16 without a GPU, or a way to spread the model that does not fit.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    chosen = choose_device(given.device)
    cpu = (chosen if isinstance(given.model, (str, Path)) else given.model.device).type == "cpu"
    if cpu and given.config.precision == "fp16":
        raise InputError("precision = 'fp16' needs a GPU: use 'fp32' or 'bf16' on a CPU.")
    # It keeps its settings in global state; a second run in this process, in a notebook, may want others.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    mixed = "no" if given.config.precision == "fp32" else given.config.precision
    accelerator = Accelerator(cpu=cpu, mixed_precision=mixed)
    check_sharding(accelerator, given.config)
    return accelerator


def weights_dtypes(config: FinetuneConfig, device: torch.device) -> dict[str, torch.dtype]:
    """On a GPU the frozen weights, too, are held in the precision they compute in; the adapter stays float32."""
    if device.type == "cpu" or config.precision == "fp32":
        return config.memory.dtypes("fp32")
    return config.memory.dtypes(config.precision)


def load_data(given: Given, backbone: Backbone, accelerator: Any) -> LatentDataset:
    """Encoded clips; each process encodes its share, then all read what was stored.

    Raises:
        InputError: clips that cannot be used, or whose frames the segments do not divide.
    """
    data, c = given.clips, given.config
    if not isinstance(data, LatentDataset):
        listed = read_clips(data, skip_bad=given.skip_bad) if isinstance(data, (str, Path)) else list(data)
        with bar(len(listed), given.progress and accelerator.is_main_process, "encoding clips") as advance:
            data = encode_clips(
                backbone, listed, given.cache, c.frames, c.fps, c.height, c.width, advance, skip_bad=given.skip_bad,
                rank=accelerator.process_index, world=accelerator.num_processes, gather=gather,
            )  # fmt: skip
    frames = data.latents.shape[2]
    if frames % c.method.S and c.method.selection != "dense":
        raise InputError(f"S = {c.method.S} does not divide the {frames} frames of the clips.")
    return data


def start(
    given: Given, accelerator: Any, backbone: Backbone, reward: ImageReward, data: LatentDataset, counter: list[int]
) -> tuple[Run, Progress]:
    """Begin a run, or take up the one in the folder.

    Args:
        given: arguments of the run.
        accelerator: see `make_accelerator`.
        backbone: gets the adapter.
        reward: image reward.
        data: encoded clips.
        counter: of the UNet's evaluations.

    Returns:
        The run, and where it stands.

    Raises:
        InputError: the checkpoint is damaged or was made otherwise; the folder cannot be written.
    """
    config = given.config
    made_of = {
        "config": config.to_dict(),
        "slots": accelerator.num_processes * config.accumulation,
        "model": fingerprint(backbone.unet),
        "data": data.key,
        "reward": describe(given.reward),
    }
    _warm_up(backbone, reward, [*data.captions, *config.sample_prompts])
    offload_text(backbone, reward)
    checkpoint = training_state.latest_checkpoint(given.out)
    progress = Progress() if checkpoint is None else _check_same(given.out, made_of, checkpoint)
    if checkpoint is None:
        parameters = attach_lora(backbone.unet, config.lora_rank, config.seed)
    else:
        parameters = load_lora(backbone.unet, checkpoint)
    if is_sharded(accelerator):
        shard_frozen(backbone.unet, accelerator.device.type)
    optimizer = _optimizer(config, accelerator, parameters, checkpoint)
    losses = step_losses(config.method, reward, config.guards) if given.loss_fn is None else once(given.loss_fn)
    updates = config.method.updates if given.loss_fn is None else 1
    run = Run(
        given.out, config, accelerator, backbone, data, reward, losses, updates, parameters, optimizer, made_of, counter
    )  # fmt: skip
    if run.main:
        run_folder.trim_metrics(given.out, -1 if checkpoint is None else progress.step)
        run_folder.write_config(given.out, _description(given, run))
    return run, progress


def _warm_up(backbone: Backbone, reward: ImageReward, captions: Sequence[str], chunk: int = 32) -> None:
    """Encode every caption once, always in the same groups: the last bits of an encoding depend on its group."""
    texts = list(dict.fromkeys(["", *captions]))
    for first in range(0, len(texts), chunk):
        backbone.embed(texts[first : first + chunk])
        if isinstance(reward, HasTextTower):
            reward.text_features(texts[first : first + chunk])


_CONTENT = {
    "model": "other weights of the model (fingerprint)",
    "data": "other clips or captions, or others that were left out (fingerprint)",
    "reward": "another reward",
}


def _check_same(out: Path, now: dict[str, Any], checkpoint: Path) -> Progress:
    """Where the checkpoint's run stands, if it is this run."""
    progress, was = training_state.read_state(checkpoint)
    names = [name for name in differing(was["config"], now["config"]) if name != "accumulation"]
    told = [f"{name} = {was['config'].get(name)!r}, now {now['config'].get(name)!r}" for name in names]
    told += [f"{words}: {was[name]}, now {now[name]}" for name, words in _CONTENT.items() if was[name] != now[name]]
    if was["slots"] != now["slots"]:
        told.append(f"processes * accumulation = {was['slots']}, now {now['slots']}")
    if told:
        listed = "\n  ".join(told)
        raise InputError(f"the run in {out} was made otherwise; restore this, or choose another folder:\n  {listed}")
    return progress


def _optimizer(
    config: FinetuneConfig, accelerator: Any, parameters: list[torch.nn.Parameter], checkpoint: Path | None
) -> Any:
    adamw = torch.optim.AdamW(parameters, config.lr, config.betas, weight_decay=config.weight_decay)
    optimizer = accelerator.prepare_optimizer(adamw)
    if checkpoint is None:
        return optimizer
    state = training_state.read_optimizer(checkpoint)
    try:
        optimizer.load_state_dict(state["optimizer"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
    except (KeyError, ValueError) as error:
        raise InputError(f"the optimizer's state in {checkpoint} belongs to another model ({error}).") from error
    return optimizer


def _description(given: Given, run: Run) -> dict[str, Any]:
    return {
        "finetune": run.config.to_dict(),
        "model": describe(given.model),
        "reward": describe(given.reward),
        "data": {"clips": len(run.data), "left_out": list(run.data.left_out), "key": run.data.key},
        "processes": run.accelerator.num_processes,
        "device": str(run.backbone.device),
        "provenance": provenance(run.config.seed),
    }
