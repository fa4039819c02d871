"""Lists of video-caption pairs: every form they come in, and for each entry a clip or the reason why it is none.

| list                         | form                                                                               |
|------------------------------|------------------------------------------------------------------------------------|
| `*.csv`, `*.tsv`             | a header with `video`, `path` or `file_name`, and `caption` or `text`; divided by  |
|                              | commas, semicolons or tabs (`ivtutorial.data.text.read_table`)                     |
| `*.jsonl`                    | one object a line with the same names                                              |
| any other file               | path, three bars and caption on each line, as WebVid lists were shared             |
| folder with a list           | a `captions` or `metadata` file of one of these forms in it (`LISTS`)              |
| folder of videos             | each with its caption in a text file of the same name (`fox.mp4`, `fox.txt`)       |
| folder that `prepare` wrote  | `prepared.json`, which names the data root, and `manifest.jsonl`                   |

Further columns are ignored, but for `start`: seconds at which the clip begins in its file, 0 by default. Several
captions of one clip are several entries; the same clip with the same caption is a duplicate.

`ivtutorial.data.places` says where paths may lead; what else lies in a folder is counted in a warning.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ivtutorial.data.captions import check_caption, number
from ivtutorial.data.places import find_file, inside, passed_over, printable
from ivtutorial.data.swallowed import names_video
from ivtutorial.data.text import lines, read_object, read_table, read_text
from ivtutorial.errors import InputError

Status = Literal["ok", "too short", "undecodable", "no caption", "duplicate", "missing", "refused"]
_Row = tuple[str, Mapping[str, Any]]

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".gif", ".apng", ".mpg", ".mpeg", ".vob", ".ts", ".mts",
    ".m2ts", ".wmv", ".asf", ".3gp", ".3g2", ".ogv", ".flv", ".f4v", ".mxf", ".y4m",
)  # fmt: skip
LISTS = (
    "captions.csv", "captions.jsonl", "metadata.csv", "metadata.jsonl", "captions.txt", "captions.tsv", "metadata.tsv",
)  # fmt: skip
PREPARED, MANIFEST, LATENTS = "prepared.json", "manifest.jsonl", "latents"  # of a folder that `prepare` wrote
_VIDEO, _CAPTION, _BAR = ("video", "path", "file_name"), ("caption", "text"), "|||"
_SUFFIXES = "|".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
_ROW_IN_CAPTION = re.compile(rf"[\r\n][^,;\t\r\n]*\.({_SUFFIXES})\s*[,;\t]", re.IGNORECASE)
logger = logging.getLogger(__name__)


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
    folder, source = Path(source), list_in(Path(source))
    if source.is_dir():
        if root is not None:
            raise InputError(f"{source} is a folder of videos, which is its own data root: leave {root} out.")
        videos = sorted(file for file in source.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
        entries = [_beside_text(source, file) for file in videos]
    elif source.name == PREPARED:
        entries = _prepared(source, root)
    elif source.is_file():
        base = Path(root) if root is not None else source.parent
        entries = [_entry(base, *row) for row in _rows(source, base)]
    else:
        raise InputError(f"{source}: no such file or folder; give a CSV (video,caption) or a folder.")
    used = [entry.clip.path for entry in entries if entry.clip is not None]
    rest = "" if source.name == PREPARED or not folder.is_dir() else passed_over(folder, source, used, VIDEO_SUFFIXES)
    if not entries:
        forms = "Give captions.csv with the columns video,caption, or fox.txt beside fox.mp4"
        raise InputError(f"{source}: no clips in it{f' ({rest})' if rest else ''}. {forms}.")
    if rest:
        logger.warning("%s: %s.", folder, rest)
    return _without_duplicates(entries)


def list_in(source: Path) -> Path:
    """The list in a folder, where it has one; else `source` itself."""
    names = (PREPARED, *LISTS) if source.is_dir() else ()
    return next((source / name for name in names if (source / name).is_file()), source)


def _without_duplicates(entries: list[Entry]) -> list[Entry]:
    """A clip that is there twice with the same start and caption is one clip."""
    first: dict[Any, str] = {}
    for index, entry in enumerate(entries):
        if entry.clip is not None:
            name = first.setdefault(replace(entry.clip, sha256=None), entry.name)
            if name is not entry.name:
                problem = f"{entry.name}: the same clip and caption as {name}."
                entries[index] = replace(entry, status="duplicate", clip=None, problem=problem)
    return entries


def _prepared(file: Path, root: str | Path | None) -> list[Entry]:
    about = read_object(read_text(file), str(file))
    base = Path(root) if root is not None else file.parent / str(about.get("root", "."))
    return [_entry(base, *row, pinned=True) for row in _rows(file.parent / MANIFEST, base)]


def _rows(file: Path, root: Path) -> Iterator[_Row]:
    """Yields (where, fields) for each entry of a list; root is what its paths are relative to."""
    text = read_text(file)
    if file.suffix.lower() in (".csv", ".tsv"):
        for line, cells in read_table(text, file, (_VIDEO, _CAPTION), names_video(root, VIDEO_SUFFIXES)):
            yield f"line {line}", {"problem": cells} if isinstance(cells, str) else cells
    elif file.suffix.lower() == ".jsonl":
        if text.lstrip().startswith("["):
            raise InputError(f"{file}: is one JSON array; write one object a line.")
        for line, content in lines(text):
            try:
                yield f"line {line}", read_object(content, "this line")
            except InputError as error:
                yield f"line {line}", {"problem": str(error)}
    else:
        numbered = lines(text)
        if numbered and not any(_BAR in line for _, line in numbered):
            form = f"path{_BAR}caption, with three bars"
            raise InputError(f"{file}: no line has the form {form}; or name the file .csv, .tsv or .jsonl.")
        for line, content in numbered:
            video, bars, caption = content.partition(_BAR)
            problem = f"{content.strip()[:60]!r} has no {_BAR}: expected path{_BAR}caption, with three bars."
            yield f"line {line}", {"video": video, "caption": caption} if bars else {"problem": problem}


def _entry(root: Path, where: str, row: Mapping[str, Any], pinned: bool = False) -> Entry:
    """Checks one row; with `pinned` a file may be absent, since its hash may be all that is needed."""
    if isinstance(row.get("problem"), str) and len(row) == 1:
        return Entry(where, "undecodable", None, f"{where}: {row['problem']}")
    problem, video, caption = "", "", None
    try:
        video, caption = str(_only(row, _VIDEO) or "").strip(), _only(row, _CAPTION)
    except InputError as error:
        problem = str(error)
    if problem or not video:
        return Entry(where, "missing", None, f"{where}: {problem or 'no video is named.'}")
    name = f"{where}: {printable(video)}"
    path, hint = find_file(root, video)
    if not inside(path, root):
        return Entry(name, "refused", None, f"{name} leaves the list's folder {root}{hint}")
    if not pinned and not os.path.isfile(path):
        return Entry(name, "missing", None, f"{name}: no such file{hint or '.'}")
    sha256 = row.get("sha256") if pinned else None
    return _checked(name, path, caption, row.get("start"), str(sha256) if sha256 else None)


def _beside_text(root: Path, path: Path) -> Entry:
    name, text = printable(path.name), path.with_suffix(".txt")
    if not inside(path, root):
        problem = f"{name} is a link that leaves {root}; put the clip itself there (cp -L)."
        return Entry(name, "refused", None, problem)
    if path.is_dir():
        return Entry(name, "undecodable", None, f"{name} is a folder under a video's name; rename it.")
    if not text.is_file():
        text = next((file for file in root.iterdir() if file.name.lower() == text.name.lower()), text)
    if not text.is_file():
        return Entry(name, "no caption", None, f"{name}: no caption: {printable(text.name)} is missing.")
    try:
        return _checked(name, path, read_text(text))
    except InputError as error:
        return Entry(name, "no caption", None, printable(str(error)))


def _checked(name: str, path: Path, caption: Any, start: Any = None, sha256: str | None = None) -> Entry:
    seconds = 0.0 if start in (None, "") else number(start)
    if seconds is None or not 0 <= seconds < math.inf:
        return Entry(name, "undecodable", None, f"{name}: start = {start!r}: expected seconds, 0 or more.")
    try:
        text = check_caption("" if caption is None else caption)
    except InputError as error:
        return Entry(name, "no caption", None, f"{name}: {error}")
    if swallowed := _ROW_IN_CAPTION.search(text):
        problem = f"the caption holds another row, {swallowed[0].strip()!r}: give each clip its own caption."
        return Entry(name, "no caption", None, f"{name}: {problem}")
    return Entry(name, "ok", Clip(path, text, seconds, sha256))


def _only(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value under one of several names.

    Raises:
        InputError: two of them hold different values.
    """
    values = {name: row[name] for name in names if row.get(name) not in (None, "")}
    if len({str(value) for value in values.values()}) > 1:
        raise InputError(f"{' and '.join(map(repr, values))} say different things; keep one of them.")
    return next(iter(values.values()), None)
