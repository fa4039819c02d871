"""One self-contained page that shows what fine-tuning changed: clips side by side, the reward curve, a table.

The page asks for nothing from elsewhere: styles and script are in it, clips are H.264 inside the page, the
curve is drawn as SVG. It follows the reader's light or dark mode, reads well on a phone, and every picture
says in words what it shows. It knows nothing of models: numbers and texts come from the caller (see
`ivtutorial.lab.demo.run`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import Difference
from ivtutorial.pages.curve import svg_curve
from ivtutorial.pages.embed import html_video
from ivtutorial.pages.style import PAGE, SCRIPT, STYLE
from ivtutorial.system.files import atomic_write_text

Wanted = Literal["up", "down", "same"]
_ARROWS: dict[str, str] = {"up": "higher", "down": "lower", "same": "unchanged"}


@dataclass(frozen=True)
class ClipPair:
    """A prompt and the clips made for it, from the same noise, before and after.

    Attributes:
        prompt: the text. before: frames as `ivtutorial.video.writer` takes them. after: the same.
        reward_before: score of the first clip. reward_after: of the second.
    """

    prompt: str
    before: Any
    after: Any
    reward_before: float
    reward_after: float


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        label: what was measured, in a few words.
        difference: paired difference, see `ivtutorial.evaluation.comparison.difference`.
        wanted: which way it should go.
        percent: show shares as percentages.
    """

    label: str
    difference: Difference
    wanted: Wanted = "up"
    percent: bool = False


@dataclass(frozen=True)
class Report:
    """Everything the page says.

    Attributes:
        title: heading. lead: the result in one or two sentences.
        pairs: clips to show, at least one. pairs_note: which they are. look: what to look for, one sentence
            each.
        curve: (step, reward) of each training step.
        marks: (step, reward) of samples for fixed prompts and noise.
        curve_note: how to read both.
        rows: the table. table_note: how to read it.
        commands: what to try next, (explanation, shell command).
        details: settings and provenance, name -> value.
    """

    title: str
    lead: str
    pairs: Sequence[ClipPair]
    pairs_note: str
    look: Sequence[str]
    curve: Sequence[tuple[float, float]]
    marks: Sequence[tuple[float, float]]
    curve_note: str
    rows: Sequence[Row]
    table_note: str
    commands: Sequence[tuple[str, str]]
    details: Mapping[str, Any] = field(default_factory=dict)


def write_report(path: str | Path, report: Report) -> None:
    """Write the page, whole or not at all.

    Raises:
        InputError: no clips to show, frames that are no clips, or the file cannot be written.

    Example:
        >>> write_report("runs/demo/report.html", report)  # doctest: +SKIP
    """
    atomic_write_text(path, render_report(report))


def render_report(report: Report) -> str:
    """The page as HTML text; see `write_report`."""
    if not report.pairs:
        raise InputError("a report needs at least one pair of clips to show.")
    text = html.escape
    return PAGE.substitute(
        style=STYLE,
        script=SCRIPT,
        title=text(report.title),
        lead=text(report.lead),
        pairs_note=text(report.pairs_note),
        look="".join(f"<li>{text(one)}</li>" for one in report.look),
        clips="".join(_pair(one) for one in report.pairs),
        curve=svg_curve(report.curve, report.marks),
        curve_note=text(report.curve_note),
        rows="".join(_row(one) for one in report.rows),
        table_note=text(report.table_note),
        commands="".join(f"<li>{text(why)}<pre><code>{text(line)}</code></pre></li>" for why, line in report.commands),
        details="".join(f"<dt>{text(str(k))}</dt><dd>{text(str(v))}</dd>" for k, v in report.details.items()),
    )


def _pair(pair: ClipPair) -> str:
    sides = (("before", pair.before, pair.reward_before), ("after", pair.after, pair.reward_after))
    cells = "".join(
        f"<div>{html_video(frames, f'{pair.prompt}, {name} fine-tuning', width=256, pixelated=True)}"
        f"<span>{name} <b>{reward:.3f}</b></span></div>"
        for name, frames, reward in sides
    )
    return f'<figure><div class="pair">{cells}</div><figcaption>{html.escape(pair.prompt)}</figcaption></figure>'


def _row(row: Row) -> str:
    d = row.difference
    digits = _digits(d) if not row.percent else 1
    unit = 100.0 if row.percent else 1.0
    change, low, high = (f"{v * unit:+.{digits}f}" for v in (d.mean, d.low, d.high))
    before, after = (f"{v * unit:.{digits}f}" for v in (d.before, d.after))
    label = html.escape(row.label) + (" (%)" if row.percent else "")
    return (
        f'<tr><th scope="row">{label}</th><td>{before}</td><td>{after}</td>'
        f"<td>{change}</td><td>{low} to {high}</td><td>{_ARROWS[row.wanted]}</td></tr>"
    )


def _digits(d: Difference) -> int:
    """Decimals that show the difference with two figures: 2 to 5, and 3 where nothing changed."""
    width = max(abs(d.high - d.low), abs(d.mean))
    return min(5, max(2, 1 - math.floor(math.log10(width)))) if width else 3
