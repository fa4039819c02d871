"""Comparisons of two arms by run and prompt, with a verdict: what every experiment of several seeds can ask.

A contrast is a table of differences, a row a run (seed of fine-tuning) and a number a prompt. Runs of two arms are
paired by seed, which takes out what both share: the start of the adapter and the order of the clips. Where all runs see
the same prompts the interval is :func:`ivtutorial.evaluation.intervals.two_way`, where each has prompts of its own
:func:`ivtutorial.evaluation.intervals.over_runs`. The word for it:

| word             | when                                                                                 |
|------------------|--------------------------------------------------------------------------------------|
| not yet measured | fewer than 6 runs, of which no interval is worth its name                            |
| reproduced       | the whole 95 % interval lies above the bound, 0 if not said otherwise                |
| equivalent       | there is a margin, and the whole 90 % interval lies within it on both sides of 0     |
| not reproduced   | the whole 95 % interval lies below the bound                                         |
| undecided        | none of these                                                                        |

The first that fits counts.

An A/A arm, a twin that differs from another arm in the noise alone, shows what chance does to every number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import TwoWay, over_runs, two_way
from ivtutorial.lab.world.annotators import preferred

BASE = "base"
LEAST_RUNS = 6
WORDS = ("reproduced", "equivalent", "not reproduced", "undecided")
MISSING = "not yet measured"
TIME = ("warp_error", "flicker", "travel_error")
# Experiment -> a side and its twin, which has cost the same and differs from it in the noise alone.
TWINS = {
    "fig5a": ("instructvideo@0.5", "again"),
    "fig7": ("segvr-tar@0.5", "again"),
    "frontier": ("paper", "paper-again"),
}
Rows = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Contrast:
    """A difference that should be above a bound.

    Attributes:
        text: in words. difference: its mean and intervals; None with a single run or prompt.
        bound: 0, or the largest loss that is still accepted, as a number below 0.
        margin: half-width within which two arms count as equal; None where nobody asks.
        mean: of the differences, where there is no interval; None where nothing was measured.
        note: why there is none.
    """

    text: str
    difference: TwoWay | None
    bound: float = 0.0
    margin: float | None = None
    mean: float | None = None
    note: str = "a single run or prompt has no interval"

    @property
    def word(self) -> str:
        """The verdict, see the module."""
        d = self.difference
        if d is None or d.runs < LEAST_RUNS:
            return MISSING
        if d.low > self.bound:
            return "reproduced"
        if self.margin is not None and -self.margin < d.low90 and d.high90 < self.margin:
            return "equivalent"
        return "not reproduced" if d.high < self.bound else "undecided"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the word."""
        return {**asdict(self), "word": self.word}

    def __str__(self) -> str:
        d = self.difference
        if d is None:
            side = "for" if self.mean is not None and self.mean > self.bound else "against"
            mean = "" if self.mean is None else f"{self.mean:+.2g} would speak {side} it; "
            return f"{self.text}: {self.word} ({mean}{self.note})"
        few = f"; {d.runs} runs, {LEAST_RUNS} are needed" if d.runs < LEAST_RUNS else ""
        mean, low, high, low90, high90 = (
            f"{x:+.{digits(d.high - d.low)}f}" for x in (d.mean, d.low, d.high, d.low90, d.high90)
        )
        same = f"; 90 % {low90} to {high90}" if self.word == WORDS[1] else ""
        margin = "" if self.margin is None else f"; margin {self.margin:g}"
        return f"{self.text}: {self.word} ({mean}, 95 % {low} to {high}{same}{margin}{few})"


def digits(width: float) -> int:
    """As many decimals as give an interval's width two digits: more would claim what was not measured."""
    return min(max(1 - math.floor(math.log10(width)), 0), 7) if 0 < width < math.inf else 4


def table_of(
    result: Mapping[str, Any], name: str, column: str, moment: int | None = None, where: str | None = None
) -> Rows:
    """Values of an arm (or "base", or "data:SET", the fine-tuning clips themselves) by run and prompt.

    Args:
        result: content of result.json, see `ivtutorial.lab.experiments.answers.results`.
        name: of the arm. The base model and the clips have a single row, unless each run has prompts of its own.
        column: what is read; "time_error" is the mean of warp_error, flicker and travel_error, each divided by the
            untouched model's mean.
        moment: a number of the measured moments along the runs, from 0; None for the end. Of the first list only.
        where: "LIST-D"; default the first.

    Returns:
        (R, P), or (1, P). Results that kept no single runs give their average as the only row.

    Raises:
        InputError: no such arm, column, moment or list.
    """
    if column == "time_error":
        parts = [table_of(result, name, part, moment, where) for part in TIME]
        levels = [table_of(result, BASE, part, None, where).mean() for part in TIME]
        return np.mean([part / level for part, level in zip(parts, levels, strict=True)], axis=0)
    try:
        at = where or next(iter(result["base_values"]))
        if name == BASE:
            rows = result["base_values"][at][column]
        elif name.startswith("data:"):
            rows = result["data_values"][at][name.removeprefix("data:")][column]
        elif moment is not None:
            rows = result["arms"][name]["moments"][moment]["by_run"][column]
        else:
            arm = result["arms"][name]
            rows = (arm["by_run"] if "by_run" in arm else arm["values"])[at][column]
    except (KeyError, IndexError, StopIteration) as error:
        whose = f"the result of {result['experiment']}" if "experiment" in result else "this result"
        raise InputError(f"{whose} has no {error} by run.") from error
    return np.atleast_2d(np.asarray(rows, dtype=np.float64))


def own_prompts(result: Mapping[str, Any], where: str | None = None) -> bool:
    """Whether each run of a result has prompts of its own on a list, the first if not named."""
    return (where or next(iter(result["base_values"]), "")) in result.get("own_prompts", ())


def interval(table: Sequence[Sequence[float]] | Rows, own: bool = False) -> TwoWay | None:
    """Interval of a table; None where it has a single run, or a single prompt that all runs share.

    Args:
        table: (R, P).
        own: each run has prompts of its own.
    """
    rows = np.atleast_2d(np.asarray(table, dtype=np.float64))
    if own or rows.shape[1] == 1:
        return over_runs(rows.tolist()) if len(rows) > 1 else None
    return two_way(rows.tolist()) if min(rows.shape) > 1 else None


def minus(second: Rows, first: Rows, without_runs: bool = False) -> Rows:
    """Differences of two tables by run and prompt; runs are paired by seed, as far as both have them.

    Args:
        second: (R, P). first: (R', P).
        without_runs: one of them has no runs but a single row, which is paired with every run of the other.

    Raises:
        InputError: other prompts.
    """
    if first.shape[1] != second.shape[1]:
        raise InputError(f"not measured on the same prompts: {first.shape} and {second.shape} runs and prompts.")
    if without_runs:
        return second - first
    runs = min(len(first), len(second))
    return second[:runs] - first[:runs]


def has_no_runs(result: Mapping[str, Any], name: str, where: str | None = None) -> bool:
    """Whether a name stands for what no run made, on prompts that all runs share: see :func:`minus`."""
    return (name == BASE or name.startswith("data:")) and not own_prompts(result, where)


def change(
    result: Mapping[str, Any],
    first: str,
    second: str,
    column: str,
    moments: tuple[int | None, int | None] = (None, None),
    where: str | None = None,
) -> Rows:
    """Differences of two arms, second - first, by run and prompt; runs are paired by seed, as far as both have them."""
    a, b = (table_of(result, name, column, at, where) for name, at in zip((first, second), moments, strict=True))
    return minus(b, a, any(has_no_runs(result, name, where) for name in (first, second)))


def annotators_choice(
    result: Mapping[str, Any], first: str, second: str, moment: int | None = None, where: str | None = None
) -> Rows:
    """How often the simulated annotators prefer the second arm's clip, minus one half, by run and prompt.

    The annotators' choice is Bradley-Terry's, sigmoid(u_second - u_first), with the utility that the judge reads.
    """
    lead = change(result, first, second, "utility", (None if first == BASE else moment, moment), where)
    return np.asarray(preferred(0.0, lead) - 0.5, dtype=np.float64)
