"""Which networks an object computes with: a reward or a judge is known by their weights, whatever it is called."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from ivtutorial.system.files import key
from ivtutorial.weights.fingerprint import fingerprint


def fingerprint_inside(thing: Any) -> str:
    """A short hash of the networks that an object computes with, such as a reward or a judge; "" if none are found.

    Looked for are modules among its attributes, in lists, tuples and dictionaries there and among the attributes of
    what is in these, and in what a method or a `functools.partial` is bound to; not in what a function closes over.

    Args:
        thing: any object.

    Returns:
        The type of the first network's weights, since rounding changes the hash, and the hash: of one network its
        `fingerprint`, of several one of all of them. Such as "float32 0123456789abcdef".
    """
    networks = _networks(thing, depth=4, seen=set())
    if not networks:
        return ""
    kind = next(str(weight.dtype).removeprefix("torch.") for weight in networks[0].state_dict().values())
    hashes = [fingerprint(network) for network in networks]
    return f"{kind} {hashes[0] if len(hashes) == 1 else key(hashes)[:16]}"


def _networks(thing: Any, depth: int, seen: set[int]) -> list[nn.Module]:
    if depth < 0 or id(thing) in seen or isinstance(thing, (type, ModuleType)):
        return []
    seen.add(id(thing))
    if isinstance(thing, nn.Module):
        state = list(thing.state_dict().values())
        return [thing] if state and all(isinstance(weight, Tensor) for weight in state) else []
    inside: list[Any] = []
    if isinstance(thing, partial):
        inside = [thing.func, *thing.args, *thing.keywords.values()]
    elif isinstance(thing, (list, tuple)):
        inside = list(thing)
    elif isinstance(thing, Mapping):
        inside = list(thing.values())
    elif hasattr(thing, "__self__"):
        inside = [thing.__self__]
    else:
        inside = list(getattr(thing, "__dict__", {}).values())
    return [network for item in inside for network in _networks(item, depth - 1, seen)]
