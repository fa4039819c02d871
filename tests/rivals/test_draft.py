"""DRaFT on problems whose answer can be written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.schedule import ddim_timesteps
from ivtutorial.rivals.copies import low_variance
from ivtutorial.rivals.draft import Draft
from tests.tolerances import FEW, assert_close
from tests.toy import (
    brightness,
    clips,
    line,
    seeded,
)


@pytest.mark.parametrize("K", [1, 4, 20])
def test_draft_is_instructvideo_whose_clip_puts_the_chain_at_pure_noise(K: int) -> None:
    """With tau = 1 the edit starts at sqrt(abar) z + sqrt(1 - abar) e; z = (1 - sqrt(1 - abar)) / sqrt(abar) e makes
    that e itself, where DRaFT starts. Loss and gradient then agree, whatever K is."""
    backbone, plain = line(), clips()
    backbone.unet.a.data.fill_(0.3)
    abar = float(backbone.scheduler.alphas_cumprod[951])
    noise = torch.randn(plain.latents.shape, generator=seeded(5))
    placed = replace(plain, latents=(1 - (1 - abar) ** 0.5) / abar**0.5 * noise)
    results = []
    for method, batch in ((Draft(K=K), plain), (InstructVideo(tau=1.0, K=K), placed)):
        [(value, _)] = method.losses(backbone, batch, brightness, seeded(5))
        results.append((value, torch.autograd.grad(value, (backbone.unet.a, backbone.unet.b))))
    assert_close(results[0], results[1], n=20 * FEW)


def test_draft_does_not_look_at_the_clips() -> None:
    backbone, config = line(), Draft(D=5)
    result = [next(config.losses(backbone, clips(seed=s), brightness, seeded(1)))[0] for s in (0, 1)]
    assert torch.equal(result[0], result[1])


def test_full_back_propagation_by_finite_difference() -> None:
    """K = D: the derivative of the loss by b is the slope of the loss itself."""
    backbone, config = line(), Draft(D=5, K=5, selection="first")
    backbone.unet.double().a.data.fill_(0.4)
    batch = replace(clips(), latents=clips().latents.double())

    def loss() -> Tensor:
        return next(config.losses(backbone, batch, brightness, seeded(3)))[0]

    gradient = torch.autograd.grad(loss(), backbone.unet.b)[0]
    backbone.unet.b.data += 1e-5
    above = loss().item()
    backbone.unet.b.data -= 2e-5
    assert gradient.item() == pytest.approx((above - loss().item()) / 2e-5, rel=1e-5)


def test_low_variance_draft_rewards_one_step_copies() -> None:
    """n = 3 copies of each of 2 samples: 8 rewards, and one evaluation of 6 clips beside the chain's 5 of 2. A
    network that knows the noise puts each copy back to sqrt(abar_0) z_0 + sqrt(1 - abar_0) e, near its sample."""
    backbone, config = line(), Draft(D=5, variants=3, selection="first")
    z0, batch = torch.randn((2, 1, 4, 2, 2), generator=seeded(0)), clips()
    [(value, metrics)] = config.losses(backbone, batch, brightness, seeded(1))
    assert backbone.calls == [2] * 5 + [6] and metrics["reward_calls"] == 8 * 4
    assert value.requires_grad

    t = ddim_timesteps(5)[-1]
    abar = float(backbone.scheduler.alphas_cumprod[t])
    start = z0.repeat_interleave(3, 0)

    def knows(*_: Any) -> Callable[..., Tensor]:
        return lambda z, t: (z - abar**0.5 * start) / (1 - abar) ** 0.5

    backbone.predictor = knows  # type: ignore[method-assign]
    every, captions = low_variance(backbone, z0, batch, config, (t,), (0,), seeded(2))
    assert captions == [*batch.captions, *[c for c in batch.captions for _ in range(3)]]
    assert torch.equal(every[:2], z0)
    last = float(backbone.scheduler.final_alpha_cumprod)
    noise = torch.randn(start.shape, generator=seeded(2))
    size = float(noise.abs().max()) / (1 - abar) ** 0.5  # the network divides a difference by sqrt(1 - abar)
    assert_close(every[2:], last**0.5 * start + (1 - last) ** 0.5 * noise, size=size)


def test_low_variance_draft_is_made_for_one_step() -> None:
    with pytest.raises(InputError, match="K = 1"):
        Draft(K=2, variants=1)
