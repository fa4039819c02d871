"""What an image reward is: r(frame, caption), one score per frame, differentiable in the frame (Sec. 3.2.2).

Anything with this call is an image reward; `ivtutorial.method.video_reward` makes a video reward of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


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
