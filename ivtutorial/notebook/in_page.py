"""A preference head that is fitted in the page, to the choices that a reader makes in a `pair_quiz` above it.

The best weights lie in the span of the pairs' gaps: ``omega = start + sum_k c_k gap_k``. So the page needs no features,
only the inner products of the gaps with each other and with the gallery, and solves for the n numbers c by Newton's
method: ``mu c_k = y_k sigmoid(-y_k margin_k)``, where y is 1 for A and -1 for B and the margin is the gap's score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ivtutorial.errors import InputError
from ivtutorial.pages.embed import picture
from ivtutorial.pages.page import render_page
from ivtutorial.video.writer import to_uint8


def choice_head(gaps: Any, start: Any, gallery: Any, pictures: Any, labels: Sequence[str], mu: float = 1.0) -> str:
    """Loss and gallery of a head that learns with each click on the quiz before it in the page.

    It minimises ``-sum_k log sigmoid(y_k omega . gap_k) + mu/2 |omega - start|^2`` over the choices so far, draws the
    mean surprise at them, also with each choice left out, and sorts the gallery by ``omega . h``.

    Args:
        gaps: (n, P), features of A minus those of B, in the order of the quiz.
        start: (P,), the weights to start from. gallery: (N, P), features of pictures of one caption.
        pictures: those, (N, H, W, 3) in [0, 1]. labels: N texts, shown below them.
        mu: how strongly the weights are held at the start, above 0.

    Returns:
        HTML text with everything in it.

    Raises:
        InputError: shapes that do not fit, or mu not above 0.
    """
    g, omega, h = (np.asarray(x, dtype=np.float64) for x in (gaps, start, gallery))
    if g.ndim != 2 or h.shape != (len(labels), g.shape[-1]) or omega.shape != g.shape[1:] or len(pictures) != len(h):
        raise InputError(
            f"gaps {g.shape}, start {omega.shape}, gallery {h.shape}, {len(pictures)} pictures, {len(labels)} labels "
            "do not fit: expected (n, P), (P,), (N, P), N and N."
        )
    if not mu > 0:
        raise InputError(f"mu = {mu}: without a pull to the start, a dozen choices have no best weights; take mu > 0.")
    data = {
        "gram": (g @ g.T).round(6).tolist(),
        "margins": (g @ omega).round(6).tolist(),
        "cross": (h @ g.T).round(6).tolist(),
        "scores": (h @ omega).round(6).tolist(),
        "mu": mu,
    }
    return render_page("choice_head.html", data=data, pictures=_thumbnails(to_uint8(pictures), labels))


def _thumbnails(pixels: Any, labels: Sequence[str]) -> list[tuple[str, Markup]]:
    from PIL import Image

    return [
        (label, Markup(picture(Image.fromarray(frame), label, lossless=True)))
        for frame, label in zip(pixels, labels, strict=True)
    ]
