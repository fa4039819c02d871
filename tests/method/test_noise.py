"""Eq. 1 and 5: noising, what the network is trained to output, and the loss that trains it."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.method.noise import (
    corrupt,
    denoising_errors,
    draw_noise,
    draw_timesteps,
    drawn_errors,
    drop_captions,
    level,
    split,
    target,
)
from ivtutorial.method.schedule import make_scheduler
from tests.tolerances import assert_close, tolerance
from tests.toy import (
    clips,
    latents,
    line,
    seeded,
)

SHAPE = (2, 4, 3, 5, 5)
TYPES = ("epsilon", "v_prediction")
T500 = 500


def test_eq5_by_hand():
    """Where abar is 0.64: z = 2 and noise = -1 give 0.8 * 2 - 0.6 * 1 = 1.0."""
    scheduler = make_scheduler()
    scheduler.alphas_cumprod[300] = 0.64
    z, noise = torch.full(SHAPE, 2.0), torch.full(SHAPE, -1.0)
    assert_close(corrupt(z, 300, scheduler, noise), torch.ones(SHAPE))


@pytest.mark.parametrize("t", [1, 551, 951])
def test_eq5_is_add_noise_of_diffusers(t: int):
    scheduler, z, noise = make_scheduler(), latents(0), latents(1)
    assert_close(corrupt(z, t, scheduler, noise), scheduler.add_noise(z, noise, torch.tensor([t, t])))


def test_offset_noise_is_one_constant_per_clip_channel_and_frame():
    """It adds 0.1 N(0, 1) to each frame of each channel, so the variance rises from 1 to 1.01."""
    shape = (4, 4, 200, 2, 2)
    extra = draw_noise(shape, seeded(0), offset=0.1) - draw_noise(shape, seeded(0))
    assert float(extra.std(dim=(-2, -1)).max()) < tolerance(size=4.0)
    assert float(extra.std()) == pytest.approx(0.1, rel=0.05)
    assert len(extra[..., 0, 0].unique()) > 3000


def test_noise_is_reproducible_from_its_seed():
    assert torch.equal(draw_noise(SHAPE, seeded(3), 0.1), draw_noise(SHAPE, seeded(3), 0.1))
    assert not torch.equal(draw_noise(SHAPE, seeded(3)), draw_noise(SHAPE, seeded(4)))


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


@pytest.mark.parametrize("prediction", TYPES)
def test_split_undoes_the_mixture(prediction: str) -> None:
    """A network whose output is its target knows both parts: x0 = z and e = noise, for any level."""
    z, noise = latents(0, torch.float64), latents(1, torch.float64)
    for t in (1, torch.tensor([51, 951])):
        at = level(make_scheduler(), t, like=z)
        z_t = corrupt(z, t, make_scheduler(), noise)
        assert_close(split(target(z, noise, at, prediction), z_t, at, prediction), (z, noise), size=100.0)


def test_the_velocity_is_get_velocity_of_diffusers() -> None:
    z, noise, t = latents(0), latents(1), torch.tensor([51, 951])
    scheduler = make_scheduler("v_prediction")
    assert_close(target(z, noise, level(scheduler, t, like=z), "v_prediction"), scheduler.get_velocity(z, noise, t))


def test_one_timestep_a_clip_is_each_clip_by_itself() -> None:
    """Also in value and type: numbers for an int, tensors (B, 1, 1, 1, 1) like the latents for (B,)."""
    scheduler, z, noise = make_scheduler(), latents(0), latents(1)
    together = corrupt(z, torch.tensor([51, 951]), scheduler, noise)
    apart = [corrupt(z[i : i + 1], t, scheduler, noise[i : i + 1]) for i, t in enumerate((51, 951))]
    assert_close(together, torch.cat(apart))
    a, b = level(scheduler, 551)
    assert a**2 + b**2 == pytest.approx(1.0) and a**2 == float(scheduler.alphas_cumprod[551])


def test_several_draws_are_made_for_each_clip_in_turn() -> None:
    """3 draws of 2 clips: timesteps, then noise, for the copies beside each other."""
    backbone, batch, generator = line(), clips(), seeded(4)
    errors = drawn_errors(backbone, batch.z, batch, draws=3, generator=seeded(4))
    t = draw_timesteps(backbone.scheduler, 6, generator)
    z = batch.z.repeat_interleave(3, 0)
    noise = draw_noise(z.shape, generator)
    assert_close(errors, denoising_errors(backbone, z, batch.embeds.repeat_interleave(3, 0), t, noise))
