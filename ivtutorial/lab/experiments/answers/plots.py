"""The picture of an experiment, from its JSON file alone (a strip also needs the clips).

Panels stand one below the other and text is large, so that a figure is readable at the width of a phone.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from itertools import chain
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from ivtutorial.lab.experiments.answers.contrasts import BASE, LEAST_RUNS, TWINS, change, interval, own_prompts
from ivtutorial.lab.experiments.answers.curves import FIGURE_WIDTH, draw_curves, look, new_figure
from ivtutorial.lab.experiments.answers.forest import Row, answer_height, draw_answers, draw_changes, twin_row
from ivtutorial.lab.experiments.answers.questions import Question, read_questions
from ivtutorial.lab.experiments.answers.results import read_result, result_file, to_be_measured
from ivtutorial.lab.experiments.answers.story import Course, draw_paths
from ivtutorial.lab.experiments.answers.verdicts import answers_to, decide, verdict
from ivtutorial.lab.experiments.answers.words import arm_words, column_words
from ivtutorial.pages.embed import picture, vector_picture
from ivtutorial.system.files import atomic_write, data_path

Strips = Sequence[tuple[str, Mapping[str, Any], Mapping[str, str]]]


def write_plot(path: str | Path, result: Mapping[str, Any], strips: Strips | None = None) -> None:
    """Draw a result as its plan says: curves over cost, a forest plot, paths, or a strip of frames.

    Args:
        path: PNG file; without clips the same is also written as SVG beside it.
        result: content of result.json.
        strips: for a strip, see `ivtutorial.lab.experiments.measuring.strips`.

    Raises:
        InputError: matplotlib is not installed, or the file cannot be written.
    """
    figure = draw(result, strips)
    kinds = [("png", 110)] + ([] if strips else [("svg", 72)])
    for kind, dpi in kinds:
        memory = io.BytesIO()
        figure.savefig(
            memory, format=kind, dpi=dpi, metadata={"Date": None, "Creator": None} if kind == "svg" else None
        )
        with atomic_write(Path(path).with_suffix(f".{kind}")) as file:
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
    return vector_picture(draw(result), words)


def shown_strip(name: str, words: str, folder: str | Path | None = None) -> str:
    """The strip of frames that an experiment left beside its JSON file, as a piece of a page; see :func:`shown`."""
    from PIL import Image

    path = result_file(name, folder)
    if path is None or not path.with_suffix(".png").is_file():
        return f"<p><em>{to_be_measured(name)}</em></p>"
    with Image.open(path.with_suffix(".png")) as image:
        return picture(image.convert("RGB"), words)


def shown_answers(number: int, words: str, folder: str | Path | None = None) -> str:
    """The answers to a claim's questions on a page: a forest plot with margins and the A/A row; see `shown`.

    Below it the answers in words, folded; without a plot where no question has an interval yet.
    """
    figure, claim = claim_figure(number, folder), verdict(number, folder)
    lines = "".join(f"<li>{escape(line)}</li>" for line in claim.evidence)
    folded = f"<details><summary>Its questions, one by one</summary><ul>{lines}</ul></details>"
    needs = "" if figure is not None else f" A verdict needs {LEAST_RUNS} runs of the present models."
    text = f"<p>Claim {number}, {escape(claim.text)}: <b>{claim.verdict}</b>.{needs}</p>{folded}"
    return text if figure is None else vector_picture(figure, words) + text


def draw(result: Mapping[str, Any], strips: Strips | None = None) -> Any:
    """The picture of a result as a matplotlib figure; a strip without its clips is drawn as a forest plot.

    Args:
        result: content of result.json.
        strips: see :func:`write_plot`.

    Raises:
        InputError: matplotlib is not installed.
    """
    kind, columns, arms = result["plan"]["kind"], result["plan"]["columns"], len(result["arms"])
    if kind == "strip" and strips:
        figure = new_figure(1.5 * len(strips[0][1]), 2.1 * len(strips) + 0.3)
        draw_strip(figure, strips)
    elif kind == "frontier":
        figure = new_figure(FIGURE_WIDTH, 6.4 + 0.13 * arms)
        _frontier(figure, result, columns)
    elif kind == "path" and all(arm.get("moments") for arm in result["arms"].values()):
        figure = new_figure(FIGURE_WIDTH, 4.6 + 0.13 * arms)
        draw_paths(figure, [Course(arm_words(name), result, name) for name in result["arms"]])
    elif kind == "curve":
        figure = new_figure(FIGURE_WIDTH, 2.5 * len(columns) + 0.6 + 0.13 * arms)
        draw_curves(figure, result, columns)
    else:
        rows = sum(len(arm["final"]) for arm in result["arms"].values())
        figure = new_figure(FIGURE_WIDTH, len(columns) * (0.5 + (0.3 + 0.15 * (len(result["base"]) > 1)) * rows) + 0.5)
        draw_changes(figure, result, columns)
    note = " (quick: fewer seeds, steps and prompts)" if result["quick"] else ""
    figure.suptitle(fill(result["plan"]["title"] + note, 48), fontsize=11)
    return figure


def claim_figure(number: int, folder: str | Path | None = None) -> Any | None:
    """Forest plot of a claim's answers; None where no question has an interval yet.

    Raises:
        InputError: a file that is not a result, or no matplotlib.
    """
    where = data_path("results") if folder is None else Path(folder)
    [rule] = [rule for rule in read_questions() if rule.number == number]
    by_column: dict[str, list[Any]] = {}
    twins: dict[str, Row | None] = {}
    answers = answers_to(rule, where)
    for question, answer in zip(rule.questions, answers, strict=True):
        if answer.difference is None:
            continue
        name = _panel_words(question)
        by_column.setdefault(name, []).append(answer)
        result = read_result(question.experiment, where)
        if question.experiment in TWINS and result is not None and question.measure == "change":
            twins.setdefault(name, twin_row(result, *TWINS[question.experiment], question.column))
    if not by_column:
        return None
    rows = sum(map(answer_height, chain(*by_column.values()))) + len(twins)
    figure = new_figure(FIGURE_WIDTH, 0.62 * rows + 0.5 * len(by_column) + 0.4)
    draw_answers(figure, by_column, twins)
    figure.suptitle(f"Claim {number} ({decide(answers)}); right of the line speaks for it", fontsize=11)
    return figure


def _panel_words(question: Question) -> str:
    """What a question counts. What is better is another matter than what speaks for the claim, so it is left out."""
    column = column_words(question.column).partition(" (")[0]
    return {
        "slope": f"{column}: slope, change per run",
        "passes": f"passes to the same gain in {column}, log of the ratio",
        "spread": f"{column}: how far runs lie apart",
        "memory": "memory of a step, log of the ratio",
        "equal reward": f"{column}, at equal reward",
    }.get(question.measure, column)


def _frontier(figure: Any, result: Mapping[str, Any], columns: Sequence[str]) -> None:
    """A panel a column: its change from the untouched model over the cost in passes, a line an arm, 95 % bars."""
    axes = figure.subplots(len(columns), 1, squeeze=False, sharex=True)[:, 0]
    for axis, column in zip(axes, columns, strict=True):
        axis.axhline(0, color="grey", linestyle="--", linewidth=1)
        for k, (name, arm) in enumerate(result["arms"].items()):
            tables = [change(result, BASE, name, column, (None, i)) for i in range(len(arm["moments"]))]
            x, y = [moment["passes"] for moment in arm["moments"]], [table.mean() for table in tables]
            axis.plot([0, *x], [0, *y], lw=1.5, ms=5, label=arm_words(name), **look(k))
            end = interval(tables[-1], own_prompts(result))
            if end is not None:
                ends = [[end.mean - end.low], [end.high - end.mean]]
                axis.errorbar(x[-1], end.mean, yerr=ends, color=look(k)["color"], lw=1, capsize=3, fmt="none")
        axis.set_ylabel(f"change of\n{column_words(column)}")
    axes[-1].set_xlabel("cost of training, in passes of the network\n(decoding and reward included)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)


def draw_strip(figure: Any, strips: Strips) -> None:
    """A row of middle frames a prompt, which stands above it; above each frame what made it, below its numbers."""
    rows = figure.subfigures(len(strips), 1, squeeze=False)[:, 0]
    for row, (prompt, clips, numbers) in zip(rows, strips, strict=True):
        row.suptitle(prompt, fontsize=9)
        for axis, (label, clip) in zip(row.subplots(1, len(clips), squeeze=False)[0], clips.items(), strict=True):
            axis.imshow(np.asarray(clip)[len(clip) // 2], interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(label, fontsize=9)
            axis.set_xlabel(numbers.get(label, ""), fontsize=8)
