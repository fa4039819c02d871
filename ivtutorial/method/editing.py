"""Reward fine-tuning as editing: noise a training clip, then denoise it in a few DDIM steps (Sec. 3.2.1).

| name       | symbol  | shape           | equation                                                     |
|------------|---------|-----------------|--------------------------------------------------------------|
| `z`        | z       | (B, C, F, h, w) | latents of training clips, times the VAE's scaling factor    |
| `tau`, `D` | tau, D  | scalars         | Eq. 3-4, see :mod:`ivtutorial.method.schedule`                      |
| `t`        | t_noi   | int             | Eq. 4                                                        |
| `noise`    | epsilon | (B, C, F, h, w) | Eq. 5                                                        |
| `z0`       | z_0     | (B, C, F, h, w) | the edited clip, end of the chain of :mod:`ivtutorial.method.chain` |

Generation after fine-tuning is ordinary text-to-video, :func:`ivtutorial.method.chain.sample`, without a clip.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ivtutorial.checks import check_latents
from ivtutorial.method.chain import GradientSteps, Predict, denoise, gradient_steps
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.gain import gains
from ivtutorial.method.noise import corrupt, draw_noise
from ivtutorial.method.schedule import NoiseSchedule


def edit(
    predict: Predict,
    z: Tensor,
    scheduler: NoiseSchedule,
    tau: float = 0.6,
    D: int = 20,
    K: GradientSteps = 1,
    eta: float = 0.0,
    offset_noise: float = 0.0,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
    recompute: bool = False,
    stop_gradient: bool = False,
) -> Tensor:
    """Noise clean latents to t_noi (Eq. 4-5) and denoise them again in tau * D steps.

    Args:
        predict: (z, t) -> model output, guidance included.
        z: clean latents of training clips (B, C, F, h, w).
        scheduler: cumulative alphas, prediction type and T.
        tau: noise level, 0 < tau <= 1.
        D: steps of the full chain.
        K: last steps with gradient, 'uniform', 'strongest', or their positions; see
            :func:`ivtutorial.method.chain.gradient_steps`.
        eta: 0 is deterministic, 1 as noisy as DDPM.
        offset_noise: see :func:`ivtutorial.method.noise.draw_noise`.
        generator: source of every draw.
        noise: use this epsilon instead of drawing one.
        recompute: see :func:`ivtutorial.method.chain.denoise`.
        stop_gradient: see :func:`ivtutorial.method.chain.denoise`.

    Returns:
        z_0, the latents of the edited clips.

    Raises:
        InputError: tau, D, K or a shape out of range.

    Example:
        >>> z0 = edit(predict, z, scheduler, tau=0.6, D=20, K=1)  # doctest: +SKIP
    """
    check_latents(z)
    timesteps = chain_timesteps(scheduler, D, tau)  # Eq. 3, 4
    chosen = gradient_steps(K, len(timesteps), generator, gains(scheduler, timesteps, eta))
    if noise is None:
        noise = draw_noise(z.shape, generator, offset_noise, like=z)
    start = corrupt(z, timesteps[0], scheduler, noise)  # Eq. 5
    return denoise(predict, start, timesteps, scheduler, chosen, eta, generator, recompute, stop_gradient)
