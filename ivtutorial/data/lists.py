"""Lists of video-caption pairs: every form they come in, and for each entry a clip or the reason why it is none.

| list                         | form                                                                               |
|------------------------------|------------------------------------------------------------------------------------|
| `*.csv`                      | a header with `video`, `path` or `file_name`, and `caption` or `text`; UTF-8       |
| `*.jsonl`                    | one object a line with the same names                                              |
| any other file               | path, three bars and caption on each line, as WebVid lists were shared             |
| folder with a list           | a `captions` or `metadata` file of one of these forms in it (`LISTS`)              |
| folder of videos             | each with its caption in a text file of the same name (`fox.mp4`, `fox.txt`)       |
| folder that `prepare` wrote  | `prepared.json`, which names the data root, and `manifest.jsonl`                   |

Further columns are ignored, but for `start`: seconds at which the clip begins in its file, 0 by default.

Paths are relative to the data root, by default the list's own folder, and may not leave it, also not through a link:
a list from elsewhere cannot make a program open other files. What `prepare` wrote may name another root; there each
file has its hash in the manifest, and one of other content is refused before it is decoded.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ivtutorial.errors import InputError

Status = Literal["ok", "too short", "undecodable", "no caption", "duplicate", "missing", "refused"]
Row = tuple[str, Mapping[str, Any]]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif")
LISTS = ("captions.csv", "captions.jsonl", "metadata.csv", "metadata.jsonl", "captions.txt")
PREPARED, MANIFEST, LATENTS = "prepared.json", "manifest.jsonl", "latents"  # of a folder that `prepare` wrote
_VIDEO, _CAPTION, _BAR = ("video", "path", "file_name"), ("caption", "text"), "|||"


@dataclass(frozen=True)
class Clip:
    """A video file and what it shows.

    Attributes:
        path: the file; it is opened only when its frames are read.
        caption: text with at least one visible character, kept as written except for space at its ends.
        start: seconds from the beginning of the file.
        sha256: of the file's content, where it is known; another content is then an error.

    Raises:
        InputError: the caption is not text (see `check_caption`), or the start is not a time.
    """

    path: Path
    caption: str
    start: float = 0.0
    sha256: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "caption", check_caption(self.caption))
        if not 0 <= self.start < math.inf:
            raise InputError(f"start = {self.start}: expected seconds from the beginning, 0 or more.")


@dataclass(frozen=True)
class Entry:
    """One entry of a list: a clip, or why it is none.

    Attributes:
        name: where it stands, such as "line 3: fox.mp4".
        status: "ok" if there is a clip.
        clip: None where there is none.
        problem: what is wrong; empty if nothing is.
    """

    name: str
    status: Status
    clip: Clip | None = None
    problem: str = ""


def check_caption(caption: Any) -> str:
    """Returns a caption without space at its ends, if it is one.

    Args:
        caption: any text in any script; emoji are text.

    Returns:
        The caption.

    Raises:
        InputError: not a `str`, empty, a number (a missing value is often written `nan`), or control
            characters, as a binary file read as text has them.
    """
    if not isinstance(caption, str):
        raise InputError(f"a caption is text, got {caption!r} of type {type(caption).__name__}.")
    text = caption.strip()
    if not text:
        raise InputError("the caption is empty: say in a few words what the clip shows.")
    if _number(text) is not None:
        raise InputError(f"a caption is words, got the number {text!r}.")
    if any(ord(character) < 32 and character not in "\t\r\n" for character in text):
        raise InputError(f"a caption is text, got control characters in {text[:40]!r}.")
    return text


def read_entries(source: str | Path, root: str | Path | None = None) -> list[Entry]:
    """Every entry of a list; the videos are not opened.

    Args:
        source: a file or folder, see the module's first lines.
        root: folder that paths are relative to and may not leave; default the list's own.

    Returns:
        At least one entry, in the order of the list, or sorted by file name.

    Raises:
        InputError: no such list, not UTF-8, a column is missing, or no entries.
    """
    source = _list_in(Path(source))
    if source.is_dir():
        if root is not None:
            raise InputError(f"{source} is a folder of videos, which is its own data root: leave {root} out.")
        videos = sorted(file for file in source.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
        entries = [_beside_text(source, file) for file in videos]
    elif source.name == PREPARED:
        entries = _prepared(source, root)
    elif source.is_file():
        place = Path(root) if root is not None else source.parent
        entries = [_entry(place, *row) for row in _rows(source)]
    else:
        raise InputError(f"{source}: no such file or folder; give a CSV (video,caption) or a folder.")
    if not entries:
        raise InputError(f"{source}: no clips in it; the help of `ivtutorial.data.lists` shows the forms.")
    return entries


def _list_in(source: Path) -> Path:
    if source.is_dir():
        for name in (PREPARED, *LISTS):
            if (source / name).is_file():
                return source / name
    return source


def _prepared(file: Path, root: str | Path | None) -> list[Entry]:
    about = _object(_text(file), str(file))
    place = Path(root) if root is not None else file.parent / str(about.get("root", "."))
    return [_entry(place, *row, pinned=True) for row in _rows(file.parent / MANIFEST)]


def _rows(file: Path) -> Iterator[Row]:
    """Yields (where, fields) for each entry of a list."""
    text = _text(file)
    if file.suffix.lower() == ".csv":
        return _from_csv(text, file)
    if file.suffix.lower() == ".jsonl":
        return _from_jsonl(text)
    return _from_lines(text, file)


def _from_csv(text: str, file: Path) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or []]
    if not set(names) & set(_VIDEO) or not set(names) & set(_CAPTION):
        raise InputError(f"{file}: needs the columns video,caption; it has {','.join(names) or 'none'}.")
    reader.fieldnames = names
    for row in reader:
        yield f"line {reader.line_num}", row


def _from_jsonl(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield f"line {number}", _object(line, "this line")
            except InputError as error:
                yield f"line {number}", {"problem": str(error)}


def _from_lines(text: str, file: Path) -> Iterator[Row]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if lines and not any(_BAR in line for _, line in lines):
        raise InputError(f"{file}: no line has the form path{_BAR}caption; or name the file .csv or .jsonl.")
    for number, line in lines:
        video, _, caption = line.partition(_BAR)
        yield f"line {number}", {"video": video, "caption": caption}


def _entry(root: Path, where: str, row: Mapping[str, Any], pinned: bool = False) -> Entry:
    """Checks one row; with `pinned` a file may be absent, since its hash may be all that is needed."""
    if "problem" in row:
        return Entry(where, "undecodable", None, f"{where}: {row['problem']}")
    video = str(_first(row, _VIDEO) or "").strip()
    if not video:
        return Entry(where, "missing", None, f"{where}: no video is named.")
    name, path = f"{where}: {video}", root / video
    if "\0" in video or not path.resolve().is_relative_to(root.resolve()):
        return Entry(name, "refused", None, f"{name} leaves the list's folder; put the clip below {root}.")
    if not pinned and not path.is_file():
        return Entry(name, "missing", None, f"{name}: no such file.")
    sha256 = row.get("sha256") if pinned else None
    return _checked(name, path, _first(row, _CAPTION), row.get("start"), str(sha256) if sha256 else None)


def _beside_text(root: Path, path: Path) -> Entry:
    text = path.with_suffix(".txt")
    if not path.resolve().is_relative_to(root.resolve()):
        return Entry(
            path.name, "refused", None, f"{path.name} is a link that leaves {root}; put the clip itself there."
        )
    if not text.is_file():
        return Entry(path.name, "no caption", None, f"{path.name}: no caption: {text.name} is missing.")
    try:
        return _checked(path.name, path, _text(text))
    except InputError as error:
        return Entry(path.name, "no caption", None, str(error))


def _checked(name: str, path: Path, caption: Any, start: Any = None, sha256: str | None = None) -> Entry:
    seconds = 0.0 if start in (None, "") else _number(start)
    if seconds is None or not 0 <= seconds < math.inf:
        return Entry(name, "undecodable", None, f"{name}: start = {start!r}: expected seconds, 0 or more.")
    try:
        text = check_caption("" if caption is None else caption)
    except InputError as error:
        return Entry(name, "no caption", None, f"{name}: {error}")
    return Entry(name, "ok", Clip(path, text, seconds, sha256))


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if name in row), None)


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"{where} is not JSON ({error}).") from error
    if not isinstance(found, dict):
        raise InputError(f"{where} is not a JSON object.")
    return found


def _text(file: Path) -> str:
    """UTF-8 text; a byte order mark, which spreadsheets write, is dropped."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
