"""What an experiment is, as plain values: its arms, seeds, prompts and budget, and what a training step costs.

The budget of a run is counted in passes of one clip through the UNet: a pass without gradient is 1, one with gradient 3
(the backward pass costs about two forward ones), and 4 where it is recomputed. Arms with the same `budget` cost about
the same time, whatever their method does in a step; what they really took, UNet evaluations and seconds, is measured.
Where methods differ in the frames they score, decoding and rewarding counts, too: `frame_passes` a frame.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.settings import RewardMethod
from ivtutorial.models.memory import Precision
from ivtutorial.system.files import key
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.guards import Guards

ClipSet = Literal["web", "clean"]


@dataclass(frozen=True)
class Arm:
    """One line of a plot or row of a table: a way to fine-tune.

    Attributes:
        name: in file names and legends.
        method: and its settings.
        budget: passes of a run, see the module.
        rates: learning rates to try; with several, the first two seeds of each decide.
        captions: clips or captions a step, over all processes.
        reward: image reward to fine-tune on, by name.
        clips: which clips to fine-tune on. clip_count: how many of them.
        ema: see `ivtutorial.training.config.FinetuneConfig`.
        accumulation: passes that make a step. Two in place of one change nothing but the noise that is drawn, which
            makes an A/A arm: what differs between it and its twin is what chance alone does.
        frame_passes: passes that decoding and rewarding one frame, with its gradient, counts as.
        guards: further terms of the loss, see `ivtutorial.training.guards`.
        patience: rounds of held-out samples without a better reward after which a run stops; None never.
        lora_scale: how much of the adapter is used at evaluation.
    """

    name: str
    method: RewardMethod = field(default_factory=InstructVideo)
    budget: int = 2_800
    rates: tuple[float, ...] = (2e-3,)
    captions: int = 4
    reward: str = "reduced"
    clips: ClipSet = "web"
    clip_count: int = 225
    ema: float = 0.0
    accumulation: int = 1
    frame_passes: float = 0.0
    guards: Guards = field(default_factory=Guards)
    patience: int | None = None
    lora_scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) <= 0:
            raise InputError(f"rates = {self.rates}: expected one or several positive learning rates.")
        self.finetuning(1, 0, self.rates[0], 1)

    def steps(self, points: int) -> int:
        """Training steps within the budget, a multiple of `points`, at least that many."""
        return max(1, round(self.budget / (self.captions * step_cost(self)) / points)) * points

    def finetuning(
        self, processes: int, seed: int, lr: float, points: int, precision: Precision = "fp32"
    ) -> FinetuneConfig:
        """Settings of a run that leaves `points` checkpoints.

        Raises:
            InputError: processes that cannot share the captions of a step.
        """
        if self.captions % (processes * self.accumulation):
            split = f"{processes} processes" + (f" in {self.accumulation} passes" if self.accumulation > 1 else "")
            raise InputError(f"{self.captions} captions a step cannot be shared by {split}.")
        steps = self.steps(points)
        return FinetuneConfig(
            method=self.method, steps=steps, lr=lr, batch_size=self.captions // (processes * self.accumulation),
            accumulation=self.accumulation, seed=seed, ema=self.ema,
            warmup=min(10, steps // 4), checkpoint_every=steps // points, keep=points,
            sample_every=0 if self.patience is None else max(1, steps // 8), patience=self.patience,
            guards=self.guards, precision=precision,
        )  # fmt: skip

    def key(self, *of: Any) -> str:
        """Hash of everything that decides a run but its learning rate and seed, and of whatever else is passed.

        Runs with the same key, rate and seed are shared.
        """
        values = {**asdict(self), "method": [type(self.method).__name__, asdict(self.method)]}
        for name in ("name", "lora_scale", "rates"):
            del values[name]
        return key(values, *of)[:10]


@dataclass(frozen=True)
class Experiment:
    """A figure or table of the paper.

    Attributes:
        name: what the command line calls it. title: one line. question: what it is to show.
        arms: what is compared; the untouched base model is always measured too.
        seeds: of fine-tuning; at least 3 in full.
        lists: shipped lists of prompts and how many of each, evenly spread.
        points: measurements along each run, the last one at its end.
        D: DDIM steps at evaluation. Along the runs only the first list is measured, with the first D; at their end
            the other lists, too, and the other D on the first list (with `everywhere` on all).
        everywhere: measure every list with every D at the end.
        sample_seeds: noises for each prompt at evaluation.
        tuning_prompts: how many prompts, of another list, decide on the learning rate.
        tuning_seeds: of the runs that decide on it; none takes the first two of `seeds`.
        widen: how many rates may be added where the best one is the smallest or the largest that was tried.
        measured: which of the points are measured, counted from 1; none takes all. The last one always is.
        peak: measure the memory of a step of each arm.
        kind: how it is drawn: "curve" over cost, "bars", or a "strip" of frames, along the run of a single arm or at
            the ends of several, or "frontier", changes over seconds.
        columns: what is drawn.
        quick: made for minutes.
    """

    name: str
    title: str
    question: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    lists: tuple[tuple[str, int], ...] = (("in_domain", 16),)
    points: int = 2
    D: tuple[int, ...] = (20,)
    sample_seeds: tuple[int, ...] = (0,)
    tuning_prompts: int = 8
    tuning_seeds: tuple[int, ...] = ()
    widen: int = 0
    measured: tuple[int, ...] = ()
    peak: bool = False
    kind: Literal["curve", "bars", "strip", "frontier"] = "curve"
    columns: tuple[str, ...] = ("reward",)
    everywhere: bool = False
    quick: bool = False

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if not names or len(set(names)) < len(names):
            raise InputError(f"{self.name}: expected at least one arm, with names that differ, got {names}.")
        if min(len(self.seeds), len(self.lists), len(self.D), len(self.sample_seeds), self.points) < 1:
            raise InputError(f"{self.name}: seeds, lists, D, sample_seeds and points must not be empty.")

    def moments(self) -> tuple[int, ...]:
        """The points that are measured, from 1 to `points`."""
        return tuple(sorted({*(self.measured or range(1, self.points + 1)), self.points}))

    def conditions(self, end: bool = True) -> list[tuple[str, int, int]]:
        """(list, prompts, D) of what is measured at the end of a run, or along it."""
        every = [(name, count, D) for name, count in self.lists for D in self.D]
        first, least = self.lists[0][0], self.D[0]
        if not end:
            return every[:1]
        return [(name, count, D) for name, count, D in every if self.everywhere or name == first or least == D]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the name of each method."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for row, arm in zip(values["arms"], self.arms, strict=True):
            row["method"] = {"name": type(arm.method).__name__, **row["method"]}
            row["cost_of_a_step"] = arm.captions * step_cost(arm)
        return values


def step_cost(arm: Arm) -> float:
    """Passes that one caption costs in a training step, see the module.

    InstructVideo with tau 0.6, D 20, K 1 and guidance: 2 * (11 + 3) = 28; DRaFT-1: 2 * (19 + 3) = 44.
    """
    frames = arm.frame_passes * arm.method.scored() if arm.frame_passes else 0
    return arm.method.passes() + arm.guards.passes() + frames


def quicker(experiment: Experiment, budget: int, **changes: Any) -> Experiment:
    """The same with another budget for all arms and no search for a learning rate: the middle one is taken."""
    arms = tuple(replace(a, budget=budget, rates=(a.rates[len(a.rates) // 2],), clip_count=90) for a in experiment.arms)
    return replace(experiment, arms=arms, quick=True, **changes)
