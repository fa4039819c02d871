"""Weights in files: read without running code, and put into a network with every misfit named.

| function | what it does |
|---|---|
| `read_weights` | what a .safetensors or a PyTorch file holds |
| `tensors_of` | the state dict inside it |
| `fill` | puts it into a network; missing, unknown and misshapen weights are counted and named |

A PyTorch file may hold more than tensors: the settings of a training run, say, as objects of classes that lie anywhere.
Reading such an object the usual way runs code that the file chooses. Here every class that PyTorch does not count as
safe is replaced by one that does nothing, so that the tensors can be read and nothing is imported or run.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError, first_line


class Ignored:
    """Stands for an object in a file whose class is not to be trusted: takes whatever it is given, and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Ignored:
        """Without a look at the arguments."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Without a look at the arguments."""

    def __setstate__(self, state: Any) -> None:
        """Without a look at the state."""


def read_weights(path: str | Path, what: str = "weights") -> dict[str, Any]:
    """Read a .safetensors file, or a PyTorch file (.pt, .pth, .bin, .ckpt) of which only tensors are read.

    Args:
        path: the file. PyTorch files are mapped into memory where their format allows it; other objects in them are
            `Ignored`.
        what: it is said to hold, for the error message.

    Returns:
        What the file holds: tensors by name, or for PyTorch files any dictionary of plain values and tensors.

    Raises:
        InputError: no such file, a folder, an unreadable one, or one from which only code could make the tensors.

    Example:
        >>> state = read_weights("HPS_v2_compressed.pt")["state_dict"]  # doctest: +SKIP
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: expected one file of {what}, .safetensors, .pt, .pth, .bin or .ckpt.")
    if not path.exists():
        raise InputError(f"{path}: there is no such file of {what}. Check the path.")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        return dict(_load_torch(path))
    except (
        OSError, RuntimeError, TypeError, ValueError, EOFError, LookupError, AttributeError, struct.error,
        pickle.UnpicklingError, SafetensorError,
    ) as error:  # fmt: skip
        raise InputError(f"{path} does not hold readable {what}{_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    """Why a file is not read, as the end of a sentence, and what to do.

    PyTorch's reader takes the first letters of a text for commands: what it then complains of helps nobody.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError:
        return f" ({first_line(error)}). Check the path and its permissions."
    safe = path.suffix == ".safetensors"
    if not (head[8:9] == b"{" if safe else head.startswith((b"PK", b"\x80"))):
        start = f"it begins with {head!r}" if head else "it is empty"
        kind = "a .safetensors file" if safe else "a PyTorch file (.pt, .pth, .bin, .ckpt)"
        return f": {start}. Expected {kind}. Check the path, or download it again."
    if isinstance(error, pickle.UnpicklingError):
        return (
            ": it is no PyTorch file, or its weights can only be made by code, which is never run. Download it again "
            "from where it was published, as .safetensors if there is one."
        )
    if isinstance(error, (LookupError, EOFError, AttributeError, struct.error)):
        return ": it is damaged or cut off. Download it again."
    return f" ({first_line(error)}). Download it again."


def tensors_of(content: dict[str, Any], path: str | Path, *names: str) -> dict[str, Tensor]:
    """The state dict inside what `read_weights` read: under the first of `names` that is there, or `content` itself.

    Raises:
        InputError: there are no tensors.
    """
    state = next((content[name] for name in names if isinstance(content.get(name), dict)), content)
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        entries = f"its entries are {', '.join(map(str, list(content)[:5]))}" if content else "it is empty"
        raise InputError(f"{path} holds no weights: {entries}.")
    return tensors


def _load_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(Ignored, name) for name in unknown]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        return torch.load(path, map_location="cpu", weights_only=True)  # the older format cannot be mapped


def fill(network: nn.Module, state: Mapping[str, Tensor], source: str | Path, what: str, assign: bool = False) -> None:
    """Put weights into a network, all of them and no others.

    Args:
        network: to fill.
        state: weights by name.
        source: of the weights, for the error message.
        what: the network is, for the error message.
        assign: let the network use the given tensors themselves instead of copies; needed where it was built on the
            device "meta", without memory.

    Raises:
        InputError: missing, unknown or misshapen weights, how many and which.
    """
    own = network.state_dict()
    misfits = {
        "missing": [name for name in own if name not in state],
        "unknown": [name for name in state if name not in own],
        "of another shape": [
            f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in own.items()
            if name in state and state[name].shape != tensor.shape
        ],
    }
    message = "; ".join(_listed(kind, names) for kind, names in misfits.items() if names)
    if message:
        raise InputError(f"{source} does not hold the weights of {what}: {message}. Give the file of that model.")
    network.load_state_dict(dict(state), assign=assign)


def _listed(kind: str, names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} {kind}: {', '.join(names[:most])}{more}"
