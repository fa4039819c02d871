"""Video-caption pairs from files: a list or a folder in, checked clips and frame tensors out.

The forms of a list are those of `ivtutorial.data.lists`: CSV, JSONL, lines of a path and a caption, or a folder. Every
bad entry is found before anything is returned, and one error names them all: a bad file never becomes a grey clip or an
empty caption. With `skip_bad` it is left out, and a warning names it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ivtutorial.data.lists import Clip as Clip, read_entries
from ivtutorial.data.text import bad_entries, csv_text
from ivtutorial.errors import InputError
from ivtutorial.system.files import atomic_write_text
from ivtutorial.video.pyav import need_pyav
from ivtutorial.video.reader import read_video

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


def read_clips(source: str | Path, root: str | Path | None = None, skip_bad: bool = False) -> list[Clip]:
    """Reads a list of clips; the videos must exist, but are not opened yet.

    Args:
        source: a file or a folder, see `ivtutorial.data.lists`.
        root: folder that paths are relative to and may not leave; default the list's own.
        skip_bad: leave bad entries out, with a warning that names them, instead of an error.

    Returns:
        The clips, in the order of the list or sorted by file name; at least one.

    Raises:
        InputError: no such list, not UTF-8, a column is missing, no clips, or bad entries, all of which are
            named.

    Example:
        >>> read_clips("my_clips/captions.csv")[0]  # doctest: +SKIP
        Clip(path=PosixPath('my_clips/fox.mp4'), caption='a red fox trotting through the snow', start=0.0, sha256=None)
    """
    entries = read_entries(source, root)
    clips = [entry.clip for entry in entries if entry.clip is not None]
    problems = [entry.problem for entry in entries if entry.clip is None]
    if problems and not skip_bad or not clips:
        raise bad_entries(str(source), problems, len(entries))
    if problems:
        logger.warning("%s", bad_entries(f"left out of {source}", problems, len(entries)))
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
    starts = any(clip.start for clip in clips)
    rows: list[tuple[str | float, ...]] = [("video", "caption", "start") if starts else ("video", "caption")]
    for clip in clips:
        if not clip.path.resolve().is_relative_to(root):
            raise InputError(f"{clip.path} is not below {root}: a list names only clips in its own folder.")
        row = (clip.path.resolve().relative_to(root).as_posix(), clip.caption)
        rows.append((*row, clip.start) if starts else row)
    atomic_write_text(path, csv_text(rows))


def load_frames(
    clips: Sequence[Clip], frames: int = 16, fps: float = 8.0, size: tuple[int, int] = (64, 64)
) -> torch.Tensor:
    """Decodes the clips with `ivtutorial.video.reader.read_video`.

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
    need_pyav()
    pixels = _every(clips, lambda clip: read_video(clip.path, frames, fps, size, clip.start), "these clips")
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
        raise bad_entries(where, problems, len(results) + len(problems))
    return results
