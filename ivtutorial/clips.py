"""Video-caption pairs from files: a CSV or a folder in, checked clips and frame tensors out.

A list of clips is one of
- a CSV file (UTF-8) with the columns `video` (or `path`) and `caption`; further columns are ignored;
- a folder with a `captions.csv` of that form;
- a folder of videos, each with its caption in a text file of the same name (`fox.mp4`, `fox.txt`).

Paths in a CSV are relative to its folder and may not leave it, so that a list from elsewhere cannot make a
program open other files. Every bad entry is found before anything is returned, and one error names them all:
a bad file never becomes a grey clip or an empty caption.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ivtutorial.errors import InputError
from ivtutorial.files import atomic_write_text
from ivtutorial.media import read_video

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif")


@dataclass(frozen=True)
class Clip:
    """A video file and what it shows.

    Attributes:
        path: the file; it is opened only when its frames are read.
        caption: text with at least one visible character, kept as written except for space at its ends.

    Raises:
        InputError: the caption is not text (see `check_caption`).
    """

    path: Path
    caption: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "caption", check_caption(self.caption))


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
    if _is_number(text):
        raise InputError(f"a caption is words, got the number {text!r}.")
    if any(ord(character) < 32 and character not in "\t\r\n" for character in text):
        raise InputError(f"a caption is text, got control characters in {text[:40]!r}.")
    return text


def read_clips(source: str | Path) -> list[Clip]:
    """Reads a list of clips; the videos must exist, but are not opened yet.

    Args:
        source: a CSV file or a folder, see the module's first lines.

    Returns:
        The clips, in the order of the CSV or sorted by file name; at least one.

    Raises:
        InputError: no such list, not UTF-8, a column is missing, no clips, or bad entries, all of which are
            named.

    Example:
        >>> read_clips("my_clips/captions.csv")[0]
        Clip(path=PosixPath('my_clips/fox.mp4'), caption='a red fox trotting through the snow')
    """
    source = Path(source)
    if source.is_dir() and (source / "captions.csv").is_file():
        source = source / "captions.csv"
    if source.is_dir():
        videos = sorted(file for file in source.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
        clips = _every(videos, _clip_beside_text, str(source))
    elif source.is_file():
        clips = _every(_rows(source), lambda row: _clip_of_row(source.parent, *row), str(source))
    else:
        raise InputError(f"{source}: no such file or folder; give a CSV (video,caption) or a folder.")
    if not clips:
        raise InputError(f"{source}: no clips in it; the help of `ivtutorial.clips` shows the forms.")
    return clips


def write_clips(path: str | Path, clips: Sequence[Clip]) -> None:
    """Writes the CSV that `read_clips` reads, with paths relative to its folder.

    Args:
        path: the CSV file to write.
        clips: clips whose files lie in the CSV's folder or below.

    Raises:
        InputError: a clip lies elsewhere, or the file cannot be written.
    """
    root = Path(path).resolve().parent
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video", "caption"))
    for clip in clips:
        if not clip.path.resolve().is_relative_to(root):
            raise InputError(f"{clip.path} is not below {root}: a list names only clips in its own folder.")
        writer.writerow((clip.path.resolve().relative_to(root).as_posix(), clip.caption))
    atomic_write_text(path, text.getvalue())


def load_frames(
    clips: Sequence[Clip], frames: int = 16, fps: float = 8.0, size: tuple[int, int] = (64, 64)
) -> torch.Tensor:
    """Decodes the clips with `ivtutorial.media.read_video`.

    Args:
        clips: N >= 1 clips.
        frames: frames of each, F.
        fps: frames a second to sample at.
        size: (H, W) in pixels.

    Returns:
        float32 (N, F, 3, H, W) in [0, 1].

    Raises:
        InputError: no clips, or clips that cannot be read or are too short, all of which are named.
    """
    import torch

    if not clips:
        raise InputError("no clips to load: the list is empty.")
    pixels = _every(clips, lambda clip: read_video(clip.path, frames, fps, size), "these clips")
    stacked = torch.stack([torch.from_numpy(clip) for clip in pixels])
    return stacked.permute(0, 1, 4, 2, 3).contiguous().float() / 255


def _every(items: Iterable[Item], read: Callable[[Item], Result], where: str) -> list[Result]:
    """Reads all items, or raises one InputError with the message of each that failed."""
    results, problems = [], []
    for item in items:
        try:
            results.append(read(item))
        except InputError as error:
            problems.append(str(error))
    if problems:
        listed = "\n  ".join(problems)
        raise InputError(f"{where}: {len(problems)} bad of {len(results) + len(problems)}:\n  {listed}")
    return results


def _rows(file: Path) -> Iterator[tuple[int, str | None, str | None]]:
    """Yields (line number, video, caption) for each row of a CSV."""
    reader = csv.DictReader(io.StringIO(_text(file), newline=""), skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or []]
    video = "video" if "video" in names else "path"
    if video not in names or "caption" not in names:
        raise InputError(f"{file}: needs the columns video,caption; it has {','.join(names) or 'none'}.")
    reader.fieldnames = names
    for row in reader:
        yield reader.line_num, row[video], row["caption"]


def _clip_of_row(root: Path, line: int, video: str | None, caption: str | None) -> Clip:
    name = (video or "").strip()
    if not name:
        raise InputError(f"line {line}: no video is named.")
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"line {line}: {name} leaves the list's folder; put the clip below {root}.")
    if not path.is_file():
        raise InputError(f"line {line}: {name}: no such file.")
    return _clip(path, caption or "", f"line {line}: {name}")


def _clip_beside_text(path: Path) -> Clip:
    text = path.with_suffix(".txt")
    if not text.is_file():
        raise InputError(f"{path.name}: no caption: {text.name} is missing.")
    return _clip(path, _text(text), path.name)


def _clip(path: Path, caption: str, where: str) -> Clip:
    try:
        return Clip(path, caption)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _text(file: Path) -> str:
    """UTF-8 text; a byte order mark, which spreadsheets write, is dropped."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
