"""What an object computes with: a reward or a judge is known by its weights, whatever it is called.

| function             | tells apart                                                                     |
|----------------------|---------------------------------------------------------------------------------|
| `fingerprint_inside` | two objects with networks of other weights, as a table of results records them  |
| `identity_inside`    | also those of other settings or code, so that nothing of the one serves another |
"""

from __future__ import annotations

import inspect
import secrets
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from ivtutorial.system.files import hash_of, key
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
    return [network for item in _inside(thing) for network in _networks(item, depth - 1, seen)]


def _inside(thing: Any) -> list[Any]:
    """What a thing is directly made of."""
    if isinstance(thing, partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, (list, tuple)):
        return list(thing)
    if isinstance(thing, Mapping):
        return list(thing.values())
    if hasattr(thing, "__self__"):
        return [thing.__self__]
    return list(getattr(thing, "__dict__", {}).values())


def identity_inside(thing: Any) -> str:
    """A hash of all that decides what an object computes, as far as it can be seen from outside.

    That is its networks (`fingerprint_inside`); numbers, texts and tensors where these are looked for, and in what a
    function closes over; of a network its public attributes; and the text of the modules that its classes and
    functions are written in. Code that was typed into a notebook has no such text: then every call gives another hash.

    Args:
        thing: any object, such as a reward or a judge.
    """
    return key(fingerprint_inside(thing), *_visible(thing, depth=6, seen=set()))


def _visible(thing: Any, depth: int, seen: set[int]) -> Iterator[str]:
    if thing is None or isinstance(thing, (bool, int, float, str, bytes, Path, np.generic)):
        yield repr(thing)
    elif isinstance(thing, (set, frozenset)):
        yield repr(sorted(map(repr, thing)))
    elif isinstance(thing, (Tensor, np.ndarray)):
        values = thing.detach().cpu().float().numpy() if isinstance(thing, Tensor) else thing
        yield f"{tuple(thing.shape)} {thing.dtype} {hash_of([values.tobytes()])}"  # all: a mask may differ at its end
    elif depth >= 0 and id(thing) not in seen and not isinstance(thing, (type, ModuleType)):
        seen.add(id(thing))
        yield _code(thing)
        if isinstance(thing, nn.Module):  # inside are its networks, and what it keeps of earlier calls
            plain = (bool, int, float, str, list, tuple)
            inside: list[Any] = [
                item
                for pair in vars(thing).items()
                if pair[0][0] != "_" and isinstance(pair[1], plain)
                for item in pair
            ]
        elif isinstance(thing, FunctionType):
            cells = [cell.cell_contents for cell in thing.__closure__ or ()]
            inside = [*cells, thing.__defaults__, thing.__kwdefaults__, thing.__dict__]
        else:
            names = list(thing) if isinstance(thing, Mapping) else list(getattr(thing, "__dict__", {}))
            inside = [*names, *_inside(thing)]
        for item in inside:
            yield from _visible(item, depth - 1, seen)


def _code(thing: Any) -> str:
    """Name of a function or of an object's class, and the text of the module that it is written in."""
    made_of = thing if isinstance(thing, FunctionType) else getattr(thing, "__func__", type(thing))
    module = made_of.__module__
    try:
        text = inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):  # compiled, or typed in
        text = secrets.token_hex() if module == "__main__" else ""
    return f"{module}:{made_of.__qualname__} {text}"
