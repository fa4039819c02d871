"""Settings for a kind of GPU, as plain data: what `--preset` of the command line stands for.

| preset | card | precision | what it does |
|---|---|---|---|
| `t4` | 15 GiB without fast bf16, e.g. a free Colab | fp16, loss scaling | all recomputed, text towers outside |
| `8gb` | 8 GiB | fp16, loss scaling | as `t4`, and guidance in two passes |
| `24gb` | 24 GiB, e.g. RTX 3090, 4090, L4, A10 | bf16 | two clips, UNet and decoder recomputed |
| `a100` | 40 GiB and more | bf16 | the authors' two clips a GPU, only the UNet recomputed |

Each makes 8 clips a step on one GPU, as the paper has on four. On N GPUs divide `accumulation` by N. The method's
settings (tau, D, K, S) are the same in all of them, and so is what is computed, up to rounding.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from ivtutorial.errors import InputError

_RECOMPUTE = {"recompute_unet": True, "recompute_decode": True, "decode_chunk": 1}
_SMALL = {**_RECOMPUTE, "recompute_reward": True, "offload_text": True}

PRESETS: dict[str, dict[str, Any]] = {
    "t4": {"batch_size": 1, "accumulation": 8, "precision": "fp16", "memory": _SMALL},
    "8gb": {
        "batch_size": 1,
        "accumulation": 8,
        "precision": "fp16",
        "memory": {**_SMALL, "guidance_passes": 2},
    },
    "24gb": {
        "batch_size": 2,
        "accumulation": 4,
        "precision": "bf16",
        "memory": {**_RECOMPUTE, "offload_text": True},
    },
    "a100": {"batch_size": 2, "accumulation": 4, "precision": "bf16", "memory": {"recompute_unet": True}},
}


def preset(name: str) -> dict[str, Any]:
    """A copy of the settings of one preset, as a part of a run's configuration.

    Args:
        name: "t4", "8gb", "24gb" or "a100".

    Raises:
        InputError: an unknown name.

    Example:
        >>> preset("8gb")["memory"]["guidance_passes"]
        2
    """
    if name not in PRESETS:
        raise InputError(f"Unknown preset {name!r}: there are {', '.join(PRESETS)}.")
    return copy.deepcopy(PRESETS[name])


def preset_for(memory: float, bf16: bool) -> str:
    """The preset for a card, where none is given.

    Args:
        memory: of the card, in GiB.
        bf16: whether it multiplies bf16 numbers fast (Ampere and newer).

    Example:
        >>> preset_for(14.7, bf16=False), preset_for(79.0, bf16=True)
        ('t4', 'a100')
    """
    if memory < 12:
        return "8gb"
    if memory < 20 or not bf16:
        return "t4"
    return "24gb" if memory < 38 else "a100"


def preset_here() -> str:
    """The preset for this machine's GPUs; where they differ, for the smallest, so that all processes agree."""
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return preset_for(min(card.total_memory for card in cards) / 2**30, all(card.major >= 8 for card in cards))
