"""Forest plots: differences with their intervals, one below the other, with the margin that counts as equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ivtutorial.lab.experiments.answers.contrasts import BASE, Contrast, interval, own_prompts
from ivtutorial.lab.experiments.answers.course import at_equal_cost, cost, difference_of
from ivtutorial.lab.experiments.answers.results import change_by_run, paired
from ivtutorial.lab.experiments.answers.words import arm_words, column_words, list_words
from ivtutorial.lab.world.annotators import preferred
from ivtutorial.notebook.style import BLUE, GREEN, GREY, ORANGE

LINE = 0.29  # height of a line of a label, in rows
WORD_LOOKS = {"reproduced": (BLUE, "o"), "equivalent": (GREEN, "D"), "not reproduced": (ORANGE, "s")}


@dataclass(frozen=True)
class Row:
    """A line of a forest plot.

    Attributes:
        label: in words. mean, low, high: the difference with its interval, ends None where there is none.
        dots: each run's mean. margin: half-width that counts as equal. colour, marker: of the mean.
        bound: what the difference should lie above. thick: a narrower interval, such as that of 90 %.
    """

    label: str
    mean: float
    low: float | None
    high: float | None
    dots: tuple[float, ...] = ()
    margin: float | None = None
    colour: str = BLUE
    bound: float = 0.0
    thick: tuple[float, float] | None = None
    marker: str = "o"


def draw_changes(figure: Any, result: Mapping[str, Any], columns: Sequence[str]) -> None:
    """A panel a column, a row an arm and list of prompts: change from the untouched model, dots for the runs.

    The arms of a list have cost the same where the result has that moment; else the label says how much more.
    """
    panels = []
    for column in columns:
        lists = [where for where, values in result["base"].items() if column in values]
        by_list = {where: at_equal_cost(result, *result["arms"], where=where) for where in lists}
        rows = [
            _change_row(result, sides[k], column, where, sides)
            for k in range(len(result["arms"]))
            for where, sides in by_list.items()
        ]
        if rows:
            panels.append((f"change of {column_words(column)}", rows))
    draw_forest(figure, panels)


def draw_answers(figure: Any, answers: Mapping[str, Sequence[Contrast]], twins: Mapping[str, Row | None]) -> None:
    """A panel a quantity, a row a question of a claim, and in each panel what the same arm twice differs by.

    Args:
        figure: of matplotlib.
        answers: title of the panel -> contrasts that have a difference.
        twins: title of the panel -> the row of the A/A arm, or None.
    """
    panels = []
    for title, contrasts in answers.items():
        rows = [_answer_row(contrast) for contrast in contrasts if contrast.difference is not None]
        twin = twins.get(title)
        if rows:
            panels.append((title, [*rows, *([twin] if twin else [])]))
    draw_forest(figure, panels)


def twin_row(result: Mapping[str, Any], first: str, twin: str, column: str) -> Row | None:
    """What an arm and its twin differ by at equal cost: noise, and nothing else; None without one of them."""
    if not {first.partition("@")[0], twin} <= {*result["arms"]}:
        return None
    if column == "preferred":
        rows = np.asarray(preferred(0.0, difference_of(result, first, twin, "utility")) - 0.5, dtype=np.float64)
    else:
        rows = difference_of(result, first, twin, column)
    both = interval(rows, own_prompts(result))
    low, high = (None, None) if both is None else (both.low, both.high)
    return Row(arm_words(twin), float(rows.mean()), low, high, tuple(rows.mean(axis=1).tolist()), colour=GREY)


def draw_forest(figure: Any, panels: Sequence[tuple[str, Sequence[Row]]]) -> None:
    """Panels one below the other, each with a title and rows; nothing where there is none."""
    if not panels:
        figure.text(0.5, 0.5, "Nothing was measured yet.", ha="center")
        return
    heights = [sum(height_of(row.label) for row in rows) + 0.8 for _, rows in panels]
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (title, rows) in zip(axes, panels, strict=True):
        tall = np.array([height_of(row.label) for row in rows])
        middles = np.cumsum(tall) - tall / 2
        for k, half, row in zip(middles, tall / 2, rows, strict=True):
            axis.vlines(row.bound, k - half, k + half, color="grey", lw=1)
            if row.margin is not None:
                axis.fill_betweenx([k - 0.4, k + 0.4], -row.margin, row.margin, color="#DDDDDD", lw=0)
            if row.thick is not None:
                axis.hlines(k, *row.thick, color=row.colour, lw=4, alpha=0.5)
            axis.plot(row.dots, [k + 0.22] * len(row.dots), ".", color=GREY, ms=3)
            ends = None
            if row.low is not None and row.high is not None:
                ends = [[max(row.mean - row.low, 0.0)], [max(row.high - row.mean, 0.0)]]
            axis.errorbar(row.mean, k, xerr=ends, fmt=row.marker, color=row.colour, capsize=3, ms=5)
        axis.set_yticks(middles, [row.label for row in rows])
        axis.set_ylim(tall.sum(), 0.0)
        axis.locator_params(axis="x", nbins=4)  # longer numbers would run into each other
        _mark_bounds(axis, {row.bound for row in rows})
        axis.set_title(title, fontsize=10.5, loc="left")
        axis.spines[["top", "right"]].set_visible(False)


def height_of(label: str) -> float:
    """How many rows of the usual height a label takes: more than one from four lines on."""
    return max(1.0, LINE * (label.count("\n") + 1))


def answer_height(contrast: Contrast) -> float:
    """The same for the row of an answer."""
    return height_of(_broken(contrast.text))


def _change_row(result: Mapping[str, Any], side: str, column: str, where: str, sides: Sequence[str]) -> Row:
    change = paired(result, BASE, side, column, where)
    label = arm_words(side.partition("@")[0])
    ratio = cost(result, side) / min(cost(result, name) for name in sides)
    if ratio > 1.05:
        label += f", {ratio:.2g} times the cost"
    if len(result["base"]) > 1:
        label += f"\n{list_words(where)}"
    dots = change_by_run(result, side, column, where)
    return Row(label, change.mean, change.low, change.high, tuple(dots))


def _answer_row(contrast: Contrast) -> Row:
    d = contrast.difference
    assert d is not None
    colour, marker = WORD_LOOKS.get(contrast.word, (GREY, "o"))
    label, thick = _broken(contrast.text), (d.low90, d.high90)
    return Row(label, d.mean, d.low, d.high, (), contrast.margin, colour, contrast.bound, thick, marker)


def _mark_bounds(axis: Any, bounds: set[float]) -> None:
    """A tick at each bound, in place of those that would run into it; of two bounds too near each other not at 0."""
    low, high = axis.get_xlim()
    near, ticks = 0.12 * (high - low), list[float]()
    inside = (x for x in axis.get_xticks() if low <= x <= high)
    for x in (*sorted(bounds, key=abs, reverse=True), *inside):
        if all(abs(x - other) > near for other in ticks):
            ticks.append(x)
    axis.set_xticks(sorted(ticks))
    axis.set_xlim(low, high)


def _broken(text: str, width: int = 30) -> str:
    """A label in lines of about so many letters."""
    import textwrap

    return "\n".join(textwrap.wrap(text, width))
