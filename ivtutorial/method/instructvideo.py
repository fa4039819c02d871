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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch, motion, reward_metrics
from ivtutorial.method.editing import edit
from ivtutorial.method.schedule import partial_steps
from ivtutorial.method.settings import (
    GradientSteps,
    Models,
    check_batch,
    check_numbers,
    check_steps,
    float_latents,
    gradient_steps,
)
from ivtutorial.method.video_reward import Selection, VideoReward, VideoRewardOutput, choose_frames
from ivtutorial.rewards.base import ImageReward


@dataclass(frozen=True)
class InstructVideo:
    """Settings of the method, checked when made.

    Attributes:
        tau: noise level, 0 < tau <= 1 (Eq. 4).
        D: steps of the full DDIM chain; the edit takes tau * D of them.
        K: steps with gradient: the last K, 1 .. tau * D; 'uniform' to draw K for each batch; or a list of positions
            (0 = noisiest step).
        guidance: classifier-free guidance scale; 1 is no guidance.
        S: segments, must divide the number of frames (Eq. 6).
        lambda_tar: steepness of the temporal attenuation (Eq. 7).
        normalise: scale the weights of a clip to mean 1.
        selection: how a frame is chosen in its segment: 'random', 'first', 'middle', or 'dense' (all).
        eta: 0 is deterministic DDIM, 1 as noisy as DDPM.
        offset_noise: size of the offset noise, see :func:`ivtutorial.method.editing.draw_noise`.
        train_mode: dropout on in the UNet (True) or off (False).
        recompute: recompute each recorded UNet call in the backward pass.

    Raises:
        InputError: a value out of range.

    Example:
        >>> InstructVideo(tau=0.6, D=20).steps
        12
    """

    tau: float = 0.6
    D: int = 20
    K: GradientSteps = 1
    guidance: float = 3.0
    S: int = 4
    lambda_tar: float = 1.0
    normalise: bool = False
    selection: Selection = "random"
    eta: float = 0.0
    offset_noise: float = 0.0
    train_mode: bool = False
    recompute: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "K", check_steps(self.K, self.steps))
        check_numbers(self, "guidance", "lambda_tar", "offset_noise", "eta")
        if self.eta > 1:
            raise InputError(f"eta = {self.eta}: expected 0 (deterministic) to 1 (as noisy as DDPM).")
        choose_frames(self.S, self.S, 1, selection=self.selection)

    @classmethod
    def official(cls, **changes: Any) -> InstructVideo:
        """The settings of the authors' training run; `changes` replace single ones."""
        return cls(**{"offset_noise": 0.1, "train_mode": True, **changes})

    @property
    def steps(self) -> int:
        """Steps of the partial chain, tau * D."""
        return partial_steps(self.tau, self.D)

    @property
    def updates(self) -> int:
        """Optimiser updates a step of the training loop makes."""
        return 1

    def video_reward(self, image_reward: ImageReward) -> VideoReward:
        """SegVR and TAR with these settings around an image reward."""
        return VideoReward(image_reward, self.S, self.lambda_tar, self.normalise, self.selection)


def edit_batch(
    backbone: Models, batch: Batch, config: InstructVideo, generator: torch.Generator | None = None
) -> Tensor:
    """Edit the clips of a batch (Eq. 3-5 and the partial chain).

    Args:
        backbone: UNet, scheduler and guided prediction.
        batch: clips and embeddings.
        config: settings.
        generator: source of K (if 'uniform'), the noise and the chain's noise, in this order.

    Returns:
        z_0, (B, C, F, h, w), at least float32, with gradient from the chosen steps.

    Raises:
        InputError: latents of another channel count than the UNet's, or the UNet in the wrong mode.
    """
    check_batch(backbone, batch, config.train_mode)
    return edit(
        backbone.predictor(batch.embeds, batch.uncond_embeds, config.guidance),
        float_latents(batch),
        backbone.scheduler,
        tau=config.tau,
        D=config.D,
        grad_steps=gradient_steps(config.K, config.steps, generator),
        eta=config.eta,
        offset_noise=config.offset_noise,
        generator=generator,
        recompute=config.recompute,
    )


def loss(
    backbone: Models,
    batch: Batch,
    video_reward: Callable[..., VideoRewardOutput],
    config: InstructVideo,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """The loss to minimise, E[-R] over the batch (Eq. 9), and what to log.

    Call it, and `backward()`, inside `network_mode(backbone.unet, config.train_mode)`.

    Args:
        backbone: UNet (with trainable adapters), VAE, scheduler.
        batch: B clips.
        video_reward: usually `config.video_reward(image_reward)`.
        config: settings.
        generator: source of every draw of this step.

    Returns:
        The loss, a scalar; and the metrics of :func:`ivtutorial.method.batch.reward_metrics`, with
        `source_motion`, the motion of the training clips, and `edit_distance`, the root mean square
        difference between edited and training latents.

    Raises:
        InputError: see :func:`edit_batch` and :class:`ivtutorial.method.video_reward.VideoReward`.

    Example:
        >>> with network_mode(backbone.unet, config.train_mode):  # doctest: +SKIP
        ...     value, metrics = loss(backbone, batch, config.video_reward(image_reward), config, generator)
        ...     value.backward()
    """
    z0 = edit_batch(backbone, batch, config, generator)
    output = video_reward(backbone.decode, z0, batch.captions, generator)
    metrics = reward_metrics(output, z0)
    metrics["source_motion"] = motion(batch.latents)
    metrics["edit_distance"] = (z0.detach() - batch.latents).square().mean().sqrt().item()
    return -output.reward.mean(), metrics
