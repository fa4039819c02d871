"""Every experiment can be planned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ivtutorial.data.prompts import shipped_prompts
from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.measuring import prompts_of
from ivtutorial.lab.experiments.plans.blocks import BLOCKS, cost_text, costs
from ivtutorial.lab.experiments.plans.catalogue import EXPERIMENTS, REFERENCE, USUAL, experiment, methods
from ivtutorial.lab.experiments.plans.clip_sets import clips_of_prompts
from ivtutorial.lab.experiments.plans.late_step import FIFTH, LATE
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment, step_cost
from ivtutorial.rivals.quick_edit import QuickEdit


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_can_be_planned(name: str, quick: bool) -> None:
    """At least six seeds in full, budgets that steps fill, plain values, and processes that can share a step."""
    plan = experiment(name.upper(), quick)
    assert plan.name == name and plan.quick == quick and json.dumps(plan.to_dict())
    assert quick or len(plan.seeds) >= 6 and not set(plan.seeds) & set(plan.tuning_seeds)
    for arm in plan.arms:
        spent = arm.captions * step_cost(arm) * arm.steps(plan.points)
        assert arm.patience is not None or 0.6 * arm.budget < spent < 1.6 * arm.budget, arm.name
        assert all(arm.captions % processes == 0 for processes in (1, 2))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_quick_version_takes_a_quarter_of_an_hour(name: str) -> None:
    """On two cores, 1,800 CPU-seconds in float32: a pass takes 0.104 of them, a clip of 20 steps 4.1, and opening the
    models for a run or a measurement about 5."""
    plan = experiment(name, quick=True)
    clips = sum(count * D / 20 for _, count, D in plan.conditions(end=True)) * len(plan.sample_seeds)
    along = plan.lists[0][1] * plan.D[0] / 20 * (len(plan.moments()) - 1) * len(plan.sample_seeds)
    seconds = 4.1 * clips
    for arm in plan.arms:
        assert len(arm.rates) == 1
        training = 0.104 * arm.captions * step_cost(arm) * arm.steps(plan.points) + 5
        seconds += len(plan.seeds) * (training + 4.1 * (clips + along) + 5 * len(plan.moments()))
    assert seconds < 1_800, f"{seconds:.0f}"


def test_what_is_measured_where() -> None:
    """Along a run the first list; at its end all lists, other numbers of steps on the first list."""
    plan = experiment("table1")
    assert plan.conditions(end=False) == [("in_domain", 16, 20)]
    assert plan.conditions() == [("in_domain", 16, 20), ("new_animals", 16, 20), ("things", 16, 20)]
    assert experiment("tableA1").conditions() == [("in_domain", 16, 20), ("in_domain", 16, 50)]


def test_the_methods_have_equal_chances() -> None:
    """The same rates, reward and clips; RWR and DDPO may spend eight times what 24 steps of InstructVideo cost."""
    arms = {arm.name: arm for arm in methods()}
    assert set(arms) == {"instructvideo", "draft-1", "rwr", "ddpo", "supervised"}
    assert len({(arm.rates, arm.reward, arm.clips, arm.clip_count) for arm in arms.values()}) == 1
    one = arms["instructvideo"]
    quarter = 24 * one.captions * step_cost(one)
    assert one.steps(8) == 96 and all(
        arms[name].budget == pytest.approx(8 * quarter, rel=1e-3) for name in ("rwr", "ddpo")
    )


def test_one_reference_is_run_once() -> None:
    """Eight experiments hold the very same arm, whatever they call it; its twin differs in the noise alone."""
    shared = [n for n in EXPERIMENTS if any(arm.key() == REFERENCE.key() for arm in experiment(n).arms)]
    assert set(shared) == {"fig5a", "fig5b", "fig7", "fig8", "fig9", "table1", "tableA1", "figA1", "figA7"}
    assert len({experiment(name).points for name in shared}) == 1, "and its checkpoints are the same"
    twin, usual = (replace(USUAL, twin=twin).finetuning(1, 3, 1e-3, 8).to_dict() for twin in (True, False))
    assert {name for name in twin if twin[name] != usual[name]} == {"noise_seed"}


def test_sixteen_runs_see_the_whole_list() -> None:
    """Panels share no prompt, and hold 256 of the 270; the run with seed 17 sees what that with seed 1 saw."""
    plan = experiment("fig8")
    panels = [prompts_of(plan, "in_domain", 16, plan.panel("in_domain", seed)) for seed in plan.seeds]
    assert len({prompt.text for panel in panels for prompt in panel}) == 256 == sum(map(len, panels))
    assert plan.panel("in_domain", 17) == 1 and plan.panel("things", 1) is None
    species = {str((prompt.facts or {})["subject"]) for prompt in panels[0]}
    assert len(species) >= 12, "a panel is spread over the species"


def test_the_late_step_is_read_on_prompts_of_its_own() -> None:
    """A fifth of the paper's budget and all of it, through t = 51 alone; at the end 96 prompts that are no others'."""
    plan = experiment("late-step")
    passes = {arm.name: arm.captions * step_cost(arm) * arm.steps(plan.points) for arm in plan.arms}
    assert passes[FIFTH] / passes["paper"] < 0.2 and passes[LATE] == pytest.approx(passes["paper"], rel=0.05)
    assert all(arm.method.steps == 1 for arm in plan.arms if isinstance(arm.method, QuickEdit))
    along, others = ({prompt.text for prompt in prompts_of(plan, name, count)} for name, count, _ in plan.conditions())
    assert plan.conditions(end=False) == [("in_domain", 24, 20)] and len(others) == 96 and not along & others
    assert others <= {prompt.text for prompt in shipped_prompts("in_domain")}
    assert plan.arms[0].key() == experiment("frontier").arms[0].key(), "the paper's runs are the frontier's"


def test_captions_of_clips_are_prompts_with_their_facts(tmp_path: Path) -> None:
    prompts = prompts_of(experiment("fig9"), "clips", 5)
    clips = clips_of_prompts("web", 5, tmp_path)
    assert [prompt.text for prompt in prompts] == [clip.caption for clip in clips]
    assert all(str((p.facts or {})["subject"]).split()[-1] in str(c.path) for p, c in zip(prompts, clips, strict=True))


def test_blocks_of_the_plan() -> None:
    """Every experiment and claim has its block; nothing is paid twice; the first days decide most claims."""
    table = costs()
    assert {cost.block.experiment for cost in table} == set(EXPERIMENTS)
    assert {claim for cost in table for claim in cost.block.claims} == set(range(1, 12))
    assert costs([BLOCKS[0], BLOCKS[0]])[1].passes == 0
    for cost in table:
        assert cost.block.runs >= 6 and set(cost.block.arms) <= {
            arm.name for arm in experiment(cost.block.experiment).arms
        }
    assert sum(cost.hours for cost in table) < 50 and sum(cost.hours for cost in table[:10]) < 20
    reference = 96 * 4 * (28 + 1.8) + 6 * 16 * 45 + 16 * 45
    assert table[0].passes == pytest.approx(6 * reference, rel=0.01), "training, six moments, the base model once"
    assert "core-hours" in cost_text(table) and "claim 10" in cost_text(table)


def test_an_unknown_experiment() -> None:
    with pytest.raises(InputError, match="no experiment 'fig6'"):
        experiment("fig6")
    with pytest.raises(InputError, match="names that differ"):
        Experiment("x", "", "", (Arm("a"), Arm("a")))
    with pytest.raises(InputError, match="learning rates"):
        Arm("a", rates=())
    with pytest.raises(InputError, match="keep apart"):
        Experiment("x", "", "", (Arm("a"),), seeds=(100,))
