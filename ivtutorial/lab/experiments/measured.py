"""What an experiment measured: evaluations at the moments of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ivtutorial.evaluation.table import Evaluation
from ivtutorial.lab.experiments.plans.plan import Arm

Measured = dict[str, Evaluation]  # by "LIST-D"


@dataclass(frozen=True)
class Point:
    """A run at one moment.

    Attributes:
        step: training steps taken. unet_evaluations, reward_calls, seconds: so far.
        evaluations: by "LIST-D".
    """

    step: int
    unet_evaluations: int
    reward_calls: int
    seconds: float
    evaluations: Measured


@dataclass(frozen=True)
class ArmResult:
    """What an arm came to.

    Attributes:
        arm: as planned. lr: learning rate used. tried: learning rate -> reward, where there was a choice.
        runs: seed -> points, the last one at the end.
        looked: learning rate -> column -> mean over the tuning prompts, beside the reward that decides.
        peak_mb: memory of a training step, in 2^20 bytes, see `ivtutorial.lab.experiments.peak`; None if not measured.
        carried: seed -> where a run comes from that was taken over, see `ivtutorial.lab.experiments.carried`.
    """

    arm: Arm
    lr: float
    tried: Mapping[str, float]
    runs: Mapping[int, list[Point]]
    looked: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    peak_mb: float | None = None
    carried: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
