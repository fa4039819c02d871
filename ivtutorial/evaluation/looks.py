"""What clips look like, measured from their pixels alone: no network, no weights, nothing that could like a style.

| column          | unit             | what it measures                                                              |
|-----------------|------------------|-------------------------------------------------------------------------------|
| `sharpness`     | brightness, 0..1 | mean length of the brightness gradient in its strongest twentieth             |
| `colourfulness` | 0 is grey        | spread plus 0.3 of the mean of the opponent colours (Hasler, Suesstrunk 2003) |
| `flicker`       | brightness, 0..1 | deviation over time of a frame's mean brightness from its running mean        |
| `motion`        | brightness, 0..1 | mean absolute change of a pixel from frame to frame, flicker taken out        |

`motion` counts every change. How far things move, in pixels, is `flow` in `ivtutorial.evaluation.flow`. The `motion` of
a training log is another number: :func:`ivtutorial.method.batch.motion`, of latents, with flicker.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# RGB in [0, 1] -> brightness in [0, 1] and two colour differences in [-0.5, 0.5] (ITU-R BT.601).
YUV = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])


def measure(frames: Tensor) -> dict[str, Tensor]:
    """The columns of the module's table.

    Args:
        frames: clips (N, F, 3, H, W) in [0, 1].

    Returns:
        Name -> (N,).
    """
    spread, level = opponent_colours(frames)
    grey = frames.float().mean(2)
    light = grey.mean((2, 3))
    smooth = F.avg_pool1d(F.pad(light[:, None], (1, 1), mode="replicate"), 3, 1)[:, 0]
    steady = grey - light[..., None, None]
    return {
        "sharpness": strongest_edges(frames.float()).mean((1, 2)),
        "colourfulness": (spread + 0.3 * level).mean(1),
        "flicker": (light - smooth).square().mean(1).sqrt(),
        "motion": (steady[:, 1:] - steady[:, :-1]).abs().mean((1, 2, 3)),
    }


def strongest_edges(frames: Tensor, eps: float = 0.0) -> Tensor:
    """Lengths of the brightness gradient in the strongest twentieth of each frame.

    Args:
        frames: (..., 3, H, W) in [0, 1].
        eps: added below the root, which has no gradient at 0.

    Returns:
        (..., k), k a twentieth of the pixels, at least 1.
    """
    grey = frames.mean(-3)
    dx, dy = grey[..., 1:, 1:] - grey[..., 1:, :-1], grey[..., 1:, 1:] - grey[..., :-1, 1:]
    edges = (dx * dx + dy * dy + eps).sqrt().flatten(-2)
    return edges.topk(max(1, edges.shape[-1] // 20), dim=-1).values


def opponent_colours(frames: Tensor, eps: float = 0.0) -> tuple[Tensor, Tensor]:
    """Spread and mean of red - green and yellow - blue in each frame.

    Args:
        frames: (..., 3, H, W) in [0, 1].
        eps: see `strongest_edges`.

    Returns:
        Length of the two standard deviations and of the two means, (...) each.
    """
    red, green, blue = frames.unbind(-3)
    rg, yb = (red - green).flatten(-2), (0.5 * (red + green) - blue).flatten(-2)
    spread = (rg.var(-1) + yb.var(-1) + eps).sqrt()
    level = (rg.mean(-1) ** 2 + yb.mean(-1) ** 2 + eps).sqrt()
    return spread, level
