"""What a step costs, what is measured where."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.plans.catalogue import experiment
from ivtutorial.lab.experiments.plans.plan import FRAME_PASSES, Arm, step_cost
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.rivals.ddpo import DDPO
from ivtutorial.rivals.direct_align import DirectAlign
from ivtutorial.rivals.draft import Draft
from ivtutorial.rivals.rwr import RWR
from ivtutorial.rivals.supervised import Supervised
from ivtutorial.training.guards import Guards

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    ("method", "cost"),
    [
        (InstructVideo(), 2 * (11 + 3)),
        (InstructVideo(K=12), 2 * 12 * 3),
        (InstructVideo(K=(0, 5), guidance=1.0), 10 + 2 * 3),
        (Draft(), 2 * (19 + 3)),
        (Draft(variants=2), 2 * (19 + 3 + 6)),
        (Draft(K="uniform", D=5), 2 * (2 + 3 * 3)),
        (RWR(group=2, inner_updates=3, draws=2), 2 * (40 + 18)),
        (DDPO(group=2, inner_updates=1, recompute=False), 2 * 2 * (20 + 60)),
        (DDPO(group=2, inner_updates=2, K=(1, 2)), 2 * 2 * (20 + 4 * 2 * 2)),
        (Supervised(draws=2), 6),
        (DirectAlign(), 2 * 3),
    ],
)
def test_passes_of_a_step_by_hand(method: Any, cost: int) -> None:
    """A pass without gradient 1, with gradient 3, recomputed 4; guidance doubles, a group multiplies."""
    assert step_cost(Arm("a", method, frame_passes=0.0)) == cost
    assert step_cost(Arm("a", method, guards=Guards(data_weight=1.0), frame_passes=0.0)) == cost + 3
    assert step_cost(Arm("a", method, guards=Guards(kl_weight=1.0), frame_passes=0.0)) == cost + 8


@pytest.mark.parametrize(
    ("method", "frames"),
    [
        (InstructVideo(), 4),
        (InstructVideo(selection="dense"), 16),
        (InstructVideo(S=2), 2),
        (Draft(variants=2), 12),
        (RWR(group=3), 3 * 4),
        (DDPO(group=3), 3 * 4),
        (Supervised(), 0),
    ],
)
def test_decoding_and_rewarding_are_paid_for(method: Any, frames: float) -> None:
    """0.45 passes a frame with its gradient: dense rewards cost what they cost."""
    assert step_cost(Arm("a", method)) - method.passes() == pytest.approx(FRAME_PASSES * frames)


def test_rounds_of_held_out_samples_are_paid_for() -> None:
    """Nine rounds of 6 prompts in 40 passes are 2160 of 5722: of 48 steps of 119.2 there are 30 left."""
    plain = Arm("a", budget=5722)
    assert plain.steps(8) == 48 and replace(plain, patience=2).steps(2) == 30


def test_arms_of_one_budget_take_as_many_steps_as_fit() -> None:
    """8000 passes: 8000 / (4 * 28) = 71.4 steps of InstructVideo, rounded to a multiple of 3 points: 72."""
    arm = Arm("a", budget=8000, frame_passes=0.0)
    assert arm.steps(3) == 72 and replace(arm, budget=1).steps(3) == 3
    config = arm.finetuning(2, seed=5, lr=1e-3, points=3)
    assert (config.steps, config.batch_size, config.checkpoint_every, config.keep, config.seed) == (72, 2, 24, 3, 5)
    with pytest.raises(InputError, match="4 captions a step"):
        arm.finetuning(3, 0, 1e-3, 1)


def test_runs_are_shared_by_what_decides_them() -> None:
    """Name and scale at evaluation do not change a run; the method, the clips and the models do."""
    arm = Arm("a")
    assert arm.key("w") == replace(arm, name="b", lora_scale=0.5, runs=3).key("w")
    assert experiment("fig5a").arms[0].key() == experiment("fig9").arms[0].key(), "the rate is in the run's own name"
    others = [replace(arm, method=InstructVideo(tau=0.5)), replace(arm, method=Draft()), replace(arm, clips="clean")]
    assert len({item.key("w") for item in (arm, *others, replace(arm, twin=True))} | {arm.key("v")}) == 6
