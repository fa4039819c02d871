"""RWR on problems whose answer can be written down."""

from __future__ import annotations

import math

import pytest
import torch

from ivtutorial.rivals import rwr
from ivtutorial.rivals.denoising import (
    denoising_errors,
)
from ivtutorial.rivals.rwr import RWR
from ivtutorial.rivals.supervised import Supervised
from tests.tolerances import assert_close
from tests.toy import (
    brightness,
    clips,
    line,
    seeded,
)

T500 = 500


def test_rwr_weights_by_hand() -> None:
    """exp(0), exp(log 3): shares 1/4 and 3/4, mean 1, so 1/2 and 3/2; a high temperature makes all equal."""
    rewards = torch.tensor([[0.0, 2 * math.log(3.0)]])
    assert_close(rwr.rwr_weights(rewards, 2.0), torch.tensor([[0.5, 1.5]]))
    torch.testing.assert_close(rwr.rwr_weights(rewards, 1e6), torch.ones(1, 2), atol=1e-4, rtol=0)


def test_rwr_moves_a_gaussian_policy_by_the_known_amount() -> None:
    """Samples x ~ N(0, 1) with reward x, weighted by exp(x / T), are distributed as N(1 / T, 1). The network that
    denoises those best at timestep t has a = sqrt(1 - abar), b* = -sqrt(abar (1 - abar)) / T; for the quadratic loss
    the slope at b = 0 is 2 (0 - b*)."""
    T, backbone = 2.0, line()
    x = torch.randn((200_000, 1, 1, 1, 1), generator=seeded(0))
    weights = rwr.rwr_weights(x.view(1, -1), T).flatten()
    assert (weights * x.flatten()).mean().item() == pytest.approx(1 / T, abs=0.01)
    abar = float(backbone.scheduler.alphas_cumprod[T500])
    best = -((abar * (1 - abar)) ** 0.5) / T
    backbone.unet.a.data.fill_((1 - abar) ** 0.5)
    t, noise = torch.full((len(x),), T500), torch.randn(x.shape, generator=seeded(1))

    def slope(b: float) -> float:
        backbone.unet.b.data.fill_(b)
        errors = denoising_errors(backbone, x, torch.zeros(len(x), 3, 2), t, noise)
        return torch.autograd.grad((weights * errors).mean(), backbone.unet.b)[0].item()

    assert slope(0.0) == pytest.approx(-2 * best, rel=0.05)
    assert slope(best) == pytest.approx(0.0, abs=0.02)


def test_a_round_of_rwr_samples_once_and_learns_several_times() -> None:
    """2 captions x 3 samples: 5 evaluations of 6 clips for the samples, then one for each of 4 updates, in which the
    samples stay what they were although the network changes."""
    backbone, config = line(), RWR(D=5, group=3, inner_updates=4, caption_dropout=0.0, selection="first")
    kept = []
    for value, numbers in config.losses(backbone, clips(), brightness, seeded(0)):
        kept.append(numbers)
        value.backward()
        backbone.unet.b.data += 1.0
    assert backbone.calls == [6] * 9 and len(kept) == config.updates == 4
    assert [numbers["reward_calls"] for numbers in kept] == [24.0, 0.0, 0.0, 0.0]
    assert len({numbers["frame_reward"] for numbers in kept}) == 1 and 1 <= kept[0]["weight_max"] <= 3


def test_the_weighted_loss_is_the_plain_one_for_equal_weights() -> None:
    backbone, batch, config = line(), clips(), RWR(caption_dropout=0.0)
    weighted = rwr.weighted_loss(backbone, batch.latents, batch, torch.ones(2), config, seeded(4))
    [(plain, _)] = Supervised(caption_dropout=0.0).losses(backbone, batch, None, seeded(4))
    assert_close(weighted, plain, n=batch.latents.numel())
