"""The loss that a diffusion model is trained with (Eq. 1): supervised tuning, RWR and the guards tune with it.

    L(theta) = E_{z, c, t, epsilon} | target - net(z_t, t, c) |^2                                     Eq. 1

`target` and z_t are those of :mod:`ivtutorial.method.noise`; t is uniform in 0 .. T - 1, and the captions of a share of
the clips may be left out, which is what guidance needs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ivtutorial.method.batch import BackboneLike, Batch
from ivtutorial.method.flow import LevelSchedule
from ivtutorial.method.noise import corrupt, draw_noise, level, target
from ivtutorial.method.schedule import NoiseSchedule
from ivtutorial.system.step_draws import rand_rows, randint_rows


def draw_timesteps(scheduler: NoiseSchedule, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Timesteps to train at, (count,): uniform from 0 .. T - 1, int64, or a `LevelSchedule`'s own."""
    if isinstance(scheduler, LevelSchedule):
        return scheduler.draw_timesteps(count, generator)
    return randint_rows(scheduler.config["num_train_timesteps"], (count,), generator)


def denoising_errors(backbone: BackboneLike, z: Tensor, embeds: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Squared error of the network's prediction, a mean for each clip (Eq. 1).

    Args:
        backbone: UNet and scheduler; the prediction is taken without guidance, as in training.
        z: clean latents (B, C, F, h, w).
        embeds: (B, L, E) of the captions.
        t: timesteps, int64 (B,).
        noise: epsilon, shaped like z.

    Returns:
        Errors (B,), with gradient to the network.
    """
    scheduler = backbone.scheduler
    expected = target(z, noise, level(scheduler, t, like=z), scheduler.config["prediction_type"])
    output = backbone.predictor(embeds, embeds, 1.0)(corrupt(z, t, scheduler, noise), t.to(z.device, non_blocking=True))
    return (output.to(expected.dtype) - expected).square().mean(dim=(1, 2, 3, 4))


def drawn_errors(
    backbone: BackboneLike,
    z: Tensor,
    batch: Batch,
    draws: int = 1,
    caption_dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Errors of Eq. 1 at timesteps and noises that are drawn, several for each clip.

    Args:
        backbone: UNet and scheduler.
        z: clean latents (B, C, F, h, w), of the batch or made for its captions.
        batch: the B captions.
        draws: timesteps and noises for each clip.
        caption_dropout: share of the draws whose caption is left out, for guidance.
        generator: source of timesteps, noise and dropped captions, in this order.

    Returns:
        Errors (B * draws,), those of a clip beside each other, with gradient to the network.
    """
    z, embeds = z.repeat_interleave(draws, 0), batch.embeds.repeat_interleave(draws, 0)
    t = draw_timesteps(backbone.scheduler, len(z), generator)
    noise = draw_noise(z.shape, generator, like=z)
    embeds = drop_captions(embeds, batch.uncond_embeds[:1], caption_dropout, generator)
    return denoising_errors(backbone, z, embeds, t, noise)


def drop_captions(embeds: Tensor, uncond: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Embeddings (B, L, E) in which about this share is that of the empty caption; no draw is made for share 0."""
    if not share:
        return embeds
    dropped = rand_rows(len(embeds), generator) < share
    return torch.where(dropped.to(embeds.device, non_blocking=True)[:, None, None], uncond.expand_as(embeds), embeds)
