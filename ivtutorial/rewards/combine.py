"""Rewards made of rewards: a weighted sum, and a reward that trades time for memory.

Both are image rewards themselves, so they can be put into each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recomputed

from ivtutorial.checks import check_scores
from ivtutorial.errors import InputError
from ivtutorial.rewards.base import HasTextTower, ImageReward


class _Composite:
    """Hands the optional parts of a reward, `text_features` and `offload_text`, on to what it is made of."""

    def __init__(self, rewards: Sequence[ImageReward]) -> None:
        self.rewards = tuple(rewards)

    def text_features(self, captions: Sequence[str]) -> None:
        """Let every reward encode the captions now, if it can."""
        for reward in self.rewards:
            if isinstance(reward, HasTextTower):
                reward.text_features(captions)

    def offload_text(self, device: str | torch.device = "cpu") -> None:
        """Move every text tower that is no longer needed to another device, if there is one."""
        for reward in self.rewards:
            if isinstance(reward, HasTextTower):
                reward.offload_text(device)

    def to(self, *args: Any, **kwargs: Any) -> _Composite:
        """Move every reward that can be moved."""
        for reward in self.rewards:
            if isinstance(reward, (nn.Module, _Composite)):
                reward.to(*args, **kwargs)
        return self


class WeightedSum(_Composite):
    """The reward sum_j w_j r_j(x, c).

    Rewards have different scales: a cosine of HPSv2 moves by hundredths, PickScore by whole numbers, ImageReward and
    the aesthetic score by tenths. A weight is therefore best chosen as importance / spread of that reward on the base
    model's samples.

    Example:
        >>> both = WeightedSum([(1.0, hpsv2), (0.02, aesthetic)])  # doctest: +SKIP
        >>> both(frames, captions), both.parts(frames, captions)  # doctest: +SKIP
    """

    def __init__(self, terms: Sequence[tuple[float, ImageReward]]) -> None:
        """Take the terms.

        Args:
            terms: (weight, reward); a negative weight punishes.

        Raises:
            InputError: no terms, or a weight that is not a finite number.
        """
        weights = [weight for weight, _ in terms]
        if not terms or not all(isinstance(w, (int, float)) and math.isfinite(w) for w in weights):
            raise InputError(f"A mixture needs finite weights, one for each of its rewards, got {weights}.")
        super().__init__([reward for _, reward in terms])
        self.weights = tuple(float(weight) for weight in weights)

    def __call__(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
        """The weighted sum (N,); arguments as `ImageReward`."""
        return torch.stack([w * r for w, r in zip(self.weights, self.parts(frames, captions), strict=True)]).sum(dim=0)

    def parts(self, frames: Tensor, captions: Sequence[str]) -> list[Tensor]:
        """The score of each reward by itself, (N,) each, without its weight."""
        return [check_scores(reward(frames, captions), len(frames)) for reward in self.rewards]


class Recomputed(_Composite):
    """The same reward, computed a few frames at a time and once more in the backward pass.

    Then the activations of `chunk` frames are the peak, instead of those of all frames; it costs one more forward pass
    of the reward. Right for any reward that scores each frame by itself.
    """

    def __init__(self, reward: ImageReward, chunk: int = 1) -> None:
        """Wrap `reward`.

        Args:
            reward: any image reward.
            chunk: frames at a time, >= 1.
        """
        super().__init__([reward])
        self.chunk = chunk

    def __call__(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
        """The scores (N,) of the wrapped reward; arguments as `ImageReward`."""
        score = partial(recomputed, self.rewards[0], use_reentrant=False)
        parts = []
        for i in range(0, len(frames), self.chunk):
            chunk = frames[i : i + self.chunk]
            parts.append(check_scores(score(chunk, captions[i : i + self.chunk]), len(chunk)))
        return torch.cat(parts)
