"""Means and their bootstrap intervals, against known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import bootstrap_interval, estimate, student, two_way


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


@pytest.mark.parametrize(
    ("df", "t"), [(1, 12.7062), (2, 4.3027), (5, 2.5706), (10, 2.2281), (30, 2.0423), (1e6, 1.9601)]
)
def test_students_t_as_in_the_tables(df: float, t: float) -> None:
    assert student(0.95, df) == pytest.approx(t, rel=2e-4)


def test_two_way_interval_by_hand() -> None:
    """Y = [[1, 2], [3, 6]]: means over runs 2, 4 (variance 2), over prompts 1.5, 4.5 (variance 4.5); v = 1 + 2.25,
    nu = 3.25^2 / (1 + 2.25^2) = 1.742."""
    result = two_way([[1.0, 2.0], [3.0, 6.0]])
    assert (result.mean, result.runs, result.prompts) == (3.0, 2, 2)
    assert result.df == pytest.approx(3.25**2 / (1 + 2.25**2))
    assert result.high - 3.0 == pytest.approx(student(0.95, result.df) * 3.25**0.5)
    assert 3.0 - result.low90 == pytest.approx(student(0.90, result.df) * 3.25**0.5)


def test_equal_values_have_no_width() -> None:
    result = two_way([[1.0, 1.0], [1.0, 1.0]])
    assert (result.low, result.mean, result.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(("R", "P", "least"), [(3, 16, 0.91), (6, 24, 0.933), (12, 32, 0.933)])
@pytest.mark.parametrize(("run", "both"), [(1.0, 0.5), (0.2, 1.0)])
def test_two_way_intervals_cover_the_truth_where_runs_and_prompts_are_drawn(
    R: int, P: int, least: float, run: float, both: float
) -> None:
    """1500 experiments with effects of the run, of the prompt and of the two together; the truth is 0. Three standard
    deviations of a share of .95 are .017; too wide by design, so the upper bound is loose. Three runs fall short, of
    20,000 experiments 92.8 % are covered: hence no verdict below six. An interval over prompts of averages over the
    runs misses: it takes the runs as given."""
    rng, covered, few = np.random.default_rng(0), 0, 0
    for _ in range(1500):
        Y = run * rng.normal(size=(R, 1)) + rng.normal(size=(1, P)) + both * rng.normal(size=(R, P))
        result = two_way(Y.tolist())
        covered += result.low <= 0 <= result.high
        half = student(0.95, P - 1) * Y.mean(axis=0).std(ddof=1) / P**0.5
        few += abs(Y.mean()) <= half
    assert least < covered / 1500 < 0.995
    if run == 1.0:
        assert few / 1500 < 0.9


@pytest.mark.parametrize("values", [[[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 2.0], [1.0]], [[1.0, math.nan], [0.0, 1.0]]])
def test_what_has_no_two_way_interval(values: list[list[float]]) -> None:
    with pytest.raises(InputError):
        two_way(values)
