"""Pieces of a page as HTML that needs no kernel and no other file: rows of clips, film strips, and a slider.

A widget of ipywidgets calls Python and is dead on a built page. A :func:`stepper` is its twin: everything
that it can show is already in the page, and the slider, an ordinary `<input type="range">`, only chooses.
In a notebook, show any of them with `IPython.display.HTML(...)`. What changes over time is often seen best standing
still: take a :func:`film_strip` first, and a :func:`clip_row` where movement is the point.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.pages.embed import picture
from ivtutorial.pages.film import film_assets, html_film, html_reel
from ivtutorial.video.writer import to_uint8

QUALITY = 92  # of playing clips: the eye sees no loss, and a page with dozens of them stays below 3 MB
GAP = 2  # transparent pixels between the stills of a strip

# Shows panel k and hides the others; clips of all panels are in one reel and keep its time.
_STEP = (
    "const g=this.closest('[role=group]'),k=+this.value,l=JSON.parse(this.dataset.labels);"
    "g.querySelector('output').textContent=l[k];this.setAttribute('aria-valuetext',l[k]);"
    "[...g.querySelectorAll('[data-panel]')].forEach((p,i)=>{p.style.display=i===k?'block':'none'})"
)


def clip_row(clips: Sequence[Any], labels: Sequence[str], fps: float = 8.0) -> str:
    """Clips side by side that play by themselves in step, each with its label below; they wrap on a narrow page.

    Args:
        clips: N clips as `ivtutorial.pages.film.html_film` takes them, N >= 1.
        labels: N texts, shown below the clips and read to those who cannot see them.
        fps: frames a second.

    Returns:
        HTML text.

    Raises:
        InputError: no clips, or not as many labels as clips.
    """
    _check_labels(len(clips), labels)
    cells = [
        f"<figure>{html_film(clip, label, fps, QUALITY)}<figcaption>{html.escape(label)}</figcaption></figure>"
        for clip, label in zip(clips, labels, strict=True)
    ]
    rows = math.ceil(len(cells) / 4)  # equally long ones, of four clips at most
    row = f'<div class="films" style="--columns:{math.ceil(len(cells) / rows)}">{"".join(cells)}</div>'
    return html_reel(row) + film_assets()


def film_strip(
    clips: Sequence[Any], labels: Sequence[str], frames: int | Sequence[int] = 4, titles: Sequence[str] = ()
) -> str:
    """Stills of each clip side by side, one row a clip, below the frames' numbers.

    Args:
        clips: N clips of F frames each, as `ivtutorial.video.writer` takes them, N >= 1.
        labels: N texts, shown beside the rows and read to those who cannot see them.
        frames: which frames, or how many, evenly from the first to the last; four to six can be seen on a phone.
        titles: a text above each column in place of the frame's number.

    Returns:
        HTML text.

    Raises:
        InputError: no clips, not as many labels, clips of different length, or no such frame.

    Example:
        >>> film_strip([noisy, clean], ["noisy", "clean"], frames=[0, 8, 15])  # doctest: +SKIP
    """
    _check_labels(len(clips), labels)
    pixels = [to_uint8(clip) for clip in clips]
    F = len(pixels[0])
    chosen = [round(f) for f in np.linspace(0, F - 1, frames)] if isinstance(frames, int) else list(frames)
    if any(len(clip) != F for clip in pixels) or not chosen or not all(0 <= f < F for f in chosen):
        raise InputError(f"frames {chosen} of clips with {[len(clip) for clip in pixels]} frames cannot be shown.")
    if titles and len(titles) != len(chosen):
        raise InputError(f"one title a column: got {len(titles)} titles for {len(chosen)} frames.")
    above = titles or [f"{'frame ' if not k else ''}{f}" for k, f in enumerate(chosen)]
    head = "".join(f"<span>{html.escape(text)}</span>" for text in above)
    rows = [
        f"<div><b>{html.escape(label)}</b>{_stills(clip[chosen], label)}</div>"
        for clip, label in zip(pixels, labels, strict=True)
    ]
    return f'<div class="strips"><div><p aria-hidden="true">{head}</p></div>{"".join(rows)}</div>{film_assets()}'


def _stills(pixels: Any, label: str) -> str:
    """Frames uint8 (N, H, W, 3) in a row with gaps between them, as a picture."""
    from PIL import Image

    count, height, width = pixels.shape[:3]
    row = np.zeros((height, count * (width + GAP) - GAP, 4), np.uint8)
    for k, frame in enumerate(pixels):
        row[:, k * (width + GAP) : k * (width + GAP) + width] = np.dstack([frame, np.full((height, width), 255)])
    return picture(Image.fromarray(row, "RGBA"), f"{label}: {count} frames", lossless=True)


def _check_labels(count: int, labels: Sequence[str]) -> None:
    if not count or count != len(labels):
        raise InputError(f"one label a clip, and at least one clip: got {len(labels)} labels for {count} clips.")


def stepper(panels: Sequence[str], labels: Sequence[str], title: str, start: int = 0) -> str:
    """A slider that chooses which of several panels is shown; works with the keyboard and without a kernel.

    Args:
        panels: HTML of each position, such as a `picture` or a `clip_row`.
        labels: what each position stands for, shown beside the title and read aloud, such as "0.6".
        title: what the slider changes.
        start: position shown first.

    Returns:
        HTML text.

    Raises:
        InputError: fewer than two panels, not as many labels, or a start outside them.
    """
    if len(panels) < 2 or len(labels) != len(panels) or not 0 <= start < len(panels):
        raise InputError(
            f"{len(panels)} panels, {len(labels)} labels, start {start}: need at least two panels, a label "
            "for each, and a start among them."
        )
    pictures = "".join(
        f'<div data-panel style="display:{"block" if k == start else "none"}">{panel.replace(film_assets(), "")}</div>'
        for k, panel in enumerate(panels)
    )
    if any(film_assets() in panel for panel in panels):
        playing = any('class="reel"' in panel for panel in panels)
        pictures = (html_reel(pictures) if playing else pictures) + film_assets()
    name, first, all_labels = (html.escape(t) for t in (title, labels[start], json.dumps(list(labels))))
    return (
        f'<div role="group" aria-label="{name}" style="text-align:left"><label style="display:block">{name} '
        f'<output style="font-weight:bold">{first}</output>'
        f'<input type="range" min="0" max="{len(panels) - 1}" step="1" value="{start}" '
        f'aria-valuetext="{first}" data-labels="{all_labels}" oninput="{html.escape(_STEP)}" '
        f'style="display:block;width:100%;max-width:30em"></label>{pictures}</div>'
    )
