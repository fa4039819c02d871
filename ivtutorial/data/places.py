"""Where the files of a list are, and how far their paths may lead.

Paths are relative to the data root, by default the list's own folder, and may not leave it, also not through a link:
a list from elsewhere cannot make a program open other files. There is one exception, the cache of the Hugging Face hub:
the links of a snapshot may lead to the blobs of the same repository. What `prepare` wrote may name another root; there
each file has its hash in the manifest, and one of other content is refused before it is decoded.

A name is found as it is written; failing that, with / for the \\ of Windows, or in the other Unicode form (a name typed
with é as one character, NFC, for a file whose name has e and an accent, NFD, as macOS writes it). In a locale that has
not all of its characters it is looked for by its bytes in UTF-8.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

_LISTS = (".csv", ".tsv", ".jsonl", ".json", ".txt", ".parquet")
_NO_CLIPS = (".json", ".png", ".jpg", ".jpeg", ".html", ".md")
_OTHER_ROOT = ": give a folder that holds list and clips as the data root, with --root FOLDER, and paths below it."


def find_file(root: Path, name: str) -> tuple[Path, str]:
    """The file that a list names.

    Args:
        root: the data root.
        name: as the list writes it.

    Returns:
        Its path, which need not exist, and the end of a sentence that helps where it does not or may not be used.
    """
    if "\0" in name:
        return root / ".." / "NUL", ": its name holds the character NUL."
    name = _on_disk(name)
    if not inside(root / name, root):
        link = inside_by_name(root / name, root)
        return root / name, ": it is a link; put the clip itself there (cp -L)." if link else _OTHER_ROOT
    for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
        path = _spelled(root, spelling)
        if path is not None:
            return path, ""
    return root / name, _near(root / name)


def inside(path: Path, root: Path) -> bool:
    """Whether a path, with its links followed, stays below the root, or in the blobs of the hub's cache around it."""
    try:
        target, base = path.resolve(), root.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that no file system has
        return False
    if target.is_relative_to(base):
        return True
    snapshots = next((folder for folder in (base, *base.parents) if folder.parent.name == "snapshots"), None)
    blobs = None if snapshots is None else snapshots.parent.parent / "blobs"
    return blobs is not None and blobs.is_dir() and target.is_relative_to(blobs)


def below(path: Path, root: Path) -> str:
    """The path of a file relative to the root, with / between folders; links in it stay as they are named."""
    base, target = root.resolve(), path.resolve()
    if target.is_relative_to(base):
        return target.relative_to(base).as_posix()
    return Path(os.path.relpath(path, root)).as_posix()


def passed_over(folder: Path, source: Path, used: Collection[Path], video_suffixes: Collection[str]) -> str:
    """What lies in a folder or below it and is not read, in words; "" if nothing is.

    Hidden files are not mentioned, nor, where there are clips, files that hold no video, caption or list (`_NO_CLIPS`).

    Args:
        folder: as it was given.
        source: the list in it that is read, or the folder itself.
        used: the videos that became clips.
        video_suffixes: of files that are videos.
    """
    files = [file for file in _every_file(folder) if file != source]
    videos = [file for file in files if file.suffix.lower() in video_suffixes]
    stems = {file.stem.casefold() for file in videos if file.parent == folder}
    good = {_same(path) for path in used}
    unread = [file for file in videos if (file.parent != folder if source == folder else _same(file) not in good)]
    known = {*video_suffixes, *(_NO_CLIPS if used else ())}
    rest = [file for file in files if file.suffix.lower() not in known]
    beside = {file for file in rest if file.suffix.lower() == ".txt" and file.stem.casefold() in stems}
    lists = {f for f in rest if f.parent == folder and f.suffix.lower() in _LISTS and f not in beside}
    read = {file for file in beside if file.parent == folder and source == folder}
    others = Counter(_kind(file) for file in rest if file not in lists and file not in read)
    where = "in its subfolders" if source == folder else f"that no good row of {source.name} names"
    count = "1 video" if len(unread) == 1 else f"{len(unread)} videos"
    parts = [f"{count} {where}" if unread else "", _first(sorted(printable(file.name) for file in lists), "lists")]
    parts += [_first([f"{n} {kind}" for kind, n in sorted(others.items())], "kinds of files")]
    return f"not read: {'; '.join(filter(None, parts))}" if any(parts) else ""


def _every_file(folder: Path) -> Iterator[Path]:
    """Files in a folder and below it, but for hidden ones and what lies in hidden folders."""
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(path) / name for name in names if not name.startswith("."))


def _same(path: Path) -> str:
    """The same text for each spelling of a path, where the file system, too, takes them for one."""
    return _composed(os.path.normcase(os.path.abspath(path)))


def _kind(file: Path) -> str:
    suffix = file.suffix.lower()
    return suffix if re.fullmatch(r"\.\w{1,8}", suffix, re.ASCII) else "without suffix"


def _first(names: Sequence[str], what: str, most: int = 6) -> str:
    more = f" and {len(names) - most} more {what}" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def inside_by_name(path: Path, root: Path) -> bool:
    """Whether a path stays below the root if links are not followed."""
    return ".." not in path.relative_to(root).parts if path.is_relative_to(root) else False


def printable(text: str) -> str:
    """Text that can be written as UTF-8: bytes of a file name that are not UTF-8 appear as \\udce9."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _spelled(root: Path, name: str) -> Path | None:
    """The file below `root` of this name in any Unicode form."""
    path = root / name
    try:
        if path.is_file():
            return path
        path = root
        for part in Path(name).parts:
            if not (path / part).exists():
                same = [item for item in path.iterdir() if _composed(item.name) == _composed(part)]
                path = same[0] if len(same) == 1 else path / part
            else:
                path = path / part
        return path if path.is_file() else None
    except OSError:  # too long for a name, or a folder that cannot be listed
        return None


def _on_disk(name: str) -> str:
    """A name as the system takes it: in a locale without its characters, the one that stands for its bytes in UTF-8."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        try:
            return os.fsdecode(name.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:  # half of a surrogate pair, which no encoding has
            return name
    return name


def _near(path: Path) -> str:
    try:
        if path.is_dir():
            return "; it is a folder."
        names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError:
        names = []
    alike = next((name for name in names if name.casefold() == path.name.casefold()), None)
    return f"; there is {printable(alike)}, and capitals matter." if alike else ""


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
