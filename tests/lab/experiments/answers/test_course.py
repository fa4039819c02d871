"""What is asked of the course of a run, on made-up results of a known truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.contrasts import BASE, change, interval, minus
from ivtutorial.lab.experiments.answers.course import (
    at_equal_reward,
    cost_words,
    difference_of,
    passes_to,
    side,
    slope,
    unrest,
)
from tests.lab.experiments.made_up import SHARES, made_up_result

EVEN = (0.25, 0.5, 0.75, 1.0)


def straight(gain: float) -> list[float]:
    return [gain * share for share in SHARES]


def test_a_side_is_an_arm_at_a_moment() -> None:
    result = made_up_result({"a": {"reward": straight(0.8)}}, noise=0.0)
    assert difference_of(result, "a@0.5", "a", "reward").mean() == pytest.approx(0.4)
    assert difference_of(result, BASE, "a@0.25", "reward").mean() == pytest.approx(0.2)
    with pytest.raises(InputError, match=r"not after 0\.3"):
        side(result, "a@0.3", "reward")
    with pytest.raises(InputError, match="only the first list"):
        side(result, "a@0.5", "reward", "things-20")


def test_the_slope_of_a_straight_line() -> None:
    result = made_up_result({"a": {"sharpness": straight(0.6)}, "b": {"sharpness": [0.1] * 4}}, noise=0.0)
    assert np.allclose(slope(result, "a", "sharpness"), 0.6) and slope(result, "b", "sharpness").shape == (8, 16)


def test_passes_to_a_gain() -> None:
    """A straight line to .04 reaches .02 half way, 2861 passes; one that is twice as steep needs half of them."""
    result = made_up_result({"a": {"reward": straight(0.04)}, "b": {"reward": straight(0.08)}}, noise=0.0)
    logs = [passes_to(result, arm, "reward", 0.02).mean() for arm in "ab"]
    assert np.exp(logs[0]) == pytest.approx(2861, rel=1e-3) and logs[0] - logs[1] == pytest.approx(np.log(2), rel=1e-3)
    with pytest.raises(InputError, match=r"reward of a never rises by 0\.5"):
        passes_to(result, "a", "reward", 0.5)


def test_a_column_at_equal_reward() -> None:
    """b gains twice as much reward, and loses twice as much sharpness on its way: at equal reward there is nothing."""
    a, b = ({"reward": straight(x), "sharpness": straight(-x)} for x in (0.04, 0.08))
    result = made_up_result({"a": a, "b": b}, noise=0.0)
    assert at_equal_reward(result, "a", "b", "sharpness").mean() == pytest.approx(0, abs=1e-9)
    assert change(result, "a", "b", "sharpness").mean() == pytest.approx(-0.04)
    lost = made_up_result({"a": a, "b": {"reward": straight(-0.04)}}, noise=0.0)
    with pytest.raises(InputError, match="b has gained no reward"):
        at_equal_reward(lost, "a", "b", "sharpness")


def test_the_best_moment_is_chosen_on_other_runs_and_prompts_than_it_is_read_on() -> None:
    """Without any effect the best of four moments looks better by its own choice, and by that of others it does not."""
    lucky, honest = [], []
    for seed in range(60):
        result = made_up_result({"a": {}}, noise=1.0, runs=4, prompts=8, seed=seed, shares=EVEN)
        along = [change(result, BASE, "a", "reward", (None, k)).mean() for k in range(4)]
        lucky.append(max(along) - np.mean(along))
        honest.append(difference_of(result, BASE, "a@best:reward", "reward").mean() - np.mean(along))
    error = np.std(honest) / 60**0.5
    assert np.mean(lucky) > 0.2 and abs(np.mean(honest)) < max(3 * error, 0.12)
    sure = made_up_result({"a": {"reward": [0.1, 0.9, 0.4, 0.2]}})
    assert difference_of(sure, "a@0.5", "a@best:reward", "reward").mean() == pytest.approx(0.5, abs=0.01)


def test_unrest_is_how_far_runs_lie_apart() -> None:
    calm, wild = (made_up_result({"a": {}}, noise=noise, runs=10) for noise in (0.01, 0.5))
    assert unrest(calm, "a", "reward").shape == (10, 1)
    assert unrest(wild, "a", "reward").mean() > 10 * unrest(calm, "a", "reward").mean()


@pytest.mark.parametrize("own", [True, False])
def test_intervals_of_curved_numbers_cover_the_truth(own: bool) -> None:
    """100 experiments of 8 runs, noise a tenth of the gain: of the log passes to .02, of sharpness at equal reward and
    of the slope, at least 88 % of the intervals hold the truth (three deviations of .95 are .065)."""
    ends = {"a": {"reward": 0.04, "sharpness": 0.1}, "b": {"reward": 0.06, "sharpness": 0.15}}
    gains = {arm: {c: [end * share for share in EVEN] for c, end in row.items()} for arm, row in ends.items()}
    asked: dict[str, tuple[Any, float]] = {
        "passes": (
            lambda r: minus(passes_to(r, "a", "reward", 0.02), passes_to(r, "b", "reward", 0.02)),
            float(np.log(1.5)),
        ),
        "equal reward": (lambda r: at_equal_reward(r, "a", "b", "sharpness"), 0.0),
        "slope": (lambda r: slope(r, "a", "sharpness"), 0.1),
    }
    covered = dict.fromkeys(asked, 0)
    for seed in range(100):
        result = made_up_result(gains, noise=0.004, own=own, seed=seed, shares=EVEN, prompts=8)
        for name, (ask, truth) in asked.items():
            results = interval(ask(result), own)
            assert results is not None
            covered[name] += results.low <= truth <= results.high
    assert all(count / 100 >= 0.88 for count in covered.values()), covered


def test_equal_budgets_that_were_spent_unequally_are_said_so() -> None:
    """66 and 60 passes of 70 each: nearly equal; 61 and 60: equal; without the passes, what was planned counts."""

    def words(*passes: int) -> str:
        arms = {name: {"moments": [{"share": 1.0, "passes": n}]} for name, n in zip("ab", passes, strict=False)}
        result = {"plan": {"arms": [{"name": name, "budget": 70} for name in "ab"]}, "arms": arms or {"a": {}, "b": {}}}
        return cost_words(result, [("a", "b")])

    assert words(60, 66) == ", at nearly equal cost (up to 10 % apart)"
    assert words(60, 61) == words() == ", at equal cost"
