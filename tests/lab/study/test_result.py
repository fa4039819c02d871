"""Wins, ties, losses and agreement, against known answers."""

from __future__ import annotations

import pytest

from ivtutorial.lab.study.result import krippendorff_alpha, raw_agreement, study_result
from tests.lab.study.studies import answer, many


def test_wins_ties_and_losses_by_hand() -> None:
    """Prompt 0: Y, Y. Prompt 1: Y, tie. Prompt 2: X, tie. Prompt 3: tie, tie.

    Shares of Y by prompt are 1, 1/2, 0, 0: mean 3/8. Ties 0, 1/2, 1/2, 1: 1/2. X 0, 0, 1/2, 0: 1/8. Net 3/8 - 1/8 =
    1/4. Two raters agree in prompts 0 and 3 of 4.
    """
    winners = {0: "YY", 1: ("Y", "tie"), 2: ("X", "tie"), 3: ("tie", "tie")}
    rows = [answer(rater, index, w) for index, both in winners.items() for rater, w in zip("xy", both)]
    result = study_result(rows).questions
    one = result["quality"]
    assert list(result) == ["quality"]
    assert (one.win.mean, one.tie.mean, one.loss.mean, one.net.mean) == (3 / 8, 1 / 2, 1 / 8, 1 / 4)
    assert (one.answers, one.raters, one.prompts, one.same) == (8, 2, 4, 0.5)
    assert one.win.low == 0.0 and 0.75 <= one.win.high <= 1 and one.net.low < 0 < one.net.high


def test_seeds_of_one_prompt_count_as_one_prompt() -> None:
    """Ten clips of prompt 0 that Y wins and one of prompt 1 that X wins: each prompt weighs one half."""
    rows = [answer("x", 0, "Y", seed=k) for k in range(10)] + [answer("x", 1, "X")]
    one = study_result(rows).questions["quality"]
    assert one.win.mean == one.loss.mean == 0.5 and one.prompts == 2 and one.net.mean == 0


def test_a_share_of_none_or_all_has_the_exact_interval() -> None:
    """0 of 10: the largest p with (1 - p)^10 = 0.025 is 0.3085, Clopper and Pearson's bound; all of 10 mirrors it."""
    one = study_result([answer("x", k, "Y") for k in range(10)]).questions["quality"]
    assert one.win.mean == 1 and one.win.low == pytest.approx(1 - 0.3085, abs=1e-4) and one.win.high == 1
    assert one.loss.low == 0 and one.loss.high == pytest.approx(0.3085, abs=1e-4)
    assert one.net.low == pytest.approx(1 - 2 * 0.3085, abs=2e-4) and one.net.high == 1
    ties = study_result([answer("x", k, "tie") for k in range(10)]).questions["quality"]
    assert ties.left is None and ties.net.low == pytest.approx(-0.3085, abs=1e-4) == -ties.net.high


def test_krippendorffs_alpha_by_hand() -> None:
    """Units XX, XY, YY, and Z rated once, which does not count. n = 6 values, 3 X and 3 Y.

    Observed disagreement: only XY, 1 * 1 / 1 for X and for Y: 2. Expected: (3 * 3 + 3 * 3) / 5 = 3.6.
    alpha = 1 - 2 / 3.6 = 4 / 9.
    """
    assert krippendorff_alpha(["XX", "XY", "YY", "Z"]) == pytest.approx(4 / 9)
    assert raw_agreement(["XX", "XY", "YY", "Z"]) == pytest.approx(2 / 3)
    assert raw_agreement(["XXY"]) == pytest.approx(1 / 3)


def test_krippendorffs_own_example() -> None:
    """His text's data with gaps ("Computing Krippendorff's Alpha-Reliability", 2011, C): 4 observers, alpha 0.743."""
    rows = [
        "1.2.3.3.2.1.4.1.2.*.*.*",
        "1.2.3.3.2.2.4.1.2.5.*.3",
        "*.3.3.3.2.3.4.2.2.5.1.*",
        "1.2.3.3.2.4.4.1.2.5.1.*",
    ]
    units = [[v for v in unit if v != "*"] for unit in zip(*(row.split(".") for row in rows))]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_chance_is_near_zero_and_of_nothing_is_none() -> None:
    """Independent raters: alpha scatters around 0 by about 1 / sqrt(500)."""
    study = many(500)
    import random

    draw = random.Random(0)
    units = [[draw.choice("XY"), draw.choice("XY")] for _ in study.pairs]
    assert abs(krippendorff_alpha(units) or 1) < 0.15
    assert krippendorff_alpha(["XX", "XX"]) is None and krippendorff_alpha(["X"]) is None
    assert raw_agreement(["X", "Y"]) is None
