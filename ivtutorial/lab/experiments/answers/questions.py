"""The questions that decide on each claim, written down before the runs: data/results/questions.json.

A question is a number that should be above a bound, "the reward of InstructVideo minus that of RWR" say, with its
interval by run and prompt. Every word of the file is fixed before the experiments run; what is changed afterwards is
listed in it.

| measure         | the number, second minus first                                                                |
|-----------------|-----------------------------------------------------------------------------------------------|
| `change`        | a column; "preferred" is the annotators' choice of the second, less one half                  |
| `slope`         | change of a column in a run, by least squares through all moments; without `first`, the slope |
| `passes`        | logarithm of the passes to a gain, `level`, first minus second: above 0 the second is faster  |
| `equal reward`  | a column where both have gained the same reward                                               |
| `spread`        | how far runs lie apart                                                                        |
| `memory`        | logarithm of a step's peak memory, first minus second; counted, so without spread             |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers import course
from ivtutorial.lab.experiments.answers.contrasts import (
    BASE,
    Contrast,
    Rows,
    annotators_choice,
    interval,
    minus,
    own_prompts,
)
from ivtutorial.lab.experiments.answers.course import side
from ivtutorial.system.files import data_path

MEASURES = ("change", "slope", "passes", "equal reward", "spread", "memory")
QUESTIONS_FILE = "questions.json"


@dataclass(frozen=True)
class Question:
    """One thing a claim says, as a number that should be above a bound.

    Attributes:
        text: in words.
        experiment: whose result it is read from.
        column: what is compared.
        second: the side that should have more, see `ivtutorial.lab.experiments.answers.course`.
        first: the other side.
        measure: see the module.
        where: "LIST-D"; default the first.
        bound: 0, or the largest loss that is still accepted, as a number below 0.
        margin: half-width within which both sides count as equal; None where nobody asks.
        level: the gain that `passes` counts to.

    Raises:
        InputError: an unknown measure.
    """

    text: str
    experiment: str
    column: str
    second: str
    first: str = BASE
    measure: str = "change"
    where: str | None = None
    bound: float = 0.0
    margin: float | None = None
    level: float = 0.0

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise InputError(f"measure {self.measure!r} of {self.text!r}: expected one of {', '.join(MEASURES)}.")

    def values(self, result: Mapping[str, Any]) -> Rows:
        """The number by run and prompt, (R, P).

        Raises:
            InputError: the result does not hold what is asked for.
        """
        if self.measure == "slope":
            steep = course.slope(result, self.second, self.column)
            return steep if self.first == BASE else minus(steep, course.slope(result, self.first, self.column))
        if self.measure == "passes":
            a, b = (course.passes_to(result, arm, self.column, self.level) for arm in (self.first, self.second))
            return minus(a, b)
        if self.measure == "equal reward":
            return course.at_equal_reward(result, self.first, self.second, self.column)
        if self.measure == "spread":
            a, b = (course.unrest(result, arm, self.column) for arm in (self.first, self.second))
            return minus(b, a)
        if self.measure == "memory":
            a, b = (
                np.full((len(side(result, arm, "reward")), 1), _peak(result, arm)) for arm in (self.first, self.second)
            )
            return minus(np.log(a), np.log(b))
        if self.column == "preferred":
            return annotators_choice(result, self.first, self.second, where=self.where)
        return course.difference_of(result, self.first, self.second, self.column, self.where)

    def ask(self, result: Mapping[str, Any]) -> Contrast:
        """The answer of a result; not yet measured, with the reason, where it does not hold what is asked for."""
        averages = not any("by_run" in arm for arm in result["arms"].values())
        note = f"an average of {len(result['plan']['seeds'])} older runs" if averages else "a single run"
        try:
            if averages and (self.measure != "change" or "@" in self.first + self.second):
                raise InputError("not kept of averages")
            rows = self.values(result)
        except InputError:
            lacks = (
                "older runs, of which only averages over prompts are kept"
                if averages
                else "the stored runs do not hold it"
            )
            return Contrast(self.text, None, self.bound, self.margin, note=lacks)
        both = interval(rows, own_prompts(result, self.where))
        return Contrast(self.text, both, self.bound, self.margin, float(rows.mean()), note)


@dataclass(frozen=True)
class Rule:
    """A claim, and the questions that decide on it.

    Attributes:
        number: 1 to 9 of the paper, in the order of section 6 of its summary; 10 and 11 are ours.
        text: what is claimed. source: figure or table.
        questions: all of them must hold.
    """

    number: int
    text: str
    source: str
    questions: tuple[Question, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the experiments, each once."""
        return tuple(dict.fromkeys(question.experiment for question in self.questions))


def read_questions(folder: str | Path | None = None) -> tuple[Rule, ...]:
    """The claims with their questions.

    Args:
        folder: with questions.json; default the shipped `data/results`.

    Raises:
        InputError: it cannot be read, or holds an unknown name.

    Example:
        >>> len(read_questions())
        11
    """
    path = (data_path("results") if folder is None else Path(folder)) / QUESTIONS_FILE
    try:
        claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
        return tuple(
            Rule(row["number"], row["text"], row["source"], tuple(_question(q) for q in row["questions"]))
            for row in claims
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read as questions ({error}).") from error


def _peak(result: Mapping[str, Any], arm: str) -> float:
    peak = result["arms"].get(arm, {}).get("peak_mb")
    if peak is None:
        raise InputError(f"the memory of a step of {arm} was not counted.")
    return float(peak)


def _question(row: Mapping[str, Any]) -> Question:
    unknown = sorted(set(row) - {field.name for field in fields(Question)})
    if unknown:
        raise InputError(f"question {row.get('text')!r} has {unknown[0]!r}: no such setting.")
    return Question(**row)
