"""Short hashes of weights, in memory or on disk: two models with the same hash are the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.system.files import hash_of, sha256


def fingerprint(module: nn.Module) -> str:
    """A short hash of a model: names and shapes of its weights, and the first 16 values of each in float32."""
    return hash_of(
        piece
        for name, weight in module.state_dict().items()
        for piece in _pieces(name, weight.shape, weight.detach().flatten()[:16].cpu())
    )[:16]


def _pieces(name: str, shape: Iterable[int], first: Tensor) -> tuple[bytes, bytes]:
    """What stands for a weight: its name and shape, and its first values."""
    return f"{name} {tuple(shape)}".encode(), first.float().contiguous().numpy().tobytes()


def weights_hash(*folders: Path) -> str:
    """A short hash of all safetensors files below some folders: four digits of each.

    Raises:
        InputError: there are none.
    """
    files = [path for folder in folders for path in sorted(folder.rglob("*.safetensors"))]
    if not files:
        raise InputError(f"no models in {', '.join(map(str, folders))}: expected folders with *.safetensors files.")
    return "".join(sha256(path)[:4] for path in files)


def fingerprint_files(folder: Path) -> str:
    """A short hash of the safetensors files of a folder, as :func:`fingerprint` but without loading the weights.

    Args:
        folder: of one network; where it has no safetensors, names and sizes of its files are taken.
    """
    if any(folder.glob("*.safetensors")):
        return hash_of(_pieces_of_files(folder))[:16]
    listed = sorted((path.name, path.stat().st_size) for path in folder.iterdir() if path.is_file())
    return hash_of([repr(listed).encode()])[:16]


def _pieces_of_files(folder: Path) -> Iterator[bytes]:
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in sorted(file.keys()):
                part = file.get_slice(name)
                shape = part.get_shape()
                first = part[tuple(slice(0, 4) for _ in shape)] if shape else file.get_tensor(name)
                yield from _pieces(name, shape, first)
