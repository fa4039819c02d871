"""What a piece of a chapter costs: memory that back-propagation keeps, processor time, peak memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ivtutorial.notebook.scale import Scale
from ivtutorial.system.provenance import peak_memory_mb


def saved_bytes(function: Callable[[], Tensor], weights: Iterable[Tensor] = ()) -> int:
    """Bytes that autograd keeps for the backward pass of `function()`.

    Each piece of memory counts once, however many operations keep it. It is a count of tensors, not a reading
    of the machine's memory, so it is the same everywhere.

    Args:
        function: builds a graph and returns its end, which is then thrown away.
        weights: tensors that are there anyway and do not count, such as a model's parameters.

    Returns:
        Bytes.

    Example:
        >>> x = torch.ones(1000, requires_grad=True)
        >>> saved_bytes(lambda: x.exp())  # exp keeps its result: 1000 floats of 4 bytes
        4000
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in weights}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage  # held, so that its address is not used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        end = function()
    del end
    return sum(storage.nbytes() for storage in kept.values())


def print_cost(scale: Scale) -> None:
    """Print the processor time and the largest memory of this notebook so far."""
    import time

    line = f"At the scale {scale.name} this chapter took {time.process_time():.0f} s of processor time"
    peak = peak_memory_mb()
    line += f" and {peak:.0f} MiB of memory" if peak else ""
    if scale.device == "cuda":
        line += f", and {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB of the GPU's"
    print(f"{line}.")
