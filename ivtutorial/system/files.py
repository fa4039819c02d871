"""Files: written whole or not at all, found in a checkout or in an installed wheel, identified by their hash.

| function | what it does |
|---|---|
| `atomic_write`, `atomic_write_text` | a reader sees the old file or the new one, never half of one |
| `check_writable` | an error before the work, not after it: a file is written on trial |
| `plain_json` | values without infinities, for JSON |
| `data_path` | the folder `data/` of a checkout, or its copy inside the installed package |
| `sha256`, `key` | the hash of a file, which model cards and checkpoints quote; and of plain values |
| `hash_of` | the one that both are made with, of pieces of bytes |
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ivtutorial.errors import InputError

PACKAGE = Path(__file__).resolve().parent.parent


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a binary file that appears at `path` only when the block ends without an error.

    The bytes go to a hidden file in the same folder, are flushed to the disk (fsync) and then take the name
    `path` in one step (os.replace). After a crash, a full disk or kill -9 the old file is still whole.

    Args:
        path: the file to write. Folders on the way to it are made.

    Yields:
        A writable binary file.

    Raises:
        InputError: the folder cannot be written or the disk is full. The old file, if any, is unchanged.

    Example:
        >>> with atomic_write("runs/a/weights.safetensors") as file:  # doctest: +SKIP
        ...     file.write(safetensors.torch.save(tensors))
    """
    path = Path(path)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename is not None and not str(temporary).startswith(str(error.filename)):
            raise  # the caller's block failed on a file of its own
        reason = error.strerror or str(error)
        raise InputError(
            f"cannot write {path}: {reason}. Nothing that was there has changed; "
            "free some space, or give a folder that you may write to."
        ) from error
    finally:
        # After os.replace this name is gone; before it, whatever went wrong, nothing half-written stays.
        with suppress(OSError):
            temporary.unlink()


def atomic_write_text(path: str | Path, text: str) -> None:
    """Writes `text` as UTF-8 with `atomic_write`.

    Args:
        path: the file to write.
        text: its whole new content; line ends are written as they are.

    Raises:
        InputError: as for `atomic_write`.
    """
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def check_writable(folder: str | Path) -> None:
    """Refuse a folder that cannot be written before minutes of work, not after them.

    A file is really written, since permissions do not tell all: some folders, such as /proc, grant them and take no
    file. It lies beside nothing of the caller's, in a hidden folder that takes the missing part of the path, and is
    removed with it: several processes may try the same folder at once.

    Args:
        folder: it may be absent, with folders on the way to it.

    Raises:
        InputError: the folder, or the nearest one above it that exists, cannot be written, or the name is too long.
    """
    whole = Path(os.path.abspath(folder))
    nearest = whole
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise InputError(f"cannot write {folder}: {nearest} is no folder that you may write to. Choose another.")
    tried = nearest / f".{secrets.token_hex(8)}.tmp"
    there = tried / whole.relative_to(nearest)
    try:
        there.mkdir(parents=True)
        (there / "file").write_bytes(b"written")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(
            f"cannot write {folder}: {nearest} is no folder that you may write to ({reason}). Choose another."
        ) from error
    finally:
        shutil.rmtree(tried, ignore_errors=True)


def plain_json(value: Any) -> Any:
    """The same value with None for every number that is not finite, for which JSON has no word.

    Example:
        >>> plain_json({"loss": [0.5, float("nan")]})
        {'loss': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {name: plain_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sha256(path: str | Path) -> str:
    """Returns the SHA-256 of a file as 64 hexadecimal digits, read in pieces of 1 MiB.

    Args:
        path: an existing file.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hash_of(iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from error


def key(*values: Any) -> str:
    """The SHA-256 of plain values, as JSON with sorted names: what was made with equal values has the same key."""
    return hash_of([json.dumps(values, sort_keys=True).encode()])


def hash_of(pieces: Iterable[bytes]) -> str:
    """The SHA-256 of bytes that come in pieces, as 64 hexadecimal digits; where they are cut makes no difference.

    Example:
        >>> hash_of([b"a fox", b" runs"]) == hash_of([b"a fox runs"])
        True
    """
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def data_path(*parts: str) -> Path:
    """Finds a file or folder of the shipped data, wherever the package was installed.

    An installed wheel carries `data/models`, `data/prompts`, `data/clips` and `data/results` as `ivtutorial/_data/`;
    in a checkout (and in an editable install) they are the repository's own `data/`.

    Args:
        *parts: path below `data/`, one name an argument.

    Returns:
        The existing path.

    Raises:
        InputError: neither of them has it.

    Example:
        >>> data_path("models", "reward").name
        'reward'
    """
    candidates = [root.joinpath(*parts) for root in (PACKAGE / "_data", PACKAGE.parent / "data")]
    for path in candidates:
        if path.exists():
            return path
    raise InputError(
        f"the shipped data has no {'/'.join(parts) or 'folder'}: looked for {candidates[0]} and {candidates[1]}. "
        "Install the package from its wheel, or work in a full checkout of the repository."
    )


def _sync_folder(folder: Path) -> None:
    """Makes the new name itself durable; systems that cannot open a folder (Windows) do without."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
