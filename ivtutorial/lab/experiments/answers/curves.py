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
    axes[-1].set_xlabel("cost of training: thousands of passes of one clip,\ndecoding and reward included")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)


def _arm(axis: Any, result: Mapping[str, Any], name: str, column: str, price: float, k: int, beside: float) -> None:
    """Lines of an arm: each run against the untouched model on the run's own prompts."""
    where = next(iter(result["base"]))
    base = table_of(result, BASE, column).mean(axis=1)
    curve = result["arms"][name]["curve"]
    seeds = list(dict.fromkeys(point["seed"] for point in curve))
    lines = [[point for point in curve if point["seed"] == seed] for seed in seeds]
    runs = []
    for number, line in enumerate(lines):
        level = base[number] if len(base) > number else base[0]
        runs.append(([0.0, *(p["step"] * price for p in line)], [0.0, *(p[column] - level for p in line)]))
        axis.plot(*runs[-1], color=look(k)["color"], alpha=0.25, lw=0.8)
    length = min(len(x) for x, _ in runs)
    x, y = (np.mean([run[side][:length] for run in runs], axis=0) for side in (0, 1))
    axis.plot(x, y, lw=2, ms=5, label=arm_words(name), **look(k))
    end = result["arms"][name]["final"][where][column]
    ends = [[end["mean"] - end["low"]], [end["high"] - end["mean"]]]
    axis.errorbar(beside, end["mean"], yerr=ends, lw=1.2, capsize=2, ms=3, **look(k))
