"""Every experiment can be planned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.plans.catalogue import EXPERIMENTS, experiment
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment, step_cost

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_can_be_planned(name: str, quick: bool) -> None:
    """At least three seeds in full, arms of one budget that fits, plain values, and prompts that exist."""
    plan = experiment(name.upper(), quick)
    assert plan.name == name and plan.quick == quick and json.dumps(plan.to_dict())
    assert quick or len(plan.seeds) >= 3
    assert len({arm.budget for arm in plan.arms}) == 1
    for arm in plan.arms:
        spent = arm.captions * step_cost(arm) * arm.steps(plan.points)
        assert 0.6 * arm.budget < spent < 1.6 * arm.budget, arm.name
        assert all(arm.captions % processes == 0 for processes in (1, 2))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_sizes(name: str) -> None:
    """Two hours on two cores are 14,400 CPU-seconds, a quarter of an hour 1,800. As measured on two cores with bfloat16
    units: a pass takes 0.085 of them, a clip of 20 steps 2.3 (0.104 and 4.1 in float32), and opening the models for a
    run or a measurement about 5. The frontier, with twelve arms of six runs, is for half a day in the background."""
    full = 57_600 if name == "frontier" else 14_400
    for quick, limit, a_pass, a_clip in ((False, full, 0.085, 2.3), (True, 1_800, 0.104, 4.1)):
        plan = experiment(name, quick)
        clips = sum(count * D / 20 for _, count, D in plan.conditions(end=True)) * len(plan.sample_seeds)
        along = plan.lists[0][1] * plan.D[0] / 20 * (len(plan.moments()) - 1) * len(plan.sample_seeds)
        seconds = a_clip * clips
        for arm in plan.arms:
            training = a_pass * arm.budget + 5
            if len(arm.rates) > 1:
                extra = len(arm.rates) if plan.tuning_seeds else len(arm.rates) - 1
                seconds += 2 * extra * training + 2 * len(arm.rates) * (a_clip * plan.tuning_prompts + 5)
            seconds += len(plan.seeds) * (training + a_clip * (clips + along) + 5 * len(plan.moments()))
        assert seconds < limit, f"{quick}: {seconds:.0f}"


def test_what_is_measured_where() -> None:
    """Along a run the first list; at its end all lists, other numbers of steps on the first list or everywhere."""
    plan = experiment("table1")
    assert plan.conditions(end=False) == [("in_domain", 16, 20)]
    assert plan.conditions() == [
        ("in_domain", 16, 20),
        ("in_domain", 16, 50),
        ("new_animals", 16, 20),
        ("things", 16, 20),
    ]
    assert len(experiment("tableA1").conditions()) == 6


def test_the_methods_have_equal_chances() -> None:
    arms = experiment("fig5a").arms
    assert {arm.name for arm in arms} == {"instructvideo", "draft-1", "rwr", "ddpo", "supervised"}
    assert len({(arm.rates, arm.reward, arm.clips, arm.clip_count) for arm in arms}) == 1 and len(arms[0].rates) >= 3
    assert {arm.key() for arm in arms} == {arm.key() for arm in experiment("table1").arms}, "runs are shared"


def test_an_unknown_experiment() -> None:
    with pytest.raises(InputError, match="no experiment 'fig6'"):
        experiment("fig6")
    with pytest.raises(InputError, match="names that differ"):
        Experiment("x", "", "", (Arm("a"), Arm("a")))
    with pytest.raises(InputError, match="learning rates"):
        Arm("a", rates=())
