"""Noise: how much of it a latent holds at a timestep (Eq. 5), and what the network is trained to predict (Eq. 1).

| name         | symbol                         | shape           | meaning                                         |
|--------------|--------------------------------|-----------------|-------------------------------------------------|
| `z`          | z                              | (B, C, F, h, w) | clean latents, times the VAE's scaling factor   |
| `noise`      | epsilon                        | (B, C, F, h, w) | N(0, 1)                                         |
| `t`          | t                              | int or (B,)     | timestep, 0 .. T - 1; one for all or one a clip |
| `a`, `b`     | sqrt(abar_t), sqrt(1 - abar_t) | as t            | share of the clip and of the noise in z_t       |
| `prediction` | -                              | str             | the scheduler's: 'epsilon', 'v_prediction' or   |
|              |                                |                 | 'flow_prediction'                               |

    z_t = a z + b epsilon                                                     Eq. 5
    target = epsilon, or a velocity: v = a epsilon - b z (circle), or         what the network is trained to output
             v = epsilon - z (straight line, a = 1 - s, b = s)
    L(theta) = E_{z, c, t, epsilon} | target - net(z_t, t, c) |^2             Eq. 1, `ivtutorial.rivals.denoising`

Another parametrisation is another `level`, `target` and `split`; everything else goes through these three.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ivtutorial.checks import check_latents
from ivtutorial.errors import InputError
from ivtutorial.method.flow import Level, LevelSchedule
from ivtutorial.method.schedule import NoiseSchedule
from ivtutorial.system.step_draws import own_rows


def randn(shape: Sequence[int], generator: torch.Generator | None, like: Tensor | None = None) -> Tensor:
    """Normal noise drawn where the generator lives (so a CPU seed gives the same noise on every device)."""
    device = generator.device if generator is not None else (like.device if like is not None else None)
    noise = own_rows(generator, shape[0], lambda n: torch.randn((n, *shape[1:]), generator=generator, device=device))
    return noise if like is None else noise.to(like, non_blocking=True)


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


def level(scheduler: NoiseSchedule, t: float | Tensor, like: Tensor | None = None) -> Level:
    """Share of the clip and of the noise in z_t, (sqrt(abar_t), sqrt(1 - abar_t)), or a `LevelSchedule`'s own.

    Args:
        scheduler: holds the cumulative alphas.
        t: timestep, a number or one a clip, (B,); a negative number is the end of the chain.
        like: latents whose device and type the numbers of a (B,) tensor get.

    Returns:
        Two numbers, or two tensors (B, 1, 1, 1, 1).

    Example:
        >>> from ivtutorial.models import make_scheduler
        >>> [round(number, 3) for number in level(make_scheduler(), 551)]
        [0.461, 0.887]
    """
    if isinstance(scheduler, LevelSchedule):
        if isinstance(t, Tensor) and t.ndim:
            return scheduler.level((t if like is None else t.to(like, non_blocking=True)).view(-1, 1, 1, 1, 1))
        return scheduler.level(float(t))
    if isinstance(t, Tensor) and t.ndim:
        abar = scheduler.alphas_cumprod[t.to(scheduler.alphas_cumprod.device)].view(-1, 1, 1, 1, 1)
        abar = abar if like is None else abar.to(like, non_blocking=True)
        return abar.sqrt(), (1 - abar).sqrt()
    number = float(scheduler.alphas_cumprod[int(t)] if t >= 0 else scheduler.final_alpha_cumprod)
    return number**0.5, (1 - number) ** 0.5


def corrupt(z: Tensor, t: float | Tensor, scheduler: NoiseSchedule, noise: Tensor) -> Tensor:
    """Noise clean latents to timestep t: z_t = a z + b epsilon (Eq. 5).

    Args:
        z: clean latents (B, C, F, h, w).
        t: timestep, 0 .. T - 1, a number or one a clip (B,); the method uses t_noi of Eq. 4.
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
    a, b = level(scheduler, t, like=z)
    return a * z + b * noise


def target(z: Tensor, noise: Tensor, at: Level, prediction: str) -> Tensor:
    """What the network is trained to output: the noise, or a velocity, a epsilon - b z or epsilon - z.

    Args:
        z: clean latents (B, C, F, h, w).
        noise: epsilon, shaped like z.
        at: (a, b) of :func:`level`.
        prediction: 'epsilon', 'v_prediction' or 'flow_prediction'.
    """
    if prediction == "flow_prediction":
        return noise - z
    a, b = at
    return a * noise - b * z if prediction == "v_prediction" else noise


def split(output: Tensor, z_t: Tensor, at: Level, prediction: str) -> tuple[Tensor, Tensor]:
    """The network's output taken apart into (x0, e), the clip and the noise that z_t is made of: z_t = a x0 + b e.

    Args:
        output: of the network at z_t, (B, C, F, h, w).
        z_t: noisy latents, shaped like output.
        at: (a, b) of :func:`level`.
        prediction: 'epsilon', 'v_prediction' or 'flow_prediction'.
    """
    a, b = at
    if prediction == "v_prediction":
        return a * z_t - b * output, a * output + b * z_t
    if prediction == "flow_prediction":  # a + b = 1
        return z_t - b * output, z_t + a * output
    return (z_t - b * output) / a, output
