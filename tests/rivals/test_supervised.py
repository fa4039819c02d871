"""Supervised tuning: a mean over its draws."""

from __future__ import annotations

import torch

from ivtutorial.rivals.denoising import (
    denoising_errors,
    draw_timesteps,
)
from ivtutorial.rivals.supervised import Supervised
from tests.tolerances import assert_close
from tests.toy import (
    brightness,
    clips,
    line,
    seeded,
)


def test_the_supervised_loss_is_the_mean_over_draws() -> None:
    backbone, batch, config = line(), clips(), Supervised(draws=3, caption_dropout=0.0)
    [(value, metrics)] = config.losses(backbone, batch, brightness, seeded(4))
    again = seeded(4)
    t = draw_timesteps(backbone.scheduler, 6, again)
    z = batch.latents.repeat_interleave(3, 0)
    noise = torch.randn(z.shape, generator=again)
    expected = denoising_errors(backbone, z, batch.embeds, t, noise).mean()
    assert_close(value, expected, n=z.numel())
    assert backbone.calls == [6, 6] and set(metrics) == {"source_motion"}
