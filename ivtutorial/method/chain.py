"""The DDIM chain, and which of its steps carry gradient.

| name            | symbol        | shape           | meaning                                               |
|-----------------|---------------|-----------------|-------------------------------------------------------|
| `z`             | z_t           | (B, C, F, h, w) | latents, multiplied by the VAE's scaling factor       |
| `predict(z, t)` | epsilon_theta | (B, C, F, h, w) | the UNet's output, guidance already applied           |
| `K`             | K             | int, ...        | last steps that carry gradient (the paper: 1)         |
| `grad_steps`    | -             | positions       | the same as a set: 0 = first (noisiest) step .. n - 1 |

Where this differs from the authors' code
-----------------------------------------
1. Full back-propagation is K = n (they reach it by K = 0; their flag for it silently skips the chain).
2. K may be drawn anew for every batch, and any set of steps may carry gradient. A step outside the set that
   lies *between* two of the set treats the UNet's output as a constant, but lets the gradient pass along the
   linear part of the DDIM update; with "the last K" there is no such step and nothing differs.
3. With eta = 0 no noise is drawn, so the random state does not move along the chain.
4. `K = 'strongest'` is the one step whose gain on z_0 is largest (:mod:`ivtutorial.method.gain`).
5. `stop_gradient` is DRTune (X. Wu et al.: Deep Reward Supervisions for Tuning Text-to-Image Diffusion
   Models, ECCV 2024, arXiv 2405.00760): each chosen call of the
   network takes z_t as a constant. The gradient is then a sum over the chosen steps, each weighted by its gain,
   sum_i c_i J_i^T dR/dz_0, without the products of Jacobians that let the gradient of a long chain explode. With a
   single chosen step it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recomputed

from ivtutorial.checks import check_latents, is_whole
from ivtutorial.errors import InputError
from ivtutorial.method.ddim import check_scheduler, ddim_step
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.noise import randn
from ivtutorial.method.schedule import NoiseSchedule, steps
from ivtutorial.system.at_rest import weights_at_rest

Predict = Callable[[Tensor, float], Tensor]
GradientSteps = int | Literal["uniform", "strongest"] | Sequence[int]


def gradient_steps(
    K: GradientSteps, n: int, generator: torch.Generator | None = None, gains: Sequence[float] = ()
) -> tuple[int, ...]:
    """Positions in a chain of n steps (0 = noisiest) whose call of the UNet carries gradient.

    Args:
        K: the last K steps, (n - K, ..., n - 1), with K = n full back-propagation; 'uniform' to draw K ~ U{1, ..., n}
            anew for each batch; 'strongest' for the one step of largest gain; or the positions themselves.
        n: steps of the chain.
        generator: source of the draw, used only with 'uniform'.
        gains: of the n steps, :func:`ivtutorial.method.gain.gains`; needed only with 'strongest'.

    Returns:
        Ascending positions.

    Raises:
        InputError: K outside 1 .. n, positions outside the chain, or 'strongest' without gains.

    Example:
        >>> gradient_steps(2, 12), gradient_steps((0, 11), 12)
        ((10, 11), (0, 11))
    """
    if K == "uniform":
        device = generator.device if generator is not None else None
        K = int(torch.randint(1, n + 1, (), generator=generator, device=device))
    if K == "strongest" and len(gains) == n:
        return (max(range(n), key=lambda i: gains[i]),)
    if isinstance(K, Sequence) and not isinstance(K, str):
        if not K or not all(isinstance(i, int) and 0 <= i < n for i in K):
            raise InputError(f"K = {K}: expected positions from 0 (noisiest) to {n - 1}, or a number of last steps.")
        return tuple(sorted(set(K)))
    if not is_whole(K, 1, n):
        known = f"1 <= K <= {n} (full back-propagation), 'uniform' or, where steps have gains, 'strongest'"
        raise InputError(f"K = {K!r} steps with gradient in a chain of {n}: expected {known}.")
    return tuple(range(n - K, n))


def check_steps(K: GradientSteps, n: int) -> GradientSteps:
    """K as settings store it, a list made a tuple.

    Raises:
        InputError: see :func:`gradient_steps`.
    """
    gradient_steps(n if K in ("uniform", "strongest") else K, n)
    return K if isinstance(K, (int, str)) else tuple(K)


def recorded_steps(K: GradientSteps, n: int) -> int:
    """How many steps carry gradient, on average for a K that is drawn (rounded down)."""
    return {"strongest": 1, "uniform": (n + 1) // 2}[K] if isinstance(K, str) else len(gradient_steps(K, n))


@weights_at_rest()
def denoise(
    predict: Predict,
    z: Tensor,
    timesteps: Sequence[float],
    scheduler: NoiseSchedule,
    grad_steps: Collection[int] = (),
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    recompute: bool = False,
    stop_gradient: bool = False,
    end: float = -1,
) -> Tensor:
    """Run a DDIM chain over `timesteps`; the model's parameters get gradient from the chosen steps only.

    Nothing is recorded before the first chosen step. If that is step 0, gradient also reaches `z`. No weight may change
    during the chain: what `predict` makes from one, it makes once (:func:`ivtutorial.system.at_rest.weights_at_rest`).

    Args:
        predict: (z, t) -> model output, guidance included.
        z: z_t at `timesteps[0]`, latents (B, C, F, h, w).
        timesteps: descending; the partial or the full chain of :mod:`ivtutorial.method.schedule`.
        scheduler: cumulative alphas and prediction type.
        grad_steps: positions in `timesteps` whose call of `predict` is recorded; see :func:`gradient_steps`.
        eta: 0 is deterministic, 1 as noisy as DDPM.
        generator: source of the noise of eta > 0.
        recompute: recompute each recorded call of `predict` in the backward pass instead of storing it
            (worth it for K > 1; inside one call the UNet's own recomputing saves more).
        stop_gradient: DRTune: a recorded call takes its z as a constant.
        end: timestep to stop at, so that another chain may go on from there; -1 is the clean end.

    Returns:
        z_0 (z_t of t = `end`, if that is given), latents (B, C, F, h, w).

    Raises:
        InputError: wrong latents, a position outside the chain, or a scheduler this chain cannot follow.
    """
    check_latents(z)
    check_scheduler(scheduler)
    n = len(timesteps)
    if not all(0 <= i < n for i in grad_steps):
        raise InputError(f"grad_steps {sorted(grad_steps)}: expected positions from 0 (first step) to {n - 1} (last).")
    recording, first = torch.is_grad_enabled(), min(grad_steps, default=n)
    for i, (t, t_prev) in enumerate(steps(timesteps, end)):
        if i == first:
            torch.clear_autocast_cache()  # it may hold half-precision weights cut off from their gradient
        with torch.set_grad_enabled(recording and i in grad_steps):
            output = call(predict, z.detach() if stop_gradient else z, t, recompute)
        with torch.set_grad_enabled(recording and i >= first):
            z = ddim_step(scheduler, output, t, t_prev, z, eta, randn(z.shape, generator, z) if eta else None)
    return z


def call(predict: Callable[..., Tensor], z: Tensor, t: float | Tensor, recompute: bool) -> Tensor:
    """`predict(z, t)`; with `recompute`, where gradient is recorded, run again in the backward pass, not stored."""
    again = recompute and torch.is_grad_enabled()
    return recomputed(predict, z, t, use_reentrant=False) if again else predict(z, t)


def sample(
    predict: Predict,
    noise: Tensor,
    scheduler: NoiseSchedule,
    D: int = 20,
    grad_steps: Collection[int] = (),
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    recompute: bool = False,
    stop_gradient: bool = False,
) -> Tensor:
    """Ordinary text-to-video sampling: the full chain (tau = 1) from pure noise.

    Args:
        predict: (z, t) -> model output, guidance included.
        noise: standard normal latents (B, C, F, h, w).
        scheduler: cumulative alphas, prediction type and T.
        D: steps of the chain.
        grad_steps: positions with gradient, see :func:`denoise`.
        eta: 0 is deterministic, 1 as noisy as DDPM.
        generator: source of the noise of eta > 0.
        recompute: see :func:`denoise`.
        stop_gradient: see :func:`denoise`.

    Returns:
        z_0, latents (B, C, F, h, w).

    Raises:
        InputError: see :func:`denoise`.
    """
    timesteps = chain_timesteps(scheduler, D)
    return denoise(predict, noise, timesteps, scheduler, grad_steps, eta, generator, recompute, stop_gradient)
