"""Simulated raters: a known preference is found."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ivtutorial.lab.study.answers import Answer
from ivtutorial.lab.study.result import study_result
from ivtutorial.lab.study.simulated import choice_shares, simulate
from tests.lab.study.studies import answer, many


def test_choices_by_hand() -> None:
    """Lead 2 ln 3, ties 2: 3 : 2 : 1/3 = 9 : 6 : 1 of 16."""
    result = choice_shares(2 * math.log(3), ties=2.0)
    assert [result[c] for c in ("left", "tie", "right")] == pytest.approx([9 / 16, 6 / 16, 1 / 16])  # type: ignore[index]


def test_a_known_preference_is_found_within_its_interval(tmp_path: Path) -> None:
    """Quality: lead 1.5 of Y. Alignment: none. 150 prompts, three raters; the truth is `choice_shares`."""
    study, file = many(150), tmp_path / "answers.csv"
    for rater in ("x", "y", "z"):
        assert simulate(study, file, rater, lambda step: 1.5 if step.question == "quality" else 0.0) == 300
    result = study_result(file).questions
    truth = choice_shares(1.5)
    for share, name in (
        (result["quality"].win, "left"),
        (result["quality"].tie, "tie"),
        (result["quality"].loss, "right"),
    ):
        assert share.low <= truth[name] <= share.high  # type: ignore[index]
    assert result["quality"].net.low > 0.3
    assert result["alignment"].net.low < 0 < result["alignment"].net.high
    assert abs(result["alignment"].alpha or 1) < 0.15, "independent raters agree by chance only"


def test_intervals_hold_the_truth_as_often_as_they_say(tmp_path: Path) -> None:
    """40 studies of 60 prompts: at 95 % one expects 38 intervals to hold it; fewer than 33 happens in 1 of 500."""
    truth = choice_shares(0.8)
    held = 0
    for number in range(40):
        rows = _simulated_rows(60, number, 0.8)
        share = study_result(rows).questions["quality"].win
        held += share.low <= truth["left"] <= share.high
    assert held >= 33


def _simulated_rows(count: int, number: int, lead: float) -> list[Answer]:
    import random

    draw, shares = random.Random(number), choice_shares(lead)
    names = {"left": "Y", "tie": "tie", "right": "X"}
    return [answer("x", k, names[draw.choices(list(shares), list(shares.values()))[0]]) for k in range(count)]


def test_a_habit_of_choosing_the_left_favours_no_model(tmp_path: Path) -> None:
    """Equal models, a strong habit: nearly all choices go left, and Y still wins as often as X."""
    study, file = many(200), tmp_path / "answers.csv"
    simulate(study, file, "lefty", lambda step: 0.0, left_bias=3.0)
    for one in study_result(file).questions.values():
        assert one.left is not None and one.left.low > 0.85
        assert one.net.low < 0 < one.net.high and abs(one.net.mean) < 0.1


def test_without_randomised_sides_the_habit_would_decide() -> None:
    """The same habit with X always on the left: X wins 200 of 200. That is what the drawing of sides is for."""
    rows = [answer("lefty", k, "X", left="X") for k in range(200)]
    assert study_result(rows).questions["quality"].net.high < -0.9
