"""From the weight names of the authors' UNet (VGen) to those of diffusers' `UNet3DConditionModel`.

The authors number blocks in the order they are built; diffusers groups them by resolution. With L levels and
n ResNets a level (`layers_per_block`):

| authors                               | diffusers                                                          |
|---------------------------------------|--------------------------------------------------------------------|
| input_blocks.0.0, .0.1                | conv_in, transformer_in                                            |
| input_blocks.k.0, .1, .2              | down_blocks.l.resnets.j, .attentions.j, .temp_attentions.j         |
| input_blocks.k.op                     | down_blocks.l.downsamplers.0.conv                                  |
| middle_block.0, .1, .2, .3            | mid_block.resnets.0, .attentions.0, .temp_attentions.0, .resnets.1 |
| output_blocks.k.0, .1, .2, last .conv | up_blocks.l.resnets.j, ..., .upsamplers.0.conv                     |
| X.temopral_conv (so spelled)          | temp_convs next to resnets                                         |
| A.to_q_lora.down_linear / .up_linear  | A.to_q.lora_A / .lora_B                                            |

The authors' temporal `proj_in` and `proj_out` are convolutions of width 1, (out, in, 1); diffusers has Linear
layers, (out, in): the last axis is dropped. Their LoRA factor is 1, which is alpha = rank in peft.

`ivtutorial.models.official.checkpoint` turns a whole file into a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ivtutorial.errors import InputError

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_TOP = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "input_blocks.0.1": "transformer_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_LORA = re.compile(r"^(?P<attention>.+)\.to_(?P<part>q|k|v|out)_lora\.(?P<side>down|up)_linear\.weight$")


def unet_from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Base weights of the authors' UNet under diffusers' names; LoRA weights are left out.

    Args:
        state: the authors' state dict.
        config: of the diffusers UNet (block_out_channels, layers_per_block, down_block_types,
            up_block_types).

    Returns:
        A state dict for `VideoUNet.load_state_dict` (strict), tensors shared with `state` where unchanged.

    Raises:
        InputError: a name that this configuration does not have.
    """
    weights = {name: tensor for name, tensor in state.items() if not _LORA.match(name)}
    names = _renamed(weights, _prefixes(config))
    return {names[name]: _linear(name, tensor) for name, tensor in weights.items()}


def lora_from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """LoRA weights of the authors' UNet under peft's names (`<projection>.lora_A.weight`), without the rest.

    With the prefix `unet.` these are the names in the file that `lora.save_lora` writes.

    Args:
        state: the authors' state dict.
        config: as for `unet_from_official`.

    Returns:
        The adapter's matrices; their factor is 1 (alpha = rank).

    Raises:
        InputError: a name that this configuration does not have.
    """
    matches = {name: match for name in state if (match := _LORA.match(name))}
    attentions = _renamed([match["attention"] for match in matches.values()], _prefixes(config))
    renamed = {}
    for name, match in matches.items():
        projection = "to_out.0" if match["part"] == "out" else f"to_{match['part']}"
        matrix = "lora_A" if match["side"] == "down" else "lora_B"
        renamed[f"{attentions[match['attention']]}.{projection}.{matrix}.weight"] = state[name]
    return renamed


def _prefixes(config: Mapping[str, Any]) -> dict[str, str]:
    """Prefix of the authors -> prefix of diffusers, for every part of the model."""
    prefixes = dict(_TOP)
    prefixes |= _resnet("middle_block.0", "mid_block", 0) | _resnet("middle_block.3", "mid_block", 1)
    prefixes |= _attentions("middle_block", "mid_block", 0)
    return prefixes | _down_prefixes(config) | _up_prefixes(config)


def _down_prefixes(config: Mapping[str, Any]) -> dict[str, str]:
    kinds, n = config["down_block_types"], config["layers_per_block"]
    prefixes: dict[str, str] = {}
    k = 1  # input_blocks.0 is the first convolution
    for level, kind in enumerate(kinds):
        for j in range(n):
            prefixes |= _block(f"input_blocks.{k}", f"down_blocks.{level}", j, kind)
            k += 1
        if level < len(kinds) - 1:
            prefixes[f"input_blocks.{k}.op"] = f"down_blocks.{level}.downsamplers.0.conv"
            k += 1
    return prefixes


def _up_prefixes(config: Mapping[str, Any]) -> dict[str, str]:
    kinds, n = config["up_block_types"], config["layers_per_block"] + 1
    prefixes: dict[str, str] = {}
    for level, kind in enumerate(kinds):
        for j in range(n):
            prefixes |= _block(f"output_blocks.{level * n + j}", f"up_blocks.{level}", j, kind)
        if level < len(kinds) - 1:
            last = f"output_blocks.{level * n + n - 1}.{3 if _has_attention(kind) else 1}.conv"
            prefixes[last] = f"up_blocks.{level}.upsamplers.0.conv"
    return prefixes


def _block(old: str, new: str, j: int, kind: str) -> dict[str, str]:
    attentions = _attentions(old, new, j) if _has_attention(kind) else {}
    return _resnet(f"{old}.0", new, j) | attentions


def _has_attention(kind: str) -> bool:
    return kind.startswith("CrossAttn")


def _attentions(old: str, new: str, j: int) -> dict[str, str]:
    return {f"{old}.1": f"{new}.attentions.{j}", f"{old}.2": f"{new}.temp_attentions.{j}"}


def _resnet(old: str, new: str, j: int) -> dict[str, str]:
    layers = {f"{old}.{part}": f"{new}.resnets.{j}.{name}" for part, name in _RESNET.items()}
    return layers | {f"{old}.temopral_conv": f"{new}.temp_convs.{j}"}


def _renamed(names: Iterable[str], prefixes: Mapping[str, str]) -> dict[str, str]:
    """Each name with its longest known prefix replaced."""
    renamed = {name: _rename(name, prefixes) for name in names}
    unknown = [name for name, new in renamed.items() if new is None]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise InputError(
            f"{len(unknown)} weights have no place in this UNet: {', '.join(unknown[:3])}{more}. Give a UNet of "
            "InstructVideo or ModelScope v1.4 as the authors released it, and the configuration that matches it."
        )
    return {name: new for name, new in renamed.items() if new is not None}


def _rename(name: str, prefixes: Mapping[str, str]) -> str | None:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        new = prefixes.get(".".join(parts[:length]))
        if new is not None:
            return ".".join([new, *parts[length:]])
    return None


def _linear(name: str, tensor: Tensor) -> Tensor:
    is_projection = name.endswith(("proj_in.weight", "proj_out.weight"))
    return tensor.squeeze(-1) if is_projection and tensor.ndim == 3 else tensor
