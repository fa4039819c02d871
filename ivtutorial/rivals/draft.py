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
each of these in one step with gradient, and average the n + 1 rewards. It costs n UNet evaluations, not n chains; see
:mod:`ivtutorial.rivals.copies`.

Where this differs from the paper
---------------------------------
1. Video: R is SegVR and TAR around an image reward (Eq. 6-9 of InstructVideo).
2. DRaFT-LV takes the mean over its n + 1 draws, so that a learning rate does not depend on n.
3. No gradient clipping here: `grad_clip` is a setting of the training loop, off by default.
4. Captions come from the training clips; the clips' pictures are not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ivtutorial.checks import whole, within
from ivtutorial.errors import InputError
from ivtutorial.method.batch import BackboneLike, Batch, check_batch, reward_metrics
from ivtutorial.method.chain import GradientSteps, check_steps, denoise, gradient_steps, recorded_steps
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.gain import gains
from ivtutorial.method.noise import draw_noise
from ivtutorial.method.settings import GradientMethod, Losses
from ivtutorial.method.two_phase import cut_off, rejoin
from ivtutorial.rewards.base import ImageReward
from ivtutorial.rivals.copies import low_variance


@dataclass(frozen=True, kw_only=True)
class Draft(GradientMethod):
    """Settings of DRaFT-K; the others are :class:`ivtutorial.method.settings.GradientMethod`'s.

    Attributes:
        K: steps with gradient: the last K of D; 'uniform' to draw K for each batch; 'strongest' for the step of largest
            gain; or a list of positions.
        eta: 0 is deterministic DDIM, 1 as noisy as DDPM.
        variants: n of DRaFT-LV, 0 for plain DRaFT-K.
        stop_gradient: DRTune: each step with gradient takes its input as a constant.

    Raises:
        InputError: a value out of range, or DRaFT-LV with another K than 1.

    Example:
        >>> Draft(K=1).D
        20
    """

    K: GradientSteps = 1
    eta: float = 0.0
    variants: int = 0
    stop_gradient: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "K", check_steps(self.K, self.D))
        within(self, eta=(0, 1))
        whole(self, variants=0)
        if self.variants and self.K != 1:
            raise InputError(f"variants = {self.variants} is DRaFT-LV, which is made for K = 1, not K = {self.K}.")

    def losses(
        self, backbone: BackboneLike, batch: Batch, image_reward: ImageReward, generator: torch.Generator | None = None
    ) -> Losses:
        """The one loss of a step, E[-R] of clips sampled from noise, and `reward_metrics`.

        Of the batch's clips only the shape is used. See :meth:`ivtutorial.method.settings.RewardMethod.losses`.
        """
        z0 = sample_batch(backbone, batch, self, generator)
        last = chain_timesteps(backbone.scheduler, self.D)[-1:]
        z0, captions = low_variance(backbone, z0, batch, self, last, (0,), generator)
        x_0 = cut_off(z0) if self.two_phase else z0
        output = self.video_reward(image_reward)(backbone, x_0, captions, generator)
        yield rejoin(-output.reward.mean(), x_0, z0), reward_metrics(output, z0)

    def scored(self) -> int:
        """Frames that a step scores for one caption."""
        return self.S * (1 + self.variants)

    def passes(self) -> int:
        """Cost of a step for one caption, see :meth:`ivtutorial.method.settings.RewardMethod.passes`."""
        recorded = recorded_steps(self.K, self.D)
        return self.predictions * (self.D - recorded) + self.recorded_passes * (recorded + self.variants)


def sample_batch(
    backbone: BackboneLike, batch: Batch, config: Draft, generator: torch.Generator | None = None
) -> Tensor:
    """Sample a clip for each caption, with gradient from the chosen steps.

    Args:
        backbone: UNet, scheduler and guided prediction.
        batch: captions, and latents whose shape the samples get.
        config: settings.
        generator: source of K (if 'uniform'), the noise and the chain's noise, in this order.

    Returns:
        z_0, (B, C, F, h, w), at least float32.

    Raises:
        InputError: latents of another channel count than the UNet's, or the UNet in the wrong mode.
    """
    check_batch(backbone, batch, config.train_mode)
    timesteps = chain_timesteps(backbone.scheduler, config.D)
    chosen = gradient_steps(config.K, config.D, generator, gains(backbone.scheduler, timesteps, config.eta))
    noise = draw_noise(batch.latents.shape, generator, like=batch.z)
    predict, again, cut = config.predictor(backbone, batch), config.again, config.stop_gradient
    return denoise(predict, noise, timesteps, backbone.scheduler, chosen, config.eta, generator, again, cut)
