"""How long a training takes, and its learning rate as a share of that: warm up, hold, decay (WSD).

A cosine must know its end. A plateau need not: a training may be given more at any time, goes back to the state in
which its decay began, and goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivtutorial.errors import InputError


@dataclass(frozen=True)
class Budget:
    """The end of a training; exactly one is given.

    Attributes:
        steps: optimiser steps; the only budget under which a resumed run equals an unbroken one to the bit.
        core_hours: processor time of all processes together.
        minutes: time on the clock, what counts on a GPU that is lent.
        since: `time.monotonic()` from which minutes count; by default from when the work begins.

    Raises:
        InputError: none or several are given, or one that is not positive.
    """

    steps: int | None = None
    core_hours: float | None = None
    minutes: float | None = None
    since: float | None = None

    def __post_init__(self) -> None:
        limits = [v for v in (self.steps, self.core_hours, self.minutes) if v is not None]
        if len(limits) != 1 or not limits[0] > 0:
            raise InputError(f"a budget is one positive number of steps, core-hours or minutes, got {self}")

    def progress(self, step: int, core_seconds: float, seconds: float) -> float:
        """Share of the budget that is used up, 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        if self.core_hours is not None:
            return min(1.0, core_seconds / (3600 * self.core_hours))
        assert self.minutes is not None
        return min(1.0, seconds / (60 * self.minutes))

    def part(self, share: float) -> Budget:
        """The budget of a stage that gets this share of the whole."""
        if self.steps is not None:
            return Budget(steps=max(1, round(share * self.steps)))
        if self.core_hours is not None:
            return Budget(core_hours=share * self.core_hours)
        assert self.minutes is not None
        return Budget(minutes=share * self.minutes)


@dataclass(frozen=True)
class Schedule:
    """Learning rate over its peak: up over ``warmup`` steps, held, and down a line over the last ``decay`` of the
    budget to ``floor``."""

    warmup: int = 100
    decay: float = 0.25
    floor: float = 0.01

    def factor(self, step: int, progress: float) -> float:
        """Of a step, when this share of the budget is used up."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = min(1.0, (1.0 - progress) / self.decay) if self.decay > 0 else 1.0
        return rise * max(self.floor, fall)

    def decays(self, progress: float) -> bool:
        """Whether the decay has begun."""
        return progress > 1.0 - self.decay


def parse_budget(text: str | None, minutes: float | None, default: str = "30h", since: float | None = None) -> Budget:
    """The budget that a command line gives.

    Args:
        text: core-hours such as "30h", or core-minutes such as "90m".
        minutes: time on the clock.
        default: for when neither is given.
        since: when the command began, see :class:`Budget`.

    Raises:
        InputError: both are given, or the text is not a number with h or m.
    """
    if text is not None and minutes is not None:
        raise InputError("give --budget (processor time) or --minutes (time on the clock), not both")
    if minutes is not None:
        return Budget(minutes=minutes, since=since)
    text = text or default
    try:
        return Budget(core_hours=float(text[:-1]) / {"h": 1, "m": 60}[text[-1:]])
    except (KeyError, ValueError):
        raise InputError(
            f"--budget {text!r}: expected a positive number of core-hours or minutes, such as 30h or 90m"
        ) from None
