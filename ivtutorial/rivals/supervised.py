"""Supervised tuning: the usual denoising loss on the same clips (Eq. 1 of InstructVideo), without any reward.

    L(theta) = E_{z, c, t, eps} | target - net(z_t, t, c) |^2,   z_t = sqrt(abar_t) z + sqrt(1 - abar_t) eps

J. Ho, A. Jain, P. Abbeel: Denoising Diffusion Probabilistic Models, NeurIPS 2020, Eq. 14 (eps-prediction);
T. Salimans, J. Ho: Progressive Distillation, ICLR 2022, Sec. 4 (velocity). It shows what the data alone teaches: tuned
on clips of web quality a model learns web quality again, so it is the floor that reward fine-tuning must clear.

| name              | symbol | shape           | meaning                                                       |
|-------------------|--------|-----------------|---------------------------------------------------------------|
| `latents`         | z      | (B, C, F, h, w) | clean latents of the training clips                           |
| `t`               | t      | (B,)            | timestep, one a clip, uniform in 0 .. T - 1                   |
| `noise`           | eps    | (B, C, F, h, w) | N(0, 1)                                                       |
| target            | eps, v | (B, C, F, h, w) | noise, or velocity sqrt(abar_t) eps - sqrt(1 - abar_t) z      |
| `caption_dropout` | -      | scalar          | share of the clips whose caption is left out, for guidance    |

Where this differs from common practice: no weighting over t, no offset noise, and the timestep is drawn for each clip
from the run's own generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch, motion
from ivtutorial.method.editing import draw_noise
from ivtutorial.method.settings import Models, RewardMethod, check_batch, float_latents


@dataclass(frozen=True)
class Supervised(RewardMethod):
    """Settings of supervised tuning. `D`, `guidance` and `S` serve the rounds of samples only.

    Attributes:
        draws: timesteps and noises drawn for each clip of the batch.
        caption_dropout: share of draws without caption, 0 <= p < 1.

    Raises:
        InputError: a value out of range.
    """

    draws: int = 1
    caption_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_draws(self.draws, self.caption_dropout)


def check_draws(draws: int, caption_dropout: float) -> None:
    """Refuse numbers of draws and shares that make no denoising loss.

    Raises:
        InputError: which one.
    """
    if not isinstance(draws, int) or draws < 1:
        raise InputError(f"draws = {draws!r}: expected a whole number of at least 1.")
    if not 0 <= caption_dropout < 1:
        raise InputError(f"caption_dropout = {caption_dropout}: expected a share from 0 up to, not including, 1.")


def denoising_errors(models: Models, latents: Tensor, embeds: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Squared error of the network's prediction, a mean for each clip (Eq. 1).

    Args:
        models: UNet and scheduler; the prediction is taken without guidance, as in training.
        latents: z, (B, C, F, h, w).
        embeds: (B, L, E).
        t: timesteps, int64 (B,).
        noise: eps, shaped like latents.

    Returns:
        Errors (B,), with gradient to the network.
    """
    abar = models.scheduler.alphas_cumprod.to(latents)[t.to(models.scheduler.alphas_cumprod.device)].view(
        -1, 1, 1, 1, 1
    )
    z_t = abar.sqrt() * latents + (1 - abar).sqrt() * noise
    velocity = models.scheduler.config["prediction_type"] == "v_prediction"
    target = abar.sqrt() * noise - (1 - abar).sqrt() * latents if velocity else noise
    output = models.predictor(embeds, embeds, 1.0)(z_t, t.to(latents.device))
    return (output.to(target.dtype) - target).square().mean(dim=(1, 2, 3, 4))


def draw_timesteps(models: Models, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Uniform timesteps 0 .. T - 1, int64 (count,)."""
    device = generator.device if generator is not None else None
    T = models.scheduler.config["num_train_timesteps"]
    return torch.randint(T, (count,), generator=generator, device=device)


def drop_captions(embeds: Tensor, uncond: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Embeddings (B, L, E) in which about this share is that of the empty caption; no draw is made for share 0."""
    if not share:
        return embeds
    device = generator.device if generator is not None else None
    dropped = torch.rand(len(embeds), generator=generator, device=device) < share
    return torch.where(dropped.to(embeds.device)[:, None, None], uncond.expand_as(embeds), embeds)


def loss(
    models: Models,
    batch: Batch,
    video_reward: object,
    config: Supervised,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """The denoising loss of a batch (Eq. 1), and what to log.

    Args:
        models: UNet (with trainable adapters) and scheduler.
        batch: B clips.
        video_reward: not used; it is here so that every method is called alike.
        config: settings.
        generator: source of timesteps, noise and dropped captions, in this order.

    Returns:
        The loss, a scalar; and the motion of the training clips.

    Raises:
        InputError: latents of another channel count than the UNet's, or the UNet in the wrong mode.
    """
    check_batch(models, batch, config.train_mode)
    z = float_latents(batch).repeat_interleave(config.draws, 0)
    t = draw_timesteps(models, len(z), generator)
    noise = draw_noise(z.shape, generator, like=z)
    embeds = batch.embeds.repeat_interleave(config.draws, 0)
    embeds = drop_captions(embeds, batch.uncond_embeds[:1], config.caption_dropout, generator)
    errors = denoising_errors(models, z, embeds, t, noise)
    return errors.mean(), {"source_motion": motion(batch.latents)}
