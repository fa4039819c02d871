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

from ivtutorial.checks import share, whole
from ivtutorial.method.batch import BackboneLike, Batch, check_batch, motion
from ivtutorial.method.settings import Losses, RewardMethod
from ivtutorial.rewards.base import ImageReward
from ivtutorial.rivals.denoising import drawn_errors


@dataclass(frozen=True, kw_only=True)
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
        whole(self, draws=1)
        share(self, "caption_dropout")

    def losses(
        self,
        backbone: BackboneLike,
        batch: Batch,
        image_reward: ImageReward | None,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """The one loss of a step (Eq. 1), and the motion of the training clips; the reward is not used.

        See :meth:`ivtutorial.method.settings.RewardMethod.losses`.
        """
        check_batch(backbone, batch, self.train_mode)
        errors = drawn_errors(backbone, batch.z, batch, self.draws, self.caption_dropout, generator)
        yield errors.mean(), {"source_motion": motion(batch.latents)}

    def scored(self) -> int:
        """None: there is no reward."""
        return 0

    def passes(self) -> int:
        """Cost of a step for one clip, see :meth:`ivtutorial.method.settings.RewardMethod.passes`."""
        return 3 * self.draws
