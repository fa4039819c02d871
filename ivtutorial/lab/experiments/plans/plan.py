"""What an experiment is, as plain values: its arms, seeds, prompts and budget, and what a training step costs.

The budget of a run is counted in passes of one clip through the UNet: a pass without gradient is 1, one with gradient 3
(the backward pass costs about two forward ones), and 4 where it is recomputed. Arms with the same `budget` cost about
the same time, whatever their method does in a step; what they really took, UNet evaluations and seconds, is measured.
Decoding and rewarding a frame counts as well, as measured: `FRAME_PASSES` with its gradient, a third of it,
`FORWARD_PASSES`, where a method needs none (RWR, DDPO). So do rounds of held-out samples, which early stopping watches.
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

ClipSet = Literal["web", "light", "clean"]
FRAME_PASSES = 0.45  # decoding and rewarding a frame with its gradient (23 ms), in passes of the UNet in bf16 (51 ms)
FORWARD_PASSES = FRAME_PASSES / 3  # without a gradient
FRAMES_OF_A_CLIP = 16
TUNING_SEEDS = (100, 101)  # no run of these is ever reported
TWIN_SEEDS = 10_000  # further on, the seed of a twin's noise
ROUNDS, HELD_OUT = 8, 6  # of samples in a run that may stop early, and their prompts


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
        twin: draw other noise than the arm that is otherwise the same, and nothing else: an A/A arm. What differs
            between the two is what chance alone does.
        runs: at most this many of the experiment's seeds; None for all.
        frame_passes: passes that decoding and rewarding one frame counts as.
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
    twin: bool = False
    runs: int | None = None
    frame_passes: float = FRAME_PASSES
    guards: Guards = field(default_factory=Guards)
    patience: int | None = None
    lora_scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) <= 0:
            raise InputError(f"rates = {self.rates}: expected one or several positive learning rates.")
        self.finetuning(1, 0, self.rates[0], 1)

    def steps(self, points: int) -> int:
        """Training steps within the budget, a multiple of `points`, at least that many."""
        rounds = 0 if self.patience is None else (ROUNDS + 1) * HELD_OUT * self.method.predictions * self.method.D
        return max(1, round((self.budget - rounds) / (self.captions * step_cost(self)) / points)) * points

    def finetuning(
        self, processes: int, seed: int, lr: float, points: int, precision: Precision = "fp32"
    ) -> FinetuneConfig:
        """Settings of a run that leaves `points` checkpoints.

        Raises:
            InputError: processes that cannot share the captions of a step.
        """
        if self.captions % processes:
            raise InputError(f"{self.captions} captions a step cannot be shared by {processes} processes.")
        steps = self.steps(points)
        return FinetuneConfig(
            method=self.method, steps=steps, lr=lr, batch_size=self.captions // processes,
            seed=seed, noise_seed=seed + TWIN_SEEDS if self.twin else None, ema=self.ema,
            warmup=min(10, steps // 4), checkpoint_every=steps // points, keep=points,
            sample_every=0 if self.patience is None else max(1, steps // ROUNDS), patience=self.patience,
            guards=self.guards, precision=precision,
        )  # fmt: skip

    def key(self, *of: Any) -> str:
        """Hash of everything that decides a run but its learning rate and seed, and of whatever else is passed.

        Runs with the same key, rate and seed are shared.
        """
        values = {**asdict(self), "method": [type(self.method).__name__, asdict(self.method)]}
        for name in ("name", "lora_scale", "rates", "runs"):
            del values[name]
        return key(values, *of)[:10]


@dataclass(frozen=True)
class Experiment:
    """A figure or table of the paper.

    Attributes:
        name: what the command line calls it. title: one line. question: what it is to show.
        arms: what is compared; the untouched base model is always measured too.
        seeds: of fine-tuning; at least 3 in full.
        lists: shipped lists of prompts and how many of each, evenly spread; "clips" are the captions of the
            fine-tuning clips.
        panels: how many panels the first list is dealt into; the run with seed s is measured on panel s mod `panels`,
            so that few clips a run reach the whole list. 0: all runs are measured on the same prompts.
        points: measurements along each run, the last one at its end.
        D: DDIM steps at evaluation. Along the runs only the first list is measured, with the first D; at their end
            the other lists, too, and the other D on the first list (with `everywhere` on all).
        everywhere: measure every list with every D at the end.
        sample_seeds: noises for each prompt at evaluation.
        tuning_prompts: how many prompts, of another list, decide on the learning rate.
        tuning_seeds: of the runs that decide on it, which are reported nowhere else.
        tuning_share: share of the budget that these runs take.
        tuned_by: the column that decides on it.
        widen: how many rates may be added where the best one is the smallest or the largest that was tried.
        measured: which of the points are measured, counted from 1; none takes all. The last one always is.
        peak: measure the memory of a step of each arm.
        kind: how it is drawn: "curve" over cost, "bars", or a "strip" of frames, along the run of a single arm or at
            the ends of several, "path", reward against truth, or "frontier", changes over seconds.
        columns: what is drawn.
        quick: made for minutes.
    """

    name: str
    title: str
    question: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    lists: tuple[tuple[str, int], ...] = (("in_domain", 16),)
    panels: int = 0
    points: int = 2
    D: tuple[int, ...] = (20,)
    sample_seeds: tuple[int, ...] = (0,)
    tuning_prompts: int = 8
    tuning_seeds: tuple[int, ...] = TUNING_SEEDS
    tuning_share: float = 1.0
    tuned_by: str = "reward"
    widen: int = 0
    measured: tuple[int, ...] = ()
    peak: bool = False
    kind: Literal["curve", "bars", "strip", "path", "frontier"] = "curve"
    columns: tuple[str, ...] = ("reward",)
    everywhere: bool = False
    quick: bool = False

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if not names or len(set(names)) < len(names):
            raise InputError(f"{self.name}: expected at least one arm, with names that differ, got {names}.")
        if min(len(self.seeds), len(self.lists), len(self.D), len(self.sample_seeds), self.points) < 1:
            raise InputError(f"{self.name}: seeds, lists, D, sample_seeds and points must not be empty.")
        if set(self.seeds) & set(self.tuning_seeds):
            raise InputError(f"{self.name}: seeds {self.seeds} are reported, and {self.tuning_seeds} tune: keep apart.")

    def panel(self, name: str, seed: int) -> int | None:
        """Which panel of a list the run with a seed is measured on; None where all runs see the same prompts."""
        return seed % self.panels if self.panels and name == self.lists[0][0] else None

    def seeds_of(self, arm: Arm) -> tuple[int, ...]:
        """The seeds of an arm's runs."""
        return self.seeds[: arm.runs]

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

    InstructVideo with tau 0.6, D 20, K 1 and guidance: 2 * (11 + 3) = 28, and 4 frames of 0.45; DRaFT-1: 44 and 1.8.
    """
    return arm.method.passes() + arm.guards.passes() + arm.frame_passes * frames_scored(arm.method)


def frames_scored(method: RewardMethod) -> float:
    """Frames that a step decodes and scores for one caption: 4, or 16 where all are scored."""
    return method.scored() * (FRAMES_OF_A_CLIP / method.S if method.selection == "dense" else 1)


def quicker(experiment: Experiment, budget: int, **changes: Any) -> Experiment:
    """The same with another budget for all arms and no search for a learning rate: the middle one is taken."""
    arms = tuple(replace(a, budget=budget, rates=(a.rates[len(a.rates) // 2],), clip_count=90) for a in experiment.arms)
    return replace(experiment, arms=arms, quick=True, **changes)
