"""The result of an experiment, read from its JSON file: which it is, tables of text, paired changes.

What the file holds stands in :mod:`ivtutorial.lab.experiments.answers.summary`. Intervals hold for other runs and
other prompts alike (see :mod:`ivtutorial.lab.experiments.answers.contrasts`); of a single run, for other prompts only.
Results of the second generation kept averages over their three runs. They are still read; no interval with runs in it
can be made of them, and no verdict.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import Difference, difference
from ivtutorial.lab.experiments.answers.contrasts import BASE, interval, own_prompts
from ivtutorial.lab.experiments.answers.course import difference_of, side
from ivtutorial.system.files import data_path


def result_file(name: str, folder: str | Path | None = None) -> Path | None:
    """The JSON file of an experiment, the full one or, where there is none, the quick one, or None.

    Args:
        name: of the experiment, as `ivtutorial experiment` writes it, such as "fig5a".
        folder: with NAME.json files; default the shipped `data/results`.
    """
    where = data_path("results") if folder is None else Path(folder)
    return next((path for end in ("", "-quick") if (path := where / f"{name}{end}.json").is_file()), None)


def read_result(name: str, folder: str | Path | None = None) -> dict[str, Any] | None:
    """The result of an experiment, see the module, or None where it is still to be measured.

    Args:
        name: of the experiment.
        folder: see :func:`result_file`, as is which file is taken.

    Raises:
        InputError: a file that is not a result.

    Example:
        >>> read_result("fig5a") is None  # doctest: +SKIP
        False
    """
    path = result_file(name, folder)
    if path is None:
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = content["arms"], content["base_values"], content["quick"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the result of an experiment ({error}). Make it again.") from error
    return content


def to_be_measured(name: str) -> str:
    """What to say where there is no result: which it is, and the command that makes it."""
    return f"Still to be measured. The command is: ivtutorial experiment {name} --results data/results"


def table(result: Mapping[str, Any], column: str = "reward") -> str:
    """Lines of text, one for each arm and LIST-D: a column, its change from the untouched model, and the interval.

    Args:
        result: content of result.json.
        column: which numbers.
    """
    lines = [f"{'':16} {'list-D':16} {column[:9]:>9} {'change':>9}   95 % interval"]
    for where, columns in result["base"].items():
        lines.append(f"{'untouched':16} {where:16} {columns[column]['mean']:9.4f}")
    for name, arm in result["arms"].items():
        for where, columns in arm["final"].items():
            d = columns[column]
            runs = f"   {len(d['by_seed'])} runs"
            interval = f"{d['low']:+.4f} to {d['high']:+.4f}"
            lines.append(f"{name:16} {where:16} {d['after']:9.4f} {d['mean']:+9.4f}   {interval}{runs}")
    return "\n".join(lines)


def rates_tried(result: Mapping[str, Any]) -> list[str]:
    """A line of text for each arm that was tuned: the learning rate it took, reward and u of each rate.

    Reward decides, or in the frontier u (`tuned_by` of the plan); u stands beside it where it was measured.

    Args:
        result: content of result.json.
    """

    def words(arm: Mapping[str, Any], rate: str) -> str:
        u = arm.get("looked", {}).get(rate, {}).get("utility")
        return f"{rate}: {arm['tried'][rate]:.4f}" + ("" if u is None else f", u {u:+.2f}")

    tuned = {name: arm for name, arm in result["arms"].items() if arm["tried"]}
    tried = {name: "; ".join(words(arm, rate) for rate in arm["tried"]) for name, arm in tuned.items()}
    return [f"{name:16} took the learning rate {arm['lr']:g} of ({tried[name]})" for name, arm in tuned.items()]


def paired(result: Mapping[str, Any], first: str, second: str, column: str, where: str | None = None) -> Difference:
    """Paired change from one arm to another (or "base") at the end of an experiment, or at moments of it.

    With several runs the interval holds for other runs and prompts; with one run, or an average of runs, it is the
    bootstrap over prompts.

    Args:
        result: content of result.json.
        first: name of an arm, "base", or another side as `ivtutorial.lab.experiments.answers.course` lists them.
        second: the same.
        column: what is compared.
        where: "LIST-D"; default the first.

    Raises:
        InputError: no such arm, column or list.
    """
    before, after = (side(result, name, column, where) for name in (first, second))
    change = difference_of(result, first, second, column, where)
    runs = len(change)
    before, after = (
        np.broadcast_to(rows, (runs, rows.shape[1])) if len(rows) == 1 else rows[:runs] for rows in (before, after)
    )
    plain = difference(before.ravel(), after.ravel())
    both = interval(change, own_prompts(result, where))
    return plain if both is None else replace(plain, low=both.low, high=both.high)


def change_by_run(result: Mapping[str, Any], name: str, column: str, where: str | None = None) -> list[float]:
    """Mean change of each run from the untouched model, on the run's own prompts.

    Args:
        result: content of result.json.
        name: of an arm, or a moment of it as `ivtutorial.lab.experiments.answers.course` lists them.
        column: what is compared.
        where: "LIST-D"; default the first.

    Raises:
        InputError: no such arm, moment, column or list.
    """
    arm = result["arms"].get(name.partition("@")[0], {})
    if "by_run" in arm or not arm:
        changes: list[float] = difference_of(result, BASE, name, column, where).mean(axis=1).tolist()
        return changes
    values = arm["final"][where or next(iter(arm["final"]))][column]  # averages, with the mean of each run beside them
    return [mean - values["before"] for mean in values["by_seed"]]
