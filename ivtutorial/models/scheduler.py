"""The noise schedule of ModelScopeT2V, which the paper and the small models share, and its noise in other schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ivtutorial.errors import InputError
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.noise import level

if TYPE_CHECKING:
    from diffusers import DDIMScheduler

_PREDICTION_TYPES = ("epsilon", "v_prediction")


def make_scheduler(
    prediction_type: str = "epsilon", T: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012
) -> DDIMScheduler:
    """The noise schedule of ModelScopeT2V and of the paper, as a diffusers `DDIMScheduler`.

    "Scaled linear": the square root of beta rises linearly. The chain ends at the cumulative alpha of
    timestep 0 (0.99915), not at 1, as in the authors' code.

    Args:
        prediction_type: what the UNet was trained to output, 'epsilon' (noise) or 'v_prediction' (velocity).
        T: training timesteps.
        beta_start: first beta.
        beta_end: last beta.

    Returns:
        The scheduler; only its tables and its configuration are used by this package.

    Raises:
        InputError: unknown prediction type.
    """
    from diffusers import DDIMScheduler  # heavy, hence not at the top

    if prediction_type not in _PREDICTION_TYPES:
        raise InputError(f"prediction_type = {prediction_type!r}: expected one of {', '.join(_PREDICTION_TYPES)}.")
    return DDIMScheduler(
        num_train_timesteps=T,
        beta_start=beta_start,
        beta_end=beta_end,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        steps_offset=1,
        timestep_spacing="leading",
        set_alpha_to_one=False,
        clip_sample=False,
    )


def noise_share(scheduler: Any, t: float) -> float:
    """The noise level s = b / (a + b) of a timestep under any schedule, 0 (clip) .. 1 (noise).

    Example:
        >>> round(noise_share(make_scheduler(), 551), 3)
        0.658
    """
    a, b = level(scheduler, t)
    return float(b / (a + b))


def tau_of_noise(scheduler: Any, noise: float, D: int = 20) -> float:
    """The share of the steps with which an edit starts closest to a noise level.

    Args:
        scheduler: of the model.
        noise: noise level s, 0 < s <= 1.
        D: steps of the full chain.

    Returns:
        tau, a multiple of 1 / D; 1 / D at least.

    Raises:
        InputError: noise or D out of range.

    Example:
        >>> from ivtutorial.method import FlowSchedule
        >>> [tau_of_noise(FlowSchedule(shift), noise=0.658) for shift in (3.0, 5.0, 8.0)]
        [0.4, 0.3, 0.2]
    """
    if not 0 < noise <= 1:
        raise InputError(f"noise level {noise}: expected a share of noise in (0, 1]; the paper's edits start at 0.658.")
    distances = [abs(noise_share(scheduler, t) - noise) for t in chain_timesteps(scheduler, D)]
    return (D - distances.index(min(distances))) / D


def same_noise(scheduler: Any, tau: float = 0.6, D: int = 20) -> float:
    """The share of the steps that noises a clip as much as `tau` does in the paper, with ModelScope's schedule.

    Args:
        scheduler: of the model.
        tau: of the paper's schedule, 0 < tau <= 1.
        D: steps of the full chain, of both.

    Raises:
        InputError: tau or D out of range.

    Example:
        >>> from ivtutorial.method import FlowSchedule
        >>> same_noise(FlowSchedule(shift=3.0)), same_noise(make_scheduler())
        (0.4, 0.6)
    """
    paper = make_scheduler()
    return tau_of_noise(scheduler, noise_share(paper, chain_timesteps(paper, D, tau)[0]), D)
