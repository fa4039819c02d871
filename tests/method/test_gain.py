"""The gain of a step: closed forms, finite differences of the chain, and the step it names."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.chain import denoise, gradient_steps
from ivtutorial.method.gain import gains, noise_to_signal, step_weights
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.schedule import partial_timesteps, steps
from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.rivals.ddpo import DDPO
from tests.tolerances import assert_close
from tests.toy import brightness, clips, line, seeded

TYPES = ("epsilon", "v_prediction")
CHAIN = partial_timesteps(0.6, 20)
Z = torch.randn((1, 1, 2, 2, 2), generator=seeded(0), dtype=torch.float64)


def test_gain_where_noise_is_predicted_by_hand() -> None:
    """abs(c_i) = a_end (nsr_t - nsr_t'), so that all gains together are a_end (nsr_551 - nsr_end)."""
    scheduler = make_scheduler()
    nsr = [noise_to_signal(scheduler, t) for t in (*CHAIN, -1)]
    end = float(scheduler.final_alpha_cumprod) ** 0.5
    expected = [end * (high - low) for high, low in pairwise(nsr)]
    assert gains(scheduler, CHAIN) == pytest.approx(expected, rel=1e-9)
    printed = [0.300, 0.247, 0.208, 0.178, 0.155, 0.137, 0.124, 0.116, 0.112, 0.118, 0.187, 0.012]
    assert [round(gain, 3) for gain in gains(scheduler, CHAIN)] == printed


def test_gain_where_velocity_is_predicted_by_hand() -> None:
    """With a = cos(phi) and b = sin(phi) a step is a rotation: q = -sin(phi - phi') and p = cos(phi - phi')."""
    scheduler = make_scheduler("v_prediction")
    phi = [math.atan(noise_to_signal(scheduler, t)) for t in (*CHAIN, -1)]
    turns = [high - low for high, low in pairwise(phi)]
    expected = [math.sin(turn) * math.prod(map(math.cos, turns[i + 1 :])) for i, turn in enumerate(turns)]
    assert gains(scheduler, CHAIN) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_gain_is_a_difference_of_two_chains(prediction_type: str, eta: float) -> None:
    """A linear network runs the chain; its outputs are then played again, with the one of step i moved by h."""
    scheduler, played = make_scheduler(prediction_type), {}

    def network(z: Tensor, t: int) -> Tensor:
        played[t] = 0.4 * z + t / 1000
        return played[t]

    def end(moved: int | None = None, h: float = 1e-3) -> Tensor:
        def replay(z: Tensor, t: int) -> Tensor:
            return played[t] + h * (t == moved)

        return denoise(replay, Z, CHAIN, scheduler, eta=eta, generator=seeded(1))

    plain = denoise(network, Z, CHAIN, scheduler, eta=eta, generator=seeded(1))
    for t, gain in zip(CHAIN, gains(scheduler, CHAIN, eta), strict=True):
        slope = (end(t) - plain) / 1e-3
        assert slope.abs().mean().item() == pytest.approx(gain, rel=1e-6)
        assert slope.abs().std().item() < 1e-9


@pytest.mark.parametrize("prediction_type", TYPES)
def test_stop_gradient_weighs_each_step_by_its_gain(prediction_type: str) -> None:
    """DRTune: the network a z + b + theta_t has a parameter for every step, whose gradient by the sum of z_0 is c_i
    times the numbers of z_0, for all twelve steps at once, and as well for each alone. Without it, the network's
    slope a acts on the way."""
    backbone = line(prediction_type)
    backbone.unet.double().a.data.fill_(0.3)

    def slopes(K: tuple[int, ...], stop_gradient: bool) -> Tensor:
        z_0 = denoise(backbone.unet, Z, CHAIN, backbone.scheduler, K, stop_gradient=stop_gradient)
        return torch.autograd.grad(z_0.sum(), backbone.unet.theta)[0][list(CHAIN)].abs()

    expected = Z.numel() * torch.tensor(gains(backbone.scheduler, CHAIN), dtype=torch.float64)
    assert_close(slopes(tuple(range(12)), True), expected)
    assert_close(sum(slopes((i,), False) for i in range(12)), expected)
    assert not torch.allclose(slopes(tuple(range(12)), False), expected, rtol=0.05)


@pytest.mark.parametrize(("prediction_type", "t"), [("epsilon", 551), ("v_prediction", 51)])
def test_the_strongest_step_carries_the_gradient(prediction_type: str, t: int) -> None:
    backbone = line(prediction_type)
    [(loss, _)] = InstructVideo(K="strongest").losses(backbone, clips(), brightness, seeded(0))
    loss.backward()
    assert backbone.unet.theta.grad.nonzero().flatten().tolist() == [t]
    assert InstructVideo(K="strongest").passes() == InstructVideo(K=1).passes()


def test_the_strongest_of_steps_without_gain_is_refused() -> None:
    assert gradient_steps("strongest", 3, gains=(0.1, 0.3, 0.2)) == (1,)
    with pytest.raises(InputError, match="strongest"):
        gradient_steps("strongest", 3)
    with pytest.raises(InputError, match="no gain"):
        DDPO(K="strongest")


@pytest.mark.parametrize("prediction_type", TYPES)
def test_a_step_is_linear_in_latents_and_output(prediction_type: str) -> None:
    """By hand at t = 51: z_1 = p z + q output with the closed forms of p and q."""
    scheduler = make_scheduler(prediction_type)
    (t, t_prev) = steps(CHAIN)[10]
    a, a_prev = (float(scheduler.alphas_cumprod[i]) ** 0.5 for i in (t, t_prev))
    b, b_prev = (float(1 - scheduler.alphas_cumprod[i]) ** 0.5 for i in (t, t_prev))
    expected = {
        "epsilon": (a_prev / a, b_prev - a_prev * b / a),
        "v_prediction": (a * a_prev + b * b_prev, a * b_prev - a_prev * b),
    }
    assert_close(step_weights(scheduler, t, t_prev), expected[prediction_type])
