"""Small clips that play by themselves, without a player: the frames lie in a row in one picture, and a *reel* around
the clips moves all of them on frame by frame. They keep one time, pixels stay sharp, and nothing lies over them.
"""

from __future__ import annotations

import html
import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.pages.embed import data_address
from ivtutorial.video.writer import to_uint8

WIDEST = 16_383  # pixels, of a WebP picture


def html_film(frames: Any, label: str, fps: float = 8.0, quality: int | None = None) -> str:
    """A clip as an element that is as wide as what it lies in; it plays inside an `html_reel`.

    Args:
        frames: F frames as `ivtutorial.video.writer` takes them, F * W at most 16,383 pixels.
        label: what the clip shows, in words; any text, it is escaped.
        fps: frames a second.
        quality: of the picture, 0 to 100; None keeps every pixel as it is, which takes three to five times the bytes.

    Returns:
        HTML text, for a page with the style sheet `film.css`.

    Raises:
        InputError: frames that are no clip, too many or too wide ones, or an empty label.
    """
    if not label.strip():
        raise InputError("a clip needs a label that says what it shows, for those who cannot see it.")
    pixels = to_uint8(frames)
    count, height, width = pixels.shape[:3]
    if count * width > WIDEST:
        raise InputError(
            f"{count} frames of {width} pixels are wider than {WIDEST} pixels side by side: show larger clips with "
            "`ivtutorial.pages.embed.html_video`."
        )
    row = data_address(side_by_side(pixels, quality), "image/webp")
    return (
        f'<div class="film" role="img" aria-label="{html.escape(label)}" data-frames="{count}" data-fps="{fps:g}" '
        f'style="--shape:{width}/{height};--n:{count};background-image:url({row})"></div>'
    )


def html_reel(body: str) -> str:
    """What lies around clips that play together: one clock for all of them, one button, and a slider for the frame.

    The clips play while the reel is in view. Where the reader's system asks for little motion they wait for the button.
    Without scripts they stand still.

    Args:
        body: HTML with at least one `html_film`; a reel in it follows this one.

    Returns:
        HTML text, for a page with `film.css` and, at its end, `film.js`.
    """
    return (
        f'<div class="reel">{body}<div class="reel-bar" hidden><button type="button">Play</button>'
        '<input type="range" min="0" value="0" aria-label="Frame"><span></span></div></div>'
    )


@cache
def film_assets() -> str:
    """`film.css` and `film.js` as elements, for HTML that stands by itself, such as a notebook's output.

    The same text each time: a page needs it once, and copies do no harm.
    """
    style, script = (
        (Path(__file__).parent / "templates" / f"film.{kind}").read_text("utf-8") for kind in ("css", "js")
    )
    return f"<style>{style}</style><script>(() => {{{script}}})()</script>"


def html_wipe(before: Any, after: Any, label: str, fps: float = 8.0) -> str:
    """Two clips on top of each other, with a slider under them that wipes from the first to the second.

    Args:
        before: frames, shown to the left of the line. after: frames of the same shape, to the right of it.
        label: what both show. fps: as for `html_film`.

    Returns:
        HTML text, for a page with `film.css` and `film.js`; without the script the line stays in the middle.

    Raises:
        InputError: as for `html_film`, or clips of different shape.
    """
    shapes = [np.shape(to_uint8(frames)) for frames in (before, after)]
    if shapes[0] != shapes[1]:
        raise InputError(f"clips of {shapes[0]} and {shapes[1]} cannot be laid on top of each other.")
    return (
        f'<div class="wipe" style="--at:50%">{html_film(before, f"{label}, before fine-tuning", fps)}'
        f"{html_film(after, f'{label}, after fine-tuning', fps)}<i></i></div>"
        f'<label class="wiper"><span>before</span><input type="range" value="50" '
        f'aria-label="{html.escape(f"from before to after: {label}")}"><span>after</span></label>'
    )


def side_by_side(pixels: Any, quality: int | None = None) -> bytes:
    """Frames uint8 (F, H, W, 3) in a row as one WebP picture, without loss unless a quality is given."""
    from PIL import Image

    file = io.BytesIO()
    row = Image.fromarray(np.concatenate(list(pixels), axis=1))
    if quality is None:
        row.save(file, format="webp", lossless=True, method=6)
    else:
        row.save(file, format="webp", quality=quality, method=6)
    return file.getvalue()
