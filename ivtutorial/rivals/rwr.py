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

from dataclasses import dataclass

import torch
from torch import Tensor

from ivtutorial.checks import positive, share, whole
from ivtutorial.method.batch import BackboneLike, Batch, check_batch, repeated, reward_metrics
from ivtutorial.method.chain import sample
from ivtutorial.method.noise import draw_noise
from ivtutorial.method.settings import Losses, RewardMethod
from ivtutorial.rewards.base import ImageReward
from ivtutorial.rivals.denoising import drawn_errors
from ivtutorial.rivals.groups import group_advantages, score_groups


@dataclass(frozen=True, kw_only=True)
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
        whole(self, group=2, inner_updates=1, draws=1)
        positive(self, "temperature")
        share(self, "caption_dropout")

    @property
    def updates(self) -> int:
        """Optimiser updates a step of the training loop makes."""
        return self.inner_updates

    def losses(
        self, backbone: BackboneLike, batch: Batch, image_reward: ImageReward, generator: torch.Generator | None = None
    ) -> Losses:
        """A round: sample and score once, then one loss for each update; of the batch's clips only the shape is used.

        Logged are `reward_metrics` and `weight_max`, the largest weight of the round (G: one sample is everything).
        See :meth:`ivtutorial.method.settings.RewardMethod.losses`.
        """
        check_batch(backbone, batch, self.train_mode)
        batch = repeated(batch, self.group)
        predict = backbone.predictor(batch.embeds, batch.uncond_embeds, self.guidance)
        with torch.no_grad():
            noise = draw_noise(batch.latents.shape, generator, like=batch.z)
            z0 = sample(predict, noise, backbone.scheduler, self.D)
        output = score_groups(backbone, z0, batch, self.video_reward(image_reward), self.group, generator)
        rewards = output.reward.view(-1, self.group)
        weights = rwr_weights(group_advantages(rewards), self.temperature).flatten()
        metrics = {**reward_metrics(output, z0), "weight_max": weights.max()}
        for _ in range(self.inner_updates):
            yield weighted_loss(backbone, z0, batch, weights, self, generator), metrics
            metrics = {**metrics, "reward_calls": 0.0}

    def scored(self) -> int:
        """Frames that a round scores for one caption."""
        return self.group * self.S

    def passes(self) -> int:
        """Cost of a round for one caption, see :meth:`ivtutorial.method.settings.RewardMethod.passes`."""
        return self.group * (self.predictions * self.D + 3 * self.draws * self.inner_updates)


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
    backbone: BackboneLike,
    z0: Tensor,
    batch: Batch,
    weights: Tensor,
    config: RWR,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One draw of the weighted denoising loss, a scalar with gradient to the network.

    Args:
        backbone: UNet and scheduler.
        z0: samples (N, C, F, h, w).
        batch: their captions.
        weights: (N,).
        config: `draws` and `caption_dropout`.
        generator: source of timesteps, noise and dropped captions, in this order.
    """
    errors = drawn_errors(backbone, z0, batch, config.draws, config.caption_dropout, generator)
    return (weights.repeat_interleave(config.draws) * errors).mean()
