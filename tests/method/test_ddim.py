"""One DDIM step: its moments, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.chain import sample
from ivtutorial.method.ddim import ddim_moments, ddim_step
from ivtutorial.models.scheduler import make_scheduler
from tests.toy import (
    GuidedToy,
    latents,
)

SHAPE = (2, 4, 3, 5, 5)


def test_noisy_steps_keep_the_marginal_variance():
    """mean^2 coefficient of e plus std^2 is 1 - abar_prev for every eta: DDIM keeps q(z_{t-1} | x0)."""
    scheduler = make_scheduler()
    z, e = torch.zeros(SHAPE, dtype=torch.float64), torch.ones(SHAPE, dtype=torch.float64)
    abar, abar_prev = (float(scheduler.alphas_cumprod[t]) for t in (551, 501))
    x0 = -((1 - abar) ** 0.5) / abar**0.5
    for eta in (0.0, 0.4, 1.0):
        mean, std = ddim_moments(scheduler, e, 551, 501, z, eta)
        coefficient = float(mean.flatten()[0]) - abar_prev**0.5 * x0
        assert coefficient**2 + std**2 == pytest.approx(1 - abar_prev, rel=1e-9)
        assert (std > 0) == (eta > 0)


def test_a_random_step_needs_noise():
    with pytest.raises(InputError, match="eta = 1.0"):
        ddim_step(make_scheduler(), latents(), 51, 1, latents(), eta=1.0)


@pytest.mark.parametrize("change", [{"prediction_type": "sample"}, {"clip_sample": True}, {"thresholding": True}])
def test_schedulers_this_chain_cannot_follow_are_refused(change: dict[str, object]):
    scheduler = make_scheduler()
    scheduler.register_to_config(**change)
    with pytest.raises(InputError, match=next(iter(change))):
        sample(GuidedToy(), latents(), scheduler, 2)
