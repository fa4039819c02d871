"""Pieces that compute in the page, without a kernel: a head that is fitted, a calculator.

`choice_head` fits a preference head to the choices that a reader makes in a `pair_quiz` above it. The best weights lie
in the span of the pairs' gaps: ``theta = start + sum_k c_k gap_k``. So the page needs no features, only the inner
products of the gaps with each other and with the gallery, and solves for the n numbers c by Newton's method:
``hold c_k = y_k sigmoid(-y_k margin_k)``, where y is 1 for X and -1 for Y and the margin is the gap's score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ivtutorial.errors import InputError
from ivtutorial.pages.embed import picture
from ivtutorial.pages.page import render_page
from ivtutorial.video.writer import to_uint8

HOLDS = (10, 1, 0.1, 0.01, 0.001)


def choice_head(gaps: Any, start: Any, gallery: Any, pictures: Any, labels: Sequence[str], hold: float = 0.1) -> str:
    """Loss and gallery of a head that learns with each click on the quiz before it in the page.

    It minimises ``-sum_k log sigmoid(y_k theta . gap_k) + hold/2 |theta - start|^2`` over the choices so far, draws the
    mean surprise at them, also with each choice left out, and sorts the gallery by ``theta . h``.

    Args:
        gaps: (n, 2E), features of X minus those of Y, in the order of the quiz.
        start: (2E,), the weights to start from. gallery: (N, 2E), features of pictures of one caption.
        pictures: those, (N, H, W, 3) in [0, 1]. labels: N texts, shown below them.
        hold: how strongly the weights are held at the start, one of `HOLDS`; the page's slider offers all of them.

    Returns:
        HTML text with everything in it.

    Raises:
        InputError: shapes that do not fit, or another hold.
    """
    g, theta, h = (np.asarray(x, dtype=np.float64) for x in (gaps, start, gallery))
    if g.ndim != 2 or h.shape != (len(labels), g.shape[-1]) or theta.shape != g.shape[1:] or len(pictures) != len(h):
        raise InputError(
            f"gaps {g.shape}, start {theta.shape}, gallery {h.shape}, {len(pictures)} pictures, {len(labels)} labels "
            "do not fit: expected (n, 2E), (2E,), (N, 2E), N and N."
        )
    if hold not in HOLDS:
        raise InputError(f"hold = {hold}: the page offers {', '.join(map(str, HOLDS))}; take one of them.")
    data = {
        "gram": (g @ g.T).round(6).tolist(),
        "margins": (g @ theta).round(6).tolist(),
        "cross": (h @ g.T).round(6).tolist(),
        "scores": (h @ theta).round(6).tolist(),
        "holds": HOLDS,
        "start": HOLDS.index(hold),
    }
    return render_page("choice_head.html", data=data, pictures=_thumbnails(to_uint8(pictures), labels))


def _thumbnails(pixels: Any, labels: Sequence[str]) -> list[tuple[str, Markup]]:
    from PIL import Image

    return [
        (label, Markup(picture(Image.fromarray(frame), label, lossless=True)))
        for frame, label in zip(pixels, labels, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class StepSizes:
    """What one guided forward pass of a network keeps and costs, for `step_calculator`.

    Attributes:
        weights: GiB of the network's weights.
        M: GiB that a recorded pass keeps. M_out, M_in: between its blocks, and within the largest one.
        M_z: GiB of the input of a step.
        tflop: operations of a pass, in 10^12.
        b: operations of a backward pass, and `again`: of recomputing the blocks, both in forward passes.
    """

    weights: float
    M: float
    M_out: float
    M_in: float
    M_z: float
    tflop: float
    b: float
    again: float


def step_calculator(sizes: StepSizes, cards: Mapping[str, Mapping[str, Any]], start: Mapping[str, int]) -> str:
    """A calculator in the page for one step of reward fine-tuning: memory, operations, and whether a card holds it.

    Memory of a step with C clips at a time: ``weights + C (K M)`` if all is kept, ``C (K M_z + M)`` with a checkpoint
    per step, ``C (K M_out + M_in)`` per block, ``C (K M_z + M_out + M_in)`` with both. Operations, in passes:
    ``C (D + K (b + extra))``, where a checkpoint per step adds 1 and one per block `again`. Without guidance a pass is
    half as much.

    Args:
        sizes: of the network.
        cards: name -> `gib` of memory that a program may use, and `tflops`, 10^12 operations a second at its best.
        start: `D`, `K` and `clips` that are chosen first; 1 <= K <= D <= 50.

    Returns:
        HTML text with everything in it.

    Raises:
        InputError: no cards, or numbers to start with that are no chain.
    """
    if not cards or not 1 <= start["K"] <= start["D"] <= 50:
        raise InputError(f"{len(cards)} cards, start {dict(start)}: need a card, and 1 <= K <= D <= 50.")
    names = [(f"{name}, {card['gib']} GiB", card["gib"], card["tflops"]) for name, card in cards.items()]
    return render_page("step_calculator.html", data=asdict(sizes), cards=names, start=start)
