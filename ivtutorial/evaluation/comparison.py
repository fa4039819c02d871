"""Before against after: paired differences of two evaluations of the same prompts and seeds.

Prompts differ in difficulty far more than two models differ on one prompt. Pairs that share prompt and noise take
that spread out, so that a small change shows on few clips.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
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
# Who scored and who read, each with the record of its weights.
_WEIGHTS = {"reward": "reward_weights", "judge": "judge_weights"}
# What older evaluations, which do not record it, were made with.
_UNRECORDED = {"precision": "fp32"}


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
        only_before: columns that only the first evaluation has, which are not compared.
        only_after: columns that only the second one has.
        notes: what could not be checked, in sentences.
    """

    columns: Mapping[str, Difference]
    only_before: Sequence[str] = ()
    only_after: Sequence[str] = ()
    notes: Sequence[str] = ()

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
            reward or another number of steps changes every score, whatever the model does. A setting that only one
            of them records differs, with two exceptions for what older evaluations do not record: they were made in
            fp32, and which judge read is unknown, which a note says. A judge on one side only is no difference: no
            column of its own has a partner.

    Returns:
        Paired differences of the reward and of every other number that both have, and the names of the others.

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
    return Comparison(
        {name: _difference_of(name, first.column(name), second.column(name)[order]) for name in shared},
        [name for name in first.numbers if name not in shared],
        [name for name in second.numbers if name not in shared],
        _notes(first.settings, second.settings),
    )


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


def _difference_of(name: str, before: Any, after: Any) -> Difference:
    for side, values in (("before", before), ("after", after)):
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise InputError(f"column {name!r} {side}: {count} of {len(values)} values are not finite numbers.")
    return difference(before, after)


def _effect_size(change: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    mean = float(change.mean())
    std = float(change.std(ddof=1)) if len(change) > 1 else 0.0
    if std > 0:
        return mean / std
    return math.copysign(math.inf, mean) if mean else 0.0


def _check_settings(first: Mapping[str, Any], second: Mapping[str, Any], differing: Collection[str]) -> None:
    known = sorted((first.keys() | second.keys()) - _MODEL - set(_WEIGHTS.values()))
    unknown = sorted(set(differing) - set(known))
    if unknown and known:
        raise InputError(f"no setting {unknown[0]!r} to leave out of the comparison: there are {', '.join(known)}.")
    found = {name: _how_they_differ(name, first, second) for name in known if name not in differing}
    other = [name for name, words in found.items() if words]
    if other:
        named = ", ".join(f"{name} ({found[name]})" for name in other)
        raise InputError(
            f"The two evaluations differ in {named}: their numbers cannot be compared. Evaluate both alike, or name "
            f"what may differ: differing={other!r}, on the command line {' '.join(f'--differing {n}' for n in other)}."
        )


def _how_they_differ(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The two values of a setting in words; "" where they are the same, or cannot be told apart."""
    known = [{**_UNRECORDED, **side} for side in (first, second)]
    if name == "judge" and None in [side.get(name) for side in known]:
        return ""  # read by none, or by one that an older evaluation does not name
    was, now = (side.get(name, "not recorded") for side in known)
    if was != now:
        return f"{was} before, {now} after"
    weights = [str(side.get(_WEIGHTS.get(name, "")) or "") for side in (first, second)]
    precisions = {hashed.partition(" ")[0] for hashed in weights}  # rounded weights have another hash
    if all(weights) and len(set(weights)) == 2 and len(precisions) == 1:
        return f"{was} with weights {weights[0]} before, {weights[1]} after"
    return ""


def _notes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Which of the evaluations do not record their judge; settings that are empty were not written by `evaluate`."""
    silent = [words for side, words in ((first, "before"), (second, "after")) if side and "judge" not in side]
    if not silent or any(side.get("judge", "") is None for side in (first, second)):
        return []
    which = "Neither evaluation records" if len(silent) == 2 else f"The evaluation {silent[0]} does not record"
    return [f"{which} its judge (an older version wrote it): whether the same judge read both is unknown."]


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
