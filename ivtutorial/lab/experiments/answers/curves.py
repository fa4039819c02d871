"""Curves of an experiment over cost, and reward against truth along the runs: what the panels of a figure hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.contrasts import BASE, change, interval, own_prompts, table_of
from ivtutorial.lab.experiments.answers.words import arm_words, column_words
from ivtutorial.notebook.style import OKABE_ITO

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
CHOICES = (0.4, 0.45, 0.55, 0.6, 0.65, 0.7)


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


def path_of(result: Mapping[str, Any], arm: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Changes of reward and of utility along an arm's runs, from (0, 0), each (moments + 1,).

    Raises:
        InputError: nothing was measured along the runs.
    """
    moments = result["arms"][arm].get("moments", [])
    if not moments:
        raise InputError(f"the result of {result.get('experiment')} has nothing measured along the runs of {arm!r}.")
    sides = []
    for column in ("reward", "utility"):
        means = [float(change(result, BASE, arm, column, (None, k)).mean()) for k in range(len(moments))]
        sides.append(np.array([0.0, *means]))
    return sides[0], sides[1]


def draw_paths(figure: Any, paths: Sequence[tuple[str, Mapping[str, Any], str]]) -> None:
    """Reward across, truth up: a path an arm, from the untouched model to the end of its runs, with both intervals.

    Dotted lines are contours of the annotators' choice: where they would prefer the tuned clip that often if every
    clip had changed alike.

    Args:
        figure: of matplotlib.
        paths: (label, result, arm).
    """
    axis = figure.subplots(1, 1)
    heights = [0.0]
    for k, (label, result, arm) in enumerate(paths):
        x, y = path_of(result, arm)
        heights += y.tolist()
        axis.plot(x, y, lw=1.8, ms=5, label=label, **look(k))
        bars = [interval(change(result, BASE, arm, c), own_prompts(result)) for c in ("reward", "utility")]
        across, up = (None if bar is None else [[bar.mean - bar.low], [bar.high - bar.mean]] for bar in bars)
        axis.errorbar(x[-1], y[-1], xerr=across, yerr=up, lw=1, capsize=2, color=look(k)["color"])
    axis.plot(0, 0, "k+", ms=12, mew=2)
    axis.annotate("untouched", (0, 0), textcoords="offset points", xytext=(6, -13))
    _contours(axis, min(heights), max(heights))
    axis.set_xlabel("what was trained for: change of the reward")
    axis.set_ylabel("what is true: change of the utility u")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _contours(axis: Any, low: float, high: float) -> None:
    from matplotlib.transforms import blended_transform_factory

    axis.axhline(0, color="grey", linewidth=1)
    at_the_right = blended_transform_factory(axis.transAxes, axis.transData)
    room = 0.15 * (high - low)
    for share in CHOICES:
        u = float(np.log(share / (1 - share)))
        if low - room <= u <= high + room:
            axis.axhline(u, color="grey", linestyle=":", linewidth=1)
            axis.text(
                0.99, u, f"{share:.0%} prefer it", transform=at_the_right, ha="right", va="bottom", color="#595959"
            )
