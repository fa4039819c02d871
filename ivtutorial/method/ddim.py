"""One DDIM step, for models that predict noise or a velocity (Sec. 3.2.1).

| name           | symbol           | shape           | meaning                                         |
|----------------|------------------|-----------------|-------------------------------------------------|
| `z`            | z_t              | (B, C, F, h, w) | latents, multiplied by the VAE's scaling factor |
| `model_output` | epsilon_theta, v | (B, C, F, h, w) | the UNet's output, guidance already applied     |
| `a`, `b`       | -                | float           | shares of clip and noise at t; in the paper     |
|                |                  |                 | sqrt(alpha-bar_t) and sqrt(1 - alpha-bar_t)     |
| `eta`          | eta              | float           | 0: deterministic DDIM; 1: as noisy as DDPM      |

What the UNet predicts is read from `scheduler.config.prediction_type`. The step is made in the dtype of the
latents (float32), whatever precision the UNet computes in. The formulas are (12) and (16) of the DDIM paper,
written with the shares of clip and noise: with 1 - s and s (`ivtutorial.method.flow`) the step is Euler's.
"""

from __future__ import annotations

from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.noise import level, split
from ivtutorial.method.schedule import NoiseSchedule


def check_scheduler(scheduler: NoiseSchedule) -> None:
    """Refuse a noise schedule that the chain cannot follow: unknown predictions, or clipped ones."""
    config = scheduler.config
    known = ("epsilon", "v_prediction", "flow_prediction")
    if config["prediction_type"] not in known:
        raise InputError(f"prediction_type {config['prediction_type']!r}: expected {', '.join(known)}.")
    if config.get("clip_sample") or config.get("thresholding"):
        raise InputError("the scheduler clips predicted latents: set clip_sample and thresholding to False.")


def ddim_moments(
    scheduler: NoiseSchedule, model_output: Tensor, t: float, t_prev: float, z: Tensor, eta: float = 0.0
) -> tuple[Tensor, float]:
    """Mean and standard deviation of one DDIM step, q(z_{t_prev} | z_t, x0) with x0 as the model predicts it.

    With x0 and e from the model's output, see :func:`ivtutorial.method.noise.split`:
    mean = a_prev x0 + sqrt(b_prev^2 - std^2) e,
    std = eta b_prev / b sqrt(b^2 - (b_prev a / a_prev)^2).

    Args:
        scheduler: noise schedule and prediction type.
        model_output: the UNet's output at (z, t), shaped like z; a half-precision one is raised to z's dtype.
        t: timestep of z.
        t_prev: timestep to go to; negative means the end of the chain.
        z: z_t, latents (B, C, F, h, w).
        eta: 0 is deterministic DDIM, 1 is as noisy as DDPM.

    Returns:
        The mean, shaped like z, and the standard deviation.

    Raises:
        InputError: the model's output has another shape than z.
    """
    if model_output.shape != z.shape:
        raise InputError(f"the model returned {tuple(model_output.shape)} for latents of shape {tuple(z.shape)}.")
    at, (a_prev, b_prev) = level(scheduler, t), level(scheduler, t_prev)
    a, b = at
    x0, e = split(model_output.to(z.dtype), z, at, scheduler.config["prediction_type"])
    fresh = max(b**2 - (b_prev * a / a_prev) ** 2, 0.0)  # a step up, towards the noise, adds none of its own
    std = float(eta * b_prev / b * fresh**0.5)
    return a_prev * x0 + max(b_prev**2 - std**2, 0.0) ** 0.5 * e, std


def ddim_step(
    scheduler: NoiseSchedule,
    model_output: Tensor,
    t: float,
    t_prev: float,
    z: Tensor,
    eta: float = 0.0,
    noise: Tensor | None = None,
) -> Tensor:
    """One DDIM step, z_t -> z_{t_prev}: mean + std * noise, with the moments of :func:`ddim_moments`.

    Args:
        scheduler: see :func:`ddim_moments`, also for the other arguments.
        model_output: the UNet's output at (z, t).
        t: timestep of z.
        t_prev: timestep to go to; negative means the end of the chain.
        z: z_t, latents (B, C, F, h, w).
        eta: 0 is deterministic, 1 as noisy as DDPM.
        noise: standard normal, shaped like z; needed if and only if eta > 0.

    Returns:
        z_{t_prev}, shaped like z.

    Raises:
        InputError: eta > 0 without noise, or a wrong shape.
    """
    mean, std = ddim_moments(scheduler, model_output, t, t_prev, z, eta)
    if not eta:
        return mean
    if noise is None:
        raise InputError(f"eta = {eta} makes the step random: pass noise shaped like z.")
    return mean + std * noise
