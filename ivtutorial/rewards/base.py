"""What an image reward is: r(frame, caption), one score per frame, differentiable in the frame (Sec. 3.2.2).

Anything with this call is an image reward; `ivtutorial.method.video_reward` makes a video reward of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ivtutorial.errors import InputError


@runtime_checkable
class ImageReward(Protocol):
    """A function (frames, captions) -> scores; a class with `__call__`, or a plain function.

    Example:
        >>> def brightness(frames, captions):  # ignores the captions, but is a valid reward
        ...     return frames.mean(dim=(1, 2, 3))
    """

    def __call__(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
        """Score each frame against its caption.

        Args:
            frames: (N, 3, H, W), float, in [0, 1].
            captions: N strings, one per frame.

        Returns:
            (N,) scores, higher is better, with gradient to `frames`.
        """
        ...


@runtime_checkable
class HasTextTower(Protocol):
    """What a reward may offer besides its call, if it encodes captions apart from frames; without it, it has neither.

    All captions of a run can then be encoded once, and the text tower leaves the GPU.
    """

    def text_features(self, captions: Sequence[str]) -> Any:
        """Encodes captions now and remembers them."""
        ...

    def offload_text(self, device: str | torch.device = "cpu") -> None:
        """Moves the text tower to another device."""
        ...


def check_frames(frames: Tensor, captions: Sequence[str] | None = None) -> None:
    """Reject input that would be scored silently wrong.

    Values that are not numbers pass: they give a score that is not a number, which a training loop guards
    against.

    Args:
        frames: must be (N, 3, H, W), floating point, within [0, 1] (up to 1e-3 for rounding in half
            precision).
        captions: where given, must be N strings.

    Raises:
        InputError: with the offending value, what was expected and the fix.
    """
    if not isinstance(frames, Tensor):
        raise InputError(f"Frames must be a torch tensor, got {type(frames).__name__}. Use torch.as_tensor(frames).")
    if frames.ndim != 4 or frames.shape[1] != 3:
        raise InputError(f"Frames must have shape (N, 3, H, W), got {tuple(frames.shape)}.")
    if not frames.is_floating_point():
        raise InputError(f"Frames must be floats in [0, 1], got {frames.dtype}. Divide 8-bit values by 255.")
    if frames.numel() and (frames.min() < -1e-3 or frames.max() > 1 + 1e-3):
        low, high = frames.min().item(), frames.max().item()
        raise InputError(
            f"Frames must lie in [0, 1], got [{low:.3g}, {high:.3g}]. Map [-1, 1] by frames * 0.5 + 0.5; "
            "divide 8-bit values by 255."
        )
    if captions is not None:
        check_captions(captions, len(frames))


def check_captions(captions: Sequence[str], n: int | None = None) -> None:
    """Reject captions that are not a sequence of strings, or not `n` of them.

    Raises:
        InputError: with the offending value and the fix.
    """
    if isinstance(captions, str) or not isinstance(captions, Sequence):
        raise InputError(f"Captions must be a list of strings, got {captions!r}. Put a single caption in a list.")
    for caption in captions:
        if not isinstance(caption, str):
            raise InputError(f"A caption must be text, got {caption!r} ({type(caption).__name__}).")
    if n is not None and len(captions) != n:
        raise InputError(f"Expected one caption per frame: {n} frames, {len(captions)} captions. Repeat or trim them.")


def check_scores(scores: Any, n: int) -> Tensor:
    """What a reward returned for n frames, if it is one score a frame.

    Raises:
        InputError: not a tensor, or of another shape.
    """
    if not isinstance(scores, Tensor):
        raise InputError(f"the image reward returned {type(scores).__name__}: expected a torch tensor of {n} scores.")
    if scores.shape != (n,):
        raise InputError(
            f"the image reward returned shape {tuple(scores.shape)}: expected one score for each of {n} frames."
        )
    return scores
