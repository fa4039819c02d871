"""Models trained by flow matching in the same chain: a straight line from clip to noise instead of a quarter circle.

| name       | symbol | meaning                                                         | here                        |
|------------|--------|-----------------------------------------------------------------|-----------------------------|
| `s`        | s      | noise level, the share of the noise, 0 (clip) .. 1 (noise)      | z_s = (1 - s) z + s epsilon |
| `t`        | 1000 s | the same as the network takes it, not a whole number            | -                           |
| output     | v      | velocity along the line                                         | v = epsilon - z             |
| `shift`    | -      | > 1 spends more steps at high noise, as large frames need       | 3 or 5 for Wan 2.1          |
| `D`, `i`   | D, i   | steps of the full chain; number of a step, 1 (cleanest) .. D    | Eq. 3                       |
| `tau`      | tau    | share of the steps that an edit takes, as in the paper          | Eq. 4                       |

    u_i = i / D,  s_i = shift u_i / (1 + (shift - 1) u_i),  s_0 = 0           instead of Eq. 3
    z_{s'} = z_s + (s' - s) v                                                 one step (Euler)

A step is no other than DDIM's (`ivtutorial.method.ddim`): take the output apart into clip and noise, and put them
together again with the shares of the next level. With shares 1 - s and s that is Euler's step; with sqrt(abar) and
sqrt(1 - abar) it is the paper's. So `method/` has one chain, and a schedule says what differs: the shares at a
timestep, the grid, and in its configuration what the network's output means.

The grid is this formula and is not read from a scheduler of diffusers: `FlowMatchEulerDiscreteScheduler` spreads
its levels down to its lowest training level instead of 1 / D, and shifts them then. So its last step, the only one with
gradient for K = 1, is 15 times smaller than with the grid that Wan was released with (0.009 instead of 0.136 for
D = 20, shift = 3).

Share of the steps or noise level
---------------------------------
tau = 0.6 means 12 of 20 steps. With ModelScope they start where noise / signal is 1.92, s = 0.658; with shift 3 twelve
steps start at s = 0.818, where hardly anything of the clip is left. `ivtutorial.models.scheduler` has `tau_of_noise`,
the tau that starts at a given noise level, and `same_noise`, the one that noises as much as the paper does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ivtutorial.checks import positive
from ivtutorial.method.schedule import ddim_timesteps, partial_steps
from ivtutorial.system.step_draws import rand_rows

Level = tuple[float, float] | tuple[Tensor, Tensor]


class LevelSchedule(ABC):
    """A schedule that knows its levels and its grid itself, beside the tables of alphas that diffusers has.

    Attributes:
        config: holds `prediction_type` ('epsilon', 'v_prediction' or 'flow_prediction') and `num_train_timesteps`.
    """

    config: Any

    @abstractmethod
    def level(self, t: float | Tensor) -> Level:
        """Shares (a, b) of clip and noise at timestep t, a number or a tensor; at the end of the chain for t < 0."""

    @abstractmethod
    def timesteps(self, D: int) -> tuple[float, ...]:
        """The D descending timesteps of the full chain."""

    @abstractmethod
    def draw_timesteps(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Timesteps to train at, (count,)."""


@dataclass(frozen=True)
class FlowSchedule(LevelSchedule):
    """Levels and grid of a model trained by flow matching; its timesteps are 1000 s.

    Attributes:
        shift: of the grid, > 0; 1 is evenly spaced.

    Raises:
        InputError: shift is not a positive number.

    Example:
        >>> [round(t) for t in FlowSchedule(shift=3.0).timesteps(4)]
        [1000, 900, 750, 500]
        >>> [round(share, 3) for share in FlowSchedule().level(250.0)]
        [0.75, 0.25]
    """

    shift: float = 3.0
    config = MappingProxyType({"prediction_type": "flow_prediction", "num_train_timesteps": 1000})

    def __post_init__(self) -> None:
        positive(self, "shift")

    def level(self, t: float | Tensor) -> Level:
        """Shares (1 - s, s)."""
        if isinstance(t, Tensor):
            return 1 - t / 1000, t / 1000
        s = max(t, 0.0) / 1000
        return 1 - s, s

    def timesteps(self, D: int) -> tuple[float, ...]:
        """1000 s_i for i = D .. 1."""
        return tuple(1000 * s for s in flow_levels(D, self.shift))

    def draw_timesteps(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """The grid's density: u ~ U(0, 1), then shifted."""
        u = rand_rows(count, generator)
        return 1000 * self.shift * u / (1 + (self.shift - 1) * u)


def flow_levels(D: int, shift: float = 3.0) -> tuple[float, ...]:
    """Noise levels of the full chain, s_i = shift u_i / (1 + (shift - 1) u_i) with u_i = i / D, for i = D .. 1.

    Args:
        D: steps of the full chain, 1 .. 500.
        shift: > 0.

    Raises:
        InputError: D outside its range.

    Example:
        >>> flow_levels(2, shift=3.0)
        (1.0, 0.75)
    """
    ddim_timesteps(D)
    return tuple(shift * i / (D + (shift - 1) * i) for i in range(D, 0, -1))


def chain_timesteps(scheduler: Any, D: int, tau: float = 1.0) -> tuple[float, ...]:
    """Timesteps of the partial chain, the last tau * D of the full one (Eq. 3, 4), under any schedule.

    Args:
        scheduler: a table of alphas, whose grid is Eq. 3, or a `LevelSchedule`, which has its own.
        D: steps of the full chain.
        tau: share of them, 0 < tau <= 1.

    Returns:
        Descending timesteps; an edit starts at the first one.

    Raises:
        InputError: tau or D out of range.

    Example:
        >>> from ivtutorial.models import make_scheduler
        >>> chain_timesteps(make_scheduler(), D=10, tau=0.3)
        (201, 101, 1)
        >>> chain_timesteps(FlowSchedule(shift=1.0), D=4, tau=0.5)
        (500.0, 250.0)
    """
    own = isinstance(scheduler, LevelSchedule)
    full = scheduler.timesteps(D) if own else ddim_timesteps(D, scheduler.config["num_train_timesteps"])
    return full[-partial_steps(tau, D) :]
