"""RWR, reward-weighted regression: sample clips, then learn to denoise them, the better ones with more weight.

J. Peters, S. Schaal: Reinforcement Learning by Reward-Weighted Regression for Operational Space Control, ICML 2007; for
diffusion models K. Lee et al.: Aligning Text-to-Image Models using Human Feedback, arXiv 2302.12192, who weigh the
likelihood, and K. Black et al.: Training Diffusion Models with Reinforcement Learning (DDPO), ICLR 2024
(arXiv 2305.13301), whose weight is the exponential of the reward:

    w(z_0, c) = exp(R(z_0, c) / temperature) / Z(c),      L = E[ w(z_0, c) * | target - net(z_t, t, c) |^2 ]

| name            | symbol   | meaning                                                                      |
|-----------------|----------|------------------------------------------------------------------------------|
| `group`         | G        | samples of each caption                                                      |
| `temperature`   | 1 / beta | of rewards normalised within the group; to 0: only the best counts           |
| `weights`       | w        | (B, G), mean 1 in each group                                                 |
| `inner_updates` | -        | optimiser updates on one round of samples                                    |
| `draws`         | -        | timesteps and noises drawn for each sample in an update                      |

No gradient runs through the reward, so any reward will do. A step of the training loop is one round: sample with the
model as it is, then make `inner_updates` updates.

Where this differs from the papers
----------------------------------
1. Z(c) is the mean of the exponentials over the group of the caption, and R is normalised within it first: see
   :mod:`ivtutorial.rivals.groups`. Black et al. normalise over a batch of hundreds of samples.
2. A round is small and follows the model (on-policy); the papers sample thousands between two trainings.
3. Samples come from deterministic DDIM with guidance, as at evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch, reward_metrics
from ivtutorial.method.chain import sample
from ivtutorial.method.editing import draw_noise
from ivtutorial.method.settings import Models, RewardMethod, check_batch, check_whole, float_latents, repeated
from ivtutorial.method.video_reward import VideoRewardOutput
from ivtutorial.rivals.groups import group_advantages, score_groups
from ivtutorial.rivals.supervised import check_draws, denoising_errors, draw_timesteps, drop_captions


@dataclass(frozen=True)
class RWR(RewardMethod):
    """Settings of reward-weighted regression; those of the reward are `RewardMethod`'s.

    Attributes:
        group: G, samples of each caption, at least 2.
        temperature: > 0.
        inner_updates: optimiser updates a round.
        draws: timesteps and noises for each sample in an update.
        caption_dropout: share of draws without caption, 0 <= p < 1.

    Raises:
        InputError: a value out of range.
    """

    group: int = 4
    temperature: float = 1.0
    inner_updates: int = 4
    draws: int = 1
    caption_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, group=2, inner_updates=1)
        check_draws(self.draws, self.caption_dropout)
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"temperature = {self.temperature}: expected a positive number.")

    @property
    def updates(self) -> int:
        """Optimiser updates a step of the training loop makes."""
        return self.inner_updates


def rwr_weights(rewards: Tensor, temperature: float) -> Tensor:
    """Weights w = exp(R / temperature) / Z with mean 1 in each group.

    Args:
        rewards: R, (B, G).
        temperature: > 0, in units of R.

    Returns:
        (B, G), >= 0.

    Example:
        >>> rwr_weights(torch.tensor([[0.0, 0.0]]), 1.0)
        tensor([[1., 1.]])
    """
    return (rewards / temperature).softmax(dim=1) * rewards.shape[1]


def weighted_loss(
    models: Models, z0: Tensor, batch: Batch, weights: Tensor, config: RWR, generator: torch.Generator | None = None
) -> Tensor:
    """One draw of the weighted denoising loss, a scalar with gradient to the network.

    Args:
        models: UNet and scheduler.
        z0: samples (N, C, F, h, w).
        batch: their captions.
        weights: (N,).
        config: `draws` and `caption_dropout`.
        generator: source of timesteps, noise and dropped captions, in this order.
    """
    z = z0.repeat_interleave(config.draws, 0)
    t = draw_timesteps(models, len(z), generator)
    noise = draw_noise(z.shape, generator, like=z)
    embeds = batch.embeds.repeat_interleave(config.draws, 0)
    embeds = drop_captions(embeds, batch.uncond_embeds[:1], config.caption_dropout, generator)
    errors = denoising_errors(models, z, embeds, t, noise)
    return (weights.repeat_interleave(config.draws) * errors).mean()


def losses(
    models: Models,
    batch: Batch,
    video_reward: Callable[..., VideoRewardOutput],
    config: RWR,
    generator: torch.Generator | None = None,
) -> Iterator[tuple[Tensor, dict[str, float]]]:
    """A round: sample and score once, then one loss for each update; the caller updates between two of them.

    Args:
        models: UNet (with trainable adapters), VAE, scheduler.
        batch: B captions; of the clips only the shape is used.
        video_reward: usually `config.video_reward(image_reward)`.
        config: settings.
        generator: source of every draw of the round.

    Yields:
        `inner_updates` pairs of a loss, a scalar, and what to log: `reward_metrics` and `weight_max`, the largest
        weight of the round (G: one sample is everything).

    Raises:
        InputError: latents of another channel count than the UNet's, or the UNet in the wrong mode.
    """
    check_batch(models, batch, config.train_mode)
    batch = repeated(batch, config.group)
    predict = models.predictor(batch.embeds, batch.uncond_embeds, config.guidance)
    with torch.no_grad():
        noise = draw_noise(batch.latents.shape, generator, like=float_latents(batch))
        z0 = sample(predict, noise, models.scheduler, config.D)
    output = score_groups(models, z0, batch, video_reward, config, config.group, generator)
    rewards = output.reward.view(-1, config.group)
    weights = rwr_weights(group_advantages(rewards), config.temperature).flatten()
    metrics = {**reward_metrics(output, z0), "weight_max": weights.max().item()}
    for _ in range(config.inner_updates):
        yield weighted_loss(models, z0, batch, weights, config, generator), metrics
        metrics = {**metrics, "reward_calls": 0.0}
