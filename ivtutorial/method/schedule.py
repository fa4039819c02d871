"""The clock of the method: which timesteps a DDIM chain visits, and where a partial chain starts.

| name      | symbol    | meaning                                         | equation |
|-----------|-----------|-------------------------------------------------|----------|
| `T`       | T         | training timesteps of the noise schedule (1000) | -        |
| `D`       | D         | steps of the full DDIM chain (20, also 50)      | -        |
| `i`       | i         | index of a DDIM step, 1 (cleanest) .. D         | Eq. 3    |
| `tau`     | tau       | noise level, 0 < tau <= 1                       | Eq. 4    |
| `n`       | tau * D   | steps of the partial chain                      | Eq. 4    |

Everything here is integer arithmetic without tensors. `tau * D` becomes a whole number in exactly one place,
:func:`partial_steps`, so that the noise level and the chain can never disagree.

Where this differs from the authors' code
-----------------------------------------
1. They take `int(tau * D)`, which loses a step to binary floating point (0.58 * 50 = 28.999... gives 28).
   Here the product is first freed of that error (29), then rounded down. Any other product gives the same.
2. A product below 1 makes them run the *whole* chain (a slice from `-0`). Here it is an error.
3. When D does not divide T their list has more than D entries (31 for D = 30), and the noise level and the
   chain are counted from different lists. Here, as in diffusers, the chain has D steps of stride T // D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ivtutorial.checks import is_whole
from ivtutorial.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


class NoiseSchedule(Protocol):
    """The part of a diffusers scheduler that the method uses; `ivtutorial.models.make_scheduler` makes one.

    Attributes:
        config: holds `prediction_type` ('epsilon' or 'v_prediction') and `num_train_timesteps` (T).
        alphas_cumprod: alpha-bar_t for t = 0 .. T - 1, float32 (T,).
        final_alpha_cumprod: alpha-bar at the end of the chain, after the step from t = 1.
    """

    config: Any
    alphas_cumprod: Tensor
    final_alpha_cumprod: Tensor


def _check_chain(D: int, T: int = 1000) -> None:
    if not is_whole(D, 1, T // 2):
        raise InputError(f"D = {D!r} DDIM steps: expected a whole number from 1 to {T // 2} (half of T = {T}).")


def ddim_timestep(i: int, D: int, T: int = 1000) -> int:
    """Training timestep of DDIM step i, d(i) = (T / D) (i - 1) + 1 (Eq. 3).

    Args:
        i: index of the step, 1 (the last one taken, cleanest) to D (the first one taken, noisiest).
        D: steps of the full chain, 1 .. T // 2. If D does not divide T, T / D is rounded down.
        T: training timesteps of the noise schedule.

    Returns:
        The timestep, an index into the cumulative alphas, 1 .. T - 1.

    Raises:
        InputError: i or D outside its range.

    Example:
        >>> ddim_timestep(12, D=20)
        551
    """
    _check_chain(D, T)
    if not 1 <= i <= D:
        raise InputError(f"DDIM index i = {i}: expected 1 <= i <= D = {D}.")
    return (T // D) * (i - 1) + 1


def ddim_timesteps(D: int, T: int = 1000) -> tuple[int, ...]:
    """All timesteps of the full chain in the order in which they are visited, d(D), ..., d(1) (Eq. 3).

    Args:
        D: steps of the full chain, 1 .. T // 2.
        T: training timesteps of the noise schedule.

    Returns:
        D descending timesteps.

    Raises:
        InputError: D outside its range.

    Example:
        >>> ddim_timesteps(5)
        (801, 601, 401, 201, 1)
    """
    _check_chain(D, T)
    return tuple(ddim_timestep(i, D, T) for i in range(D, 0, -1))


def partial_steps(tau: float, D: int) -> int:
    """Number of steps of the partial chain, n = tau * D, as a whole number (Eq. 4).

    The only place where tau * D is rounded: down, after removing floating-point error.

    Args:
        tau: noise level, 0 < tau <= 1. With tau = 1 the partial chain is the full one.
        D: steps of the full chain.

    Returns:
        n, from 1 to D.

    Raises:
        InputError: tau outside (0, 1], or so small that no step would be left.

    Example:
        >>> partial_steps(0.6, 20), partial_steps(0.58, 50)
        (12, 29)
    """
    if not 0.0 < tau <= 1.0:  # also refuses NaN
        raise InputError(f"tau = {tau}: expected a noise level in (0, 1]; the paper uses 0.6.")
    _check_chain(D)
    n = math.floor(tau * D + 1e-6)
    if n < 1:
        raise InputError(f"tau = {tau} with D = {D} leaves no step: use tau >= {1 / D:g}, or a larger D.")
    return n


def partial_timesteps(tau: float, D: int, T: int = 1000) -> tuple[int, ...]:
    """Timesteps of the partial chain, d(tau D), ..., d(1): the last tau * D of the full chain.

    Args:
        tau: noise level, 0 < tau <= 1.
        D: steps of the full chain.
        T: training timesteps of the noise schedule.

    Returns:
        `partial_steps(tau, D)` descending timesteps; the first one is the noise level of Eq. 4.

    Raises:
        InputError: see :func:`partial_steps` and :func:`ddim_timestep`.

    Example:
        >>> partial_timesteps(0.3, D=10)
        (201, 101, 1)
    """
    return ddim_timesteps(D, T)[-partial_steps(tau, D) :]


def steps(timesteps: Sequence[float], end: float = -1) -> list[tuple[float, float]]:
    """The steps of a chain, (t, t_prev) each: from every timestep to the next, and from the last to the end.

    Args:
        timesteps: descending, as of :func:`ddim_timesteps` or :func:`partial_timesteps`.
        end: where the last step goes; -1 is the end of the whole chain.

    Example:
        >>> steps((201, 101, 1))
        [(201, 101), (101, 1), (1, -1)]
    """
    return list(zip(timesteps, (*timesteps[1:], end)))


def noising_timestep(tau: float, D: int, T: int = 1000) -> int:
    """Timestep to which a training clip is noised, t_noi = d(tau D) (Eq. 4).

    Args:
        tau: noise level, 0 < tau <= 1.
        D: steps of the full chain.
        T: training timesteps of the noise schedule.

    Returns:
        t_noi, the first timestep of :func:`partial_timesteps`.

    Raises:
        InputError: see :func:`partial_steps` and :func:`ddim_timestep`.

    Example:
        >>> noising_timestep(0.6, D=20)
        551
    """
    return ddim_timestep(partial_steps(tau, D), D, T)
