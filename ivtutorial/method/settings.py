"""What the methods have in common: settings of the chain and of the reward, and the two things a method can do.

| name         | symbol     | meaning                                                    |
|--------------|------------|------------------------------------------------------------|
| `D`          | D          | steps of the full DDIM chain                               |
| `guidance`   | -          | classifier-free guidance scale                             |
| `S`          | S          | segments of SegVR (Eq. 6), one of `VideoRewardSettings`    |
| `lambda_tar` | lambda_tar | steepness of TAR (Eq. 7), one of `VideoRewardSettings`     |

A method is a frozen dataclass of its settings with `losses`, what a training step minimises, and `passes`, what the
step costs. Every method sees the same reward, SegVR and TAR around one image reward, as in the paper's comparison.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ivtutorial.checks import not_negative
from ivtutorial.method.batch import BackboneLike, Batch
from ivtutorial.method.schedule import ddim_timesteps
from ivtutorial.method.video_reward import VideoReward, VideoRewardSettings
from ivtutorial.rewards.base import ImageReward

Losses = Iterator[tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True, kw_only=True)
class RewardMethod(VideoRewardSettings, ABC):
    """Settings that every method has, checked when made; those of the reward are `VideoRewardSettings`'.

    Attributes:
        D: steps of the full DDIM chain.
        guidance: classifier-free guidance scale; 1 is no guidance.
        train_mode: dropout on in the UNet (True) or off (False).
        recompute: run each recorded call of the UNet again in the backward pass instead of storing it.

    Raises:
        InputError: a value out of range.
    """

    D: int = 20
    guidance: float = 3.0
    train_mode: bool = False
    recompute: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        ddim_timesteps(self.D)
        not_negative(self, "guidance")

    @abstractmethod
    def losses(
        self, backbone: BackboneLike, batch: Batch, image_reward: ImageReward, generator: torch.Generator | None = None
    ) -> Losses:
        """The losses of one training step, one after another; the caller updates the adapter between two of them.

        Run it, and `backward()`, inside `network_mode(backbone.unet, self.train_mode)`.

        Args:
            backbone: UNet (with trainable adapters), VAE, scheduler.
            batch: B clips with their captions.
            image_reward: (frames, captions) -> scores.
            generator: source of every draw of the step.

        Yields:
            `updates` pairs of a loss, a scalar to minimise, and what to log.

        Raises:
            InputError: latents of another channel count than the UNet's, the UNet in the wrong mode, S that does not
                divide the frames, or a reward that does not return one score a frame.
        """

    @abstractmethod
    def passes(self) -> int:
        """Cost of a step for one caption, in passes of the UNet: 1 forward, 2 backward, twice with guidance."""

    @property
    def updates(self) -> int:
        """Optimiser updates a step of the training loop makes."""
        return 1

    @property
    def predictions(self) -> int:
        """Passes of the UNet that one guided prediction takes: 2, or 1 without guidance."""
        return 1 if self.guidance == 1 else 2

    def video_reward(self, image_reward: ImageReward) -> VideoReward:
        """SegVR and TAR with these settings around an image reward."""
        return VideoReward(image_reward, **{f.name: getattr(self, f.name) for f in fields(VideoRewardSettings)})
