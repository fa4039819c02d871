"""The noise schedule of ModelScopeT2V, which the paper and the small models share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ivtutorial.errors import InputError

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
