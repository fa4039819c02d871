"""Which noise levels a diffusion model trains on: about as many samples wherever something is decided.

Uniform timesteps spend a third of the training where little but mean colours can be seen. Here log-SNR, the logarithm
of signal over noise variance, is drawn from a normal distribution for most samples and from uniform timesteps for the
rest, and the draws of one batch are stratified: sample k of B comes from the k-th B-th of the distribution. That takes
the luck of the timesteps, the largest part of the loss's variance, out of small batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class NoiseLevels:
    """A distribution over timesteps.

    Attributes:
        mean, spread: of the normal distribution of log-SNR.
        uniform: share of the samples whose timestep is uniform.
    """

    mean: float = 0.5
    spread: float = 2.0
    uniform: float = 0.2

    def probabilities(self, alphas_bar: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of each timestep, (T,); each stands for the log-SNR between its neighbours' midpoints.

        Args:
            alphas_bar: the schedule's share of signal variance at each timestep, (T,), falling.
        """
        level = np.log(alphas_bar / (1 - alphas_bar))
        density = np.exp(-0.5 * ((level - self.mean) / self.spread) ** 2)
        weight = density * np.abs(np.gradient(level))
        chances: NDArray[np.float64] = self.uniform / len(level) + (1 - self.uniform) * weight / weight.sum()
        return chances

    def draw(self, alphas_bar: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Stratified timesteps of a batch, in random order, (count,)."""
        quantiles = (np.arange(count) + rng.random(count)) / count
        steps = np.searchsorted(np.cumsum(self.probabilities(alphas_bar)), quantiles)
        return rng.permutation(np.minimum(steps, len(alphas_bar) - 1)).astype(np.int64)
