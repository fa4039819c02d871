"""What processes share: each item once, everything gathered by rank, gradients as their mean."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.system.processes import launch
from ivtutorial.system.share import average_gradients, gather, joined, own_share, rank_and_world, wait_for_all


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


def test_processes_that_torchrun_starts_join_and_share(tmp_path: Path) -> None:
    """Two processes with nothing but torchrun's variables: each does its share, and the first one reports."""
    script = (
        "from ivtutorial.system.share import gather, joined, own_share\n"
        "with joined() as first:\n"
        "    print(first, own_share(['a', 'b', 'c']), gather(own_share(['a', 'b', 'c'])))\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    lines = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert lines == ["True ['a', 'c'] ['a', 'c', 'b']", "False ['b'] ['a', 'c', 'b']"]


def test_a_single_process_joins_nothing() -> None:
    with joined() as first:
        assert first and rank_and_world() == (0, 1)


@pytest.mark.parametrize("value", ["", "two"])
def test_a_number_of_processes_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", value)
    with pytest.raises(InputError, match=f"WORLD_SIZE = '{value}' in the environment: expected a number"), joined():
        pass


def test_a_number_of_processes_that_nobody_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable left over from another job: torch would complain of one that is missing."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match="Start them with torchrun, or unset WORLD_SIZE"), joined():
        pass
