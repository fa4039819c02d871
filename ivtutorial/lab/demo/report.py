"""One self-contained page that shows what fine-tuning changed: clips side by side, the reward curve, a table.

The page loads nothing from elsewhere: styles, script and clips are in it, and the curve is drawn as SVG. It follows
the reader's light or dark mode, reads well on a phone, and every picture says in words what it shows. It knows nothing
of models: numbers and texts come from the caller (see `ivtutorial.lab.demo.run`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import Difference
from ivtutorial.pages.curve import svg_curve
from ivtutorial.pages.film import html_film, html_reel, html_wipe
from ivtutorial.pages.page import render_page
from ivtutorial.system.files import atomic_write_text

Wanted = Literal["up", "down", "same"]
_ARROWS: dict[str, str] = {"up": "higher", "down": "lower", "same": "unchanged"}


@dataclass(frozen=True)
class ShownPair:
    """A prompt and the clips made for it, from the same noise, before and after.

    Attributes:
        prompt: the text. before: frames as `ivtutorial.video.writer` takes them. after: the same.
        numbers: (name, value before, value after), as shown under the clips.
    """

    prompt: str
    before: Any
    after: Any
    numbers: Sequence[tuple[str, str, str]]

    @property
    def sides(self) -> list[tuple[str, Any]]:
        """(name, frames) of both."""
        return [("before", self.before), ("after", self.after)]


@dataclass(frozen=True)
class TableRow:
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
        featured: pairs shown large, with a slider that wipes from one to the other, (heading, pair), at least one.
            featured_note: which they are.
        pairs: pairs shown side by side. pairs_note: which they are. look: what to look for, one sentence each.
        curve: (step, reward) of each training step.
        marks: (step, reward) of samples for fixed prompts and noise.
        curve_note: how to read both.
        rows: the table. table_note: how to read it.
        commands: what to try next, (explanation, shell command).
        details: settings and provenance, name -> value.
    """

    title: str
    lead: str
    featured: Sequence[tuple[str, ShownPair]]
    featured_note: str
    pairs: Sequence[ShownPair]
    pairs_note: str
    look: Sequence[str]
    curve: Sequence[tuple[float, float]]
    marks: Sequence[tuple[float, float]]
    curve_note: str
    rows: Sequence[TableRow]
    table_note: str
    commands: Sequence[tuple[str, str]]
    details: Mapping[str, Any] = field(default_factory=dict)


def write_demo_report(path: str | Path, report: Report) -> None:
    """Write the page, whole or not at all.

    Raises:
        InputError: no clips to show, frames that are no clips, or the file cannot be written.

    Example:
        >>> write_demo_report("runs/demo/report.html", report)  # doctest: +SKIP
    """
    atomic_write_text(path, render_report(report))


def render_report(report: Report) -> str:
    """The page as HTML text; see `write_demo_report`."""
    if not report.featured:
        raise InputError("a report needs at least one pair of clips to show.")
    return render_page(
        "report.html",
        title=report.title,
        report=report,
        rows=[(row.label + (" (%)" if row.percent else ""), _cells(row)) for row in report.rows],
        curve=Markup(svg_curve(report.curve, report.marks)),
        film=lambda frames, label: Markup(html_film(frames, label)),
        reel=lambda caller: Markup(html_reel(caller())),
        wipe=lambda pair: Markup(html_wipe(pair.before, pair.after, pair.prompt)),
    )


def _cells(row: TableRow) -> list[str]:
    d = row.difference
    digits = _digits(d) if not row.percent else 1
    unit = 100.0 if row.percent else 1.0
    change, low, high = (f"{v * unit:+.{digits}f}" for v in (d.mean, d.low, d.high))
    before, after = (f"{v * unit:.{digits}f}" for v in (d.before, d.after))
    return [before, after, change, f"{low} to {high}", _ARROWS[row.wanted]]


def _digits(d: Difference) -> int:
    """Decimals that show the difference with two figures: 2 to 5, and 3 where nothing changed."""
    width = max(abs(d.high - d.low), abs(d.mean))
    return min(5, max(2, 1 - math.floor(math.log10(width)))) if width else 3
