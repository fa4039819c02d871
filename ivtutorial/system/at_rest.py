"""What is made from a weight, kept while the weights are at rest, as during a chain: made once, not once a call.

A promise holds where a comparison cannot: torch does not count `weight.data += 1`, nor what FSDP gathers anew into the
same memory. Outside the promise nothing is kept, so every change is seen; what was kept is dropped where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor


class _Made(NamedTuple):
    result: Tensor
    state: tuple[Hashable, ...]
    weight: Tensor  # held, as its memory is: nothing else can get their identities
    memory: torch.UntypedStorage


_kept: ContextVar[dict[Hashable, _Made] | None] = ContextVar("_kept", default=None)


@contextmanager
def weights_at_rest() -> Iterator[None]:
    """Promise that no weight changes inside the block; also a decorator.

    Example:
        >>> weight = torch.ones(1)
        >>> with torch.no_grad(), weights_at_rest():
        ...     first, second = (made_once("half", weight, None, weight.half) for _ in range(2))
        >>> first is second
        True
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def made_once(name: Hashable, weight: Tensor, settings: Hashable, make: Callable[[], Tensor]) -> Tensor:
    """`make()`, or what it gave before, where the weights are at rest and no gradient is recorded.

    With gradient every call makes its own: the uses of a shared half-precision copy would add up their gradients in
    half precision. So does a compiled graph, which fuses the making. A change that torch counts (in place, or other
    memory) is seen even where it breaks the promise.

    Args:
        name: of what is made; the last result of each is kept.
        weight: what it is made from.
        settings: what else it depends on.
        make: does nothing else.

    Returns:
        Its result, which must not be changed in place.
    """
    kept = None if torch.compiler.is_compiling() or torch.is_grad_enabled() else _kept.get()
    if kept is None or weight.is_inference():  # of such a tensor no changes are counted
        return make()
    memory = weight.untyped_storage()
    state = (id(weight), weight._version, memory._cdata, settings)
    known = kept.get(name)
    if known is None or known.state != state:
        known = kept[name] = _Made(make(), state, weight, memory)
    return known.result
