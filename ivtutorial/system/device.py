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
