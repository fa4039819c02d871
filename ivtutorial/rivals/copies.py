"""DRaFT-LV: several rewards of one chain, from copies of its end that are noised again (K. Clark et al., ICLR 2024).

| name       | symbol     | shape               | meaning                                                           |
|------------|------------|---------------------|-------------------------------------------------------------------|
| `variants` | n          | int                 | copies of each clip                                               |
| `tail`     | t_K ... t_1 | -                  | the chain from its first step with gradient on                    |
| `z0`       | z_0        | (B, C, F, h, w)     | end of the chain                                                  |
| copies     | z_0^1 ...  | (B n, C, F, h, w)   | z_0 noised to t_K with noise of their own, and denoised again     |

    J = mean over the n + 1 of r(z_0^j),      z_0^0 = z_0

The gradient of one clip is noisy because it comes through one noise; n more cost n times the tail of the chain, not n
chains. Each copy starts from z_0 as a constant, so its gradient comes through its own tail alone.

Where this differs from the paper: any tail, where theirs is the last step (K = 1). There, on the schedule of
ModelScopeT2V, t_K = 1 and the copies hold 4 % of noise: nearly the same clip, with nearly the same gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import BackboneLike, Batch, repeated
from ivtutorial.method.chain import GradientSteps, Predict, denoise, gradient_steps, recorded_steps
from ivtutorial.method.noise import corrupt, draw_noise


class Varied(Protocol):
    """Settings of a method that makes such copies, DRaFT or KeptPrefix."""

    @property
    def variants(self) -> int:
        """n, 0 for none."""

    @property
    def again(self) -> bool:
        """Whether recorded calls run again in the backward pass."""

    @property
    def stop_gradient(self) -> bool:
        """DRTune."""

    def predictor(self, backbone: BackboneLike, batch: Batch) -> Predict:
        """Guided prediction."""


def tail(timesteps: Sequence[float], grad_steps: Collection[int]) -> tuple[Sequence[float], tuple[int, ...]]:
    """The rest of a chain from its first step with gradient on, and the positions of such steps in it.

    Example:
        >>> tail((201, 101, 1), (1, 2))
        ((101, 1), (0, 1))
    """
    first = min(grad_steps)
    return timesteps[first:], tuple(i - first for i in grad_steps)


def tail_steps(K: GradientSteps, n: int) -> int:
    """Steps of that rest in a chain of n, on average for a K that is drawn (rounded down).

    Raises:
        InputError: 'strongest', which depends on the noise schedule.
    """
    if K == "strongest":
        raise InputError("K = 'strongest': here the step must be known; give its position, such as K = (10,).")
    return recorded_steps(K, n) if K == "uniform" else n - min(gradient_steps(K, n))


def low_variance(
    backbone: BackboneLike,
    z0: Tensor,
    batch: Batch,
    method: Varied,
    tail: Sequence[float],
    grad_steps: Collection[int],
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Sequence[str]]:
    """The finished clips and, behind them, n copies of each that were noised and denoised again.

    Args:
        backbone: UNet and scheduler.
        z0: finished clips (B, C, F, h, w); gradient flows through them and through the copies.
        batch: their captions.
        method: `variants` is n; with 0 nothing is drawn or computed.
        tail: timesteps of the chain from its first step with gradient on, see :func:`tail`.
        grad_steps: positions in it that carry gradient.
        generator: source of the noise.

    Returns:
        Latents (B + B n, C, F, h, w) and their captions.
    """
    if not method.variants:
        return z0, batch.captions
    copies = repeated(batch, method.variants)
    start = z0.detach().repeat_interleave(method.variants, 0)
    z = corrupt(start, tail[0], backbone.scheduler, draw_noise(start.shape, generator, like=start))
    predict, scheduler = method.predictor(backbone, copies), backbone.scheduler
    varied = denoise(predict, z, tail, scheduler, grad_steps, 0.0, generator, method.again, method.stop_gradient)
    return torch.cat([z0, varied]), [*batch.captions, *copies.captions]
