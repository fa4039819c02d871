"""A second image reward, for Fig. A.7: it likes strong edges and colours, and does not read the caption.

The paper's second reward is ImageReward, another network taught by people. The reduced world has one such network only,
so here the second one is written down: the mean length of the brightness gradient in its strongest twentieth plus the
colourfulness of D. Hasler and S. Suesstrunk (2003), both as :func:`ivtutorial.evaluation.looks.measure` measures them.
It asks the same of the method, a raise of an image reward through the chain, and should leave another style behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ivtutorial.checks import check_frames
from ivtutorial.evaluation.looks import opponent_colours, strongest_edges

_EPS = 1e-12  # the root of 0 has no gradient


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
    spread, level = opponent_colours(frames, _EPS)
    return strongest_edges(frames, _EPS).mean(1) + spread + 0.3 * level
