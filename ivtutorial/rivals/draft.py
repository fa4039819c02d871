"""DRaFT-K: follow the gradient of the reward through the last K steps of the full chain from noise.

K. Clark, P. Vicol, K. Swersky, D. J. Fleet: Directly Fine-Tuning Diffusion Models on Differentiable Rewards, ICLR 2024
(arXiv 2309.17400). The objective is Eq. 2 of InstructVideo,

    J(theta) = E_{c, z_T ~ N(0, 1)} [ r(sample(theta, c, z_T), c) ],

with the gradient cut off before the last K of the D steps. InstructVideo differs in one thing only: its chain starts
from a noised training clip and is tau * D steps long. So the same K, reward, frames, adapter and captions serve both.

| name       | symbol | DRaFT        | here                                                       |
|------------|--------|--------------|------------------------------------------------------------|
| `D`        | T      | 50           | 20, as in InstructVideo's comparison                       |
| `K`        | K      | 1, 10, T     | 1 (DRaFT-1); also 'uniform', or a list of positions        |
| `variants` | n      | DRaFT-LV     | 0: plain DRaFT-K                                           |
| noise      | z_T    | N(0, 1)      | N(0, 1), shaped like the training clips' latents           |

DRaFT-LV ("low variance", K = 1): noise the finished clip n times more to the chain's last timestep, denoise
each of these in one step with gradient, and average the n + 1 rewards. It costs n UNet evaluations, not n chains.

Where this differs from the paper
---------------------------------
1. Video: R is SegVR and TAR around an image reward (Eq. 6-9 of InstructVideo).
2. DRaFT-LV takes the mean over its n + 1 draws, so that a learning rate does not depend on n.
3. No gradient clipping here: `grad_clip` is a setting of the training loop, off by default.
4. Captions come from the training clips; the clips' pictures are not used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch, reward_metrics
from ivtutorial.method.chain import sample
from ivtutorial.method.ddim import ddim_step
from ivtutorial.method.editing import corrupt, draw_noise
from ivtutorial.method.schedule import ddim_timesteps
from ivtutorial.method.settings import (
    GradientSteps,
    Models,
    RewardMethod,
    check_batch,
    check_numbers,
    check_steps,
    check_whole,
    float_latents,
    gradient_steps,
    repeated,
)
from ivtutorial.method.video_reward import VideoRewardOutput


@dataclass(frozen=True)
class Draft(RewardMethod):
    """Settings of DRaFT-K; those of the reward are :class:`ivtutorial.method.settings.RewardMethod`'s.

    Attributes:
        K: steps with gradient: the last K of D; 'uniform' to draw K for each batch; or a list of positions.
        eta: 0 is deterministic DDIM, 1 as noisy as DDPM.
        variants: n of DRaFT-LV, 0 for plain DRaFT-K.

    Raises:
        InputError: a value out of range, or DRaFT-LV with another K than 1.

    Example:
        >>> Draft(K=1).D
        20
    """

    K: GradientSteps = 1
    eta: float = 0.0
    variants: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "K", check_steps(self.K, self.D))
        check_numbers(self, "eta")
        check_whole(self, variants=0)
        if self.eta > 1:
            raise InputError(f"eta = {self.eta}: expected 0 (deterministic) to 1 (as noisy as DDPM).")
        if self.variants and self.K != 1:
            raise InputError(f"variants = {self.variants} is DRaFT-LV, which is made for K = 1, not K = {self.K}.")


def sample_batch(models: Models, batch: Batch, config: Draft, generator: torch.Generator | None = None) -> Tensor:
    """Sample a clip for each caption, with gradient from the chosen steps.

    Args:
        models: UNet, scheduler and guided prediction.
        batch: captions, and latents whose shape the samples get.
        config: settings.
        generator: source of K (if 'uniform'), the noise and the chain's noise, in this order.

    Returns:
        z_0, (B, C, F, h, w), at least float32.

    Raises:
        InputError: latents of another channel count than the UNet's, or the UNet in the wrong mode.
    """
    check_batch(models, batch, config.train_mode)
    steps = gradient_steps(config.K, config.D, generator)
    noise = draw_noise(batch.latents.shape, generator, like=float_latents(batch))
    predict = models.predictor(batch.embeds, batch.uncond_embeds, config.guidance)
    return sample(predict, noise, models.scheduler, config.D, steps, config.eta, generator, config.recompute)


def low_variance(
    models: Models, z0: Tensor, batch: Batch, config: Draft, generator: Any = None
) -> tuple[Tensor, Batch]:
    """DRaFT-LV: the samples and, beside each, n more that are noised to the last timestep and denoised again.

    Args:
        models: UNet, scheduler and guided prediction.
        z0: finished samples (B, C, F, h, w); gradient flows through the one-step copies and through z0 itself.
        batch: their captions.
        config: `variants` is n.
        generator: source of the noise.

    Returns:
        Latents (B + B n, C, F, h, w), the samples first, and the batch that belongs to them.
    """
    copies = repeated(batch, config.variants)
    start = z0.detach().repeat_interleave(config.variants, 0)
    t = ddim_timesteps(config.D, models.scheduler.config["num_train_timesteps"])[-1]
    z = corrupt(start, t, models.scheduler, draw_noise(start.shape, generator, like=start))
    output = models.predictor(copies.embeds, copies.uncond_embeds, config.guidance)(z, t)
    again = ddim_step(models.scheduler, output, t, -1, z)
    empty = batch.uncond_embeds if len(batch.uncond_embeds) == 1 else torch.cat(
        [batch.uncond_embeds, copies.uncond_embeds]
    )  # fmt: skip
    every = torch.cat([z0, again])
    captions = [*batch.captions, *copies.captions]
    return every, Batch(every.detach(), torch.cat([batch.embeds, copies.embeds]), empty, captions)


def loss(
    models: Models,
    batch: Batch,
    video_reward: Callable[..., VideoRewardOutput],
    config: Draft,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """The loss to minimise, E[-R] of clips sampled from noise, and what to log.

    Call it, and `backward()`, inside `network_mode(unet, config.train_mode)`.

    Args:
        models: UNet (with trainable adapters), VAE, scheduler.
        batch: B captions; of the clips only the shape is used.
        video_reward: usually `config.video_reward(image_reward)`.
        config: settings.
        generator: source of every draw of this step.

    Returns:
        The loss, a scalar, and :func:`ivtutorial.method.batch.reward_metrics`.

    Raises:
        InputError: see :func:`sample_batch` and :class:`ivtutorial.method.video_reward.VideoReward`.
    """
    z0 = sample_batch(models, batch, config, generator)
    rewarded = batch
    if config.variants:
        z0, rewarded = low_variance(models, z0, batch, config, generator)
    output = video_reward(models.decode, z0, rewarded.captions, generator)
    return -output.reward.mean(), reward_metrics(output, z0)
