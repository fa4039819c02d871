"""What processes share: each item once, everything gathered by rank, gradients as their mean."""

from __future__ import annotations

import torch

from ivtutorial.system.processes import launch
from ivtutorial.system.share import average_gradients, gather, own_share, rank_and_world, wait_for_all


def meet(items: list[str]) -> tuple[tuple[int, int], list[str], list[str], list[float]]:
    """The share, what all have gathered, and two averaged gradients; one of them is missing in process 1."""
    rank, world = rank_and_world()
    share = own_share(items)
    everything = gather(share)
    first, second = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    first.grad = torch.tensor([1.0, 2.0]) * (rank + 1)
    second.grad = torch.tensor([4.0]) if rank == 0 else None
    average_gradients([first, second])
    wait_for_all()
    return (rank, world), share, everything, [*first.grad.tolist(), *second.grad.tolist()]  # type: ignore[union-attr]


def test_two_processes_share_gather_and_average() -> None:
    """Means of (1, 2) and (2, 4), and of 4 and a gradient that is missing."""
    first, second = launch(meet, 2, ["a", "b", "c"])
    assert first == ((0, 2), ["a", "c"], ["a", "c", "b"], [1.5, 3.0, 2.0])
    assert second == ((1, 2), ["b"], ["a", "c", "b"], [1.5, 3.0, 2.0])


def test_alone_a_process_has_everything() -> None:
    assert meet(["a", "b"]) == ((0, 1), ["a", "b"], ["a", "b"], [1.0, 2.0, 4.0])
