"""Where the files of a list are, and how far their paths may lead.

Paths are relative to the data root, by default the list's own folder, and may not leave it, also not through a link:
a list from elsewhere cannot make a program open other files. There is one exception, the cache of the Hugging Face hub:
the links of a snapshot may lead to the blobs of the same repository. What `prepare` wrote may name another root; there
each file has its hash in the manifest, and one of other content is refused before it is decoded.

A name is found as it is written; failing that, with / for the \\ of Windows, or in the other Unicode form (a name typed
with é as one character, NFC, for a file whose name has e and an accent, NFD, as macOS writes it).
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection
from pathlib import Path

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


def passed_over(folder: Path, source: Path, used: Collection[str], video_suffixes: Collection[str]) -> str:
    """What lies in a folder and is not read, in words; "" if nothing is.

    Args:
        folder: as it was given.
        source: the list in it that is read, or the folder itself.
        used: names of the videos that became clips.
        video_suffixes: of files that are videos.
    """
    inner = [name for path, _, names in os.walk(folder) if Path(path) != folder for name in names]
    files = [file for file in folder.iterdir() if file.is_file() and file != source]
    videos = [file for file in files if file.suffix.lower() in video_suffixes]
    unnamed = 0 if source == folder else sum(file.name not in used for file in videos)
    below = sum(Path(name).suffix.lower() in video_suffixes for name in inner) if source == folder else 0
    kinds = (".csv", ".tsv", ".jsonl", ".txt", ".parquet", *(() if used else (".json",)))
    stems = {file.stem for file in videos}
    texts = sorted(printable(f.name) for f in files if f.suffix.lower() in kinds and f.stem not in stems)
    parts = [f"{_videos(unnamed)} that no good row of {source.name} names"] if unnamed else []
    parts += [f"{_videos(below)} in its subfolders"] if below else []
    parts += [", ".join(texts[:4]) + (f" and {len(texts) - 4} more lists" if len(texts) > 4 else "")] if texts else []
    return f"not read: {'; '.join(parts)}" if parts else ""


def _videos(count: int) -> str:
    return "1 video" if count == 1 else f"{count} videos"


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


def _near(path: Path) -> str:
    try:
        names = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError:
        names = []
    alike = next((name for name in names if name.casefold() == path.name.casefold()), None)
    return f"; there is {printable(alike)}, and capitals matter." if alike else ""


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
