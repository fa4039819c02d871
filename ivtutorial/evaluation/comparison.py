"""Before against after: paired differences of two evaluations of the same prompts and seeds.

Prompts differ in difficulty far more than two models differ on one prompt. Pairs that share prompt and noise take
that spread out, so that a small change shows on few clips.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import bootstrap_interval
from ivtutorial.evaluation.table import Evaluation
from ivtutorial.system.files import plain_json

# What a comparison is about, and what changes speed only.
_MODEL = {"model", "lora", "lora_scale", "batch_size"}


@dataclass(frozen=True)
class Difference:
    """What changed in one column.

    Attributes:
        before: mean of the first evaluation.
        after: mean of the second.
        mean: mean of the paired differences, after - before.
        low: lower end of the bootstrap 95 % interval of that mean.
        high: upper end.
        effect_size: mean difference in standard deviations of the differences (Cohen's d_z); infinite if all
            differences are equal and not 0.
        wins: share of the pairs in which `after` is larger; a tie counts half.
        n: pairs.
    """

    before: float
    after: float
    mean: float
    low: float
    high: float
    effect_size: float
    wins: float
    n: int

    @property
    def bars(self) -> list[list[float]]:
        """How far the interval reaches below and above the mean, never negative: matplotlib's `yerr` of one point."""
        return [[max(self.mean - self.low, 0.0)], [max(self.high - self.mean, 0.0)]]


@dataclass(frozen=True)
class Comparison:
    """Differences of every number that both evaluations have.

    Attributes:
        columns: column name -> difference; "reward" is always there.
    """

    columns: Mapping[str, Difference]

    @property
    def reward(self) -> Difference:
        """The difference in reward."""
        return self.columns["reward"]

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain numbers for JSON; what is not finite becomes None."""
        return {name: plain_json(asdict(difference)) for name, difference in self.columns.items()}


def compare(
    before: Evaluation | str | Path, after: Evaluation | str | Path, differing: Collection[str] = ()
) -> Comparison:
    """Compare two evaluations pair by pair.

    Args:
        before: an `Evaluation`, or the folder `evaluate` wrote.
        after: the same prompts and seeds with another model or adapter.
        differing: names of further settings that may differ, such as "D". All others must be the same: another
            reward or another number of steps changes every score, whatever the model does.

    Returns:
        Paired differences of the reward and of every other number that both have.

    Raises:
        InputError: no such evaluation, other prompts or seeds, other settings, or an unknown name in `differing`.

    Example:
        >>> compare("runs/a/before", "runs/a/after").reward.low > 0  # doctest: +SKIP
        True
    """
    first, second = (side if isinstance(side, Evaluation) else Evaluation.load(side) for side in (before, after))
    order = _matching(first, second)
    _check_settings(first.settings, second.settings, differing)
    shared = [name for name in first.numbers if name in second.numbers]
    return Comparison({name: difference(first.column(name), second.column(name)[order]) for name in shared})


def difference(before: Any, after: Any) -> Difference:
    """Paired difference of two rows of n >= 1 numbers.

    Raises:
        InputError: rows of different length, or numbers that are not finite.

    Example:
        >>> difference([1.0, 2.0], [2.0, 4.0]).mean
        1.5
    """
    a, b = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"{a.shape} numbers before and {b.shape} after: pairs need one of each.")
    change = b - a
    low, high = bootstrap_interval(change.tolist())
    wins = ((change > 0) + 0.5 * (change == 0)).mean()
    return Difference(
        float(a.mean()), float(b.mean()), float(change.mean()), low, high, _effect_size(change), float(wins), len(a)
    )


def _effect_size(change: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    mean = float(change.mean())
    std = float(change.std(ddof=1)) if len(change) > 1 else 0.0
    if std > 0:
        return mean / std
    return math.copysign(math.inf, mean) if mean else 0.0


def _check_settings(first: Mapping[str, Any], second: Mapping[str, Any], differing: Collection[str]) -> None:
    known = sorted((first.keys() & second.keys()) - _MODEL)
    unknown = sorted(set(differing) - set(known))
    if unknown and known:
        raise InputError(f"no setting {unknown[0]!r} to leave out of the comparison: there are {', '.join(known)}.")
    other = [name for name in known if first[name] != second[name] and name not in differing]
    if other:
        named = ", ".join(f"{name} ({first[name]} before, {second[name]} after)" for name in other)
        raise InputError(
            f"The two evaluations differ in {named}: their numbers cannot be compared. Evaluate both alike, or name "
            f"what may differ: differing={other!r}, on the command line {' '.join(f'--differing {n}' for n in other)}."
        )


def _matching(first: Evaluation, second: Evaluation) -> list[int]:
    """Where in `second` the clips of `first` are."""
    positions = {key: position for position, key in enumerate(second.keys)}
    if set(positions) != set(first.keys):
        strange = sorted(set(positions) ^ set(first.keys))[0]
        raise InputError(
            f"The two evaluations are not of the same prompts and seeds: only one has prompt {strange[0]} "
            f"({strange[1]!r}) with seed {strange[2]}. Evaluate both with the same list and seeds."
        )
    return [positions[key] for key in first.keys]
