"""Means and their bootstrap intervals, against known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import (
    bootstrap_interval,
    estimate,
    holm,
    over_runs,
    student,
    student_tail,
    two_way,
)


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


def test_interval_over_runs_by_hand() -> None:
    """Runs of means 2 and 4: variance 2, so v = 1 with one degree of freedom, whatever lies within the runs."""
    result = over_runs([[1.0, 3.0], [4.0, 4.0]])
    assert (result.mean, result.runs, result.prompts, result.df) == (3.0, 2, 4, 1)
    assert result.error == pytest.approx(1.0) and result.high - 3.0 == pytest.approx(student(0.95, 1))
    with pytest.raises(InputError, match="2 or more runs"):
        over_runs([[1.0, 2.0]])


@pytest.mark.parametrize("R", [6, 10, 16])
@pytest.mark.parametrize(("run", "prompt"), [(1.0, 1.0), (0.1, 1.0), (1.0, 0.1)])
def test_intervals_of_rotating_prompts_cover_the_truth(R: int, run: float, prompt: float) -> None:
    """1000 experiments in which each run has 16 prompts of its own: 95 % are covered, within three standard deviations
    of a share; and of two arms that share runs and prompts the difference is covered, too, in a shorter interval."""
    rng, covered, paired, shorter = np.random.default_rng(1), 0, 0, 0.0
    for _ in range(1000):
        shared = run * rng.normal(size=(R, 1)) + prompt * rng.normal(size=(R, 16))
        Y = shared + 0.5 * rng.normal(size=(R, 16))
        result, difference = over_runs(Y.tolist()), over_runs((Y - shared).tolist())
        covered += result.low <= 0 <= result.high
        paired += difference.low <= 0 <= difference.high
        shorter += (result.high - result.low) / (difference.high - difference.low) / 1000
    assert abs(covered / 1000 - 0.95) < 0.021 and abs(paired / 1000 - 0.95) < 0.021 and shorter > 1.1


@pytest.mark.parametrize(
    ("t", "df", "p"), [(2.2281, 10, 0.025), (-2.2281, 10, 0.975), (0.0, 5, 0.5), (1.6449, 1e6, 0.05)]
)
def test_tails_of_students_t_as_in_the_tables(t: float, df: float, p: float) -> None:
    assert student_tail(t, df) == pytest.approx(p, abs=2e-4)


def test_below_is_the_tail_that_the_interval_leaves() -> None:
    """An interval that ends at the bound leaves 2.5 % beyond it."""
    result = over_runs([[-1.0], [-2.0], [-3.0], [-2.5]])
    assert result.below(result.high) == pytest.approx(0.025, abs=1e-3) and result.below(result.mean) == 0.5
    constant = over_runs([[1.0], [1.0]])
    assert (constant.below(0.0), constant.below(2.0)) == (1.0, 0.0)


def test_holm_by_hand() -> None:
    """Of three, .025 / 3 = .0083, then .0125, then .025; what follows the first that fails is not decided."""
    assert holm([0.02, 0.008, 0.012]) == [True, True, True]
    assert holm([0.001, 0.02, 0.02]) == [True, False, False] and holm([0.03]) == [False] and holm([]) == []


def test_holm_keeps_the_chance_of_any_wrong_decision() -> None:
    """Of 5 questions without any effect, at least one is decided in at most 2.5 % of 4000 experiments."""
    p = np.random.default_rng(0).uniform(size=(4000, 5))
    assert np.mean([any(holm(row.tolist())) for row in p]) < 0.025 + 3 * (0.025 / 4000) ** 0.5
