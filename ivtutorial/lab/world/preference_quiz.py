"""Pairs of pictures to choose from, on a page without a kernel.

A pair is anything with a `caption`, `frames` (2, H, W, 3) in [0, 1] and `utilities`, two numbers, as
:class:`ivtutorial.lab.world.annotators.Pair`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ivtutorial.errors import InputError
from ivtutorial.lab.world.annotators import preference
from ivtutorial.pages.embed import picture
from ivtutorial.pages.page import render_page

if TYPE_CHECKING:
    from PIL.Image import Image

    from ivtutorial.lab.world.annotators import Pair

ENLARGED = 3  # screen pixels a pixel, without smoothing: blur and noise must stay visible


def pair_quiz(pairs: Sequence[Pair]) -> str:
    """Choose between two pictures, pair after pair.

    At the end it shows what annotators choose, and the reader's letters, to copy into `choices`.

    Args:
        pairs: at least one.

    Returns:
        HTML text with everything in it.

    Raises:
        InputError: no pairs.
    """
    if not pairs:
        raise InputError("no pairs to choose from: give at least one.")
    shares = [round(100 * preference(pair.utilities)) for pair in pairs]
    return render_page(
        "pair_quiz.html",
        data={"questions": ["Which fits better?"], "shares": shares},
        pairs=[(pair.caption, [(letter, _picture(pair, k)) for k, letter in enumerate("XY")]) for pair in pairs],
    )


def _picture(pair: Pair, k: int) -> Markup:
    return Markup(picture(_enlarged(pair.frames[k]), f"Picture {'XY'[k]} for the caption: {pair.caption}"))


def choices(letters: str, count: int) -> list[bool]:
    """Letters to choices: "X" is True, the first picture; "Y" is False, the second.

    Args:
        letters: up to `count` letters X and Y in the order of the pairs; small ones and spaces are fine. "" is no
            choice at all.
        count: number of pairs.

    Returns:
        A choice for each of the first pairs.

    Raises:
        InputError: another letter, or too many.

    Example:
        >>> choices("xyY", 12)
        [True, False, False]
    """
    tidy = "".join(letters.split()).upper()
    if set(tidy) - set("XY") or len(tidy) > count:
        raise InputError(f"choices {letters!r}: expected at most {count} letters, X for the first, Y for the second.")
    return [letter == "X" for letter in tidy]


def _enlarged(frame: Any) -> Image:
    from PIL import Image

    pixels = (np.asarray(frame) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1))
