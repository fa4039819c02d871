"""Direct-Align: what comes back, how far an error moves it, and whose gradient it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.chain import denoise
from ivtutorial.method.ddim import ddim_step
from ivtutorial.method.flow import FlowSchedule
from ivtutorial.method.gain import gains, noise_to_signal
from ivtutorial.method.noise import corrupt, level, target
from ivtutorial.method.schedule import partial_timesteps, steps
from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.rivals.direct_align import DirectAlign, direct_gain, draw_moves, recovered
from tests.tolerances import assert_close
from tests.toy import TextBackbone, brightness, clips, line, seeded, text_backbone, text_batch

TYPES = ("epsilon", "v_prediction")
CHAIN = partial_timesteps(0.6, 20)
MOVES = [(551, 501), (51, 1), (1, -1), (1, 51), (501, 551)]
Z, NOISE, ERROR = (torch.randn((5, 1, 2, 3, 3), generator=seeded(i), dtype=torch.float64) for i in range(3))


def noised(scheduler: Any) -> tuple[Tensor, Tensor]:
    """z_t of five clips, each at the start of its move, and what a perfect network outputs there."""
    t = torch.tensor([start for start, _ in MOVES])
    z_t = corrupt(Z, t, scheduler, NOISE)
    return z_t, target(Z, NOISE, level(scheduler, t, like=Z), scheduler.config["prediction_type"])


@pytest.mark.parametrize("prediction_type", TYPES)
def test_a_perfect_network_gives_back_the_clip(prediction_type: str) -> None:
    scheduler = make_scheduler(prediction_type)
    z_t, output = noised(scheduler)
    assert_close(recovered(scheduler, output, z_t, NOISE, MOVES), Z)


@pytest.mark.parametrize("prediction_type", TYPES)
def test_an_error_moves_the_clip_by_the_gain_of_the_step(prediction_type: str) -> None:
    """z_0 = z - g d on the way down and z + g d on the way up. Where noise is predicted g = nsr_t - nsr_t' of the
    upper and the lower end; where velocity is, sqrt(abar) of the step's start times that."""
    scheduler = make_scheduler(prediction_type)
    z_t, output = noised(scheduler)
    moved = recovered(scheduler, output + ERROR, z_t, NOISE, MOVES) - Z
    for i, (t, end) in enumerate(MOVES):
        gain = noise_to_signal(scheduler, t) - noise_to_signal(scheduler, end)
        if prediction_type == "v_prediction":
            gain *= float(scheduler.alphas_cumprod[t]) ** 0.5
        assert_close(moved[i], -gain * ERROR[i], size=2.0)
        assert direct_gain(scheduler, t, end) == pytest.approx(abs(gain), rel=1e-6)


@pytest.mark.parametrize("prediction_type", TYPES)
def test_it_is_one_ddim_step_without_the_known_noise(prediction_type: str) -> None:
    scheduler, output = make_scheduler(prediction_type), ERROR
    for t, t_prev in steps(CHAIN):
        z_t = corrupt(Z, t, scheduler, NOISE)
        abar = float(scheduler.alphas_cumprod[t_prev] if t_prev >= 0 else scheduler.final_alpha_cumprod)
        z_prev = ddim_step(scheduler, output, t, t_prev, z_t)
        expected = (z_prev - (1 - abar) ** 0.5 * NOISE) / abar**0.5
        assert_close(recovered(scheduler, output, z_t, NOISE, [(t, t_prev)] * len(Z)), expected)


@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("i", [0, 6, 11])
def test_its_gradient_is_drtunes_with_the_clip_in_place_of_the_chain(prediction_type: str, i: int) -> None:
    """DRTune trains step i of a chain whose other outputs are the true ones, so that it comes to step i at the noised
    clip. Both gradients are then the network's Jacobian there, times the gain of the step."""
    backbone, prediction = line(prediction_type), prediction_type
    scheduler, (t, t_prev) = backbone.scheduler, steps(CHAIN)[i]
    backbone.unet.double().a.data.fill_(0.3)
    weights = list(backbone.unet.parameters())

    def chain(z: Tensor, s: int) -> Tensor:
        return backbone.unet(z, s) if s == t else target(Z, NOISE, level(scheduler, s), prediction)

    start = corrupt(Z, CHAIN[0], scheduler, NOISE)
    z_0 = denoise(chain, start, CHAIN, scheduler, (i,), stop_gradient=True)
    z_t = corrupt(Z, t, scheduler, NOISE)
    z_hat = recovered(scheduler, backbone.unet(z_t, t), z_t, NOISE, [(t, t_prev)] * len(Z))
    drtune = torch.autograd.grad((z_0 * ERROR).sum(), weights)
    direct = torch.autograd.grad((z_hat * ERROR).sum(), weights)
    of_chain, of_step = gains(scheduler, CHAIN)[i], direct_gain(scheduler, t, t_prev)
    assert_close([g / of_step for g in direct], [g / of_chain for g in drtune], n=Z.numel(), size=50.0)
    if prediction == "epsilon":
        end = float(scheduler.final_alpha_cumprod)
        assert of_chain == pytest.approx(end**0.5 * of_step, rel=1e-6)
        assert_close(z_0, end**0.5 * z_hat + (1 - end) ** 0.5 * NOISE, size=10.0)


@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("changes", [{}, {"inversion": True}, {"draw": "gain", "recompute": True}])
def test_gradient_of_the_loss_by_finite_difference(prediction_type: str, changes: dict[str, Any]) -> None:
    backbone, config = line(prediction_type), DirectAlign(selection="first", lambda_tar=0.3, **changes)
    backbone.unet.double().a.data.fill_(0.4)
    batch = replace(clips(), latents=clips().latents.double())

    def loss() -> Tensor:
        return next(config.losses(backbone, batch, brightness, seeded(3)))[0]

    gradient = torch.autograd.grad(loss(), backbone.unet.a)[0]
    backbone.unet.a.data += 1e-5
    above = loss().item()
    backbone.unet.a.data -= 2e-5
    assert gradient.item() == pytest.approx((above - loss().item()) / 2e-5, rel=1e-4)


@pytest.mark.parametrize("prediction_type", TYPES)
def test_one_step_against_the_gradient_raises_the_reward(prediction_type: str) -> None:
    """With guidance and text, every draw repeated."""
    backbone = text_backbone(prediction_type, torch.float64)

    def loss() -> Tensor:
        return next(DirectAlign().losses(backbone, text_batch(torch.float64), brightness, seeded(0)))[0]

    before = loss()
    before.backward()
    with torch.no_grad():
        norm2 = sum(float(p.grad.square().sum()) for p in backbone.unet.parameters())
        for p in backbone.unet.parameters():
            p.sub_(1e-3 / norm2**0.5 * p.grad)
    assert norm2 > 0 and loss().item() < before.item()


def test_both_branches_of_a_perfect_network_cancel() -> None:
    """R(z) - R(z) = 0 on the same frames: one network call a branch, and the reward of the first one is logged."""
    backbone = line()
    z, noise = clips().z, {}

    def knows(*_: Any) -> Any:
        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            a, b = level(backbone.scheduler, t, like=z_t)
            noise["calls"] = noise.get("calls", 0) + 1
            return (z_t - a * z) / b + 0 * backbone.unet.b

        return predict

    backbone.predictor = knows  # type: ignore[method-assign]
    [(loss, metrics)] = DirectAlign(inversion=True).losses(backbone, clips(), brightness, seeded(0))
    assert_close(loss.item(), 0.0, size=100.0)
    assert_close(metrics["edit_distance"], 0.0, size=100.0)
    assert noise["calls"] == 2 and metrics["reward_calls"] == 2 * 4


def test_steps_are_drawn_evenly_or_by_gain() -> None:
    """Of 11000 draws each step has its share, give or take four standard deviations; the last step is never drawn."""
    scheduler, chain, n = make_scheduler(), steps(CHAIN)[:11], 11_000
    sizes = [direct_gain(scheduler, *move) for move in chain]
    shares = {"uniform": [1 / 11] * 11, "gain": [size / sum(sizes) for size in sizes]}
    for draw, expected in shares.items():
        counts = Counter(draw_moves(scheduler, chain, draw, n, seeded(0)))
        assert (1, -1) not in counts
        for move, share in zip(chain, expected, strict=True):
            assert abs(counts[move] / n - share) < 4 * (share * (1 - share) / n) ** 0.5


def test_only_steps_that_may_be_drawn_get_gradient() -> None:
    backbone, config = line(), DirectAlign(tau=0.3, skip_last=2)
    for seed in range(20):
        next(config.losses(backbone, clips(), brightness, seeded(seed)))[0].backward()
    touched = backbone.unet.theta.grad.nonzero().flatten().tolist()
    assert touched == [101, 151, 201, 251]
    assert config.steps == 4


def test_cost_and_settings() -> None:
    """One guided call with gradient: 2 x 3 passes, where the paper's step takes 28."""
    assert DirectAlign().passes() == 6 and DirectAlign(guidance=1.0).passes() == 3
    assert DirectAlign(inversion=True, recompute=True).passes() == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tau": 0.0}, "tau"),
        ({"skip_last": 12}, "none is left"),
        ({"skip_last": -1}, "skip_last"),
        ({"draw": "random"}, "draw"),
        ({"inversion": True, "skip_last": 0}, "inversion"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DirectAlign(**changes)


def test_inversion_from_pure_noise_is_refused() -> None:
    """A flow model's chain starts at s = 1 for tau = 1, where nsr is infinite; a step below it trains."""
    backbone = TextBackbone(scheduler=FlowSchedule())
    backbone.unet.eval()
    with pytest.raises(InputError, match="pure noise.*tau = 0.75"):
        list(DirectAlign(D=4, tau=1.0, inversion=True).losses(backbone, text_batch(), brightness, seeded(0)))
    [(loss, _)] = DirectAlign(D=4, tau=0.75, inversion=True).losses(backbone, text_batch(), brightness, seeded(0))
    assert loss.isfinite()
