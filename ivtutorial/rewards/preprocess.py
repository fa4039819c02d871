"""From a frame to what a reward model looks at: resized, cut or padded, normalised; all of it differentiable.

| kind       | whose                                  | what                                                          |
|------------|----------------------------------------|---------------------------------------------------------------|
| "official" | the authors of InstructVideo           | shorter side to the model's size, bilinear, centre crop       |
| "hpsv2"    | the hpsv2 package                      | longer side to the model's size, bicubic, padded with black   |
| "clip"     | CLIP, PickScore, ImageReward, aesthetic | shorter side to the model's size, bicubic, centre crop        |

The authors do not crop, so that frames which are not square crash. The hpsv2 package pads before it normalises, lets
bicubic values leave [0, 1], and crashes where the longer side already fits; this does not. CLIP's own transform works
on 8-bit images: it rounds and cannot leave [0, 1], so here values are clamped but not rounded.

`antialias` is on, as in torchvision since 0.17; the authors' installation had none.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from ivtutorial.errors import InputError

KINDS = ("official", "hpsv2", "clip")
# Mean and standard deviation of every CLIP since OpenAI's, by channel, for values in [0, 1].
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def fit(frames: Tensor, size: int, kind: str, antialias: bool = True) -> Tensor:
    """Bring frames to a model's size, see the module.

    Args:
        frames: (N, 3, H, W) in [0, 1].
        size: side of the square, in pixels.
        kind: one of `KINDS`.
        antialias: whether resizing filters before it shrinks.

    Returns:
        (N, 3, size, size).

    Raises:
        InputError: an unknown kind.
    """
    check_preprocessing(kind)
    if kind == "hpsv2":
        return resize_and_pad(frames, size, antialias)
    if kind == "official":
        return resize_and_crop(frames.clamp(0, 1), size, antialias)
    return resize_and_crop(frames.clamp(0, 1), size, antialias, "bicubic").clamp(0, 1)


def check_preprocessing(kind: str) -> None:
    """Reject an unknown kind of preprocessing.

    Raises:
        InputError: with the known ones.
    """
    if kind not in KINDS:
        raise InputError(f"Unknown preprocessing {kind!r}. Choose one of {', '.join(KINDS)}.")


def normalise(images: Tensor, mean: Sequence[float] = CLIP_MEAN, std: Sequence[float] = CLIP_STD) -> Tensor:
    """(x - mean) / std by channel, of images (N, 3, H, W)."""
    # Filled where the images are: copying the numbers there would wait for a GPU.
    centre, spread = (torch.cat([images.new_full((1, 1, 1, 1), v) for v in values], 1) for values in (mean, std))
    return (images - centre) / spread


def resize_and_crop(frames: Tensor, size: int, antialias: bool = True, mode: str = "bilinear") -> Tensor:
    """Shorter side of (N, 3, H, W) to `size`, then the central (N, 3, size, size)."""
    h, w = frames.shape[-2:]
    short = min(h, w)
    if short != size:
        # int() as torchvision does: the longer side is truncated, not rounded.
        frames = _resize(frames, int(size * h / short), int(size * w / short), mode, antialias)
    top, left = (frames.shape[-2] - size) // 2, (frames.shape[-1] - size) // 2
    return frames[..., top : top + size, left : left + size]


def resize_and_pad(frames: Tensor, size: int, antialias: bool = True) -> Tensor:
    """Longer side of (N, 3, H, W) to `size`, bicubic (may leave [0, 1]); centred on a black square."""
    h, w = frames.shape[-2:]
    scale = size / max(h, w)
    if scale != 1:
        frames = _resize(frames, round(h * scale), round(w * scale), "bicubic", antialias)
    pad_h, pad_w = size - frames.shape[-2], size - frames.shape[-1]
    return F.pad(frames, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))


def resize_by_products(frames: Tensor, h: int, w: int, mode: str, antialias: bool) -> Tensor:
    """Resizing is linear, and by rows and columns apart: R_h x R_w^T, two products for which no order of sums varies.

    `interpolate` on a GPU adds up its gradient in any order.

    Args:
        frames: (N, 3, H, W).
        h: new height.
        w: new width.
        mode: of `torch.nn.functional.interpolate`; so is antialias.
        antialias: see mode.

    Returns:
        (N, 3, h, w), as `interpolate` gives to rounding.
    """
    rows, columns = (
        _weights(old, new, mode, antialias).to(frames, non_blocking=True)
        for old, new in zip(frames.shape[-2:], (h, w), strict=True)
    )
    kind = frames.device.type
    with torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext():
        return rows @ frames @ columns.T


def _weights(old: int, new: int, mode: str, antialias: bool) -> Tensor:
    """(new, old): what each old row contributes to each new one, with the rounding that `interpolate` has."""
    unit = torch.eye(old)[None, None]
    return F.interpolate(unit, size=(new, old), mode=mode, align_corners=False, antialias=antialias)[0, 0]


def _resize(frames: Tensor, h: int, w: int, mode: str, antialias: bool) -> Tensor:
    if frames.device.type != "cpu":
        return resize_by_products(frames, h, w, mode, antialias)
    return F.interpolate(frames, size=(h, w), mode=mode, align_corners=False, antialias=antialias)
