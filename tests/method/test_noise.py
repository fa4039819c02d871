"""Eq. 5: noising; what the network is trained to output, and what is read off its output."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.method.noise import (
    corrupt,
    draw_noise,
    level,
    split,
    target,
)
from ivtutorial.models.scheduler import make_scheduler
from tests.tolerances import assert_close, tolerance
from tests.toy import (
    latents,
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
