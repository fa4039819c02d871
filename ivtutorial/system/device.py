"""Which device to compute on, and whether its tensor cores take products in float32."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ivtutorial.errors import InputError


def choose_device(name: str | None = None) -> torch.device:
    """The GPU of this process if there is one, else the CPU; or the one of the two that is named.

    Raises:
        InputError: another name, "cuda" without a GPU, or a LOCAL_RANK in the environment that is no GPU's number.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    gpu = torch.cuda.is_available()
    if name not in (None, "cpu", "cuda") or (name == "cuda" and not gpu):
        raise InputError(f"device = {name!r}: expected 'cpu', or 'cuda' where there is a GPU.")
    if not gpu or name == "cpu":
        return torch.device("cpu")
    rank, count = os.environ.get("LOCAL_RANK", "0"), torch.cuda.device_count()
    if not rank.isdecimal() or int(rank) >= max(count, 1):
        raise InputError(
            f"LOCAL_RANK = {rank!r} in the environment, and there are {count} GPUs here: expected the number of one of "
            "them, as torchrun sets it. Unset it, or start as many processes as there are GPUs."
        )
    return torch.device("cuda", int(rank))


def check_bf16(precision: str, device: torch.device) -> None:
    """Refuse bf16 on a GPU that has no units for it, where it is emulated and crawls, or whose driver is too old.

    Args:
        precision: "fp32", "bf16" or "fp16".
        device: where it is to compute.

    Raises:
        InputError: with the card and what to choose instead.
    """
    if precision != "bf16" or device.type != "cuda":
        return
    card = torch.cuda.get_device_properties(device)
    if card.major < 8 or not torch.cuda.is_bf16_supported():
        raise InputError(
            f"precision = 'bf16': {card.name} has no bf16, or its driver has none. "
            "Use precision 'fp16', as the presets t4, 8gb and 16gb-fp16 do."
        )


@contextmanager
def allow_tf32(device: torch.device | str, precision: str | None) -> Iterator[None]:
    """Matrix products in float32 take TF32 inside the block; afterwards torch is set as before.

    TF32 has the exponent of float32 and ten bits of its mantissa. In full float32 a product leaves the tensor cores
    idle and takes several times as long; cuDNN's convolutions compute in TF32 by default, torch's products do not.

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
