"""Curves of an experiment over cost; the size of a figure, and how an arm looks in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.contrasts import BASE, table_of
from ivtutorial.lab.experiments.answers.words import arm_words, column_words
from ivtutorial.notebook.style import OKABE_ITO

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
FIGURE_WIDTH = 5.2  # inches


def new_figure(width: float, height: float) -> Any:
    """A figure of that many inches.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "plots need matplotlib: pip install 'ivtutorial[book]'. The result itself is written."
        ) from error
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def look(k: int) -> dict[str, Any]:
    """Colour and marker of the k-th arm, which stay apart without colour, too."""
    return {"color": OKABE_ITO[k % len(OKABE_ITO)], "marker": MARKERS[k % len(MARKERS)]}


def draw_curves(figure: Any, result: Mapping[str, Any], columns: Sequence[str]) -> None:
    """A panel a column, one below the other: its change from the untouched model over passes.

    Thick lines are means over the runs, thin ones single runs; the bar at the end of a line is the 95 % interval of
    the change, beside the line so that bars do not hide each other.
    """
    shown = [column for column in columns if column in next(iter(result["base"].values()))]
    axes = figure.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
    prices = {arm["name"]: arm["cost_of_a_step"] for arm in result["plan"]["arms"]}
    for axis, column in zip(axes, shown, strict=True):
        axis.axhline(0, color="grey", linestyle="--", linewidth=1, label="untouched")
        widest = max(p["step"] * prices[n] for n, arm in result["arms"].items() for p in arm["curve"]) / 1000
        for k, name in enumerate(result["arms"]):
            _arm(axis, result, name, column, prices[name] / 1000, k, widest * (1.02 + 0.015 * k))
        axis.set_ylabel(f"change of\n{column_words(column)}")
    scored = all("frame_passes" in arm for arm in result["plan"]["arms"])  # older results counted the network alone
    axes[-1].set_xlabel(
        f"cost of training: thousands of passes of one clip,\ndecoding and reward {'' if scored else 'not '}included"
    )
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)


def courses(result: Mapping[str, Any] | None, arm: str, column: str) -> list[tuple[list[int], list[float]]]:
    """Steps and levels of a column along each run of an arm, from the untouched model on the run's own prompts.

    Args:
        result: content of result.json, or None where there is none yet.
        arm: of the experiment. column: what is followed.

    Returns:
        (steps, levels) of each run, as far as it went; none where nothing was measured.
    """
    if result is None or arm not in result["arms"] or column not in next(iter(result["base"].values())):
        return []
    base = table_of(result, BASE, column).mean(axis=1)
    curve = result["arms"][arm]["curve"]
    seeds = list(dict.fromkeys(point["seed"] for point in curve))
    lines = [[point for point in curve if point["seed"] == seed] for seed in seeds]
    starts = [float(base[number] if len(base) > number else base[0]) for number in range(len(lines))]
    return [
        ([0, *(point["step"] for point in line)], [start, *(point[column] for point in line)])
        for start, line in zip(starts, lines, strict=True)
    ]


def mean_course(lines: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[list[float], list[float]]:
    """Means over runs of what `courses` lists, as far as all of them went; two empty lists for no run.

    Example:
        >>> mean_course([([0, 2, 4], [1.0, 2.0, 9.0]), ([0, 2], [3.0, 4.0])])
        ([0.0, 2.0], [2.0, 3.0])
    """
    if not lines:
        return [], []
    length = min(len(steps) for steps, _ in lines)
    steps, levels = (np.mean([line[side][:length] for line in lines], axis=0).tolist() for side in (0, 1))
    return steps, levels


def _arm(axis: Any, result: Mapping[str, Any], name: str, column: str, price: float, k: int, beside: float) -> None:
    """Lines of an arm: each run against the untouched model on the run's own prompts."""
    where = next(iter(result["base"]))
    runs = [
        ([step * price for step in steps], [level - levels[0] for level in levels])
        for steps, levels in courses(result, name, column)
    ]
    for run in runs:
        axis.plot(*run, color=look(k)["color"], alpha=0.25, lw=0.8, marker="none")
    axis.plot(*mean_course(runs), lw=2, ms=5, label=arm_words(name), **look(k))
    end = result["arms"][name]["final"][where][column]
    ends = [[end["mean"] - end["low"]], [end["high"] - end["mean"]]]
    axis.errorbar(beside, end["mean"], yerr=np.maximum(ends, 0), lw=1.2, capsize=2, ms=3, **look(k))
