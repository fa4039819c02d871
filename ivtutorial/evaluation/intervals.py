"""Means with their uncertainty: what every table of results is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivtutorial.errors import InputError

RESAMPLES, _CHUNK = 4000, 500


@dataclass(frozen=True)
class Estimate:
    """A mean over clips.

    Attributes:
        mean: of the values.
        std: standard deviation of the values (divisor n - 1), the +- of the paper's tables; 0 for a single value.
        low: lower end of the bootstrap 95 % interval of the mean.
        high: upper end.
        n: number of values.
    """

    mean: float
    std: float
    low: float
    high: float
    n: int


def bootstrap_interval(values: Sequence[float], level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean.

    The values are drawn anew with replacement 4000 times; the interval holds the middle `level` of the means.

    Args:
        values: n >= 1 numbers.
        level: 0 < level < 1.
        seed: of the draws; the same values and seed give the same interval.

    Returns:
        Lower and upper end.

    Raises:
        InputError: no values, one that is not a finite number, or a level out of range.

    Example:
        >>> bootstrap_interval([1.0, 1.0, 1.0])
        (1.0, 1.0)
    """
    data = _numbers(values)
    if not 0 < level < 1:
        raise InputError(f"level = {level}: expected a number between 0 and 1, such as 0.95.")
    rng = np.random.default_rng(seed)
    draws = [data[rng.integers(len(data), size=(_CHUNK, len(data)))].mean(axis=1) for _ in range(RESAMPLES // _CHUNK)]
    low, high = np.quantile(np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, standard deviation and bootstrap 95 % interval of n >= 1 numbers.

    Raises:
        InputError: no values, or one that is not a finite number.
    """
    data = _numbers(values)
    std = float(data.std(ddof=1)) if len(data) > 1 else 0.0
    return Estimate(float(data.mean()), std, *bootstrap_interval(values), len(data))


def _numbers(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    data = np.asarray(values, dtype=np.float64).reshape(-1)
    if not len(data) or not np.isfinite(data).all():
        raise InputError(
            f"expected at least one finite number, got {len(data)}, {int(np.isnan(data).sum())} of them NaN."
        )
    return data
