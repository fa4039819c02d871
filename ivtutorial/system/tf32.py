"""Float32 products on a GPU's tensor cores (TF32): the exponent of float32, ten bits of its mantissa.

A matrix product in full float32 leaves the tensor cores idle and takes several times as long. cuDNN's convolutions
compute in TF32 by default; torch leaves matrix products out, so this turns them on for the time of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def allow_tf32(device: torch.device | str, precision: str | None) -> Iterator[None]:
    """Matrix products in float32 take TF32 inside the block; afterwards torch is set as before.

    Nothing changes on a CPU, in half precision, where results are to repeat bit for bit (`repeatable`), and where
    torch has been set to something else than its default.

    Args:
        device: where the networks are.
        precision: that they compute in: "fp32", "bf16" or "fp16".

    Example:
        >>> with allow_tf32("cuda", "fp32"):
        ...     torch.get_float32_matmul_precision()
        'high'
    """
    on = torch.device(device).type == "cuda" and precision == "fp32"
    if not on or torch.are_deterministic_algorithms_enabled() or not _is_default():
        yield
        return
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


def _is_default() -> bool:
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # set backend by backend, by torch's newer names, which the older ones cannot describe
        return False
