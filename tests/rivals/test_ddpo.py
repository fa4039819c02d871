"""DDPO on problems whose answer can be written down."""

from __future__ import annotations

import math

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.schedule import ddim_timesteps
from ivtutorial.rivals import ddpo
from ivtutorial.rivals.ddpo import DDPO
from ivtutorial.training.methods import step_losses
from tests.tolerances import FEW, assert_close
from tests.toy import (
    brightness,
    clips,
    line,
    seeded,
)


def test_log_probability_of_a_step_by_hand() -> None:
    """N(1, 2^2) at 3: -(2^2) / 8 - log 2 - log(2 pi) / 2; a clip's is the mean over its numbers."""
    one = -0.5 - math.log(2.0) - 0.5 * math.log(2 * math.pi)
    other = one + 0.5  # at the mean itself
    result = ddpo.gaussian_log_prob(torch.tensor([[3.0, 1.0]]), torch.ones(1, 2), 2.0)
    assert_close(result.item(), (one + other) / 2)


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "gradient"),
    [
        (1.5, 1.0, -1.2, 0.0),
        (1.5, -1.0, 1.5, 1.5),
        (0.5, -1.0, 0.8, 0.0),
        (0.5, 1.0, -0.5, -0.5),
        (1.0, 2.0, -2.0, -2.0),
    ],
)
def test_ppo_clipping_by_hand(ratio: float, advantage: float, value: float, gradient: float) -> None:
    """-min(ratio adv, clip(ratio, 0.8, 1.2) adv): what would go too far in the good direction is cut off and has no
    gradient; d/d log pi of -ratio adv is -ratio adv."""
    log_prob = torch.tensor([math.log(ratio)], requires_grad=True)
    loss, clipped = ddpo.clipped_loss(log_prob, torch.zeros(1), torch.tensor([advantage]), 0.2)
    loss.backward()
    assert_close(loss.item(), value)
    assert clipped.item() == float(ratio != 1.0)
    assert_close(log_prob.grad.item(), gradient, size=2.0)


def test_the_policy_gradient_is_the_exact_gradient() -> None:
    """A chain of 3 steps with a shift b in every prediction: z_0 is linear in b and in the noises, so the exact
    gradient of E[z_0] is dz_0/db along any one chain. The score-function estimate from 60,000 chains, a mean over the 3
    steps and so a third of it, must agree to a few per cent, with the mean reward as baseline."""
    backbone, config = line(), DDPO(D=3, group=2, recompute=False)
    backbone.unet.a.data.fill_(0.5)
    batch = clips(60_000, (1, 1, 1, 1))
    chains = ddpo.roll_out(backbone, batch, config, seeded(0))
    advantages = chains.states[-1].flatten()
    loss, _ = ddpo.surrogate(backbone, batch, chains, advantages - advantages.mean(), config)
    estimate = -3 * torch.autograd.grad(loss, backbone.unet.b)[0].item()

    moments, z = ddpo.step_moments(backbone, clips(1, (1, 1, 1, 1)), config), torch.zeros(1, 1, 1, 1, 1)
    for i in range(3):
        z = moments(i, z)[0]
    exact = torch.autograd.grad(z.sum(), backbone.unet.b)[0].item()
    assert abs(exact) > 0.1 and estimate == pytest.approx(exact, rel=0.05)


def test_the_first_update_is_on_policy_and_the_next_is_not() -> None:
    """Before any update the ratio is 1 and the surrogate is minus the mean advantage; after one, terms are clipped."""
    backbone, config = line(), DDPO(D=4, group=4, inner_updates=2, ppo_clip=1e-4)
    result = []
    for value, numbers in config.losses(backbone, clips(), brightness, seeded(0)):
        result.append((value.item(), numbers))
        value.backward()
        backbone.unet.theta.data -= 0.5
    assert_close(result[0][0], 0.0, size=1.0)
    assert result[0][1]["clipped"] == 0.0
    assert result[1][1]["clipped"] > 0.5 and len(result) == config.updates
    assert [numbers["reward_calls"] for _, numbers in result] == [32.0, 0.0]


def test_ddpo_trains_the_chosen_steps() -> None:
    backbone, config = line(), DDPO(D=5, group=2, K=(0, 3), inner_updates=1)
    [(value, _)] = step_losses(config, brightness)(backbone, clips(), seeded(0))
    value.backward()
    timesteps = ddim_timesteps(5)
    assert set(backbone.unet.theta.grad.nonzero().flatten().tolist()) == {timesteps[0], timesteps[3]}


def test_recomputing_changes_no_gradient() -> None:
    result = []
    for recompute in (False, True):
        backbone, config = line(), DDPO(D=4, group=2, inner_updates=1, recompute=recompute)
        [(value, _)] = step_losses(config, brightness)(backbone, clips(), seeded(0))
        result.append(torch.autograd.grad(value, backbone.unet.b)[0])
    assert_close(result[0], result[1], n=12 * FEW)


def test_a_step_without_noise_is_no_policy() -> None:
    """A scheduler that ends at alpha 1 has a last step of std 0: it is skipped, and alone it is an error."""
    backbone = line()
    backbone.scheduler.final_alpha_cumprod = torch.tensor(1.0)
    chains = ddpo.roll_out(backbone, clips(), DDPO(D=4), seeded(0))
    assert torch.equal(chains.log_probs[-1], torch.zeros(2)) and chains.log_probs[:-1].all()
    with pytest.raises(InputError, match="none of these steps"):
        ddpo.surrogate(backbone, clips(), chains, torch.ones(2), DDPO(D=4, K=1))
