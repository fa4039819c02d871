"""Draws of a training step that do not depend on how the step is split.

The clips of a step may be shared by several processes and passes (slots). Every slot draws for all clips of the step,
from the same source, and keeps its own rows. So the noise of a clip depends on the seed, the step and the clip's place
in the step: a seed names a run, whatever the number of processes. What is drawn once for all clips, such as the number
of steps with gradient, is the same in all slots.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class StepGenerator(torch.Generator):
    """A source on the CPU that knows which rows of a draw belong to its slot.

    Args:
        slot: 0 .. slots - 1.
        slots: passes a step, over all processes; each has as many clips.

    Example:
        >>> halves = [StepGenerator(slot, 2) for slot in (0, 1)]
        >>> rows = [own_rows(g.manual_seed(0), 1, lambda n: torch.rand(n, generator=g)) for g in halves]
        >>> torch.equal(torch.cat(rows), torch.rand(2, generator=torch.Generator().manual_seed(0)))
        True
    """

    slot: int
    slots: int

    def __new__(cls, slot: int, slots: int) -> StepGenerator:
        """A generator with its place."""
        made = super().__new__(cls)
        made.slot, made.slots = slot, slots
        return made


def own_rows(generator: torch.Generator | None, count: int, draw: Callable[[int], Tensor]) -> Tensor:
    """`count` rows of a draw: those of the generator's slot, or with any other source just these.

    Args:
        generator: that `draw` draws from.
        count: rows of this slot; rows that belong to a clip lie beside each other.
        draw: number of rows -> a tensor of so many rows.
    """
    if not isinstance(generator, StepGenerator):
        return draw(count)
    return draw(generator.slots * count)[generator.slot * count :][:count]


def rand_rows(count: int, generator: torch.Generator | None) -> Tensor:
    """Numbers from [0, 1), (count,), where the generator lives; see :func:`own_rows`."""
    device = None if generator is None else generator.device
    return own_rows(generator, count, lambda n: torch.rand(n, generator=generator, device=device))


def randint_rows(high: int, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Whole numbers from 0 .. high - 1, where the generator lives; rows are the first axis, see :func:`own_rows`."""
    device = None if generator is None else generator.device
    return own_rows(
        generator, shape[0], lambda n: torch.randint(high, (n, *shape[1:]), generator=generator, device=device)
    )
