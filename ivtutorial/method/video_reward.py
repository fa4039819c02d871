"""A reward for videos made from a reward for images (Sec. 3.2.2, Eq. 8).

| name      | symbol | shape  | equation                                                              |
|-----------|--------|--------|-----------------------------------------------------------------------|
| `indices` | g(i)   | (B, S) | Eq. 6, :func:`ivtutorial.method.segvr.choose_frames`                  |
| `weights` | f_i    | (B, S) | Eq. 7, :func:`ivtutorial.method.tar.temporal_attenuation`             |
| `scores`  | r      | (B, S) | image reward of the chosen frames, :func:`score_frames`               |
| `reward`  | R      | (B,)   | Eq. 8: (1/S) sum_i f_i r(x_0[g(i)], c)                                |

Where this differs from the authors' code: frames are chosen *before* decoding and only they are decoded. The authors
decode all F frames with gradient and then choose: the same value and gradient at F / S times the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ivtutorial.checks import check_captions, check_frames, check_latents, check_scores, not_negative, one_of, whole
from ivtutorial.errors import InputError
from ivtutorial.method.segvr import SELECTIONS, Selection, choose_frames
from ivtutorial.method.tar import temporal_attenuation
from ivtutorial.rewards.base import ImageReward


@dataclass(frozen=True)
class VideoRewardOutput:
    """The reward of B videos, and what it is made of; `reward` and `frame_rewards` carry gradient.

    Attributes:
        reward: R of Eq. 8, (B,).
        frame_rewards: image reward of the chosen frames, without weights, (B, S).
        weights: f_i of Eq. 7, (B, S).
        indices: chosen frame numbers g(i), (B, S).
    """

    reward: Tensor
    frame_rewards: Tensor
    weights: Tensor
    indices: Tensor


class FrameDecoder(Protocol):
    """From latents to chosen frames: one by one, or, with a causal autoencoder, in chunks."""

    def frame_count(self, f: int) -> int:
        """F, the frames of a clip of f latents."""

    def decode_frames(self, latents: Tensor, clips: Tensor, frames: Tensor) -> Tensor:
        """Frames (N, 3, H, W) in [0, 1] with these numbers of these clips, both (N,) and on the CPU, to be read."""


class FrameByFrame:
    """A decoder of single frames: latent i holds frame i, and F = f."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w) -> frames (N, 3, H, W) in [0, 1]; here they are frames already."""
        return latents

    def frame_count(self, f: int) -> int:
        """As many as latents."""
        return f

    def decode_frames(self, latents: Tensor, clips: Tensor, frames: Tensor) -> Tensor:
        """Only the chosen latents are decoded, all at once."""
        clips, frames = (index.to(latents.device, non_blocking=True) for index in (clips, frames))
        return self.decode(latents.transpose(1, 2)[clips, frames])


def score_frames(
    image_reward: ImageReward,
    decoder: FrameDecoder,
    latents: Tensor,
    indices: Tensor,
    captions: Sequence[str],
) -> Tensor:
    """Image reward of the chosen frames, r(x_0[g(i)], c); only they are decoded, and each of them once.

    Args:
        image_reward: (frames (N, 3, H, W) in [0, 1], N captions) -> scores (N,), with gradient to the frames.
        decoder: a backbone, or another decoder.
        latents: z_0, (B, C, f, h, w).
        indices: frame numbers g(i), (B, S); on the CPU, or else the processor waits for them.
        captions: B texts.

    Returns:
        Scores (B, S), at least float32.

    Raises:
        InputError: wrong latents, captions of another count, frames outside [0, 1], or an image reward that does not
            return one score a frame.
    """
    check_latents(latents)
    check_captions(captions)
    if len(captions) != len(latents):
        raise InputError(f"{len(captions)} captions for {len(latents)} clips: expected one caption a clip.")
    F = decoder.frame_count(latents.shape[2])
    numbers = torch.arange(len(latents))[:, None] * F + indices.cpu()
    once, where = numbers.unique(return_inverse=True)  # sorted: clip by clip, frames ascending
    texts = [captions[number // F] for number in once.tolist()]
    frames = decoder.decode_frames(latents, once // F, once % F)
    check_frames(frames.detach())
    scores = check_scores(image_reward(frames, texts), len(texts))
    return scores.to(torch.promote_types(scores.dtype, torch.float32))[where.to(scores.device, non_blocking=True)]


@dataclass(frozen=True, kw_only=True)
class VideoRewardSettings:
    """How image rewards become the reward of a video; every method has these settings, checked when made.

    Attributes:
        S: segments, must divide the number of frames, or F - 1 where F = 4 k + 1 (Eq. 6).
        lambda_tar: steepness of the temporal attenuation (Eq. 7); 0 gives the plain mean over the segments.
        normalise: scale the weights of a clip to mean 1.
        selection: how a frame is chosen in its segment, see :func:`ivtutorial.method.segvr.choose_frames`.
        threshold: c; a frame counts min(r, c), as in ReFL and SRPO: good enough is no gradient. None: no bound.

    Raises:
        InputError: a value out of range.
    """

    S: int = 4
    lambda_tar: float = 1.0
    normalise: bool = False
    selection: Selection = "random"
    threshold: float | None = None

    def __post_init__(self) -> None:
        whole(self, S=1)
        not_negative(self, "lambda_tar")
        one_of(self, selection=SELECTIONS)

    def bounded(self, scores: Tensor) -> Tensor:
        """Scores as they count, min(r, c) with a threshold c."""
        return scores if self.threshold is None else scores.clamp(max=self.threshold)


@dataclass(frozen=True)
class VideoReward(VideoRewardSettings):
    """Reward of a video, R = (1/S) sum_i f_i r(x_0[g(i)], c) (Eq. 6-8), from any image reward r.

    Attributes:
        image_reward: (frames (N, 3, H, W) in [0, 1], N captions) -> scores (N,), with gradient to the frames.

    Example:
        >>> reward = VideoReward(image_reward, S=4, lambda_tar=1.0)  # doctest: +SKIP
        >>> reward(backbone, z0, captions, generator).reward.mean()  # doctest: +SKIP
    """

    image_reward: ImageReward

    def __call__(
        self,
        decoder: FrameDecoder,
        latents: Tensor,
        captions: Sequence[str],
        generator: torch.Generator | None = None,
        indices: Tensor | None = None,
    ) -> VideoRewardOutput:
        """Choose frames, decode only those, score them, weigh them.

        Args:
            decoder: a backbone, or another decoder.
            latents: z_0, (B, C, f, h, w).
            captions: B texts.
            generator: source of the choice.
            indices: use these frames, (B, S), instead of choosing.

        Raises:
            InputError: S does not fit F, or as for :func:`score_frames`.
        """
        check_latents(latents)
        B, F = len(latents), decoder.frame_count(latents.shape[2])
        if indices is None:
            indices = choose_frames(F, self.S, B, generator, self.selection, self.lambda_tar)
        r = score_frames(self.image_reward, decoder, latents, indices, captions)
        f = temporal_attenuation(indices, F, self.lambda_tar, self.normalise, self.selection == "attenuated")
        return VideoRewardOutput((f.to(r.device, non_blocking=True) * self.bounded(r)).mean(dim=1), r, f, indices)

    def of_frames(
        self,
        frames: Tensor,
        captions: Sequence[str],
        generator: torch.Generator | None = None,
        indices: Tensor | None = None,
    ) -> VideoRewardOutput:
        """The same for clips that are frames already, as in evaluation.

        Args:
            frames: (B, F, 3, H, W) in [0, 1].
            captions: B texts.
            generator: source of the choice.
            indices: use these frames instead of choosing.

        Returns:
            Rewards, weights and frame numbers.

        Raises:
            InputError: as for a call.
        """
        kind = frames.dtype if isinstance(frames, Tensor) else type(frames).__name__
        if not isinstance(frames, Tensor) or not frames.is_floating_point():
            raise InputError(f"frames are a torch tensor of floats in [0, 1], got {kind}: divide 8-bit values by 255.")
        if frames.ndim != 5 or frames.shape[2] != 3 or frames.shape[1] < 1:
            raise InputError(f"frames of shape {tuple(frames.shape)}: expected (B, F, 3, H, W), F at least 1.")
        return self(FrameByFrame(), frames.transpose(1, 2), captions, generator, indices)
