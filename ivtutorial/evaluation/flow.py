"""What moves in a clip and whether it hangs together: flow, warping error, travel, and diversity across seeds.

| column         | unit                       | what it measures                                                       |
|----------------|----------------------------|------------------------------------------------------------------------|
| `flow`         | share of the width a frame | mean length of the optical flow: how much moves; 0 is a still picture  |
| `warp_error`   | brightness, 0 to 1         | what is left of a frame after moving the one before it along the flow  |
| `travel`       | share of the width a clip  | how far what moves travels sideways from first to last frame, unsigned |
| `travel_error` | share of the width a clip  | abs(travel - what the caption implies) , signed inside; needs facts    |
| `diversity`    | brightness, 0 to 1         | distance of a clip from those of the same prompt with other seeds      |

They read pixels only, so they work at every scale. A reward that freezes clips shows in `flow` and `travel_error`, one
that makes them flicker or twitch in `warp_error` (and in `flicker` of the judge), one that makes all clips alike in
`diversity`. Flow is the method of B. Lucas and T. Kanade (1981), coarse to fine over a pyramid, with
the steps of J.-Y. Bouguet's pyramidal version (2001): no network, no weights, nothing that could like a style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ivtutorial.errors import InputError

# Shares of the width that a subject of the zoo walks and runs in a clip: 9 and 24 of 64 pixels a second for 15 / 8 s.
ASKED = {"walk": 9 / 64 * 15 / 8, "run": 24 / 64 * 15 / 8}
_WINDOW, _DAMPING, _ROUNDS, _SMALLEST = 7, 1e-4, 3, 16


def optical_flow(first: Tensor, second: Tensor) -> Tensor:
    """Where each pixel of `first` is found in `second`, by Lucas-Kanade over a pyramid.

    Args:
        first: brightness (N, H, W) in [0, 1].
        second: the same shape.

    Returns:
        (N, 2, H, W), right and down, in pixels. Near 0 where a picture is flat.

    Raises:
        InputError: other shapes.

    Example:
        >>> optical_flow(torch.rand(1, 32, 32), torch.rand(1, 32, 32)).shape
        torch.Size([1, 2, 32, 32])
    """
    if first.ndim != 3 or first.shape != second.shape:
        raise InputError(f"pictures of shape {tuple(first.shape)} and {tuple(second.shape)}: expected (N, H, W) twice.")
    flow = first.new_zeros(len(first), 2, 1, 1)
    for scale in _scales(*first.shape[1:]):
        small_first, small_second = (
            F.avg_pool2d(x[:, None], scale) if scale > 1 else x[:, None] for x in (first, second)
        )
        growth = small_first.shape[-1] / flow.shape[-1] if flow.shape[-1] > 1 else 1.0
        flow = F.interpolate(flow, small_first.shape[-2:], mode="bilinear", align_corners=False) * growth
        for _ in range(_ROUNDS):
            flow = flow + _correction(small_first, warp(small_second, flow))
    return flow


def _scales(height: int, width: int) -> list[int]:
    """How much each level of the pyramid is shrunk, coarsest first."""
    scales = [1]
    while min(height, width) // (2 * scales[-1]) >= _SMALLEST:
        scales.append(2 * scales[-1])
    return scales[::-1]


def _correction(first: Tensor, second: Tensor) -> Tensor:
    """Least-squares motion (N, 2, H, W) in a window around each pixel that still separates two pictures."""
    mean = F.pad((first + second) / 2, (1, 1, 1, 1), mode="replicate")
    dx, dy = (mean[..., 1:-1, 2:] - mean[..., 1:-1, :-2]) / 2, (mean[..., 2:, 1:-1] - mean[..., :-2, 1:-1]) / 2
    dt = second - first

    def window(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, _WINDOW, 1, _WINDOW // 2, count_include_pad=False)

    xx, xy, yy, xt, yt = (window(x) for x in (dx * dx, dx * dy, dy * dy, dx * dt, dy * dt))
    xx, yy = xx + _DAMPING, yy + _DAMPING
    det = xx * yy - xy * xy
    return torch.cat([-(yy * xt - xy * yt) / det, -(xx * yt - xy * xt) / det], dim=1).clamp(-2, 2)


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Pictures (N, C, H, W) fetched from where the flow (N, 2, H, W), in pixels, points; edges are repeated."""
    n, _, h, w = pictures.shape
    ys, xs = torch.meshgrid(
        torch.arange(h, device=flow.device), torch.arange(w, device=flow.device), indexing="ij"
    )  # fmt: skip
    x = (xs + flow[:, 0]) * 2 / max(1, w - 1) - 1
    y = (ys + flow[:, 1]) * 2 / max(1, h - 1) - 1
    return F.grid_sample(pictures, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=True)


def travel(grey: Tensor) -> Tensor:
    """How far what moves travels to the right from the first to the last frame, in shares of the width.

    The pixels that change most from frame to frame (the strongest tenth) belong to what moves; a straight line is laid
    through the places of their centre over time.

    Args:
        grey: brightness (N, F, H, W).

    Returns:
        Signed travel (N,); 0 for clips of fewer than 3 frames.
    """
    if grey.shape[1] < 3:
        return grey.new_zeros(len(grey))
    steady = grey - grey.mean(dim=(2, 3), keepdim=True)
    change = (steady[:, 1:] - steady[:, :-1]).abs()
    change = (change - change.flatten(2).quantile(0.9, dim=-1)[..., None, None]).clamp_min(0)
    mass = change.sum(dim=(2, 3))
    xs = (torch.arange(grey.shape[-1], device=grey.device) + 0.5) / grey.shape[-1]
    centre = (change.sum(dim=2) * xs).sum(dim=-1) / mass.clamp_min(1e-9)
    time = torch.linspace(-0.5, 0.5, centre.shape[1], device=grey.device)
    share = mass / mass.sum(dim=1, keepdim=True).clamp_min(1e-9)  # frames in which more moves count more
    t = time - (share * time).sum(dim=1, keepdim=True)
    slope = (share * t * centre).sum(dim=1) / (share * t * t).sum(dim=1).clamp_min(1e-9)
    # `time` runs over the F - 1 changes, whose first and last are F - 2 frames apart.
    return slope * (grey.shape[1] - 1) / (grey.shape[1] - 2)


def measure_movement(frames: Tensor, facts: Sequence[Mapping[str, Any] | None] = ()) -> dict[str, Tensor]:
    """The columns of the module's table for clips, without `diversity`.

    Args:
        frames: (N, F, 3, H, W) in [0, 1].
        facts: what each clip should show ("action" and "facing"); with all of them there is `travel_error`.

    Returns:
        Name -> (N,).

    Raises:
        InputError: frames of another shape.
    """
    if frames.ndim != 5 or frames.shape[2] != 3:
        raise InputError(f"frames of shape {tuple(frames.shape)}: expected clips (N, F, 3, H, W).")
    grey = frames.float().mean(2)
    far = travel(grey)
    columns = {**_flow_numbers(grey), "travel": far.abs()}
    if facts and all(fields is not None for fields in facts):
        wanted = torch.tensor([asked_travel(fields or {}) for fields in facts])
        columns["travel_error"] = (far.cpu() - wanted).abs()
    return columns


def _flow_numbers(grey: Tensor) -> dict[str, Tensor]:
    count, frames, height, width = grey.shape
    if frames < 2:
        return {"flow": grey.new_zeros(count), "warp_error": grey.new_zeros(count)}
    first, second = grey[:, :-1].flatten(0, 1), grey[:, 1:].flatten(0, 1)
    flow = optical_flow(first, second)
    left = (warp(second[:, None], flow)[:, 0] - first).abs().mean(dim=(1, 2))
    length = flow.square().sum(dim=1).sqrt().mean(dim=(1, 2)) / width
    return {"flow": length.view(count, -1).mean(dim=1), "warp_error": left.view(count, -1).mean(dim=1)}


def asked_travel(facts: Mapping[str, Any]) -> float:
    """Signed travel that a clip's facts imply: walking and running subjects travel the way they face.

    Example:
        >>> asked_travel({"action": "rest", "facing": "left"})
        0.0
    """
    return ASKED.get(str(facts.get("action")), 0.0) * (1.0 if facts.get("facing") == "right" else -1.0) + 0.0


def thumbnail(clip: Tensor) -> Tensor:
    """A clip (F, 3, H, W) shrunk to (3, 4, 8, 8): enough to measure how alike two clips are."""
    return F.adaptive_avg_pool3d(clip.float().transpose(0, 1)[None], (min(4, len(clip)), 8, 8))[0].cpu()


def diversity(thumbnails: Sequence[Tensor], groups: Sequence[Any]) -> list[float] | None:
    """Root mean square distance of each clip from the others of its group, averaged over them.

    Args:
        thumbnails: of N clips.
        groups: N marks; clips with the same mark, such as the prompt's place, are compared.

    Returns:
        N numbers, or None if a clip is alone in its group.

    Example:
        >>> diversity([torch.zeros(2), torch.ones(2)], ["a", "a"])
        [1.0, 1.0]
    """
    distances = []
    for index, mark in enumerate(groups):
        others = [other for k, other in enumerate(thumbnails) if groups[k] == mark and k != index]
        if not others:
            return None
        apart = [(thumbnails[index] - other).square().mean().sqrt().item() for other in others]
        distances.append(sum(apart) / len(apart))
    return distances
