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

from collections.abc import Collection, Sequence
from typing import Literal

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.chain import Predict, denoise, last_k, network_mode, sample
from ivtutorial.method.ddim import check_latents, ddim_moments, ddim_step, randn
from ivtutorial.method.schedule import NoiseSchedule, partial_timesteps

__all__ = [
    "Predict",
    "check_latents",
    "corrupt",
    "ddim_moments",
    "ddim_step",
    "denoise",
    "draw_noise",
    "edit",
    "last_k",
    "network_mode",
    "sample",
]


def draw_noise(
    shape: Sequence[int],
    generator: torch.Generator | None = None,
    offset: float = 0.0,
    like: Tensor | None = None,
) -> Tensor:
    """Noise of Eq. 5, epsilon ~ N(0, 1), with the authors' optional offset noise.

    The offset adds one constant per clip, channel and frame: noise + offset * N(0, 1) of shape
    (B, C, F, 1, 1). The paper's text has none; the authors' training uses 0.1, so the variance is 1.01.

    Args:
        shape: (B, C, F, h, w).
        generator: seeded source; the noise is drawn on its device.
        offset: size of the offset noise, >= 0.
        like: give the noise the device and dtype of this tensor.

    Returns:
        Noise of the given shape.

    Raises:
        InputError: a shape without five axes, or a negative offset.
    """
    if len(shape) != 5 or offset < 0:
        raise InputError(f"noise of shape {tuple(shape)}, offset {offset}: expected (B, C, F, h, w) and offset >= 0.")
    noise = randn(shape, generator, like)
    if offset:
        noise = noise + offset * randn((*shape[:3], 1, 1), generator, like)
    return noise


def corrupt(z: Tensor, t: int, scheduler: NoiseSchedule, noise: Tensor) -> Tensor:
    """Noise clean latents to timestep t: z_t = sqrt(abar_t) z + sqrt(1 - abar_t) epsilon (Eq. 5).

    Args:
        z: clean latents (B, C, F, h, w).
        t: timestep, 0 .. T - 1; the method uses t_noi of Eq. 4.
        scheduler: holds the cumulative alphas.
        noise: epsilon, shaped like z.

    Returns:
        z_t, shaped like z.

    Raises:
        InputError: z is not a batch of latents, or noise has another shape.
    """
    check_latents(z)
    if noise.shape != z.shape:
        raise InputError(f"noise of shape {tuple(noise.shape)} for latents of shape {tuple(z.shape)}: they must agree.")
    abar = float(scheduler.alphas_cumprod[t])
    return abar**0.5 * z + (1 - abar) ** 0.5 * noise


def edit(
    predict: Predict,
    z: Tensor,
    scheduler: NoiseSchedule,
    tau: float = 0.6,
    D: int = 20,
    K: int | Literal["uniform"] = 1,
    grad_steps: Collection[int] | None = None,
    eta: float = 0.0,
    offset_noise: float = 0.0,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
    recompute: bool = False,
) -> Tensor:
    """Noise clean latents to t_noi (Eq. 4-5) and denoise them again in tau * D steps.

    Args:
        predict: (z, t) -> model output, guidance included.
        z: clean latents of training clips (B, C, F, h, w).
        scheduler: cumulative alphas, prediction type and T.
        tau: noise level, 0 < tau <= 1.
        D: steps of the full chain.
        K: last steps with gradient, or 'uniform'; see :func:`last_k`.
        grad_steps: explicit positions with gradient instead of the last K.
        eta: 0 is deterministic, 1 as noisy as DDPM.
        offset_noise: see :func:`draw_noise`.
        generator: source of every draw.
        noise: use this epsilon instead of drawing one.
        recompute: see :func:`denoise`.

    Returns:
        z_0, the latents of the edited clips.

    Raises:
        InputError: tau, D, K or a shape out of range.

    Example:
        >>> z0 = edit(predict, z, scheduler, tau=0.6, D=20, K=1)  # doctest: +SKIP
    """
    check_latents(z)
    timesteps = partial_timesteps(tau, D, scheduler.config["num_train_timesteps"])
    chosen = last_k(K, len(timesteps), generator) if grad_steps is None else grad_steps
    if noise is None:
        noise = draw_noise(z.shape, generator, offset_noise, like=z)
    start = corrupt(z, timesteps[0], scheduler, noise)
    return denoise(predict, start, timesteps, scheduler, chosen, eta, generator, recompute)
