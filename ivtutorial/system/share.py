"""One of several processes: its share of the work, and what all of them found.

The processes are those of `ivtutorial.system.processes`, torchrun or accelerate. Where there is no group, every
function does what is right for a single process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ivtutorial.errors import InputError, first_line
from ivtutorial.system.processes import started_processes

Item = TypeVar("Item")


def rank_and_world() -> tuple[int, int]:
    """The number of this process, 0, 1, ..., and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


@contextmanager
def joined() -> Iterator[bool]:
    """Inside the block the processes that torchrun or accelerate launch has started share the work.

    Objects and waiting go through gloo, on GPUs too, which are used by each process alone. Where there is a group
    already, or a single process, nothing changes.

    Yields:
        Whether this process is the first, which reports and writes what belongs to all.

    Raises:
        InputError: WORLD_SIZE asks for several processes, and nothing has started them.
    """
    new = started_processes() > 1 and dist.is_available() and not dist.is_initialized()
    if new:
        try:
            dist.init_process_group("gloo")
        except ValueError as error:  # a part of what torchrun sets
            raise InputError(
                f"WORLD_SIZE is {started_processes()} in the environment, but the processes cannot meet "
                f"({first_line(error)}). Start them with torchrun, or unset WORLD_SIZE."
            ) from error
    try:
        yield rank_and_world()[0] == 0
    finally:
        if new:
            dist.destroy_process_group()


def own_share(items: Sequence[Item]) -> list[Item]:
    """Every W-th item, from the rank of this process on.

    Example:
        >>> own_share(["a", "b", "c"])  # a single process does everything
        ['a', 'b', 'c']
    """
    rank, world = rank_and_world()
    return list(items[rank::world])


def gather(items: Sequence[Item]) -> list[Item]:
    """The items of all processes, by rank; every process gets them, and waits for the others."""
    _, world = rank_and_world()
    if world == 1:
        return list(items)
    parts: list[list[Item]] = [[] for _ in range(world)]
    dist.all_gather_object(parts, list(items))
    return [item for part in parts for item in part]


def wait_for_all() -> None:
    """Return when every process has come this far."""
    if rank_and_world()[1] > 1:
        dist.barrier()


def average_gradients(parameters: Sequence[Tensor]) -> None:
    """Replace each gradient by its mean over all processes, in one message; a missing gradient counts as 0."""
    for p in parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    _, world = rank_and_world()
    if world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients])):
        gradient.copy_(part.view_as(gradient))
