"""DDPO: the chain as a policy of D Gaussian steps, improved by clipped importance-sampled policy gradients.

K. Black, M. Janner, Y. Du, I. Kostrikov, S. Levine: Training Diffusion Models with Reinforcement Learning, ICLR 2024
(arXiv 2305.13301): the estimator with importance sampling, and the clipping of PPO (J. Schulman et al. 2017, arXiv
1707.06347):

    pi(z_{t-1} | z_t, c) = N(mu_theta(z_t, t, c), std_t^2)                           one DDIM step with eta = 1
    ratio_t = pi_theta(z_{t-1} | z_t, c) / pi_old(z_{t-1} | z_t, c)
    loss = - E[ sum_t min(ratio_t adv, clip(ratio_t, 1 - epsilon, 1 + epsilon) adv) ]

| name            | symbol  | shape              | meaning                                                         |
|-----------------|---------|--------------------|-----------------------------------------------------------------|
| `states`        | z_t     | n + 1 of (N, ...)  | the chain of each sample, from noise to z_0                     |
| `log_probs`     | log pi  | (n, N)             | of each step, a mean over the latent's numbers                  |
| `advantages`    | adv     | (N,)               | reward normalised within the caption's group                    |
| `ppo_clip`      | epsilon | scalar             | 1e-4, as in the authors' code                                   |
| `group`         | G       | int                | samples of each caption                                         |
| `inner_updates` | -       | int                | optimiser updates on one round of samples                       |
| `K`             | -       | None or as DRaFT's | steps of the chain that are trained; None is all, as published  |

No gradient runs through the reward or along the chain: each step is one regression-like term. A step of the training
loop is one round: sample with the model as it is, then make `inner_updates` updates.

Where this differs from the authors' code
-----------------------------------------
1. Rewards are normalised within a group of samples of the caption drawn in the same round, all scored on the same
   frames (:mod:`ivtutorial.rivals.groups`). Theirs keeps running statistics of each prompt over the last epochs, which
   a small run fills too slowly, and which would have to be stored with every checkpoint.
2. Log-probabilities are means over the latent's numbers, as in their code; the density itself would have sums. So the
   ratio stays near 1, and `ppo_clip` does not depend on the size of a clip.
3. Every update uses all samples of the round. A last step whose std is 0 (schedulers that end at alpha 1) is skipped.
4. Evaluation samples with eta = 0, like that of every other method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ivtutorial.checks import positive, whole
from ivtutorial.errors import InputError
from ivtutorial.method.batch import BackboneLike, Batch, check_batch, repeated, reward_metrics
from ivtutorial.method.chain import GradientSteps, call, check_steps, gradient_steps, recorded_steps
from ivtutorial.method.ddim import check_scheduler, ddim_moments
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.noise import draw_noise, randn
from ivtutorial.method.schedule import steps
from ivtutorial.method.settings import Losses, RewardMethod
from ivtutorial.rewards.base import ImageReward
from ivtutorial.rivals.groups import group_advantages, score_groups
from ivtutorial.system.at_rest import weights_at_rest

Moments = Callable[[int, Tensor], tuple[Tensor, float]]


@dataclass(frozen=True, kw_only=True)
class DDPO(RewardMethod):
    """Settings of DDPO; those of the reward are `RewardMethod`'s.

    Attributes:
        group: G, samples of each caption, at least 2.
        ppo_clip: epsilon, > 0.
        max_advantage: advantages are cut off at this size.
        inner_updates: optimiser updates a round; the first has ratio 1.
        eta: noise of the policy, 0 < eta <= 1.
        K: which steps are trained: None for all; the last K; 'uniform'; or a list of positions.

    Raises:
        InputError: a value out of range.
    """

    group: int = 4
    ppo_clip: float = 1e-4
    max_advantage: float = 5.0
    inner_updates: int = 2
    eta: float = 1.0
    K: GradientSteps | None = None
    recompute: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, group=2, inner_updates=1)
        positive(self, "ppo_clip", "max_advantage", "eta")
        if self.K == "strongest":
            raise InputError("K = 'strongest': in DDPO no gradient runs along the chain, so its steps have no gain.")
        if self.K is not None:
            object.__setattr__(self, "K", check_steps(self.K, self.D))
        if self.eta > 1:
            raise InputError(f"eta = {self.eta}: expected more than 0, for a policy must be random, and at most 1.")

    @property
    def updates(self) -> int:
        """Optimiser updates a step of the training loop makes."""
        return self.inner_updates

    def losses(
        self, backbone: BackboneLike, batch: Batch, image_reward: ImageReward, generator: torch.Generator | None = None
    ) -> Losses:
        """A round: sample and score once, then one loss for each update; of the batch's clips only the shape is used.

        Logged are `reward_metrics`; `group_std`, the mean standard deviation of the reward within a group; `clipped`,
        the share of terms outside 1 +- epsilon. See :meth:`ivtutorial.method.settings.RewardMethod.losses`.
        """
        check_batch(backbone, batch, self.train_mode)
        batch = repeated(batch, self.group)
        chains = roll_out(backbone, batch, self, generator)
        output = score_groups(
            backbone, chains.states[-1], batch, self.video_reward(image_reward), self.group, generator
        )
        rewards = output.reward.view(-1, self.group)
        advantages = group_advantages(rewards).clamp(-self.max_advantage, self.max_advantage).flatten()
        metrics = reward_metrics(output, chains.states[-1])
        metrics["group_std"] = rewards.std(dim=1, correction=0).mean()
        for _ in range(self.inner_updates):
            loss, clipped = surrogate(backbone, batch, chains, advantages, self, generator)
            yield loss, {**metrics, "clipped": clipped}
            metrics = {**metrics, "reward_calls": 0.0}

    def scored(self) -> int:
        """Frames that a round scores for one caption."""
        return self.group * self.S

    def passes(self) -> int:
        """Cost of a round for one caption, see :meth:`ivtutorial.method.settings.RewardMethod.passes`."""
        trained = self.D if self.K is None else recorded_steps(self.K, self.D)
        return self.group * self.predictions * (self.D + (3 + self.recompute) * trained * self.inner_updates)


@dataclass(frozen=True)
class Trajectories:
    """Chains of N samples, without gradient.

    Attributes:
        states: n + 1 latents (N, C, F, h, w), from noise to z_0.
        log_probs: of the n steps under the policy that drew them, (n, N).
    """

    states: Sequence[Tensor]
    log_probs: Tensor


def gaussian_log_prob(x: Tensor, mean: Tensor, std: float) -> Tensor:
    """Log density of N(mean, std^2) at x, averaged over all numbers of a sample: (N, ...) -> (N,).

    Example:
        >>> gaussian_log_prob(torch.zeros(1, 2), torch.zeros(1, 2), 1.0)  # -log(2 pi) / 2
        tensor([-0.9189])
    """
    density = -((x - mean) ** 2) / (2 * std**2) - math.log(std) - 0.5 * math.log(2 * math.pi)
    return density.flatten(1).mean(dim=1)


def step_moments(backbone: BackboneLike, batch: Batch, config: DDPO, recompute: bool = False) -> Moments:
    """(position in the chain, z) -> mean and standard deviation of the policy's step."""
    chain = steps(chain_timesteps(backbone.scheduler, config.D))
    predict = backbone.predictor(batch.embeds, batch.uncond_embeds, config.guidance)

    def moments(i: int, z: Tensor) -> tuple[Tensor, float]:
        t, t_prev = chain[i]
        output = call(predict, z, t, recompute)
        return ddim_moments(backbone.scheduler, output, t, t_prev, z, config.eta)

    return moments


@torch.no_grad()
@weights_at_rest()
def roll_out(
    backbone: BackboneLike, batch: Batch, config: DDPO, generator: torch.Generator | None = None
) -> Trajectories:
    """Sample a clip for each caption and keep the whole chain.

    Args:
        backbone: UNet, scheduler and guided prediction.
        batch: N captions, and latents whose shape the samples get.
        config: settings.
        generator: source of the first noise and then of each step's.

    Returns:
        States and log-probabilities of the D steps; a step with std 0 has log-probability 0.
    """
    check_scheduler(backbone.scheduler)
    moments = step_moments(backbone, batch, config)
    z = draw_noise(batch.latents.shape, generator, like=batch.z)
    states, log_probs = [z], []
    for i in range(config.D):
        mean, std = moments(i, z)
        z = mean + std * randn(z.shape, generator, z) if std else mean
        log_probs.append(gaussian_log_prob(z, mean, std) if std else mean.new_zeros(len(mean)))
        states.append(z)
    return Trajectories(states, torch.stack(log_probs))


def clipped_loss(log_prob: Tensor, old: Tensor, advantages: Tensor, ppo_clip: float) -> tuple[Tensor, Tensor]:
    """PPO's surrogate of one step, -mean min(ratio adv, clip(ratio) adv), and the share of samples that are clipped.

    Args:
        log_prob: under the policy as it is, (N,), with gradient.
        old: under the policy that sampled, (N,).
        advantages: adv, (N,).
        ppo_clip: epsilon.
    """
    ratio = (log_prob - old).exp()
    kept = torch.minimum(ratio * advantages, ratio.clamp(1 - ppo_clip, 1 + ppo_clip) * advantages)
    return -kept.mean(), ((ratio - 1).abs() > ppo_clip).float().mean()


def surrogate(
    backbone: BackboneLike,
    batch: Batch,
    trajectories: Trajectories,
    advantages: Tensor,
    config: DDPO,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """The loss of one update, a mean over the trained steps of the chain, and the share of clipped terms.

    Args:
        backbone: UNet and scheduler.
        batch: N captions.
        trajectories: of N samples.
        advantages: (N,).
        config: settings; `K` says which steps are trained.
        generator: source of K, if 'uniform'.
    """
    moments = step_moments(backbone, batch, config, config.recompute)
    chosen = range(config.D) if config.K is None else gradient_steps(config.K, config.D, generator)
    terms, clipped = [], []
    for i in chosen:
        mean, std = moments(i, trajectories.states[i])
        if std:
            log_prob = gaussian_log_prob(trajectories.states[i + 1], mean, std)
            term, share = clipped_loss(log_prob, trajectories.log_probs[i], advantages, config.ppo_clip)
            terms.append(term)
            clipped.append(share)
    if not terms:
        raise InputError(f"K = {config.K}: none of these steps is random under this scheduler; train more of them.")
    return torch.stack(terms).mean(), torch.stack(clipped).mean()
