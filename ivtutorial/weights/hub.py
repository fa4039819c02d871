"""Weights from the Hugging Face hub: downloaded by name, resumed where a download broke off, checked by their hash.

| function | what it gives |
|---|---|
| `is_hub_name` | whether a text looks like "owner/model" |
| `hub_folder` | the files of a repository that match some patterns |
| `hub_file` | one file; what the hub calls it (its SHA-256) must be what it is |
| `local_or_hub` | a file here, or in the hub |

Downloads show a progress bar and land in the hub's own cache, so the second time nothing is fetched, and a network is
needed only for what is not there yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ivtutorial.errors import InputError, first_line
from ivtutorial.system.files import atomic_write_text, sha256

_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_hub_name(name: str | Path) -> bool:
    """Whether `name` has the form "owner/model"."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)) is not None


def hub_folder(name: str, patterns: Sequence[str], ignore: Sequence[str] = ()) -> Path:
    """Download the files of a hub repository that match `patterns`, or find them in the cache.

    Args:
        name: "owner/model".
        patterns: shell patterns of the files wanted, e.g. "*/*.safetensors".
        ignore: shell patterns of files that are not wanted after all.

    Returns:
        The folder of the cached copy.

    Raises:
        InputError: the name is unknown, the hub is out of reach, or the disk is full; the message says which.
    """
    from huggingface_hub import snapshot_download

    return Path(
        _from_hub(name, lambda: snapshot_download(name, allow_patterns=list(patterns), ignore_patterns=list(ignore)))
    )


def hub_file(name: str, filename: str) -> Path:
    """Download one file of a hub repository, or find it in the cache, and check it by its hash.

    The hub names large files by their SHA-256; a file whose content has another one is not used.

    Args:
        name: "owner/model".
        filename: path inside the repository.

    Raises:
        InputError: as `hub_folder`; or the content does not have the hash that the hub gave.
    """
    from huggingface_hub import hf_hub_download

    path = Path(_from_hub(name, lambda: hf_hub_download(name, filename)))
    # In the cache a large file is a link to a blob that bears its hash as its name.
    named = path.resolve().name
    if _SHA256.fullmatch(named):
        _check_once(path.resolve(), named)
    return path


def local_or_hub(path: str | Path | None, filename: str, name: str, what: str) -> Path:
    """A file of weights: on this machine, or downloaded.

    Args:
        path: the file, its folder, or a hub name; None for the usual place in the hub.
        filename: of the file in a folder or repository.
        name: the usual place, "owner/model".
        what: it holds, for the message.

    Raises:
        InputError: nothing there; or as `hub_file`.
    """
    local = None if path is None else Path(path)
    if local is not None and local.is_dir():
        local = local / filename
    if local is not None and local.is_file():
        return local
    if path is None or is_hub_name(path):
        return hub_file(name if path is None else str(path), filename)
    raise InputError(
        f"No {what} at {local}. Give the file {filename}, its folder, or a hub name; without any of them it is "
        f"downloaded from {name}."
    )


def check_sha256(path: Path, expected: str) -> None:
    """Reject a file that is not the one that was meant.

    Args:
        path: an existing file.
        expected: its SHA-256 in hexadecimal digits.

    Raises:
        InputError: another hash, with both named.
    """
    actual = sha256(path)
    if actual != expected.lower():
        raise InputError(
            f"{path} has the SHA-256 {actual}, expected {expected.lower()}: it is damaged or another file. "
            "Delete it and download it again."
        )


def _check_once(path: Path, expected: str) -> None:
    """As `check_sha256`, but a file of the same size and time as when it was right is not read again."""
    stat, note = path.stat(), path.with_name(f"{path.name}.checked")
    stamp = f"{stat.st_size} {stat.st_mtime_ns}\n"
    with suppress(OSError):
        if note.read_text(encoding="utf-8") == stamp:
            return
    check_sha256(path, expected)
    with suppress(OSError, InputError):  # a cache that several people share may be read-only
        atomic_write_text(note, stamp)


def _from_hub(name: str, download: Callable[[], str]) -> str:
    try:
        return download()
    except Exception as error:  # the hub's errors, OSError, and those of the HTTP library
        raise InputError(
            f"{name!r} is neither a folder here nor a model that the Hugging Face hub gave ({_reason(error)}). "
            "Check the name and the connection, or download the model elsewhere and give its folder."
        ) from error


def _reason(error: Exception) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "its owner must let you in: accept its terms on the hub, then log in with `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub knows no such model, or it is private"
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, FileNotFoundError):
        return "the model has no such file"
    return first_line(error)
