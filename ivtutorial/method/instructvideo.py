"""InstructVideo: edit training clips, reward the edits, follow the gradient (Sec. 3, Eq. 2-9).

clip -> noise to t_noi (Eq. 3-5) -> tau * D DDIM steps, the last K with gradient -> one frame per segment
(Eq. 6) -> decode those -> image reward -> temporal attenuation (Eq. 7-8) -> loss = mean(-R) (Eq. 9).

| name                 | symbol     | paper | authors' code | default here |
|----------------------|------------|-------|---------------|--------------|
| `tau`                | tau        | 0.6   | 0.6           | 0.6          |
| `D`                  | D          | 20    | 20            | 20           |
| `K`                  | K          | 1     | 1             | 1            |
| `guidance`           | -          | -     | 3.0           | 3.0          |
| `S`                  | S          | 4     | 4             | 4            |
| `lambda_tar`         | lambda_tar | 1     | 1             | 1            |
| `eta`                | eta        | 0     | 0             | 0            |
| `offset_noise`       | -          | none  | 0.1           | none         |
| `train_mode`         | -          | -     | on            | off          |

`InstructVideo.official()` is the column of the authors' code. Their loss is 1 - R: the same gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ivtutorial.checks import not_negative, within
from ivtutorial.method.batch import BackboneLike, Batch, Metrics, check_batch, motion, reward_metrics
from ivtutorial.method.chain import GradientSteps, check_steps, denoise, gradient_steps, recorded_steps
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.gain import gains
from ivtutorial.method.noise import corrupt, draw_noise
from ivtutorial.method.schedule import partial_steps
from ivtutorial.method.segvr import choose_frames
from ivtutorial.method.settings import GradientMethod, Losses
from ivtutorial.method.tar import temporal_attenuation
from ivtutorial.method.two_phase import cut_off, rejoin
from ivtutorial.method.video_reward import VideoRewardOutput, score_frames
from ivtutorial.rewards.base import ImageReward


@dataclass(frozen=True, kw_only=True)
class InstructVideo(GradientMethod):
    """Settings of the method, checked when made; `D`, `guidance`, `S`, `lambda_tar`, ... are `GradientMethod`'s.

    Attributes:
        tau: noise level, 0 < tau <= 1 (Eq. 4); the edit takes tau * D of the chain's D steps.
        K: steps with gradient: the last K, 1 .. tau * D; 'uniform' to draw K for each batch; 'strongest' for the step
            of largest gain; or a list of positions (0 = noisiest step).
        eta: 0 is deterministic DDIM, 1 as noisy as DDPM.
        offset_noise: size of the offset noise, see :func:`ivtutorial.method.noise.draw_noise`.
        stop_gradient: DRTune: each step with gradient takes its input as a constant. Not the paper's.

    Raises:
        InputError: a value out of range.

    Example:
        >>> InstructVideo(tau=0.6, D=20).steps
        12
    """

    tau: float = 0.6
    K: GradientSteps = 1
    eta: float = 0.0
    offset_noise: float = 0.0
    stop_gradient: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "K", check_steps(self.K, self.steps))
        not_negative(self, "offset_noise")
        within(self, eta=(0, 1))

    @classmethod
    def official(cls, **changes: Any) -> InstructVideo:
        """The settings of the authors' training run; `changes` replace single ones."""
        return cls(**{"offset_noise": 0.1, "train_mode": True, **changes})

    @property
    def steps(self) -> int:
        """Steps of the partial chain, tau * D."""
        return partial_steps(self.tau, self.D)

    def losses(
        self, backbone: BackboneLike, batch: Batch, image_reward: ImageReward, generator: torch.Generator | None = None
    ) -> Losses:
        """The one loss of a step, E[-R] over the batch (Eq. 9), and what to log.

        Draws are made in the order of the lines: K (if 'uniform'), noise, the chain's noise, frames. See
        :meth:`ivtutorial.method.settings.RewardMethod.losses` and, for the figures, :func:`edit_metrics`.

        Example:
            >>> with network_mode(backbone.unet, method.train_mode):  # doctest: +SKIP
            ...     [(loss, metrics)] = method.losses(backbone, batch, image_reward, generator)
            ...     loss.backward()
        """
        check_batch(backbone, batch, self.train_mode)
        z, scheduler = batch.z, backbone.scheduler
        B, F = len(z), backbone.frame_count(z.shape[2])
        predict = self.predictor(backbone, batch)
        timesteps = chain_timesteps(scheduler, self.D, self.tau)  # Eq. 3, 4
        chosen = gradient_steps(self.K, len(timesteps), generator, gains(scheduler, timesteps, self.eta))
        noise = draw_noise(z.shape, generator, self.offset_noise, like=z)
        z_noi = corrupt(z, timesteps[0], scheduler, noise)  # Eq. 5
        again, cut = self.again, self.stop_gradient
        z_0 = denoise(predict, z_noi, timesteps, scheduler, chosen, self.eta, generator, again, cut)
        x_0 = cut_off(z_0) if self.two_phase else z_0
        g = choose_frames(F, self.S, B, generator, self.selection, self.lambda_tar)  # Eq. 6
        f = temporal_attenuation(g, F, self.lambda_tar, self.normalise, self.selection == "attenuated")  # Eq. 7
        r = score_frames(image_reward, backbone, x_0, g, batch.captions)
        R = (f.to(r.device, non_blocking=True) * self.bounded(r)).mean(dim=1)  # Eq. 8
        yield rejoin(-R.mean(), x_0, z_0), edit_metrics(VideoRewardOutput(R, r, f, g), z_0, z)  # Eq. 2, 9

    def passes(self) -> int:
        """Cost of a step for one clip, see :meth:`ivtutorial.method.settings.RewardMethod.passes`."""
        recorded = recorded_steps(self.K, self.steps)
        return self.predictions * (self.steps - recorded) + self.recorded_passes * recorded


def edit_metrics(output: VideoRewardOutput, z0: Tensor, z: Tensor) -> Metrics:
    """The figures of an edit: :func:`ivtutorial.method.batch.reward_metrics`, and two more.

    Args:
        output: the video reward of the edits.
        z0: edited latents (B, C, F, h, w).
        z: latents of the training clips.

    Returns:
        The shared figures; `source_motion`, the motion of the training clips; `edit_distance`, the root mean square
        difference between edited and training latents.
    """
    distance = (z0.detach() - z).square().mean().sqrt()
    return {**reward_metrics(output, z0), "source_motion": motion(z), "edit_distance": distance}
