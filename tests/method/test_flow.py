"""Flow matching: the grid, Euler's step, and every method on a straight line."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.chain import denoise
from ivtutorial.method.ddim import ddim_moments, ddim_step
from ivtutorial.method.editing import edit
from ivtutorial.method.flow import (
    FlowSchedule,
    chain_timesteps,
    flow_levels,
)
from ivtutorial.method.gain import gains
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.noise import corrupt, target
from ivtutorial.method.schedule import steps
from ivtutorial.models.scheduler import make_scheduler, noise_share, same_noise, tau_of_noise
from ivtutorial.rivals.denoising import denoising_errors, draw_timesteps
from ivtutorial.training.methods import METHODS, step_losses
from tests.tolerances import assert_close
from tests.toy import TextBackbone, brightness, latents, seeded, text_batch


def flow_toy(shift: float = 3.0) -> TextBackbone:
    backbone = TextBackbone(scheduler=FlowSchedule(shift))
    backbone.unet.eval()
    return backbone


def test_the_grid_by_hand() -> None:
    """D = 4, shift = 3: u = 1, 3/4, 1/2, 1/4 and 3 u / (1 + 2 u) = 1, 9/10, 3/4, 1/2."""
    assert flow_levels(4, shift=3.0) == pytest.approx((1, 0.9, 0.75, 0.5))
    assert flow_levels(4, shift=1.0) == pytest.approx((1, 0.75, 0.5, 0.25))


def test_the_last_step_is_the_largest_of_a_shifted_grid() -> None:
    """The gain of a step is its length, s_i - s_{i-1}: 36/44 - 33/42 = 0.032 for the 12th last of 20 and
    3/22 = 0.136 for the last, so that K = 1 trains the longest one."""
    levels = (*flow_levels(20, 3.0), 0.0)
    lengths = [a - b for a, b in zip(levels, levels[1:], strict=False)]
    assert lengths == sorted(lengths) and sum(lengths) == pytest.approx(1.0)
    scheduler = FlowSchedule(3.0)
    assert gains(scheduler, chain_timesteps(scheduler, 20)) == pytest.approx(lengths)
    assert (lengths[8], lengths[-1]) == pytest.approx((36 / 44 - 33 / 42, 3 / 22))


@pytest.mark.parametrize("shift", [3.0, 5.0, 8.0])
def test_the_grid_is_that_of_the_scheduler_that_wan_comes_with(shift: float) -> None:
    """diffusers has had two formulas for it, which differ from it by less than 0.005."""
    from diffusers import UniPCMultistepScheduler

    stock = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    stock.set_timesteps(20)
    assert [float(s) for s in stock.sigmas[:-1]] == pytest.approx(flow_levels(20, shift), abs=5e-3)


def test_a_step_is_eulers() -> None:
    """z' = z + (s' - s) v, at the first step, where nothing of the clip is left, in the middle, and at the last one."""
    scheduler, z, v = FlowSchedule(), latents(1), latents(2)
    for s, s_next in [(1.0, 0.9), (0.75, 0.5), (0.5, 0.0)]:
        t_next = 1000 * s_next if s_next else -1
        assert_close(ddim_step(scheduler, v, 1000 * s, t_next, z), z + (s_next - s) * v)


def test_noise_and_velocity_by_hand() -> None:
    """At s = 1/4: z_s = 3/4 z + 1/4 epsilon, and v = epsilon - z."""
    scheduler, z, noise = FlowSchedule(), latents(1), latents(2)
    assert_close(corrupt(z, 250.0, scheduler, noise), 0.75 * z + 0.25 * noise)
    one_each = corrupt(z, torch.tensor([250.0, 1000.0]), scheduler, noise)
    assert_close(one_each, torch.stack([0.75 * z[0] + 0.25 * noise[0], noise[1]]))
    assert_close(target(z, noise, scheduler.level(250.0), "flow_prediction"), noise - z)


def test_a_random_step_by_hand() -> None:
    """From s = 1/2 to 1/4: std^2 = (b' / b)^2 (b^2 - (b' a / a')^2) = 1/4 (1/4 - (1/6)^2) = 1/18, and the noise that
    is left in the mean has b'^2 - std^2 = 1/16 - 1/18 = 1/144. From pure noise the step forgets its noise."""
    scheduler, x0, noise = FlowSchedule(), latents(1), latents(2)
    mean, std = ddim_moments(scheduler, noise - x0, 500.0, 250.0, (x0 + noise) / 2, eta=1.0)
    assert std**2 == pytest.approx(1 / 18)
    assert_close(mean, 0.75 * x0 + noise / 12)
    mean, std = ddim_moments(scheduler, noise - x0, 1000.0, 900.0, noise, eta=1.0)
    assert std == pytest.approx(0.9)
    assert_close(mean, 0.1 * x0)


@pytest.mark.parametrize("tau", [0.2, 0.6, 1.0])
def test_an_edit_by_the_true_velocity_gives_the_clip_back(tau: float) -> None:
    """The line from noise to clip is straight: v = epsilon - z everywhere on it."""
    z, noise = latents(1), latents(2)
    z_0 = edit(lambda z_s, t: noise - z, z, FlowSchedule(), tau=tau, D=5, noise=noise)
    assert_close(z_0, z, n=64 * 5, size=4.0)


def test_the_true_velocity_has_no_loss() -> None:
    """Eq. 1 of a network that knows clip and noise."""
    z, noise, t = latents(1), latents(2), torch.tensor([100.0, 900.0])
    backbone: Any = flow_toy()
    backbone.predictor = lambda *_: lambda z_s, t: noise - z
    assert_close(denoising_errors(backbone, z, torch.zeros(2, 1, 1), t, noise), torch.zeros(2), size=1.0)


def test_timesteps_are_drawn_with_the_density_of_the_grid() -> None:
    """Half of the draws lie above the shifted middle, s = 3/4 for shift 3; 4000 draws, six standard deviations."""
    t = draw_timesteps(FlowSchedule(3.0), 4000, seeded(0))
    assert t.min() >= 0 and t.max() <= 1000
    assert (t > 750).float().mean().item() == pytest.approx(0.5, abs=6 * (0.25 / 4000) ** 0.5)


def test_tau_is_a_share_of_the_steps_or_follows_from_a_noise_level() -> None:
    """tau = 0.6 starts at s = 0.818 with shift 3, but at 0.658 in the paper, which 8 of 20 steps come closest to:
    s_8 = 3 * 0.4 / 1.8 = 0.667."""
    flow, paper = FlowSchedule(3.0), make_scheduler()
    assert noise_share(flow, chain_timesteps(flow, 20, 0.6)[0]) == pytest.approx(0.818, abs=5e-4)
    assert noise_share(paper, 551) == pytest.approx(0.658, abs=5e-4)
    assert [same_noise(FlowSchedule(shift)) for shift in (3.0, 5.0, 8.0)] == [0.4, 0.3, 0.2]
    assert noise_share(flow, chain_timesteps(flow, 20, same_noise(flow))[0]) == pytest.approx(2 / 3)
    assert [same_noise(paper, tau, 50) for tau in (0.1, 0.6, 1.0)] == [0.1, 0.6, 1.0]
    assert tau_of_noise(flow, 1e-6) == 1 / 20


@pytest.mark.parametrize("noise", [0.0, -0.1, 1.5, float("nan")])
def test_noise_levels_that_are_none_are_refused(noise: float) -> None:
    with pytest.raises(InputError, match="noise level"):
        tau_of_noise(FlowSchedule(), noise)


@pytest.mark.parametrize("shift", [0.0, -3.0, float("inf")])
def test_a_shift_that_is_none_is_refused(shift: float) -> None:
    with pytest.raises(InputError, match="shift = "):
        FlowSchedule(shift)


@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
def test_every_method_trains_a_flow_model(kind: Any) -> None:
    """The same line as for ModelScope: losses that are numbers, with gradient to the network."""
    backbone = flow_toy()
    for loss, _ in step_losses(kind(D=4), brightness)(backbone, text_batch(), seeded(0)):
        loss.backward()
        assert torch.isfinite(loss)
    slope = backbone.unet.conv.weight.grad
    assert slope is not None and torch.isfinite(slope).all() and slope.abs().max() > 0


def test_a_step_against_the_gradient_raises_the_reward_of_a_flow_model() -> None:
    """InstructVideo, full back-propagation: the loss falls by step * |gradient|^2 to first order."""
    backbone, method = flow_toy(), InstructVideo(D=5, K=3, guidance=1.0)
    backbone.unet.double()

    def loss() -> torch.Tensor:
        [(value, _)] = method.losses(backbone, text_batch(torch.float64), brightness, seeded(0))
        return value

    before = loss()
    before.backward()
    weights = [w for w in backbone.unet.parameters() if w.grad is not None]
    size, expected = 1e-4, sum(w.grad.square().sum().item() for w in weights)
    with torch.no_grad():
        for w in weights:
            w -= size * w.grad
        assert (before - loss()).item() / size == pytest.approx(expected, rel=1e-2)


def test_a_partial_chain_is_the_end_of_the_full_one() -> None:
    scheduler, z = FlowSchedule(), latents(1)
    full = chain_timesteps(scheduler, 5)
    assert chain_timesteps(scheduler, 5, tau=0.4) == full[-2:] and steps(full)[-1] == (full[-1], -1)

    def predict(z: torch.Tensor, t: float) -> torch.Tensor:
        return torch.tanh(z + t / 1000)

    middle = z
    for t, t_prev in steps(full)[:3]:
        middle = ddim_step(scheduler, predict(middle, t), t, t_prev, middle)
    assert torch.equal(denoise(predict, z, full, scheduler), denoise(predict, middle, full[-2:], scheduler))
