"""Simulated raters: their preference is known, so that a study and its statistics can be tried before people come."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from ivtutorial.lab.study.answers import append_answers, make_answer
from ivtutorial.lab.study.pairs import Choice, Step, Study
from ivtutorial.lab.study.session import Session
from ivtutorial.lab.world.annotators import with_ties


def choice_shares(lead: float, ties: float = 1.0) -> dict[Choice, float]:
    """How often a rater chooses left, tie, right: :func:`ivtutorial.lab.world.annotators.with_ties` for one pair.

    Args:
        lead: utility of the left clip minus that of the right one.
        ties: see there.

    Returns:
        Shares that sum to 1.

    Example:
        >>> choice_shares(0.0, ties=2.0)
        {'left': 0.25, 'tie': 0.5, 'right': 0.25}
    """
    left, tie, right = with_ties(lead, ties).tolist()
    return {"left": left, "tie": tie, "right": right}


def simulate(
    study: Study,
    path: str | Path,
    rater: str,
    lead: Callable[[Step], float],
    *,
    ties: float = 1.0,
    left_bias: float = 0.0,
    seed: int = 0,
) -> int:
    """Answer every open question of a study as a simulated rater.

    Args:
        study: what is compared.
        path: the file of answers.
        rater: their name.
        lead: utility of Y's clip minus that of X's, for a question.
        ties: see `choice_shares`.
        left_bias: added to the utility of whatever stands on the left.
        seed: of the rater's moods.

    Returns:
        Number of answers given.

    Raises:
        InputError: as for `Session`.
    """
    session, draw = Session(study, path, rater), random.Random(f"{seed}/{rater}")
    opened = [step for step in session.steps if step.key not in session.answers]
    rows = []
    for step in opened:
        shares = choice_shares(lead(step) * (1 if step.left == "Y" else -1) + left_bias, ties)
        choice = draw.choices(list(shares), list(shares.values()))[0]
        rows.append(make_answer(study, session.rater, step, choice, 0.0))
    append_answers(path, rows)
    return len(rows)
