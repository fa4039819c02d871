"""The result of a study: wins, ties and losses of Y with intervals, and how far the raters agree.

Answers to the same prompt are not independent: whoever sees the pair sees the same two clips. So the share of each
prompt is taken first, over its raters and seeds, and the bootstrap draws prompts. Where all prompts say the same,
the bootstrap has nothing to draw from; then the interval is the exact one for 0 of n, or n of n.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import bootstrap_interval
from ivtutorial.lab.study.answers import Answer, read_answers
from ivtutorial.lab.study.pairs import QUESTIONS


@dataclass(frozen=True)
class Share:
    """A share, or a difference of two, with its 95 % interval over prompts."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Counts:
    """The answers to one question.

    Attributes:
        win: share of answers that prefer Y.
        tie: share of ties.
        loss: share of answers that prefer X.
        net: win minus loss; an interval that does not hold 0 says which model is preferred.
        left: among answers that are no ties, the share for the clip on the left; far from 0.5 is a habit. None if
            all are ties.
        answers: number of answers.
        raters: number of raters.
        prompts: number of prompts, the n of the intervals.
        same: how often two raters of a pair gave the same answer; None with a single rater.
        alpha: Krippendorff's alpha, see `krippendorff_alpha`; None where it is not defined.
    """

    win: Share
    tie: Share
    loss: Share
    net: Share
    left: Share | None
    answers: int
    raters: int
    prompts: int
    same: float | None
    alpha: float | None


@dataclass(frozen=True)
class StudyResult:
    """The result of a study.

    Attributes:
        X: name of the first folder.
        Y: name of the second; wins are Y's.
        questions: name -> counts, for each question that has answers.
    """

    X: str
    Y: str
    questions: dict[str, Counts]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return asdict(self)


def study_result(answers: str | Path | Sequence[Answer]) -> StudyResult:
    """Wins, ties and losses of Y against X, question by question.

    Args:
        answers: the file, or its rows.

    Raises:
        InputError: no answers, or as for `read_answers`.

    Example:
        >>> study_result("answers.csv").questions["quality"].net.low > 0  # doctest: +SKIP
        True
    """
    rows = read_answers(answers) if isinstance(answers, (str, Path)) else list(answers)
    if not rows:
        raise InputError(f"{answers}: no answers yet. Give some on the page of `ivtutorial study`.")
    answered = [name for name in QUESTIONS if any(row.question == name for row in rows)]
    questions = {name: _counts([row for row in rows if row.question == name]) for name in answered}
    return StudyResult(rows[0].X, rows[0].Y, questions)


def _counts(rows: list[Answer]) -> Counts:
    prompts = [row.index for row in rows]
    win, tie, loss = (_share([float(row.winner == name) for row in rows], prompts) for name in ("Y", "tie", "X"))
    sided = [row for row in rows if row.winner != "tie"]
    on_left = [float(row.choice == "left") for row in sided]
    opinions = list(_by([(row.index, row.seed) for row in rows], [row.winner for row in rows]).values())
    return Counts(
        win, tie, loss, _net([float(row.winner == "Y") - float(row.winner == "X") for row in rows], prompts, win, loss),
        _share(on_left, [row.index for row in sided]) if sided else None,
        len(rows), len({row.rater for row in rows}), len(set(prompts)),
        raw_agreement(opinions), krippendorff_alpha(opinions),
    )  # fmt: skip


def _by(marks: Sequence[Hashable], values: Sequence[Any]) -> dict[Hashable, list[Any]]:
    groups: dict[Hashable, list[Any]] = {}
    for mark, value in zip(marks, values, strict=True):
        groups.setdefault(mark, []).append(value)
    return groups


def _share(values: Sequence[float], prompts: Sequence[int]) -> Share:
    means = _means(values, prompts)
    low, high = bootstrap_interval(means)
    reach = 1 - 0.025 ** (1 / len(means))  # with a share as large as this, 0 of n happen in 2.5 % of all samples
    if low == high == 0.0:
        high = reach
    if low == high == 1.0:
        low = 1 - reach
    return Share(float(np.mean(means)), low, high)


def _net(values: Sequence[float], prompts: Sequence[int], win: Share, loss: Share) -> Share:
    means = _means(values, prompts)
    low, high = bootstrap_interval(means)
    if low == high:
        low, high = win.low - loss.high, win.high - loss.low
    return Share(float(np.mean(means)), max(-1.0, low), min(1.0, high))


def _means(values: Sequence[float], prompts: Sequence[int]) -> list[float]:
    return [float(np.mean(group)) for group in _by(prompts, values).values()]


def raw_agreement(opinions: Sequence[Sequence[Hashable]]) -> float | None:
    """How often two raters of the same thing say the same; each pair of raters counts once.

    Args:
        opinions: for each thing the answers of its raters.

    Returns:
        0 to 1; None if nothing was rated twice.

    Example:
        >>> raw_agreement([["X", "X"], ["X", "Y"]])
        0.5
    """
    same = [a == b for group in opinions for a, b in combinations(group, 2)]
    return sum(same) / len(same) if same else None


def krippendorff_alpha(opinions: Sequence[Sequence[Hashable]]) -> float | None:
    r"""Agreement beyond chance, for any number of raters and with gaps (K. Krippendorff, for names without an order).

    $\alpha = 1 - D_o / D_e$: the disagreement within the things rated over the one expected if answers were dealt out
    at random. 1 is full agreement, 0 is chance, below 0 is less than chance. Things rated once do not count.

    Args:
        opinions: for each thing the answers of its raters.

    Returns:
        At most 1; None if nothing was rated twice, or all answers are the same.

    Example:
        >>> krippendorff_alpha([["X", "X"], ["Y", "Y"]])
        1.0
    """
    groups = [Counter(group) for group in opinions if len(group) > 1]
    total = sum(groups, Counter[Hashable]())
    n = total.total()
    expected = sum(total[c] * (n - total[c]) for c in total) / (n - 1) if n > 1 else 0.0
    if not expected:
        return None
    observed = sum(group[c] * (group.total() - group[c]) / (group.total() - 1) for group in groups for c in group)
    return 1 - observed / expected
