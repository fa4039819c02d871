"""Eq. 1: the loss that trains a diffusion model, its timesteps and its dropped captions."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.method.noise import draw_noise
from ivtutorial.rivals.denoising import denoising_errors, draw_timesteps, drawn_errors, drop_captions
from tests.tolerances import assert_close
from tests.toy import clips, line, seeded

T500 = 500


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_eq1_least_loss_on_gaussian_data_by_hand(prediction_type: str) -> None:
    """z ~ N(m, s^2), so z_t and eps are jointly Gaussian: the best prediction of eps is
    sqrt(1 - abar) (z_t - sqrt(abar) m) / V with V = abar s^2 + 1 - abar, and what remains is abar s^2 / V.
    For velocity v = (eps - sqrt(1 - abar) z_t) / sqrt(abar), and s^2 / V remains."""
    m, s, backbone = 2.0, 0.5, line(prediction_type)
    abar = float(backbone.scheduler.alphas_cumprod[T500])
    variance = abar * s**2 + 1 - abar
    a, b = (1 - abar) ** 0.5 / variance, -((1 - abar) ** 0.5) * abar**0.5 * m / variance
    left = abar * s**2 / variance
    if prediction_type == "v_prediction":
        a, b, left = (a - (1 - abar) ** 0.5) / abar**0.5, b / abar**0.5, s**2 / variance
    backbone.unet.a.data.fill_(a)
    backbone.unet.b.data.fill_(b)
    z = m + s * torch.randn((2000, 1, 4, 5, 5), generator=seeded(0))
    noise = torch.randn(z.shape, generator=seeded(1))
    embeds = torch.zeros(len(z), 3, 2)
    t = torch.full((len(z),), T500)
    mean = denoising_errors(backbone, z, embeds, t, noise).mean()
    assert mean.item() == pytest.approx(left, rel=0.02)
    slopes = torch.autograd.grad(mean, (backbone.unet.a, backbone.unet.b))
    assert max(abs(slope.item()) for slope in slopes) < 0.02, "the least loss is flat"


def test_captions_are_dropped_at_their_rate() -> None:
    """Of 4000 captions 10 % +- 1.5 % (three standard errors); none at rate 0, without a draw."""
    embeds, empty = torch.ones(4000, 1, 1), torch.zeros(1, 1, 1)
    share = (drop_captions(embeds, empty, 0.1, seeded(0)) == 0).float().mean().item()
    assert share == pytest.approx(0.1, abs=0.015)
    assert drop_captions(embeds, empty, 0.0) is embeds


def test_several_draws_are_made_for_each_clip_in_turn() -> None:
    """3 draws of 2 clips: timesteps, then noise, for the copies beside each other."""
    backbone, batch, generator = line(), clips(), seeded(4)
    errors = drawn_errors(backbone, batch.z, batch, draws=3, generator=seeded(4))
    t = draw_timesteps(backbone.scheduler, 6, generator)
    z = batch.z.repeat_interleave(3, 0)
    noise = draw_noise(z.shape, generator)
    assert_close(errors, denoising_errors(backbone, z, batch.embeds.repeat_interleave(3, 0), t, noise))
