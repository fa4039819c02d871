"""The paper's nine claims as conditions on the results of experiments.

A condition is a paired change with its bootstrap 95 % interval (see `results`). It holds if its whole interval lies on
the claimed side of 0, fails if it lies on the other side, and is open if it holds 0. Conditions about the course of a
run have one number a seed of fine-tuning, and stay open with fewer than three.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ivtutorial.evaluation.comparison import Difference, difference
from ivtutorial.lab.experiments.answers.results import paired

Result = Mapping[str, Any]
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Condition:
    """One thing a claim says, with its number.

    Attributes:
        text: in words. low, mean, high: of the change that should be above 0.
    """

    text: str
    low: float
    mean: float
    high: float

    @property
    def holds(self) -> bool | None:
        """True, False, or None where the interval holds 0."""
        return True if self.low > 0 else False if self.high < 0 else None

    def __str__(self) -> str:
        sign = {True: "yes", False: "no", None: "open"}[self.holds]
        width = self.high - self.low
        # as many decimals as give the interval's width two digits: more would claim what was not measured
        digits = min(max(1 - math.floor(math.log10(width)), 0), 7) if 0 < width < math.inf else 4
        mean, low, high = (f"{x:+.{digits}f}" for x in (self.mean, self.low, self.high))
        return f"{self.text}: {sign} ({mean}, {low} to {high})"


@dataclass(frozen=True)
class Rule:
    """A claim of the paper, and how results decide on it.

    Attributes:
        number: of section 6 of the summary of the paper. text: what the paper says. source: figure or table.
        needs: names of the experiments. conditions: from their results to what must hold.
    """

    number: int
    text: str
    source: str
    needs: tuple[str, ...]
    conditions: Callable[..., list[Condition]]


def higher(
    result: Result, first: str, second: str, column: str = "reward", text: str = "", where: str | None = None
) -> Condition:
    """`second` has more of a column than `first`."""
    return _condition(text or f"{column} of {second} above {first}", paired(result, first, second, column, where))


def lower(result: Result, first: str, second: str, column: str, text: str = "", where: str | None = None) -> Condition:
    """`second` has less of a column than `first`."""
    return _condition(text or f"{column} of {second} below {first}", paired(result, second, first, column, where))


def _condition(text: str, d: Difference) -> Condition:
    return Condition(text, d.low, d.mean, d.high)


def _over_seeds(text: str, values: Sequence[float]) -> Condition:
    """A number of each seed of fine-tuning that should be above 0; the interval is bootstrapped over the seeds."""
    condition = _condition(text, difference([0.0] * len(values), list(values)))
    return condition if len(values) >= LEAST_SEEDS else replace(condition, low=-math.inf, high=math.inf)


def _curves(result: Result, arm: str, column: str = "reward") -> list[list[tuple[float, float, float]]]:
    """For each seed: (UNet evaluations, seconds, column) from the untouched model to the end."""
    where = next(iter(result["base"]))
    before = result["base"][where][column]["mean"]
    points = result["arms"][arm]["curve"]
    seeds = sorted({p["seed"] for p in points})
    return [
        [(0.0, 0.0, before), *((p["unet_evaluations"], p["seconds"], p[column]) for p in points if p["seed"] == seed)]
        for seed in seeds
    ]


def _best(result: Result, arm: str) -> list[float]:
    return [max(value for _, _, value in line) for line in _curves(result, arm)]


def _late_gains(result: Result, arm: str) -> list[float]:
    """Gain of the last stretch of a run over an equal share of its whole gain: below 0 the curve levels off."""
    gains = []
    for line in _curves(result, arm):
        (x0, _, y0), (x1, _, y1), (x2, _, y2) = line[0], line[-2], line[-1]
        gains.append((y2 - y1) - (y2 - y0) * (x2 - x1) / (x2 - x0))
    return gains


def _speed(result: Result, arm: str) -> list[float]:
    """Reward gained for each second of training, by seed."""
    return [(line[-1][2] - line[0][2]) / max(line[-1][1], 1e-9) for line in _curves(result, arm)]


def _minus(first: Sequence[float], second: Sequence[float]) -> list[float]:
    return [float(a - b) for a, b in zip(first, second, strict=True)]


def _methods(r: Result) -> list[Condition]:
    rivals = [name for name in ("rwr", "ddpo", "draft-1") if name in r["arms"]]
    rewards = [higher(r, name, "instructvideo") for name in rivals]
    levels = [
        _over_seeds(f"{name} levels off", [-gain for gain in _late_gains(r, name)])
        for name in rivals
        if name != "draft-1"
    ]
    speed = _speed(r, "instructvideo")
    return [
        *rewards,
        *levels,
        *(_over_seeds(f"gain a second above {n}'s", _minus(speed, _speed(r, n))) for n in rivals),
    ]


def _noise_levels(r: Result) -> list[Condition]:
    best = {tau: _best(r, f"tau-{tau}") for tau in (0.1, 0.3, 0.5)}
    falls = [line[1][2] - line[-1][2] for line in _curves(r, "tau-0.1")]
    speeds = {tau: _speed(r, f"tau-{tau}") for tau in (0.6, 0.9)}
    return [
        _over_seeds("best reward of tau 0.5 above 0.3", _minus(best[0.5], best[0.3])),
        _over_seeds("best reward of tau 0.3 above 0.1", _minus(best[0.3], best[0.1])),
        _over_seeds("tau 0.1 ends below its first measurement", falls),
        _over_seeds("gain a second of tau 0.6 above 0.9", _minus(speeds[0.6], speeds[0.9])),
    ]


def _attenuation(r: Result) -> list[Condition]:
    return [higher(r, f"lambda-{x}", "lambda-1.0") for x in (0.5, 2.0)]


def _time(r: Result) -> list[Condition]:
    columns = ("warp_error", "flicker", "travel_error")
    return [lower(r, other, "segvr-tar", column) for other in ("dense", "mean") for column in columns]


def _evolution(r: Result) -> list[Condition]:
    return [
        higher(r, "base", "instructvideo", "sharpness"),
        higher(r, "base", "instructvideo", "colourfulness"),
        lower(r, "base", "instructvideo", "watermark"),
    ]


def _data_quality(r: Result) -> list[Condition]:
    where = next(iter(r["base_values"]))
    values = np.asarray(r["arms"]["web"]["values"][where]["reward"])
    above = difference([r["data"]["web"]["mean"]] * len(values), values.tolist())
    return [_condition("samples above the reward of their own clips", above), higher(r, "web", "clean")]


def _longer_chains(a: Result, b: Result) -> list[Condition]:
    speed = _minus(_speed(b, "tuned-D20"), _speed(b, "tuned-D50"))
    return [
        higher(
            a, "base", "instructvideo", "reward", "tuned at D = 20, sampled at D = 50: above untouched", "in_domain-50"
        ),
        higher(b, "base", "tuned-D50", "reward", "tuning at D = 50 raises the reward"),
        _over_seeds("gain a second of D = 20 above D = 50", speed),
    ]


def _another_reward(r: Result) -> list[Condition]:
    return [
        higher(r, "base", "vivid", "sharpness", "the other reward's own aim: sharpness rises"),
        higher(r, "base", "vivid", "colourfulness", "and colourfulness"),
        higher(r, "reduced", "vivid", "colourfulness", "with another style: more colourful than the first reward's"),
    ]


def _over_optimised(r: Result) -> list[Condition]:
    return [
        higher(r, "base", "plain", "reward", "the reward rises"),
        lower(r, "base", "plain", "subject", "while the judge reads fewer subjects rightly"),
    ]


RULES = (
    Rule(1, "RWR and DDPO plateau early, DRaFT and InstructVideo keep rising, InstructVideo is fastest", "Fig. 5a",
          ("fig5a",), _methods),
    Rule(2, "higher tau reaches a higher best, low tau collapses; above 0.6 the gain per hour shrinks", "Fig. 5b",
          ("fig5b",), _noise_levels),
    Rule(3, "lambda = 1 is best: 0.5 destabilises, 2 gives a weak signal", "Fig. 5c", ("fig5c",), _attenuation),
    Rule(4, "without SegVR (dense) or TAR (mean) the modelling of time suffers", "Fig. 7", ("fig7",), _time),
    Rule(5, "detail and colour improve along the run, the watermark fades", "Fig. 8", ("fig8",), _evolution),
    Rule(6, "samples pass the reward of the fine-tuning clips; better clips give more", "Fig. 9", ("fig9",),
          _data_quality),
    Rule(7, "tuned at D = 20 it helps at D = 50; tuning at D = 50 works but is less efficient", "Table A.1, Fig. A.1",
          ("tableA1", "figA1"), _longer_chains),
    Rule(8, "another reward works as well, with another style", "Fig. A.7", ("figA7",), _another_reward),
    Rule(9, "long training over-optimises: reward up, looks down", "text", ("guards",), _over_optimised),
)  # fmt: skip
