"""Low-rank adaptation of every attention projection (Sec. 3.3): the only weights that fine-tuning changes.

| name  | meaning                                                            | shape        |
|-------|--------------------------------------------------------------------|--------------|
| W     | frozen projection (to_q, to_k, to_v or to_out of one attention)    | (out, in)    |
| A     | "down" matrix, drawn from N(0, 1/rank^2), i.e. std 1/rank          | (rank, in)   |
| B     | "up" matrix, zero at the start: the model begins as the base model | (out, rank)  |
| scale | how much of the adapter is used; 1 as trained, 0 the base model    | number       |

An adapted projection computes W x + scale * B A x, and merging writes W + scale * B A back into W, so the
tuned model costs what the base model costs. Adapted are self- and cross-attention, spatial and temporal, and
the initial temporal transformer: 264 projections and 1,661,440 parameters at full size with rank 4.

An adapter is stored as `pytorch_lora_weights.safetensors` in diffusers' own format. A stock pipeline that
holds a `VideoUNet` opens it with `pipe.load_lora_weights(folder)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ivtutorial.checks import is_whole
from ivtutorial.errors import InputError
from ivtutorial.models.lora_formats import LORA_FILE as LORA_FILE, find_adapter, read_adapter
from ivtutorial.models.unet import VideoUNet

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
ADAPTER = "default"
PREFIX, _TRANSFORMER = "unet.", "transformer."  # before the names of a network in a file
PREFIXES = (PREFIX, _TRANSFORMER)


def attach_lora(unet: VideoUNet, rank: int = 4, seed: int = 0) -> list[torch.nn.Parameter]:
    """Freeze `unet` and add a fresh adapter to every attention projection.

    Args:
        unet: the base model; its own weights stop requiring gradients.
        rank: inner width of the adapter, >= 1. The paper uses 4.
        seed: of the draw of the down matrices. Drawn on the CPU, so equal on every device.

    Returns:
        The trainable parameters (float32, also on a half-precision UNet), as `lora_parameters` does.

    Raises:
        InputError: rank below 1, an adapter is already there, or no layer has the name of an attention projection.

    Example:
        >>> optimizer = torch.optim.AdamW(attach_lora(backbone.unet, rank=4), lr=1e-5)  # doctest: +SKIP
    """
    from peft import LoraConfig

    if not is_whole(rank, 1):
        raise InputError(f"LoRA rank must be a whole number of at least 1, got {rank!r}.")
    _require_no_lora(unet)
    if not any(f".{name}".endswith(tuple(f".{target}" for target in TARGETS)) for name, _ in unet.named_modules()):
        raise InputError(f"No layer of this network is called {', '.join(TARGETS)}: there is nothing to adapt.")
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS)), adapter_name=ADAPTER)
    parameters = _only_lora_trains(unet)  # in float32 before the draw, which a half-precision UNet would round
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for down, up in zip(parameters[::2], parameters[1::2], strict=True):
            down.copy_(torch.randn(down.shape, generator=generator) / rank)
            up.zero_()
    return parameters


def lora_layers(unet: VideoUNet) -> Iterator[tuple[str, Any]]:
    """Yield (name, layer) of every adapted projection, in the order of the model's modules."""
    from peft.tuners.lora import LoraLayer

    for name, module in unet.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def has_lora(unet: VideoUNet) -> bool:
    """Whether an adapter is attached (merged ones leave no trace)."""
    return next(lora_layers(unet), None) is not None


def lora_parameters(unet: VideoUNet) -> list[torch.nn.Parameter]:
    """All adapter parameters, down and up of each projection in turn; empty without an adapter."""
    return [w for _, layer in lora_layers(unet) for w in _matrices(layer)]


def count_lora(unet: VideoUNet) -> tuple[int, int]:
    """Number of adapted projections and of adapter parameters; (264, 1661440) at full size with rank 4."""
    layers = sum(1 for _ in lora_layers(unet))
    return layers, sum(parameter.numel() for parameter in lora_parameters(unet))


def set_lora_scale(unet: VideoUNet, scale: float) -> None:
    """Use `scale` times the adapter from now on: 1 as trained, 0 the base model, between them a blend.

    Raises:
        InputError: no adapter is attached, or a scale that is not a number.
    """
    if not math.isfinite(scale):
        raise InputError(f"scale = {scale} of the adapter: expected a number, 0 for the base model, 1 as trained.")
    _require_lora(unet)
    for _, layer in lora_layers(unet):
        for adapter in layer.lora_A:
            layer.set_scale(adapter, scale)


def merge_lora(unet: VideoUNet, scale: float = 1.0) -> VideoUNet:
    """Write W + scale * B A into the weights and remove the adapter; `unet` is changed in place and returned.

    Afterwards the model has stock weight names and equals the attached one at this scale to rounding (1e-5).

    Raises:
        InputError: no adapter is attached.
    """
    set_lora_scale(unet, scale)
    unet.fuse_lora()
    unet.unload_lora()
    return unet.requires_grad_(False)


def save_lora(unet: VideoUNet, folder: str | Path) -> Path:
    """Write the adapter to `folder/pytorch_lora_weights.safetensors` (atomically) and return that path.

    The temporary scale of `set_lora_scale` is not stored.

    Raises:
        InputError: no adapter is attached, more than one is, or the folder cannot be written.
    """
    from safetensors.torch import save

    from ivtutorial.system.files import atomic_write

    path = Path(folder) / LORA_FILE
    with atomic_write(path) as file:
        file.write(save(_lora_state(unet), metadata={"format": "pt"}))
    return path


def load_lora(unet: VideoUNet, folder: str | Path) -> list[torch.nn.Parameter]:
    """Attach the adapter stored in `folder` (or in a file) and return its parameters.

    Besides our own files those of diffusers, PEFT and kohya are read, see `ivtutorial.models.lora_formats`. The
    parameters are the file's numbers in float32, whatever precision the UNet is held in.

    Raises:
        InputError: no such file, an unreadable or incomplete one, one of another method, one that was made for another
            model, or `unet` already has one.
    """
    path = find_adapter(folder)
    _require_no_lora(unet)
    matrices = read_adapter(path, unet)
    prefix = prefix_of(unet)
    state = {f"{prefix}{name}": tensor for name, tensor in matrices.items()}
    unet.load_lora_adapter(state, prefix=prefix.removesuffix("."), adapter_name=ADAPTER)
    parameters = _only_lora_trains(unet)
    with torch.no_grad():
        # PEFT creates an adapter in its layer's precision, so a half-precision UNet has rounded what the file holds.
        for name, layer in lora_layers(unet):
            layer.lora_A[ADAPTER].weight.copy_(matrices[f"{name}.lora_A.weight"])
            layer.lora_B[ADAPTER].weight.copy_(matrices[f"{name}.lora_B.weight"])
            # B has the factor already. Where ranks differ, diffusers 0.34 takes one alpha for all of them.
            layer.lora_alpha[ADAPTER] = layer.r[ADAPTER]
            layer.set_scale(ADAPTER, 1.0)
    return parameters


def prefix_of(unet: torch.nn.Module) -> str:
    """What diffusers puts before a network's names in an adapter file: "unet." or "transformer."."""
    return PREFIX if isinstance(unet, VideoUNet) else _TRANSFORMER


def _matrices(layer: Any) -> list[torch.nn.Parameter]:
    return [matrix[adapter].weight for adapter in layer.lora_A for matrix in (layer.lora_A, layer.lora_B)]


def _only_lora_trains(unet: VideoUNet) -> list[torch.nn.Parameter]:
    from ivtutorial.models.lora_layer import install_half_lora

    unet.requires_grad_(False)
    install_half_lora([layer for _, layer in lora_layers(unet)])
    parameters = lora_parameters(unet)
    for parameter in parameters:
        # A learning rate of 1e-5 vanishes in half precision, so the adapter itself is always float32.
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
    return parameters


def _lora_state(unet: VideoUNet) -> dict[str, Tensor]:
    """The adapter under diffusers' names; alpha / rank goes into B, so that the reader needs no alpha."""
    _require_lora(unet)
    state, prefix = {}, prefix_of(unet)
    for name, layer in lora_layers(unet):
        if len(layer.lora_A) != 1:
            raise InputError(f"The UNet has {len(layer.lora_A)} adapters; save_lora stores exactly one. Keep only one.")
        (adapter,) = layer.lora_A
        down, up = (matrix.detach().cpu() for matrix in _matrices(layer))
        state[f"{prefix}{name}.lora_A.weight"] = down.contiguous()
        state[f"{prefix}{name}.lora_B.weight"] = (up * (layer.lora_alpha[adapter] / layer.r[adapter])).contiguous()
    return state


def _require_lora(unet: VideoUNet) -> None:
    if not has_lora(unet):
        raise InputError("This UNet has no adapter. Call attach_lora(unet) or load_lora(unet, folder) first.")


def _require_no_lora(unet: VideoUNet) -> None:
    if has_lora(unet):
        raise InputError("This UNet already has an adapter. Call merge_lora(unet), or load the base model again.")
    unet._hf_peft_config_loaded = False  # unload_lora of diffusers 0.34 forgets to; the next adapter would be refused
