"""Comparisons of two arms by run and prompt, with a verdict: what every experiment of several seeds can ask.

A contrast is a table of differences, a row a run (seed of fine-tuning) and a number a prompt, of which
:func:`ivtutorial.evaluation.intervals.two_way` gives mean and interval. Runs of two arms are paired by seed, which
takes out what both share: the start of the adapter and the order of the clips. The word for it:

| word           | when                                                                                   |
|----------------|----------------------------------------------------------------------------------------|
| reproduced     | the whole 95 % interval lies above the bound, 0 if not said otherwise                  |
| equivalent     | there is a margin, and the whole 90 % interval lies within it on both sides of 0       |
| not reproduced | the whole 95 % interval lies below the bound                                           |
| undecided      | none of these, or fewer than 6 runs, of which no interval is worth its name            |

An A/A arm, a twin that differs from another arm in the noise alone, shows what chance does to every number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import TwoWay, two_way
from ivtutorial.lab.world.annotators import preferred

BASE = "base"
LEAST_RUNS = 6
WORDS = ("reproduced", "equivalent", "not reproduced", "undecided")
Table = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Contrast:
    """A difference that should be above a bound.

    Attributes:
        text: in words. difference: its mean and intervals; None with a single run or prompt.
        bound: 0, or the largest loss that is still accepted, as a number below 0.
        margin: half-width within which two arms count as equal; None where nobody asks.
    """

    text: str
    difference: TwoWay | None
    bound: float = 0.0
    margin: float | None = None

    @property
    def word(self) -> str:
        """The verdict, see the module."""
        d = self.difference
        if d is None or d.runs < LEAST_RUNS:
            return "undecided"
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
            return f"{self.text}: {self.word} (a single run or prompt has no interval)"
        few = f"; {d.runs} runs, {LEAST_RUNS} are needed" if d.runs < LEAST_RUNS else ""
        return f"{self.text}: {self.word} ({d.mean:+.3f}, 95 % {d.low:+.3f} to {d.high:+.3f}{few})"


def table_of(result: Mapping[str, Any], name: str, column: str, moment: int | None = None) -> np.ndarray[Any, Any]:
    """Values of an arm (or "base") by run and prompt, on the first list of prompts.

    Args:
        result: content of result.json, see `ivtutorial.lab.experiments.answers.results`.
        name: of the arm, or "base", which has a single row.
        column: what is read.
        moment: a number of the measured moments along the runs, from 0; None for the end.

    Returns:
        (R, P), or (1, P) for the base model.

    Raises:
        InputError: no such arm, column or moment.
    """
    try:
        where = next(iter(result["base_values"]))
        if name == BASE:
            return np.asarray([result["base_values"][where][column]])
        arm = result["arms"][name]
        return np.asarray((arm["by_run"][where] if moment is None else arm["moments"][moment]["by_run"])[column])
    except (KeyError, IndexError, StopIteration) as error:
        raise InputError(f"the result of {result.get('experiment')} has no {error} by run.") from error


def interval(table: Table | np.ndarray[Any, Any]) -> TwoWay | None:
    """Two-way interval of a table; None where it has a single row or column."""
    rows = np.asarray(table, dtype=np.float64)
    return two_way(rows.tolist()) if min(rows.shape) > 1 else None


def change(
    result: Mapping[str, Any],
    first: str,
    second: str,
    column: str,
    moments: tuple[int | None, int | None] = (None, None),
) -> np.ndarray[Any, Any]:
    """Differences of two arms, second - first, by run and prompt; runs are paired by seed."""
    a, b = (table_of(result, name, column, at) for name, at in zip((first, second), moments, strict=True))
    if a.shape[1] != b.shape[1] or (BASE not in (first, second) and a.shape != b.shape):
        raise InputError(f"{first} and {second} were not measured on the same seeds and prompts: {a.shape}, {b.shape}.")
    return b - a


def annotators_choice(
    result: Mapping[str, Any], first: str, second: str, moment: int | None = None
) -> np.ndarray[Any, Any]:
    """How often the simulated annotators prefer the second arm's clip, minus one half, by run and prompt.

    The annotators' choice is Bradley-Terry's, sigmoid(u_second - u_first), with the utility that the judge reads.
    """
    lead = change(result, first, second, "utility", (None if first == BASE else moment, moment))
    return preferred(0.0, lead) - 0.5
