"""What is run, in which order, and what it costs: the blocks of the whole plan, in order of worth.

A block is an experiment, or some of its arms, up to a number of runs. Whatever has been run so far is a valid result
with its own number of runs, and runs are shared, so stopping early loses nothing. Six runs of each are the least that
decides anything; more are added in blocks while an interval is wider than its question can bear (the rule stands in
data/results/questions.json).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ivtutorial.lab.experiments.plans.catalogue import experiment
from ivtutorial.lab.experiments.plans.frontier import QUICK_ARMS
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment, step_cost

A_PASS, A_CLIP = 0.05, 45  # core-seconds of a pass in bf16; passes that sampling and measuring a clip at D = 20 takes
FIRST, MORE = 6, 10


@dataclass(frozen=True)
class Block:
    """A piece of the plan.

    Attributes:
        letter: name. experiment: see `catalogue`. runs: of each arm, up to which the block goes.
        arms: names of those that are run; none for all. claims: what it decides.
    """

    letter: str
    experiment: str
    runs: int
    arms: tuple[str, ...] = ()
    claims: tuple[int, ...] = ()

    def plan(self) -> Experiment:
        """The experiment as far as the block goes."""
        full = experiment(self.experiment)
        arms = tuple(arm for arm in full.arms if not self.arms or arm.name in self.arms)
        return replace(full, arms=arms, seeds=full.seeds[: self.runs])


BLOCKS = (
    Block("A", "fig8", FIRST, claims=(5, 9)),
    Block("B", "fig7", FIRST, claims=(4,)),
    Block("C", "frontier", FIRST, QUICK_ARMS, (10,)),
    Block("C", "late-step", FIRST, claims=(11,)),
    Block("D", "fig5a", FIRST, ("instructvideo", "draft-1", "again"), (1,)),
    Block("E", "tableA1", FIRST, claims=(7,)),
    Block("E", "figA1", FIRST, claims=(7,)),
    Block("F", "fig9", FIRST, claims=(6,)),
    Block("F", "figA7", FIRST, claims=(8,)),
    Block("G", "fig5b", FIRST, claims=(2,)),
    Block("G", "fig5c", FIRST, claims=(3,)),
    Block("H", "fig5a", FIRST, claims=(1,)),
    Block("H", "table1", FIRST, claims=(1,)),
    Block("I", "fig8", MORE, claims=(5, 9)),
    Block("I", "fig7", MORE, claims=(4,)),
    Block("I", "fig5c", MORE, claims=(3,)),
    Block("I", "fig5a", MORE, claims=(1,)),
    Block("J", "guards", FIRST),
    Block("J", "frontier", FIRST, claims=(10,)),
)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What a block adds to what the blocks before it have run.

    Attributes:
        block: which. passes: training, tuning, sampling and measuring, in passes of one clip.
    """

    block: Block
    passes: float

    @property
    def hours(self) -> float:
        """Core-hours at `A_PASS` seconds a pass."""
        return self.passes * A_PASS / 3600


def costs(blocks: Sequence[Block] = BLOCKS) -> list[Cost]:
    """The cost of each block, without what an earlier one has run already."""
    done: set[tuple[object, ...]] = set()
    table = []
    for block in blocks:
        pieces = _pieces(block.plan())
        table.append(Cost(block, sum(passes for piece, passes in pieces.items() if piece not in done)))
        done |= set(pieces)
    return table


def cost_text(table: Sequence[Cost], processes: int = 1) -> str:
    """The costs as lines of text, with sums.

    Args:
        table: of `costs`.
        processes: cores that share the work.
    """
    lines = [f"{'block':6} {'experiment':10} {'runs':>4} {'passes':>10} {'core-hours':>10} {'so far':>7}   decides"]
    total = 0.0
    for cost in table:
        total += cost.hours
        block = cost.block
        claims = ", ".join(f"claim {number}" for number in block.claims) or "-"
        arms = f" ({', '.join(block.arms)})" if block.arms else ""
        lines.append(
            f"{block.letter:6} {block.experiment:10} {block.runs:4} {cost.passes:10,.0f} {cost.hours:10.1f} "
            f"{total:7.1f}   {claims}{arms}"
        )
    wall = f"{total / processes:.0f} hours on {processes} cores" if processes > 1 else f"{total:.0f} hours on one core"
    return "\n".join([*lines, f"At {A_PASS} s a pass of one clip: {wall}. Only an estimate: seconds are measured."])


def _pieces(plan: Experiment) -> dict[tuple[object, ...], float]:
    """Everything that is run once and kept, with its passes: trainings, measurements of runs and of the base model."""
    pieces: dict[tuple[object, ...], float] = {}
    for arm in plan.arms:
        if len(arm.rates) > 1:
            rates = [rate for rate in arm.rates for _ in plan.tuning_seeds]
            tuned = plan.tuning_share * _training(plan, arm) + plan.tuning_prompts * A_CLIP
            pieces["tuning", arm.key(), plan.tuning_share] = tuned * (len(rates) + plan.widen)
        for seed in plan.seeds_of(arm):
            pieces["run", arm.key(), plan.points, seed] = _training(plan, arm)
            for moment in plan.moments():
                for condition, passes in _measured(plan, seed, moment == plan.points):
                    pieces["look", arm.key(), arm.lora_scale, seed, moment, condition] = passes
    for seed in plan.seeds:
        for condition, passes in _measured(plan, seed, True):
            pieces["base", condition] = passes
    return pieces


def _training(plan: Experiment, arm: Arm) -> float:
    return arm.captions * step_cost(arm) * arm.steps(plan.points)


def _measured(plan: Experiment, seed: int, end: bool) -> list[tuple[tuple[object, ...], float]]:
    rows: list[tuple[tuple[object, ...], float]] = []
    for name, count, D in plan.conditions(end):
        panel = plan.panel(name, seed)
        rows.append(((name, count, D, panel), count * len(plan.sample_seeds) * A_CLIP * D / 20))
    return rows
