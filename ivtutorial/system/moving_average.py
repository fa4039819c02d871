"""The moving average of some parameters along a run: smoother than the last step, at the price of lagging behind.

| name    | symbol        | meaning                                          |
|---------|---------------|--------------------------------------------------|
| `decay` | beta          | share of the old average, 0 <= beta < 1          |
| `step`  | n             | steps taken, 1, 2, ...                           |
| `means` | theta-bar_n   | theta-bar_n = b_n theta-bar_{n-1} + (1 - b_n) theta_n,  b_n = min(beta, n / (n + 9)) |

The smaller b_n of the first steps lets the average forget where the run began: after n steps, theta_0 has the weight
b_1 b_2 ... b_n. It is a function of n alone, so a run that was cut off goes on exactly once its means are restored.

For an adapter, A and B are averaged each for itself; the product of the averages is not the average of B A.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class MovingAverage:
    """Averages of some parameters; with decay 0 there are none, and nothing happens.

    Args:
        parameters: what is averaged; the averages begin as copies.
        decay: beta.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> average = MovingAverage([weight], decay=0.9)
        >>> weight.data += 1
        >>> average.follow(1)
        >>> [mean.item() for mean in average.means]  # b_1 = 1 / 10
        [0.8999999761581421]
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float) -> None:
        self.parameters = list(parameters) if decay else []
        self.decay = decay
        self.means = [parameter.detach().clone() for parameter in self.parameters]

    def follow(self, step: int) -> None:
        """Take in the parameters after step n = 1, 2, ..."""
        kept = min(self.decay, step / (step + 9))
        for mean, parameter in zip(self.means, self.parameters, strict=True):
            mean.lerp_(parameter.detach(), 1 - kept)

    def restore(self, means: Sequence[Tensor]) -> None:
        """Go on from averages that were stored.

        Raises:
            ValueError: another number of them, or another shape.
        """
        if [mean.shape for mean in means] != [mean.shape for mean in self.means]:
            raise ValueError("averages of another adapter")
        for mean, stored in zip(self.means, means, strict=True):
            mean.copy_(stored)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The averages in place of the parameters inside the block; then the parameters as they were."""
        current = [parameter.detach().clone() for parameter in self.parameters]
        self._fill(self.means)
        try:
            yield
        finally:
            self._fill(current)

    @torch.no_grad()
    def _fill(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)
