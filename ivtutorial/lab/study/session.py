"""One rater's way through a study: which question is open, and what was answered before."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast, get_args

from ivtutorial.errors import InputError
from ivtutorial.lab.study.answers import append_answers, make_answer, read_answers
from ivtutorial.lab.study.pairs import Choice, Step, Study, rater_name


class Session:
    """A rater at work. Page and widget are two faces of it.

    Attributes:
        study: what is compared.
        path: the file of answers.
        rater: who answers.
        steps: all questions in this rater's order.
        given: what was chosen so far, by `Step.key`.

    Example:
        >>> session = Session(study, "answers.csv", "Ada")  # doctest: +SKIP
        >>> session.answer(session.position(), "left")  # doctest: +SKIP
    """

    def __init__(self, study: Study, path: str | Path, rater: str) -> None:
        """Begin, or go on where this rater stopped.

        Args:
            study: what is compared.
            path: the file of answers, which need not exist.
            rater: the name under which answers are kept.

        Raises:
            InputError: a name that cannot be used, or a file of something else or of another study.
        """
        self.study, self.path, self.rater = study, Path(path), rater_name(rater)
        self.steps: list[Step] = study.steps(self.rater)
        rows = read_answers(self.path, study.identity)
        self.answers: dict[tuple[int, int, str], Choice] = {
            row.key: row.choice for row in rows if row.rater == self.rater
        }

    def position(self) -> int:
        """The first open question, counted from 0; as many as there are if all are answered."""
        return next((k for k, step in enumerate(self.steps) if step.key not in self.answers), len(self.steps))

    def answer(self, position: int, choice: str, seconds: float = 0.0) -> None:
        """Keep an answer; a second one to the same question replaces the first.

        Args:
            position: of the question, 0 to len(steps) - 1.
            choice: "left", "tie" or "right".
            seconds: how long it took.

        Raises:
            InputError: another position or choice, or the file cannot be written.
        """
        if choice not in get_args(Choice) or not 0 <= position < len(self.steps):
            raise InputError(
                f"answer {choice!r} to question {position}: expected left, tie or right, to one of 0 to "
                f"{len(self.steps) - 1}."
            )
        if not (math.isfinite(seconds) and seconds >= 0):
            raise InputError(f"{seconds} seconds: expected 0 or more.")
        step, chosen = self.steps[position], cast(Choice, choice)
        append_answers(self.path, [make_answer(self.study, self.rater, step, chosen, seconds)])
        self.answers[step.key] = chosen
