"""What is in a list of clips: every file decoded, every fault named, contact sheets to look at.

| status        | meaning                                                                        |
|---------------|--------------------------------------------------------------------------------|
| `ok`          | can be trained on                                                              |
| `too short`   | ends before frame F at the wanted rate                                         |
| `undecodable` | no video, damaged, a picture or sound under a video's name, or a bad list row  |
| `no caption`  | none, empty, a number, or not text                                             |
| `duplicate`   | the same bytes, start and caption as an earlier clip                           |
| `missing`     | no such file                                                                   |
| `refused`     | a path that leaves the data root                                               |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from ivtutorial.data.lists import Clip, Entry, Status
from ivtutorial.data.places import printable
from ivtutorial.data.text import csv_text
from ivtutorial.errors import InputError
from ivtutorial.system.files import atomic_write_text, sha256
from ivtutorial.video.reader import Frames, TooShort, VideoFacts, read_video_with_notes, video_facts
from ivtutorial.video.sheet import contact_sheet, save_picture

THUMB, STRIP, PAGE, COLUMNS = 96, 4, 24, 2
COLUMNS_OF_REPORT = (
    "entry", "status", "problem", "caption", "start", "seconds", "fps", "height", "width", "codec", "notes",
)  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """One entry of a list after its file has been decoded.

    Attributes:
        name: where it stands in the list.
        status: see the module's first lines.
        problem: what is wrong; empty if nothing is.
        clip: with the file's hash; None where the list names none.
        facts: of the file, None where it has none.
        notes: what was converted or guessed while it was read, or is cut off its caption.
    """

    name: str
    status: Status
    problem: str = ""
    clip: Clip | None = None
    facts: VideoFacts | None = None
    notes: Sequence[str] = ()


def check_entries(
    entries: Sequence[Entry],
    sheets: Path | None,
    frames: int = 16,
    fps: float = 8.0,
    size: tuple[int, int] = (256, 256),
    workers: int = 2,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Checked]:
    """Decode every clip of a list as training would, and look for duplicates.

    Args:
        entries: see `ivtutorial.data.lists.read_entries`.
        sheets: folder for contact sheets of the good clips, four frames each, 24 clips a sheet; None for none.
        frames: F.
        fps: frames a second to sample at.
        size: (H, W) in pixels that training will use; only their ratio matters here.
        workers: files decoded at once.
        advance: called with the number of entries done.

    Returns:
        One result an entry, in order.

    Raises:
        InputError: the sheets cannot be written.
    """
    small = (THUMB, max(1, round(THUMB * size[1] / size[0])))

    def look(entry: Entry) -> tuple[Checked, Frames | None]:
        return _check(entry, frames, fps, small)

    results: list[Checked] = []
    first_names: dict[tuple[str | None, float, str], str] = {}
    page: list[tuple[Frames, str]] = []
    pages = 0
    for result, strip in _in_order(entries, look, workers):
        if result.clip is not None and result.status == "ok":
            key = (result.clip.sha256, result.clip.start, result.clip.caption)
            first = first_names.setdefault(key, result.name)
            if first is not result.name:
                problem = f"{result.name}: the same clip and caption as {first}."
                result = replace(result, status="duplicate", problem=problem)
        results.append(result)
        if sheets is not None and strip is not None and result.status == "ok" and result.clip is not None:
            page.append((strip, result.clip.caption))
        if sheets is not None and (len(page) == PAGE or len(results) == len(entries)) and page:
            _write_sheet(sheets / f"sheet-{pages:03d}.png", page)
            page, pages = [], pages + 1
        advance(1)
    if sheets is not None:
        _remove_from(sheets, pages)
    return results


def counts(results: Sequence[Checked]) -> dict[str, int]:
    """How many clips have each status, those that occur, "ok" first."""
    numbers = Counter(result.status for result in results)
    return {"ok": numbers.pop("ok", 0), **dict(sorted(numbers.items()))}


def write_check_report(path: Path, results: Sequence[Checked]) -> None:
    """Write one row an entry: where it stands, file, caption, status, what is wrong, and what the file says of itself.

    Raises:
        InputError: the file cannot be written.
    """
    rows: list[tuple[object, ...]] = [COLUMNS_OF_REPORT]
    for item in results:
        clip, f = item.clip, item.facts
        words = ("", "") if clip is None else (clip.caption, clip.start)
        facts = ("",) * 5 if f is None else (f"{f.seconds:.3f}", f"{f.fps:.3f}", f.height, f.width, f.codec)
        rows.append((item.name, item.status, item.problem, *words, *facts, "; ".join(item.notes)))
    atomic_write_text(path, printable(csv_text(rows)))


def _check(entry: Entry, frames: int, fps: float, size: tuple[int, int]) -> tuple[Checked, Frames | None]:
    if entry.clip is None:
        return Checked(entry.name, entry.status, entry.problem), None
    clip, facts = entry.clip, None
    try:
        content = sha256(clip.path)
        if clip.sha256 not in (None, content):
            raise InputError(f"{clip.path}: has changed since it was prepared.")
        clip = replace(clip, sha256=content)
        facts = video_facts(clip.path)
        pixels, notes = read_video_with_notes(clip.path, frames, fps, size, clip.start)
    except Exception as error:  # whatever a decoder comes up with costs this clip, not the whole list
        status: Status = "too short" if isinstance(error, TooShort) else "undecodable"
        reason = str(error) if isinstance(error, InputError) else f"unexpected {type(error).__name__}: {error}"
        return Checked(entry.name, status, printable(f"{entry.name}: {reason}"), clip, facts), None
    strip = [round(k) for k in np.linspace(0, frames - 1, min(STRIP, frames))]
    return Checked(entry.name, "ok", "", clip, facts, notes), pixels[strip]


def _in_order(
    entries: Sequence[Entry], look: Callable[[Entry], tuple[Checked, Frames | None]], workers: int
) -> Iterator[tuple[Checked, Frames | None]]:
    """Results in order; few are decoded ahead, so that a long list need not fit into memory."""
    waiting = iter(entries)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        while block := list(islice(waiting, 8 * max(1, workers))):
            yield from pool.map(look, block)


def _remove_from(sheets: Path, pages: int) -> None:
    """What a longer list left there shows clips that are not in this one."""
    for old in sheets.glob("sheet-*.png"):
        if old.stem.removeprefix("sheet-").isdecimal() and int(old.stem.removeprefix("sheet-")) >= pages:
            old.unlink(missing_ok=True)


def _write_sheet(path: Path, page: Sequence[tuple[Frames, str]]) -> None:
    strips, captions = [strip for strip, _ in page], [caption for _, caption in page]
    save_picture(path, contact_sheet(strips, captions, columns=COLUMNS, strip=len(strips[0])))
