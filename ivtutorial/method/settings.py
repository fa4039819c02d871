"""What the methods have in common: the models they need, the settings of the reward, and which steps carry gradient.

| name         | symbol     | meaning                                                               |
|--------------|------------|-----------------------------------------------------------------------|
| `K`          | K          | steps of the chain that carry gradient, see :func:`gradient_steps`    |
| `D`          | D          | steps of the full DDIM chain                                          |
| `S`          | S          | segments of SegVR (Eq. 6)                                             |
| `lambda_tar` | lambda_tar | steepness of TAR (Eq. 7)                                              |

Every method sees the same reward object, SegVR and TAR around one image reward, as in the paper's comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.method.chain import last_k
from ivtutorial.method.ddim import check_latents
from ivtutorial.method.schedule import NoiseSchedule, ddim_timesteps
from ivtutorial.method.video_reward import Selection, VideoReward, choose_frames
from ivtutorial.rewards.base import ImageReward

GradientSteps = int | Literal["uniform"] | tuple[int, ...]


class Models(Protocol):
    """What a loss needs of a :class:`ivtutorial.models.backbone.Backbone`."""

    @property
    def unet(self) -> nn.Module:
        """The network that is fine-tuned."""

    @property
    def scheduler(self) -> NoiseSchedule:
        """Cumulative alphas, T and the prediction type."""

    def predictor(self, embeds: Tensor, uncond_embeds: Tensor, guidance: float) -> Callable[..., Tensor]:
        """Guided prediction, (z, t) -> the UNet's output; t is a number, or with guidance 1 one a clip, (B,)."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w) -> frames (N, 3, H, W) in [0, 1]."""


def gradient_steps(K: GradientSteps, n: int, generator: torch.Generator | None = None) -> tuple[int, ...]:
    """Positions in a chain of n steps (0 = noisiest) whose call of the UNet carries gradient.

    Args:
        K: the last K steps; 'uniform' to draw K ~ U{1, ..., n} anew for each batch; or the positions themselves.
        n: steps of the chain.
        generator: source of the draw, used only with 'uniform'.

    Returns:
        Ascending positions.

    Raises:
        InputError: K outside 1 .. n, or positions outside the chain.

    Example:
        >>> gradient_steps(2, 12), gradient_steps((0, 11), 12)
        ((10, 11), (0, 11))
    """
    if not isinstance(K, tuple):
        return last_k(K, n, generator)
    if not K or not all(isinstance(i, int) and 0 <= i < n for i in K):
        raise InputError(f"K = {K}: expected positions from 0 (noisiest) to {n - 1}, or a number of last steps.")
    return tuple(sorted(set(K)))


def check_steps(K: GradientSteps, n: int) -> GradientSteps:
    """K as it is stored, a list made a tuple.

    Raises:
        InputError: see :func:`gradient_steps`.
    """
    stored = tuple(K) if isinstance(K, Sequence) and not isinstance(K, str) else K
    gradient_steps(n if stored == "uniform" else stored, n)
    return stored


@dataclass(frozen=True)
class RewardMethod:
    """Settings that every rival of InstructVideo shares with it, checked when made.

    Attributes:
        D: steps of the full DDIM chain.
        guidance: classifier-free guidance scale; 1 is no guidance.
        S: segments, must divide the number of frames (Eq. 6).
        lambda_tar: steepness of the temporal attenuation (Eq. 7).
        normalise: scale the weights of a clip to mean 1.
        selection: how a frame is chosen in its segment.
        train_mode: dropout on in the UNet (True) or off (False).
        recompute: recompute each recorded UNet call in the backward pass.

    Raises:
        InputError: a value out of range.
    """

    D: int = 20
    guidance: float = 3.0
    S: int = 4
    lambda_tar: float = 1.0
    normalise: bool = False
    selection: Selection = "random"
    train_mode: bool = False
    recompute: bool = False

    def __post_init__(self) -> None:
        ddim_timesteps(self.D)
        check_numbers(self, "guidance", "lambda_tar")
        choose_frames(self.S, self.S, 1, selection=self.selection)

    @property
    def updates(self) -> int:
        """Optimiser updates a step of the training loop makes."""
        return 1

    def video_reward(self, image_reward: ImageReward) -> VideoReward:
        """SegVR and TAR with these settings around an image reward."""
        return VideoReward(image_reward, self.S, self.lambda_tar, self.normalise, self.selection)


def check_numbers(config: object, *names: str) -> None:
    """Refuse settings that are not finite numbers >= 0.

    Raises:
        InputError: the first of them.
    """
    for name in names:
        if not 0 <= getattr(config, name) < math.inf:
            raise InputError(f"{name} = {getattr(config, name)}: expected a finite number >= 0.")


def check_whole(config: object, **least: int) -> None:
    """Refuse settings that are not whole numbers of at least so much.

    Raises:
        InputError: the first of them.
    """
    for name, low in least.items():
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise InputError(f"{name} = {value!r}: expected a whole number of at least {low}.")


def check_batch(backbone: Models, batch: Batch, train_mode: bool) -> None:
    """Refuse latents of another model, or a UNet in the wrong mode.

    Raises:
        InputError: which of them, and what to do.
    """
    check_latents(batch.latents, getattr(getattr(backbone.unet, "config", None), "in_channels", None))
    if backbone.unet.training != train_mode:
        mode = "train" if backbone.unet.training else "eval"
        raise InputError(
            f"train_mode = {train_mode}, but the UNet is in {mode} mode: "
            "wrap loss and backward() in `with network_mode(unet, config.train_mode):`."
        )


def repeated(batch: Batch, count: int) -> Batch:
    """Every clip and caption `count` times, copies beside each other: (B * count, ...)."""
    empty = batch.uncond_embeds
    return Batch(
        batch.latents.repeat_interleave(count, 0),
        batch.embeds.repeat_interleave(count, 0),
        empty if len(empty) == 1 else empty.repeat_interleave(count, 0),
        [caption for caption in batch.captions for _ in range(count)],
    )


def float_latents(batch: Batch) -> Tensor:
    """The batch's latents, at least float32."""
    return batch.latents.to(torch.promote_types(batch.latents.dtype, torch.float32))
