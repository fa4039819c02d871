"""Short hashes of weights, in memory or on disk: two models with the same hash are the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import nn

from ivtutorial.errors import InputError
from ivtutorial.system.files import sha256


def fingerprint(module: nn.Module) -> str:
    """A short hash of a model: names and shapes of its weights, and the first 16 values of each in float32."""
    digest = hashlib.sha256()
    for name, weight in module.state_dict().items():
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().flatten()[:16].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


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
    from safetensors import safe_open

    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in sorted(file.keys()):
                part = file.get_slice(name)
                shape = part.get_shape()
                first = part[tuple(slice(0, 4) for _ in shape)] if shape else file.get_tensor(name)
                digest.update(f"{name} {tuple(shape)}".encode())
                digest.update(first.float().contiguous().numpy().tobytes())
    if not any(folder.glob("*.safetensors")):
        listed = sorted((path.name, path.stat().st_size) for path in folder.iterdir() if path.is_file())
        digest.update(repr(listed).encode())
    return digest.hexdigest()[:16]
