"""What the methods have in common: settings of the chain and of the reward, and the two things a method can do.

| name         | symbol     | meaning                                                    |
|--------------|------------|------------------------------------------------------------|
| `D`          | D          | steps of the full DDIM chain                               |
| `guidance`   | -          | classifier-free guidance scale                             |
| `S`          | S          | segments of SegVR (Eq. 6), one of `VideoRewardSettings`    |
| `lambda_tar` | lambda_tar | steepness of TAR (Eq. 7), one of `VideoRewardSettings`     |

A method is a frozen dataclass of its settings with `losses`, what a training step minimises, and `passes`, what the
step costs. Every method sees the same reward, SegVR and TAR around one image reward, as in the paper's comparison.
Methods with a gradient through the reward are `GradientMethod`s.

Gradient of one branch. A guided prediction is e_u + g (e_c - e_u), so its gradient is g J_c - (g - 1) J_u with the
Jacobians of the two calls. With `branch = "caption"` the call without the caption is a constant: g J_c is left, for
half the graph and two thirds of the passes of a recorded prediction. It is another gradient, not the same for less.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ivtutorial.checks import finite, not_negative, one_of
from ivtutorial.method.batch import BackboneLike, Batch, Metrics
from ivtutorial.method.schedule import ddim_timesteps
from ivtutorial.method.video_reward import VideoReward, VideoRewardSettings
from ivtutorial.rewards.base import ImageReward

Branch = Literal["both", "caption"]
Losses = Iterator[tuple[Tensor, Metrics]]


@dataclass(frozen=True, kw_only=True)
class RewardMethod(VideoRewardSettings, ABC):
    """Settings that every method has, checked when made; those of the reward are `VideoRewardSettings`'.

    Attributes:
        D: steps of the full DDIM chain.
        guidance: classifier-free guidance scale; 1 is no guidance.
        train_mode: dropout on in the UNet (True) or off (False).
        recompute: run each recorded call of the UNet again in the backward pass instead of storing it.
        lr_share: of a class, no setting: the learning rate that suits it, as a share of InstructVideo's. A run that
            gives none takes that share of the paper's.

    Raises:
        InputError: a value out of range.
    """

    lr_share: ClassVar[float] = 1.0

    D: int = 20
    guidance: float = 3.0
    train_mode: bool = False
    recompute: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        ddim_timesteps(self.D)
        not_negative(self, "guidance")
        finite(self, "threshold")

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

    def scored(self) -> int:
        """Frames that a step decodes and scores for one caption, where `selection` is not 'dense'."""
        return self.S

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


@dataclass(frozen=True, kw_only=True)
class GradientMethod(RewardMethod):
    """Settings of the methods that follow the gradient of the reward; neither is the paper's, both are off.

    Attributes:
        two_phase: free decoder and reward before the network's backward pass, and recompute the network's recorded
            calls; see :mod:`ivtutorial.method.two_phase`.
        branch: of a guided prediction that carries gradient: "both", or "caption" alone, see the module.

    Raises:
        InputError: a value out of range.
    """

    two_phase: bool = False
    branch: Branch = "both"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, branch=get_args(Branch))

    @property
    def again(self) -> bool:
        """Whether recorded calls of the network run again in the backward pass."""
        return self.recompute or self.two_phase

    @property
    def recorded_passes(self) -> int:
        """Cost of a prediction with gradient: forward 1, backward 2, twice with guidance, 1 more where run `again`."""
        if self.guidance == 1 or self.branch == "both":
            return self.predictions * (3 + self.again)
        return 1 + 3 + 2 * self.again

    def predictor(self, backbone: BackboneLike, batch: Batch) -> Callable[..., Tensor]:
        """Guided prediction for a batch, (z, t) -> the UNet's output, with gradient through `branch`."""
        embeds, empty = batch.embeds, batch.uncond_embeds.expand_as(batch.embeds)
        guided = backbone.predictor(embeds, batch.uncond_embeds, self.guidance)
        if self.guidance == 1 or self.branch == "both":
            return guided
        with_caption, without = (backbone.predictor(texts, empty, 1.0) for texts in (embeds, empty))

        def predict(z: Tensor, t: int | Tensor) -> Tensor:
            if not torch.is_grad_enabled():
                return guided(z, t)
            with torch.no_grad():
                e_u = without(z, t)
            return e_u + self.guidance * (with_caption(z, t) - e_u)

        return predict
