"""Single operations that `on_a_gpu.py` times in more than one form, at the shapes of a full-size step.

| function       | forms                                            | what it decides                            |
|----------------|--------------------------------------------------|--------------------------------------------|
| `attention`    | torch's choice, cuDNN, flash, efficient          | whether cuDNN's attention is switched off  |
| `convolutions` | temporal: Conv3d, Conv2d; in space: both layouts | `FramewiseConv`; weights with channels last |

Milliseconds are of a forward pass, and of forward and backward to the input (the weights are frozen); each form runs
once before, so that plans made at the first call are not timed. A form that the card does not have is null.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from measure import Meter
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

# (batch, heads, queries, width, keys), of one clip with guidance; the head of ViT-H has width 80, that of Wan 128
ATTENTION = {
    "positions of a frame": (32, 5, 1024, 64, 1024),
    "frames of a position": (2048, 5, 16, 64, 16),
    "caption": (2, 5, 16384, 64, 77),
    "ViT-H": (4, 16, 257, 80, 257),
    "Wan, 17 frames of 256 px": (2, 12, 1280, 128, 1280),
}
BACKENDS = {
    "torch's choice": None,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
}
LEVELS = ((320, 32), (640, 16), (1280, 8))  # channels and side of the UNet's levels


@contextmanager
def without_cudnn() -> Iterator[None]:
    """Attention by flash, or another kernel of torch's own."""
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        yield


def attention(device: str, divide: int = 1, times: int = 10) -> dict[str, Any]:
    """Milliseconds of every shape by every kernel, {shape: {kernel: [forward, both]}}.

    Args:
        device: "cuda", or "cpu" for a rehearsal.
        divide: shorten queries and keys by it.
        times: repetitions, of which the median counts.
    """
    result: dict[str, Any] = {}
    for name, (batch, heads, queries, width, keys) in ATTENTION.items():
        batch = max(batch // divide**2, 1)
        q, k, v = (
            torch.randn(batch, heads, max(tokens // divide, 2), width, device=device, dtype=torch.bfloat16)
            for tokens in (queries, keys, keys)
        )
        result[name] = {
            kernel: _milliseconds(partial(functional.scaled_dot_product_attention, q, k, v), q, times, _only(backend))
            for kernel, backend in BACKENDS.items()
        }
    return result


def convolutions(device: str, divide: int = 1, times: int = 10) -> dict[str, Any]:
    """Milliseconds of the UNet's convolutions in two forms each; arguments and result as of `attention`."""
    result: dict[str, Any] = {}
    for channels, side in LEVELS:
        channels = channels // divide
        cube = torch.randn(2, channels, 16, side, side, device=device, dtype=torch.bfloat16)
        weight = torch.randn(channels, channels, 3, 1, 1, device=device, dtype=torch.bfloat16)
        rows, flat = cube.flatten(3), weight.squeeze(-1)
        frames = cube.transpose(1, 2).flatten(0, 1).contiguous()
        kernel = torch.randn(channels, channels, 3, 3, device=device, dtype=torch.bfloat16)
        last, kernel_last = (x.contiguous(memory_format=torch.channels_last) for x in (frames, kernel))
        forms: dict[str, tuple[Callable[[], Tensor], Tensor]] = {
            "Conv3d": (partial(functional.conv3d, cube, weight, padding=(1, 0, 0)), cube),
            "Conv2d": (partial(functional.conv2d, rows, flat, padding=(1, 0)), rows),
            "3x3": (partial(functional.conv2d, frames, kernel, padding=1), frames),
            "3x3, channels last": (partial(functional.conv2d, last, kernel_last, padding=1), last),
        }
        result[f"{channels} channels"] = {name: _milliseconds(form, x, times) for name, (form, x) in forms.items()}
    return result


def _only(backend: SDPBackend | None) -> AbstractContextManager[Any]:
    return nullcontext() if backend is None else sdpa_kernel(backend)


def _milliseconds(
    form: Callable[[], Tensor], x: Tensor, times: int, context: AbstractContextManager[Any] | None = None
) -> list[float] | None:
    """[forward, forward and backward], or None where there is no such kernel."""

    def both() -> None:
        with torch.enable_grad():
            form().sum().backward()
        x.grad = None

    try:
        with context or nullcontext():
            result = []
            for step, recorded in ((form, False), (both, True)):
                x.requires_grad_(recorded)
                meter = Meter(x.device)
                for _ in range(times + 1):
                    meter.time(step)
                result.append(float(f"{1000 * statistics.median(meter.seconds[1:]):.4g}"))
            return result
    except RuntimeError:
        return None
    finally:
        x.requires_grad_(False)
