"""Pieces of a page as HTML that needs no kernel and no other file: pictures, rows of clips, and a slider.

A widget of ipywidgets calls Python and is dead on a built page. A :func:`stepper` is its twin: everything
that it can show is already in the page, and the slider, an ordinary `<input type="range">`, only chooses.
In a notebook, show any of them with `IPython.display.HTML(...)`.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.pages.embed import html_video

# Shows panel k and hides the others; a clip that was playing goes on playing in the new panel.
_STEP = (
    "const g=this.closest('[role=group]'),k=+this.value,l=JSON.parse(this.dataset.labels);"
    "g.querySelector('output').textContent=l[k];this.setAttribute('aria-valuetext',l[k]);"
    "const on=[...g.querySelectorAll('video')].some(v=>!v.paused);"
    "[...g.querySelectorAll('[data-panel]')].forEach((p,i)=>{p.style.display=i===k?'block':'none';"
    "p.querySelectorAll('video').forEach(v=>{if(i===k&&on)v.play().catch(()=>{});else v.pause()})})"
)


def clip_row(clips: Sequence[Any], labels: Sequence[str], width: int = 160, fps: float = 8.0) -> str:
    """Clips side by side, each with its label below; they wrap on a narrow page.

    Args:
        clips: N clips as `ivtutorial.pages.embed.html_video` takes them.
        labels: N texts, shown below the clips and read to those who cannot see them.
        width: of each clip in CSS pixels.
        fps: frames a second.

    Returns:
        HTML text.

    Raises:
        InputError: not as many labels as clips.
    """
    if len(clips) != len(labels):
        raise InputError(f"one label a clip: got {len(labels)} labels for {len(clips)} clips.")
    cells = [
        f'<figure style="margin:0;width:{width}px;max-width:calc(50% - 6px)">'
        f"{html_video(clip, label, fps, width, pixelated=True)}"
        f'<figcaption style="font-size:.85em;line-height:1.3">{html.escape(label)}</figcaption></figure>'
        for clip, label in zip(clips, labels, strict=True)
    ]
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(cells)}</div>'


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
        f'<div data-panel style="display:{"block" if k == start else "none"}">{panel}</div>'
        for k, panel in enumerate(panels)
    )
    name, first, all_labels = (html.escape(t) for t in (title, labels[start], json.dumps(list(labels))))
    return (
        f'<div role="group" aria-label="{name}" style="text-align:left"><label style="display:block">{name} '
        f'<output style="font-weight:bold">{first}</output>'
        f'<input type="range" min="0" max="{len(panels) - 1}" step="1" value="{start}" '
        f'aria-valuetext="{first}" data-labels="{all_labels}" oninput="{html.escape(_STEP)}" '
        f'style="display:block;width:100%;max-width:30em"></label>{pictures}</div>'
    )
