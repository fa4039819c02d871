"""Contrasts and the frontier on made-up results: what is paired with what, which word follows, what is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.contrasts import (
    MISSING,
    Contrast,
    annotators_choice,
    change,
    interval,
    own_prompts,
)
from ivtutorial.lab.experiments.answers.frontier_table import (
    EQUAL_WITHIN,
    READINGS_SHOWN,
    frontier_questions,
    frontier_rows,
    frontier_text,
)
from ivtutorial.lab.experiments.answers.plots import draw
from ivtutorial.lab.experiments.answers.words import arm_words
from ivtutorial.lab.experiments.plans.catalogue import experiment
from ivtutorial.lab.experiments.plans.frontier import AGAIN, OURS, PAPER
from ivtutorial.lab.experiments.plans.plan import step_cost
from tests.lab.experiments.made_up import made_up_result

READ = ("reward", "utility", *READINGS_SHOWN)


def made_up(gains: dict[str, float], runs: int = 6, prompts: int = 8, noise: float = 0.01) -> dict[str, Any]:
    """A result in which an arm's columns lie that far above the untouched model's at its end, half of it before."""
    rng = np.random.default_rng(0)
    base = {column: rng.normal(size=prompts).tolist() for column in READ}

    def tables(gain: float) -> dict[str, Any]:
        return {c: (np.array(base[c]) + gain + noise * rng.normal(size=(runs, prompts))).tolist() for c in READ}

    arms = {}
    for name, gain in gains.items():
        moments = [
            {"share": share, "step": 5, "passes": 100, "seconds": [9.0 * share] * runs, "by_run": tables(share * gain)}
            for share in (0.5, 1.0)
        ]
        arms[name] = {"lr": 1e-3, "peak_mb": 50.0, "moments": moments, "by_run": {"in_domain-20": tables(gain)}}
    plan = {"kind": "frontier", "columns": ["utility", "reward"], "title": "A frontier"}
    return {
        "experiment": "frontier", "quick": runs < 6, "plan": plan, "base": {"in_domain-20": {}},
        "base_values": {"in_domain-20": base}, "arms": arms,
    }  # fmt: skip


def contrast(values: Any, **settings: Any) -> Contrast:
    return Contrast("a claim", interval(values), **settings)


def test_a_mean_without_an_interval_says_on_which_side_of_the_bound_it_lies() -> None:
    said = str(Contrast("a claim", None, mean=0.58333, note="an average of 3 older runs"))
    assert said == "a claim: not yet measured (+0.58 would speak for it; an average of 3 older runs)"
    assert "-0.0048 would speak against it" in str(Contrast("a claim", None, mean=-0.00478))
    assert "-0.05 would speak for it" in str(Contrast("a claim", None, bound=-0.1, mean=-0.05))


def test_a_result_without_a_name_is_called_this_result() -> None:
    result = made_up({"a": 0.1})
    with pytest.raises(InputError, match="the result of frontier has no 'b' by run"):
        change(result, "a", "b", "reward")
    del result["experiment"]
    with pytest.raises(InputError, match="this result has no 'b' by run"):
        change(result, "a", "b", "reward")


def test_words_by_hand() -> None:
    """Six runs of eight prompts around a difference, with a spread of a hundredth."""
    noise = 0.01 * np.random.default_rng(1).normal(size=(6, 8))
    assert contrast(0.3 + noise).word == "reproduced" and contrast(-0.3 + noise).word == "not reproduced"
    assert contrast(noise, margin=0.05).word == "equivalent" and contrast(noise).word == "undecided"
    assert contrast(noise, bound=-0.05).word == "reproduced"
    assert contrast(10 * noise, margin=0.001).word == "undecided"


@pytest.mark.parametrize("runs", [1, 5])
def test_fewer_than_six_runs_decide_nothing(runs: int) -> None:
    values = 0.3 + 0.01 * np.random.default_rng(1).normal(size=(runs, 8))
    assert contrast(values).word == MISSING and "reproduced (" not in str(contrast(values))
    assert contrast(values).to_dict()["word"] == MISSING


def test_an_answer_in_words_has_what_decides_on_it() -> None:
    """The margin wherever there is one, and of what is equivalent the 90 % interval, which lies within it."""
    noise = 0.01 * np.random.default_rng(1).normal(size=(6, 8))
    above, same = str(contrast(0.3 + noise, margin=0.05)), str(contrast(noise, margin=0.05))
    assert above.endswith("; margin 0.05)") and "90 %" not in above and "margin" not in str(contrast(noise))
    d = contrast(noise).difference
    assert d is not None and same.endswith(f"; 90 % {d.low90:+.4f} to {d.high90:+.4f}; margin 0.05)")


def test_runs_are_paired_by_seed() -> None:
    """What two arms share in a run cancels: spread 1 between runs in both arms, none in the difference."""
    result = made_up({PAPER: 0.0, OURS: 0.5}, noise=0.0)
    shared = np.random.default_rng(2).normal(size=(6, 1))
    for name in (PAPER, OURS):
        where = result["arms"][name]["by_run"]["in_domain-20"]
        where["utility"] = (np.array(where["utility"]) + shared).tolist()
    assert np.allclose(change(result, PAPER, OURS, "utility"), 0.5)
    assert not np.allclose(change(result, "base", OURS, "utility"), 0.5, atol=0.1)
    assert np.allclose(annotators_choice(result, PAPER, OURS), 1 / (1 + np.exp(-0.5)) - 0.5)


def test_what_is_not_there() -> None:
    result = made_up({PAPER: 0.0})
    with pytest.raises(InputError, match="'none'"):
        change(result, "base", "none", "utility")
    result["arms"][OURS] = made_up({OURS: 0.0}, runs=3)["arms"][OURS]
    assert change(result, PAPER, OURS, "utility").shape == (3, 8), "runs are paired as far as both go"
    result["arms"][OURS] = made_up({OURS: 0.0}, prompts=5)["arms"][OURS]
    with pytest.raises(InputError, match="same prompts"):
        change(result, PAPER, OURS, "utility")


def test_questions_of_the_frontier() -> None:
    """Ours gains .4 at the end and .2 at its first moment, the paper .2: above at equal cost, and as good early on."""
    result = made_up({PAPER: 0.2, AGAIN: 0.2, OURS: 0.4})
    again, ours, early = frontier_questions(result)
    assert (again.word, ours.word, early.word) == ("equivalent", "reproduced", "reproduced")
    assert early.bound == -EQUAL_WITHIN and ours.text.startswith(arm_words(OURS))
    assert {one.word for one in frontier_questions(made_up({PAPER: 0.2, OURS: 0.4}, runs=1))} == {MISSING}


def test_rows_and_text_of_the_frontier() -> None:
    rows = {row["arm"]: row for row in frontier_rows(made_up({PAPER: 0.2, OURS: 0.4}))}
    mean, low, high = rows[OURS]["utility"]
    assert low < mean < high and mean == pytest.approx(0.4, abs=0.02) and rows[OURS]["seconds"] == 9.0
    assert rows[PAPER]["preferred"][0] == pytest.approx(1 / (1 + np.exp(-0.2)), abs=0.01)
    text = frontier_text(made_up({PAPER: 0.2, OURS: 0.4}, runs=1))
    assert f"{arm_words(OURS)}:" in text and MISSING in text and "50" in text.splitlines()[1]


@pytest.mark.parametrize("runs", [1, 6])
def test_the_picture_has_a_line_for_each_arm_that_begins_at_the_untouched_model(runs: int) -> None:
    figure = draw(made_up({PAPER: 0.2, OURS: 0.4}, runs=runs))
    truth, reward = figure.axes
    for axis in (truth, reward):
        lines = [line for line in axis.get_lines() if line.get_label() in (arm_words(PAPER), arm_words(OURS))]
        assert len(lines) == 2 and all(line.get_xydata()[0].tolist() == [0.0, 0.0] for line in lines)
        assert lines[1].get_xydata()[-1, 1] == pytest.approx(0.4, abs=0.02)


def test_the_plan_of_the_frontier() -> None:
    """Every arm costs the paper's budget within a step; the twin differs from it in the noise alone; rates are tuned on
    seeds of their own."""
    plan = experiment("frontier")
    paper = next(arm for arm in plan.arms if arm.name == PAPER)
    assert len(plan.seeds) >= 6 and not set(plan.seeds) & set(plan.tuning_seeds)
    for arm in plan.arms:
        cost = arm.steps(plan.points) * arm.captions * step_cost(arm)
        assert abs(cost - paper.budget) <= plan.points * arm.captions * step_cost(arm) / 2, arm.name
    twin = next(arm for arm in plan.arms if arm.name == AGAIN)
    ours, theirs = (arm.finetuning(1, 0, 1e-3, 5).to_dict() for arm in (twin, paper))
    assert {name for name in ours if ours[name] != theirs[name]} == {"noise_seed"}
    assert twin.key() != paper.key()
    quick = experiment("frontier", quick=True)
    assert quick.quick and len(quick.seeds) == 1 and {PAPER, AGAIN, OURS} <= {arm.name for arm in quick.arms}


def test_a_table_knows_whether_runs_share_their_prompts() -> None:
    """Where each run has prompts of its own only the runs' means count: 5 degrees of freedom for 6 runs."""
    shared, own = (made_up_result({"a": {"reward": [0.1] * 4}}, runs=6, own=own) for own in (False, True))
    assert change(shared, "base", "a", "reward").shape == (6, 16) == change(own, "base", "a", "reward").shape
    assert not own_prompts(shared) and own_prompts(own)
    assert interval(change(own, "base", "a", "reward"), own=True).df == 5
    assert interval([[1.0], [2.0]]).df == 1 and interval([[1.0, 2.0]]) is None


def test_an_arm_with_a_single_run_is_paired_with_that_run_alone() -> None:
    result = made_up_result({"a": {}, "b": {}}, runs=6, own=False)
    result["arms"]["b"] = made_up_result({"b": {}}, runs=1, own=False)["arms"]["b"]
    assert change(result, "a", "b", "reward").shape == (1, 16) == change(result, "base", "b", "reward").shape


def test_errors_in_time_are_parts_of_the_untouched_models() -> None:
    """Each of the three errors a tenth of its level higher: the mean of the three is .1 above 1."""
    result = made_up_result({"a": {}}, noise=0.0)
    where = result["arms"]["a"]["by_run"]["in_domain-20"]
    for column in ("warp_error", "flicker", "travel_error"):
        where[column] = (1.1 * np.array(where[column])).tolist()
    assert change(result, "base", "a", "time_error").mean() == pytest.approx(0.1)
