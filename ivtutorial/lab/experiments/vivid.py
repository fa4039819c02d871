"""A second image reward, for Fig. A.7: it likes strong edges and colours, and does not read the caption.

The paper's second reward is ImageReward, another network taught by people. The reduced world has one such network only,
so here the second one is written down: the mean length of the brightness gradient in its strongest twentieth plus the
colourfulness of D. Hasler and S. Suesstrunk (2003), both as :func:`ivtutorial.lab.world.judge.measure` measures them.
It asks the same of the method, a raise of an image reward through the chain, and should leave another style behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ivtutorial.rewards.base import check_frames


def vivid(frames: Tensor, captions: Sequence[str]) -> Tensor:
    """Sharpness plus colourfulness of each frame, with gradient.

    Args:
        frames: (N, 3, H, W) in [0, 1].
        captions: N texts; not read.

    Returns:
        (N,).

    Raises:
        InputError: frames that are none, or another number of captions.
    """
    check_frames(frames, captions)
    grey = frames.mean(1)
    dx, dy = grey[..., 1:, 1:] - grey[..., 1:, :-1], grey[..., 1:, 1:] - grey[..., :-1, 1:]
    edge = (dx * dx + dy * dy + 1e-12).sqrt().flatten(1)  # the root of 0 has no gradient
    sharpness = edge.topk(max(1, edge.shape[1] // 20), dim=1).values.mean(1)
    rg = (frames[:, 0] - frames[:, 1]).flatten(1)
    yb = (0.5 * (frames[:, 0] + frames[:, 1]) - frames[:, 2]).flatten(1)
    spread = (rg.var(1) + yb.var(1) + 1e-12).sqrt()
    level = (rg.mean(1) ** 2 + yb.mean(1) ** 2 + 1e-12).sqrt()
    return sharpness + spread + 0.3 * level
