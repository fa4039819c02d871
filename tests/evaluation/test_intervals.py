"""Means and their bootstrap intervals, against known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import bootstrap_interval, estimate


def test_the_bootstrap_agrees_with_the_normal_interval() -> None:
    """For 400 normal numbers the 95 % interval of the mean is +- 1.96 s / 20, to a few per cent."""
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = bootstrap_interval(values.tolist())
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.06 * half)
    narrow = bootstrap_interval(values.tolist(), level=0.5)
    assert low < narrow[0] < narrow[1] < high
    assert bootstrap_interval(values.tolist()) == (low, high)


def test_estimate_of_one_and_of_two_numbers() -> None:
    """Standard deviation with divisor n - 1: of 1 and 3 it is sqrt(2)."""
    one, two = estimate([2.0]), estimate([1.0, 3.0])
    assert (one.mean, one.std, one.low, one.high, one.n) == (2.0, 0.0, 2.0, 2.0, 1)
    assert two.std == pytest.approx(2**0.5) and (two.low, two.high) == (1.0, 3.0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_numbers_that_have_no_mean(values: list[float]) -> None:
    with pytest.raises(InputError, match="finite number"):
        estimate(values)
