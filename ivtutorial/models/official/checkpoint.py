"""A released UNet file of the authors (InstructVideo, or ModelScope v1.4) becomes a diffusers folder and a LoRA file.

How large the network is and where it has attention is read off the shapes of the weights; the names are translated by
`ivtutorial.models.official.names`. The file holds only the UNet: VAE, text encoder, tokenizer and scheduler come from a
pipeline that has them, such as damo-vilab/text-to-video-ms-1.7b.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.models.official.names import lora_from_official, unet_from_official
from ivtutorial.system.files import atomic_write, check_writable
from ivtutorial.weights.files import fill, read_weights, tensors_of

if TYPE_CHECKING:
    from ivtutorial.models.unet import VideoUNet

_TEXT_KEYS = re.compile(r"input_blocks\.\d+\.1\.transformer_blocks\.0\.attn2\.to_k\.weight")


@dataclass(frozen=True)
class Converted:
    """What `convert_checkpoint` wrote.

    Attributes:
        model: a pipeline folder, or one that holds only `unet` where no base was given.
        lora: folder of the adapter; None if the file has none.
        parameters: of the UNet without adapter; 1,411,233,860 at full size.
    """

    model: Path
    lora: Path | None
    parameters: int


def convert_checkpoint(
    source: str | Path, out: str | Path, base: str | Path | None = None, dtype: torch.dtype | None = None
) -> Converted:
    """Turn a UNet file of the authors into diffusers' format.

    Args:
        source: .pth or .safetensors with their weight names, bare or under "state_dict", with or without LoRA.
        out: folder to write: `model`, and `lora` if there is an adapter.
        base: pipeline folder or hub name that gives VAE, text encoder, tokenizer and scheduler, which the file has not;
            None writes the UNet alone.
        dtype: of the stored UNet, e.g. torch.float16; default as in the file.

    Returns:
        Where everything is.

    Raises:
        InputError: an unreadable file, weights of another architecture (missing, unknown or misshapen ones are
            named), an unusable base, or a folder that cannot be written.

    Example:
        >>> made = convert_checkpoint("InstructVideo.pth", "runs/official", "modelscope-folder")  # doctest: +SKIP
    """
    check_writable(out)
    state = tensors_of(read_weights(source, "UNet weights"), source, "state_dict", "model", "module")
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    config = official_config(state)
    unet = _build_unet(state, config, source)
    lora = _write_lora(lora_from_official(state, config), Path(out) / "lora")
    _write_model(unet, Path(out) / "model", base, dtype)
    return Converted(Path(out) / "model", lora, sum(p.numel() for p in unet.parameters()))


def official_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The configuration of diffusers' UNet that fits weights of the authors' UNet, read off their shapes.

    Raises:
        InputError: not a UNet of the authors, or levels of different depth, which diffusers does not have.
    """
    try:
        levels = _levels(state)
        widths, depths, attentive = zip(*((level[0][0], len(level), level[0][1]) for level in levels))
        # The first spatial transformer; input_blocks.0.1 is temporal and does not look at the text.
        cross = next(name for name in state if _TEXT_KEYS.fullmatch(name) and not name.startswith("input_blocks.0."))
        shapes = {
            "in_channels": state["input_blocks.0.0.weight"].shape[1],
            "out_channels": state["out.2.weight"].shape[0],
            "cross_attention_dim": state[cross].shape[1],
            # Eight heads in the first temporal transformer, there and in diffusers.
            "attention_head_dim": state["input_blocks.0.1.proj_in.weight"].shape[0] // 8,
        }
    except (KeyError, IndexError, ValueError, StopIteration) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else "a level of blocks is missing"
        names = ", ".join(list(state)[:2])
        raise InputError(
            f"These weights are not those of the authors' UNet ({reason}; there are {names}, ...): expected names such "
            "as input_blocks.0.0.weight."
        ) from error
    if len(set(depths)) != 1:
        raise InputError(
            f"The levels of this UNet have {list(depths)} blocks: diffusers needs the same number in each."
        )
    return {
        **shapes,
        "sample_size": 32,
        "block_out_channels": list(widths),
        "layers_per_block": depths[0],
        "down_block_types": ["CrossAttnDownBlock3D" if has else "DownBlock3D" for has in attentive],
        "up_block_types": ["CrossAttnUpBlock3D" if has else "UpBlock3D" for has in reversed(attentive)],
    }


def _levels(state: Mapping[str, Tensor]) -> list[list[tuple[int, bool]]]:
    """(channels, attention?) of every block of every level on the way down."""
    levels: list[list[tuple[int, bool]]] = [[]]
    k = 1
    while any(name.startswith(f"input_blocks.{k}.") for name in state):
        if f"input_blocks.{k}.op.weight" in state:
            levels.append([])
        else:
            width = state[f"input_blocks.{k}.0.in_layers.2.weight"].shape[0]
            levels[-1].append((width, f"input_blocks.{k}.1.norm.weight" in state))
        k += 1
    return levels


def _build_unet(state: Mapping[str, Tensor], config: Mapping[str, Any], source: str | Path) -> VideoUNet:
    from ivtutorial.models.unet import VideoUNet

    with torch.device("meta"):
        unet = VideoUNet(**config)
    fill(unet, unet_from_official(state, config), source, "the UNet that its shapes describe", assign=True)
    return unet.eval().requires_grad_(False)


def _write_lora(matrices: Mapping[str, Tensor], folder: Path) -> Path | None:
    from safetensors.torch import save

    from ivtutorial.models.lora import LORA_FILE, PREFIX

    if not matrices:
        return None
    named = {f"{PREFIX}{name}": tensor.float().contiguous() for name, tensor in matrices.items()}
    with atomic_write(folder / LORA_FILE) as file:
        file.write(save(named, metadata={"format": "pt"}))
    return folder


def _write_model(unet: VideoUNet, folder: Path, base: str | Path | None, dtype: torch.dtype | None) -> None:
    from ivtutorial.models.backbone_folder import load_backbone, save_backbone
    from ivtutorial.weights.pipeline_folder import write_pipeline

    if base is None:
        write_pipeline({"unet": unet}, folder, dtype)
    else:
        save_backbone(load_backbone(base, unet.dtype, unet=unet), folder, dtype)
