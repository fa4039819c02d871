"""Noise: how much of it a latent holds at a timestep, and what the network is trained to predict (Eq. 1 and 5).

| name         | symbol                         | shape           | meaning                                         |
|--------------|--------------------------------|-----------------|-------------------------------------------------|
| `z`          | z                              | (B, C, F, h, w) | clean latents, times the VAE's scaling factor   |
| `noise`      | epsilon                        | (B, C, F, h, w) | N(0, 1)                                         |
| `t`          | t                              | int or (B,)     | timestep, 0 .. T - 1; one for all or one a clip |
| `a`, `b`     | sqrt(abar_t), sqrt(1 - abar_t) | as t            | share of the clip and of the noise in z_t       |
| `prediction` | -                              | str             | 'epsilon' or 'v_prediction', the scheduler's    |

    z_t = a z + b epsilon                                                     Eq. 5
    target = epsilon, or the velocity v = a epsilon - b z                     what the network is trained to output
    L(theta) = E_{z, c, t, epsilon} | target - net(z_t, t, c) |^2             Eq. 1

Another parametrisation is another `level`, `target` and `split`; everything else goes through these three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ivtutorial.checks import check_latents
from ivtutorial.errors import InputError
from ivtutorial.method.schedule import NoiseSchedule

if TYPE_CHECKING:
    from ivtutorial.method.batch import BackboneLike, Batch

Level = tuple[float, float] | tuple[Tensor, Tensor]


def randn(shape: Sequence[int], generator: torch.Generator | None, like: Tensor | None = None) -> Tensor:
    """Normal noise drawn where the generator lives (so a CPU seed gives the same noise on every device)."""
    device = generator.device if generator is not None else (like.device if like is not None else None)
    noise = torch.randn(tuple(shape), generator=generator, device=device)
    return noise if like is None else noise.to(like)


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


def draw_timesteps(scheduler: NoiseSchedule, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Uniform timesteps 0 .. T - 1, int64 (count,)."""
    device = generator.device if generator is not None else None
    return torch.randint(scheduler.config["num_train_timesteps"], (count,), generator=generator, device=device)


def level(scheduler: NoiseSchedule, t: int | Tensor, like: Tensor | None = None) -> Level:
    """Share of the clip and of the noise in z_t, (sqrt(abar_t), sqrt(1 - abar_t)).

    Args:
        scheduler: holds the cumulative alphas.
        t: timestep, a number or one a clip, int64 (B,).
        like: latents whose device and type the numbers of a (B,) tensor get.

    Returns:
        Two numbers, or two tensors (B, 1, 1, 1, 1).

    Example:
        >>> from ivtutorial.method.schedule import make_scheduler
        >>> [round(number, 3) for number in level(make_scheduler(), 551)]
        [0.461, 0.887]
    """
    if isinstance(t, Tensor) and t.ndim:
        alphas = scheduler.alphas_cumprod if like is None else scheduler.alphas_cumprod.to(like)
        abar = alphas[t.to(alphas.device)].view(-1, 1, 1, 1, 1)
        return abar.sqrt(), (1 - abar).sqrt()
    number = float(scheduler.alphas_cumprod[int(t)])
    return number**0.5, (1 - number) ** 0.5


def corrupt(z: Tensor, t: int | Tensor, scheduler: NoiseSchedule, noise: Tensor) -> Tensor:
    """Noise clean latents to timestep t: z_t = sqrt(abar_t) z + sqrt(1 - abar_t) epsilon (Eq. 5).

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
    """What the network is trained to output: the noise, or the velocity a epsilon - b z.

    Args:
        z: clean latents (B, C, F, h, w).
        noise: epsilon, shaped like z.
        at: (a, b) of :func:`level`.
        prediction: 'epsilon' or 'v_prediction'.
    """
    a, b = at
    return a * noise - b * z if prediction == "v_prediction" else noise


def split(output: Tensor, z_t: Tensor, at: Level, prediction: str) -> tuple[Tensor, Tensor]:
    """The network's output taken apart into (x0, e), the clip and the noise that z_t is made of: z_t = a x0 + b e.

    Args:
        output: of the network at z_t, (B, C, F, h, w).
        z_t: noisy latents, shaped like output.
        at: (a, b) of :func:`level`.
        prediction: 'epsilon' or 'v_prediction'.
    """
    a, b = at
    if prediction == "v_prediction":
        return a * z_t - b * output, a * output + b * z_t
    return (z_t - b * output) / a, output


def denoising_errors(backbone: BackboneLike, z: Tensor, embeds: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Squared error of the network's prediction, a mean for each clip (Eq. 1).

    Args:
        backbone: UNet and scheduler; the prediction is taken without guidance, as in training.
        z: clean latents (B, C, F, h, w).
        embeds: (B, L, E) of the captions.
        t: timesteps, int64 (B,).
        noise: epsilon, shaped like z.

    Returns:
        Errors (B,), with gradient to the network.
    """
    scheduler = backbone.scheduler
    expected = target(z, noise, level(scheduler, t, like=z), scheduler.config["prediction_type"])
    output = backbone.predictor(embeds, embeds, 1.0)(corrupt(z, t, scheduler, noise), t.to(z.device))
    return (output.to(expected.dtype) - expected).square().mean(dim=(1, 2, 3, 4))


def drawn_errors(
    backbone: BackboneLike,
    z: Tensor,
    batch: Batch,
    draws: int = 1,
    caption_dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Errors of Eq. 1 at timesteps and noises that are drawn, several for each clip.

    Args:
        backbone: UNet and scheduler.
        z: clean latents (B, C, F, h, w), of the batch or made for its captions.
        batch: the B captions.
        draws: timesteps and noises for each clip.
        caption_dropout: share of the draws whose caption is left out, for guidance.
        generator: source of timesteps, noise and dropped captions, in this order.

    Returns:
        Errors (B * draws,), those of a clip beside each other, with gradient to the network.
    """
    z, embeds = z.repeat_interleave(draws, 0), batch.embeds.repeat_interleave(draws, 0)
    t = draw_timesteps(backbone.scheduler, len(z), generator)
    noise = draw_noise(z.shape, generator, like=z)
    embeds = drop_captions(embeds, batch.uncond_embeds[:1], caption_dropout, generator)
    return denoising_errors(backbone, z, embeds, t, noise)


def drop_captions(embeds: Tensor, uncond: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Embeddings (B, L, E) in which about this share is that of the empty caption; no draw is made for share 0."""
    if not share:
        return embeds
    device = generator.device if generator is not None else None
    dropped = torch.rand(len(embeds), generator=generator, device=device) < share
    return torch.where(dropped.to(embeds.device)[:, None, None], uncond.expand_as(embeds), embeds)
