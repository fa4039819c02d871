"""A reward for videos made from a reward for images: SegVR and TAR (Sec. 3.2.2).

| name         | symbol     | shape  | equation                                              |
|--------------|------------|--------|-------------------------------------------------------|
| `F`, `S`     | F, S       | int    | frames of a clip (16), segments (4)                   |
| `indices`    | g(i)       | (B, S) | Eq. 6: one frame of every segment, drawn uniformly    |
| `weights`    | f_i        | (B, S) | Eq. 7: exp(-lambda_tar abs(g(i) - F/2))               |
| `lambda_tar` | lambda_tar | float  | Eq. 7: 1 in the paper; 0 switches the attenuation off |
| `scores`     | r          | (B, S) | image reward of the chosen frames                     |
| `reward`     | R          | (B,)   | Eq. 8: (1/S) sum_i f_i r(x_0[g(i)], c)                |

Where this differs from the authors' code
-----------------------------------------
1. Frames are chosen *before* decoding and only they are decoded. The authors decode all F frames with
   gradient and then choose: the same value and gradient at F / S times the cost.
2. S must divide F. Theirs silently never looks at the last F - S (F // S) frames.
3. The draw comes from a generator of our own, not from the global state; the same seed gives the same draw.
4. Optionally the weights of a clip are scaled to mean 1 (`normalise`). As published, their mean over the
   segments is 0.135 for F = 16, S = 4 and varies from 0.017 to 0.348 with the draw alone, so R mostly tells
   which frames were drawn: log the scores beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.ddim import check_latents
from ivtutorial.rewards.base import ImageReward, check_captions, check_frames, check_scores

Selection = Literal["random", "first", "middle", "dense"]


def choose_frames(
    F: int,
    S: int,
    batch: int,
    generator: torch.Generator | None = None,
    selection: Selection = "random",
) -> Tensor:
    """One frame of each of S equal segments, g(i) ~ U{(i-1) F/S, ..., i F/S - 1} (Eq. 6).

    Args:
        F: frames of a clip.
        S: segments; must divide F. With S = F every frame is chosen once.
        batch: clips B; each clip has its own draw.
        generator: seeded source of 'random'.
        selection: 'random' is SegVR; 'first' the first frame of each segment (the paper's evaluation);
            'middle' the frame at half the segment; 'dense' every frame (ablation of Fig. 7; S plays no part).

    Returns:
        Frame numbers from 0, int64 (B, S), ascending along S; (B, F) if dense. On the generator's device.

    Raises:
        InputError: S does not divide F, or an unknown selection.

    Example:
        >>> choose_frames(16, 4, batch=1, selection="first")
        tensor([[ 0,  4,  8, 12]])
    """
    if selection not in get_args(Selection):
        raise InputError(f"selection = {selection!r}: expected one of {', '.join(get_args(Selection))}.")
    if selection == "dense":
        return torch.arange(F).repeat(batch, 1)
    if S < 1 or F % S:
        divisors = ", ".join(str(d) for d in range(1, F + 1) if F % d == 0)
        raise InputError(f"S = {S} segments do not divide F = {F} frames: use one of {divisors}.")
    length = F // S
    offsets = torch.full((batch, S), length // 2 if selection == "middle" else 0)
    if selection == "random":
        device = generator.device if generator is not None else None
        offsets = torch.randint(length, (batch, S), generator=generator, device=device)
    return offsets + length * torch.arange(S, device=offsets.device)


def temporal_attenuation(indices: Tensor, F: int, lambda_tar: float = 1.0, normalise: bool = False) -> Tensor:
    """Weight of each chosen frame, f_i = exp(-lambda_tar |g(i) - F // 2|) (Eq. 7).

    With F = 16 frame 8 has weight 1, frame 0 e^-8 and frame 15 e^-7: the middle counts, not symmetrically.

    Args:
        indices: frame numbers from 0, int64 (B, S).
        F: frames of a clip.
        lambda_tar: steepness, >= 0; 0 gives every frame weight 1.
        normalise: scale the weights of each clip so that their mean over S is 1. The paper does not.

    Returns:
        Weights, float32 (B, S).

    Raises:
        InputError: a negative lambda_tar.

    Example:
        >>> temporal_attenuation(torch.tensor([[7, 8]]), F=16)
        tensor([[0.3679, 1.0000]])
    """
    if not lambda_tar >= 0:
        raise InputError(f"lambda_tar = {lambda_tar}: expected a number >= 0; the paper uses 1.")
    exponent = -lambda_tar * (indices - F // 2).abs().float()
    if normalise:  # softmax cannot divide 0 by 0 where every exp would underflow
        return exponent.softmax(dim=1) * indices.shape[1]
    return exponent.exp()


@dataclass(frozen=True)
class VideoRewardOutput:
    """What :class:`VideoReward` found; `reward` and `frame_rewards` carry gradient.

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


@dataclass(frozen=True)
class VideoReward:
    """Reward of a video, R = (1/S) sum_i f_i r(x_0[g(i)], c) (Eq. 6-8), from any image reward r.

    Attributes:
        image_reward: (frames (N, 3, H, W) in [0, 1], N captions) -> scores (N,), with gradient to the frames.
        S: segments.
        lambda_tar: steepness of the temporal attenuation; 0 gives the plain mean over the segments.
        normalise: scale each clip's weights to mean 1.
        selection: how frames are chosen, see :func:`choose_frames`.

    Example:
        >>> reward = VideoReward(image_reward, S=4, lambda_tar=1.0)  # doctest: +SKIP
        >>> reward(backbone.decode, z0, captions, generator).reward.mean()  # doctest: +SKIP
    """

    image_reward: ImageReward
    S: int = 4
    lambda_tar: float = 1.0
    normalise: bool = False
    selection: Selection = "random"

    def __call__(
        self,
        decode: Callable[[Tensor], Tensor],
        latents: Tensor,
        captions: Sequence[str],
        generator: torch.Generator | None = None,
        indices: Tensor | None = None,
    ) -> VideoRewardOutput:
        """Choose frames, decode only those, score them, weigh them.

        Args:
            decode: latents (N, C, h, w) -> frames (N, 3, H, W) in [0, 1].
            latents: z_0, (B, C, F, h, w).
            captions: B texts.
            generator: source of the choice.
            indices: use these frames, (B, S), instead of choosing.

        Returns:
            Rewards, weights and frame numbers.

        Raises:
            InputError: wrong latents, captions of another count, S not dividing F, frames outside [0, 1], or
                an image reward that does not return one score a frame.
        """
        check_latents(latents)
        B, C, F, h, w = latents.shape
        check_captions(captions)
        if len(captions) != B:
            raise InputError(f"{len(captions)} captions for {B} clips: expected one caption a clip.")
        if indices is None:
            indices = choose_frames(F, self.S, B, generator, self.selection)
        indices = indices.to(latents.device)
        chosen = latents.transpose(1, 2)[torch.arange(B, device=latents.device)[:, None], indices]
        frames = decode(chosen.flatten(0, 1))
        scores = self._score(frames, [text for text in captions for _ in range(indices.shape[1])])
        scores = scores.view(indices.shape)
        weights = temporal_attenuation(indices, F, self.lambda_tar, self.normalise)
        return VideoRewardOutput((weights * scores).mean(dim=1), scores, weights, indices)

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
        if not isinstance(frames, Tensor) or not frames.is_floating_point():
            kind = frames.dtype if isinstance(frames, Tensor) else type(frames).__name__
            raise InputError(f"frames are a torch tensor of floats in [0, 1], got {kind}: divide 8-bit values by 255.")
        if frames.ndim != 5 or frames.shape[2] != 3:
            raise InputError(f"frames of shape {tuple(frames.shape)}: expected (B, F, 3, H, W).")
        return self(lambda chosen: chosen, frames.transpose(1, 2), captions, generator, indices)

    def _score(self, frames: Tensor, captions: list[str]) -> Tensor:
        check_frames(frames)
        scores = check_scores(self.image_reward(frames, captions), len(captions))
        return scores.to(torch.promote_types(scores.dtype, torch.float32))
