"""Eq. 3-4: which timesteps the chain visits and where a partial chain starts."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.schedule import (
    ddim_timestep,
    ddim_timesteps,
    noising_timestep,
    partial_steps,
    partial_timesteps,
    steps,
)
from ivtutorial.models.scheduler import make_scheduler
from tests.tolerances import assert_close


def test_eq3_by_hand():
    """T / D = 1000 / 20 = 50, hence d(1) = 1, d(2) = 51, d(12) = 50 * 11 + 1 = 551, d(20) = 951."""
    assert [ddim_timestep(i, 20) for i in (1, 2, 12, 20)] == [1, 51, 551, 951]
    assert ddim_timesteps(4, T=1000) == (751, 501, 251, 1)


def test_eq4_by_hand():
    """tau D = 0.6 * 20 = 12 steps, t_noi = d(12) = 551; and 0.3 * 50 = 15 steps of 20 from 281."""
    assert noising_timestep(0.6, 20) == 551
    assert partial_timesteps(0.3, 50) == tuple(range(281, 0, -20))


@pytest.mark.parametrize(
    ("tau", "D", "n"), [(0.58, 50, 29), (0.29, 100, 29), (0.57, 100, 57), (0.7, 10, 7), (2 / 3, 3, 2)]
)
def test_a_whole_product_loses_no_step_to_floating_point(tau: float, D: int, n: int):
    """0.58 * 50 is 28.999... in binary, and int() of it 28; the product meant is 29."""
    assert partial_steps(tau, D) == n


@pytest.mark.parametrize(("tau", "D", "n"), [(0.1, 25, 2), (0.3, 25, 7), (0.5, 25, 12), (0.99, 20, 19)])
def test_a_broken_product_is_rounded_down(tau: float, D: int, n: int):
    assert partial_steps(tau, D) == n


@pytest.mark.parametrize("D", [1, 3, 10, 16, 20, 30, 50, 250, 500])
def test_the_full_chain_is_the_one_of_diffusers(D: int):
    """Also where D does not divide T: D steps of stride T // D, ending at 1."""
    scheduler = make_scheduler()
    scheduler.set_timesteps(D)
    assert ddim_timesteps(D) == tuple(scheduler.timesteps.tolist())


@pytest.mark.parametrize("D", [1, 20, 30])
def test_tau_1_is_the_full_chain(D: int):
    assert partial_timesteps(1.0, D) == ddim_timesteps(D)


@pytest.mark.parametrize("tau", [0.1, 0.35, 0.58, 0.6, 1.0])
@pytest.mark.parametrize("D", [10, 16, 20, 50])
def test_noise_level_and_chain_never_disagree(tau: float, D: int):
    """The clip is noised to the very timestep at which the chain begins, for every tau and D."""
    chain = partial_timesteps(tau, D)
    assert chain[0] == noising_timestep(tau, D) and chain[-1] == 1 and len(chain) == partial_steps(tau, D)


@pytest.mark.parametrize("tau", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_tau_outside_its_range_is_refused(tau: float):
    with pytest.raises(InputError, match=r"tau = .*\(0, 1\]"):
        partial_steps(tau, 20)


def test_tau_that_leaves_no_step_is_refused():
    """0.04 * 20 = 0.8 < 1; the smallest tau that works is 1 / 20 = 0.05."""
    with pytest.raises(InputError, match="tau >= 0.05"):
        noising_timestep(0.04, 20)
    assert partial_steps(0.05, 20) == 1


@pytest.mark.parametrize("D", [0, -5, 501, 1000, 20.0])
def test_chain_length_outside_its_range_is_refused(D: int):
    """D = 1000 would need timestep d(1000) = 1000, past the last one, 999."""
    with pytest.raises(InputError, match="from 1 to 500"):
        ddim_timesteps(D)


@pytest.mark.parametrize("i", [0, 21])
def test_step_index_outside_the_chain_is_refused(i: int):
    with pytest.raises(InputError, match="1 <= i <= D = 20"):
        ddim_timestep(i, 20)


def test_schedule_starts_at_beta_start_and_ends_the_chain_on_abar_0():
    """abar_0 = 1 - beta_0 = 1 - 0.00085 = 0.99915; sqrt(beta) is linear, so the middle beta is the square of
    the mean of the roots of the first and the last."""
    scheduler = make_scheduler()
    assert_close(scheduler.final_alpha_cumprod, 0.99915)
    middle = ((0.00085**0.5 + 0.012**0.5) / 2) ** 2
    assert_close(scheduler.betas[499:501].mean(), middle, n=1000)
    assert bool((torch.diff(scheduler.alphas_cumprod) < 0).all())


def test_unknown_prediction_type_is_refused():
    with pytest.raises(InputError, match="v_prediction"):
        make_scheduler("velocity")


def test_steps_pair_each_timestep_with_the_next():
    """The last step of a chain ends at -1, the end of the chain; the pairs of a partial chain are those of the full."""
    assert steps((201, 101, 1)) == [(201, 101), (101, 1), (1, -1)]
    assert steps(partial_timesteps(0.3, 20)) == steps(ddim_timesteps(20))[-6:]
