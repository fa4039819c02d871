"""Which device to compute on."""

from __future__ import annotations

import os

import torch

from ivtutorial.errors import InputError


def choose_device(name: str | None = None) -> torch.device:
    """The GPU of this process if there is one, else the CPU; or the one of the two that is named.

    Raises:
        InputError: another name, or "cuda" without a GPU.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    gpu = torch.cuda.is_available()
    if name not in (None, "cpu", "cuda") or (name == "cuda" and not gpu):
        raise InputError(f"device = {name!r}: expected 'cpu', or 'cuda' where there is a GPU.")
    if not gpu or name == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


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
