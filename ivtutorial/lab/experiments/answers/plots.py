"""The picture of an experiment, from its JSON file alone (a strip also needs the clips)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.contrasts import BASE, change, interval
from ivtutorial.lab.experiments.answers.results import read_result, result_file, to_be_measured
from ivtutorial.notebook.style import OKABE_ITO
from ivtutorial.pages.embed import picture
from ivtutorial.system.files import atomic_write

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def write_plot(
    path: str | Path, result: Mapping[str, Any], strips: Sequence[tuple[str, Mapping[str, Any]]] | None = None
) -> None:
    """Draw a result as its plan says: curves over cost, bars, or a strip of frames.

    Args:
        path: PNG file.
        result: content of result.json.
        strips: for a strip, see `ivtutorial.lab.experiments.measuring.strips`.

    Raises:
        InputError: matplotlib is not installed, or the file cannot be written.
    """
    memory = io.BytesIO()
    draw(result, strips).savefig(memory, format="png", dpi=110)
    with atomic_write(path) as file:
        file.write(memory.getvalue())


def shown(name: str, words: str, folder: str | Path | None = None) -> str:
    """A result as a piece of a page: its picture, or the command that makes it where it is still to be measured.

    Args:
        name: of the experiment.
        words: what the picture shows, for those who cannot see it.
        folder: with the JSON files; default the shipped `data/results`.

    Returns:
        HTML text for `IPython.display.HTML`.

    Raises:
        InputError: a file that is not a result, or no matplotlib.
    """
    result = read_result(name, folder)
    if result is None:
        return f"<p><em>{to_be_measured(name)}</em></p>"
    return picture(draw(result), words)


def shown_strip(name: str, words: str, folder: str | Path | None = None) -> str:
    """The strip of frames that an experiment left beside its JSON file, as a piece of a page; see :func:`shown`."""
    from PIL import Image

    path = result_file(name, folder)
    if path is None or not path.with_suffix(".png").is_file():
        return f"<p><em>{to_be_measured(name)}</em></p>"
    with Image.open(path.with_suffix(".png")) as image:
        return picture(image.convert("RGB"), words)


def draw(result: Mapping[str, Any], strips: Sequence[tuple[str, Mapping[str, Any]]] | None = None) -> Any:
    """The picture of a result as a matplotlib figure; a strip without its clips is drawn as bars.

    Args:
        result: content of result.json.
        strips: see :func:`write_plot`.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "plots need matplotlib: pip install 'ivtutorial[book]'. The result itself is written."
        ) from error
    kind = result["plan"]["kind"]
    if kind == "frontier":
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        _frontier(figure, result, result["plan"]["columns"])
    elif kind == "strip" and strips:
        figure = Figure(figsize=(1.6 * len(strips[0][1]), 2.0 * len(strips) + 0.3), layout="constrained")
        _strip(figure, strips)
    else:
        columns = result["plan"]["columns"]
        rows = 1 if kind != "curve" and len(result["base"]) == 1 else len(columns)
        figure = Figure(figsize=(9, 3.4 * rows), layout="constrained")
        (_curves if kind == "curve" else _bars)(figure, result, columns)
    note = " (quick: fewer seeds, steps and prompts)" if result["quick"] else ""
    figure.suptitle(result["plan"]["title"] + note, fontsize=11)
    return figure


def _curves(figure: Any, result: Mapping[str, Any], columns: Sequence[str]) -> None:
    """A row of two panels a column: over UNet evaluations and over seconds; thin lines are single seeds.

    The bar at the end of a line is the 95 % interval of the paired change from the untouched model.
    """
    axes = figure.subplots(len(columns), 2, squeeze=False, sharey="row")
    where = next(iter(result["base"]))
    for row, column in zip(axes, columns, strict=True):
        before = result["base"][where][column]["mean"]
        for axis, across in zip(row, ("unet_evaluations", "seconds"), strict=True):
            axis.axhline(before, color="grey", linestyle="--", linewidth=1, label="untouched")
            for k, (name, arm) in enumerate(result["arms"].items()):
                change = arm["final"][where][column]
                _arm_curve(axis, arm["curve"], across, column, before, change, k, name)
            axis.set_xlabel(
                {"unet_evaluations": "UNet evaluations of a clip", "seconds": "seconds of training"}[across]
            )
        row[0].set_ylabel(column)
    axes[0, 1].legend(fontsize=8)


def _arm_curve(
    axis: Any, curve: Any, across: str, column: str, before: float, change: Mapping[str, Any], k: int, name: str
) -> None:
    colour, marker = OKABE_ITO[k % len(OKABE_ITO)], MARKERS[k % len(MARKERS)]
    seeds = sorted({point["seed"] for point in curve})
    lines = [[point for point in curve if point["seed"] == seed] for seed in seeds]
    for line in lines:
        x, y = [0, *(p[across] for p in line)], [before, *(p[column] for p in line)]
        axis.plot(x, y, color=colour, marker="", alpha=0.3, lw=1)
    length = min(map(len, lines))
    x = np.mean([[p[across] for p in line[:length]] for line in lines], axis=0)
    y = np.mean([[p[column] for p in line[:length]] for line in lines], axis=0)
    axis.plot([0, *x], [before, *y], color=colour, lw=2, marker=marker, ms=5, label=name)
    ends = [[change["mean"] - change["low"]], [change["high"] - change["mean"]]]
    beside = x[-1] * (1 + 0.015 * (k + 1))  # many arms end at the same place
    axis.errorbar(beside, before + change["mean"], yerr=ends, color=colour, lw=1, capsize=3, fmt="none")


def _frontier(figure: Any, result: Mapping[str, Any], columns: Sequence[str]) -> None:
    """A panel a column: its change from the untouched model over measured seconds, a line an arm, 95 % two-way bars."""
    words = {"utility": "truth: change of the utility u", "reward": "change of the reward"}
    for axis, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        axis.axhline(0, color="grey", linestyle="--", linewidth=1, label="untouched")
        for k, (name, arm) in enumerate(result["arms"].items()):
            colour, marker = OKABE_ITO[k % len(OKABE_ITO)], MARKERS[k % len(MARKERS)]
            tables = [change(result, BASE, name, column, (None, i)) for i in range(len(arm["moments"]))]
            x, y = [np.mean(moment["seconds"]) for moment in arm["moments"]], [table.mean() for table in tables]
            axis.plot([0, *x], [0, *y], color=colour, lw=1.5, marker=marker, ms=5, label=name)
            end = interval(tables[-1])
            if end is not None:
                ends = [[end.mean - end.low], [end.high - end.mean]]
                axis.errorbar(x[-1], end.mean, yerr=ends, color=colour, lw=1, capsize=3, fmt="none")
        axis.set_xlabel("seconds of training")
        axis.set_ylabel(words.get(column, f"change of {column}") + ", higher is better")
    axis.legend(fontsize=7, ncols=2)


def _bars(figure: Any, result: Mapping[str, Any], columns: Sequence[str]) -> None:
    """A row a column, a panel each LIST-D: change from the base model with its 95 % interval, dots for the seeds.

    With a single LIST-D the columns stand side by side.
    """
    lists = list(result["base"])
    if len(lists) == 1:
        axes = figure.subplots(1, len(columns), squeeze=False).T
    else:
        axes = figure.subplots(len(columns), len(lists), squeeze=False, sharey="row")
    names = list(result["arms"])
    for row, column in zip(axes, columns, strict=True):
        for axis, where in zip(row, lists, strict=True):
            for k, name in enumerate(names):
                change = result["arms"][name]["final"][where].get(column)
                if change is None:
                    continue
                ends = [[change["mean"] - change["low"]], [change["high"] - change["mean"]]]
                axis.bar(k, change["mean"], yerr=ends, color=_colours(len(names))[k], capsize=3)
                dots = [value - change["before"] for value in change["by_seed"]]
                axis.plot([k] * len(dots), dots, "k.", ms=4)
            axis.axhline(0, color="grey", linewidth=1)
            axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
            axis.set_title(where, fontsize=9)
        row[0].set_ylabel(f"change of {column}")


def _strip(figure: Any, strips: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """A row of middle frames for each prompt, which stands above it; above each frame stands what made it."""
    rows = figure.subfigures(len(strips), 1, squeeze=False)[:, 0]
    for row, (prompt, clips) in zip(rows, strips, strict=True):
        row.suptitle(prompt, fontsize=8)
        for axis, (label, clip) in zip(row.subplots(1, len(clips), squeeze=False)[0], clips.items(), strict=True):
            axis.imshow(np.asarray(clip)[len(clip) // 2], interpolation="nearest")
            axis.set_axis_off()
            axis.set_title(label, fontsize=8)


def _colours(count: int) -> list[str]:
    return [OKABE_ITO[k % len(OKABE_ITO)] for k in range(count)]
