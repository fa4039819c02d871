"""Which precision a processor is fast in: what the setting `auto` of the command line stands for.

| machine | `auto` |
|---|---|
| CPU that multiplies bf16 in hardware (AVX512-BF16 or AMX) | bf16 for the UNet: half the time, 1 % off a pass |
| any other CPU, AVX2 only for instance | fp32: without such instructions bf16 is emulated, and slower |
| GPU, to sample | fp16, as diffusers' pipelines |
| GPU, to fine-tune | what the configuration or its preset says |

It is decided once, where a command begins; functions of the library compute in fp32 unless they get another precision.
On a GPU fine-tuning, generation and evaluation in fp32 take their matrix products in TF32 (`ivtutorial.system.device`).
"""

from __future__ import annotations

from typing import get_args

import torch

from ivtutorial.errors import InputError
from ivtutorial.models.memory import DTYPES, Precision


def has_fast_bf16() -> bool:
    """Whether this CPU multiplies bf16 numbers in hardware; False where torch cannot say."""
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    # Older versions of torch know it, but have no public function for it.
    return any(getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in ("avx512_bf16", "amx_tile"))


def choose_precision(setting: str = "auto", device: str = "cpu") -> Precision:
    """The precision that a setting stands for on a kind of device.

    Args:
        setting: "auto", "fp32", "bf16" or "fp16".
        device: "cpu" or "cuda".

    Raises:
        InputError: another setting, or fp16 on a CPU.

    Example:
        >>> choose_precision("bf16")
        'bf16'
    """
    if setting == "auto":
        return "fp16" if device == "cuda" else "bf16" if has_fast_bf16() else "fp32"
    for precision in get_args(Precision):
        if precision == setting and not (precision == "fp16" and device == "cpu"):
            return precision  # type: ignore[no-any-return]
    kinds = "auto, fp32, bf16" + (" or fp16" if device == "cuda" else "; fp16 needs a GPU")
    raise InputError(f"precision = {setting!r}: expected {kinds}.")


def text_precision(dtype: torch.dtype, device: torch.device | str) -> torch.dtype:
    """Of a text encoder that is larger than all else: half precision on a GPU (Wan's takes 11.4 GB instead of 22.8).

    Args:
        dtype: of the other parts; a half precision is the text encoder's, too.
        device: where it goes.

    Example:
        >>> text_precision(torch.float32, "cpu"), text_precision(torch.float16, "cuda")
        (torch.float32, torch.float16)
    """
    if dtype != torch.float32 or torch.device(device).type != "cuda":
        return dtype
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def unet_in(precision: Precision) -> dict[str, torch.dtype]:
    """Types of the weights for `open_model`: the UNet's as named, autoencoder and text encoder in float32."""
    return {"unet": DTYPES[precision]}
