"""What is in a list of clips: every file decoded, every fault named, contact sheets to look at.

| status        | meaning                                                                        |
|---------------|--------------------------------------------------------------------------------|
| `ok`          | can be trained on                                                              |
| `too short`   | ends before frame F at the wanted rate                                         |
| `undecodable` | no video, damaged, a picture or sound under a video's name, or a bad list row  |
| `no caption`  | none, empty, a number, or not text                                             |
| `duplicate`   | the same bytes and start as an earlier clip                                    |
| `missing`     | no such file                                                                   |
| `refused`     | a path that leaves the data root                                               |
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from ivtutorial.data.lists import Clip, Entry, Status
from ivtutorial.errors import InputError
from ivtutorial.system.files import atomic_write_text, sha256
from ivtutorial.video.reader import Frames, TooShort, VideoFacts, read_video, video_facts
from ivtutorial.video.sheet import contact_sheet, save_picture

THUMB, STRIP, PAGE, COLUMNS = 96, 4, 24, 2


@dataclass(frozen=True)
class Checked:
    """One entry of a list after its file has been decoded.

    Attributes:
        name: where it stands in the list.
        status: see the module's first lines.
        problem: what is wrong; empty if nothing is.
        clip: with the file's hash; None where the list names none.
        facts: of the file, None where it has none.
    """

    name: str
    status: Status
    problem: str = ""
    clip: Clip | None = None
    facts: VideoFacts | None = None


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
    first_names: dict[tuple[str | None, float], str] = {}
    page: list[tuple[Frames, str]] = []
    pages = 0
    for found, strip in _in_order(entries, look, workers):
        if found.clip is not None and found.status == "ok":
            first = first_names.setdefault((found.clip.sha256, found.clip.start), found.name)
            if first is not found.name:
                found = replace(found, status="duplicate", problem=f"{found.name}: the same clip as {first}.")
        results.append(found)
        if sheets is not None and strip is not None and found.status == "ok" and found.clip is not None:
            page.append((strip, found.clip.caption))
        if sheets is not None and (len(page) == PAGE or len(results) == len(entries)) and page:
            _write_sheet(sheets / f"sheet-{pages:03d}.png", page)
            page, pages = [], pages + 1
        advance(1)
    return results


def counts(results: Sequence[Checked]) -> dict[str, int]:
    """How many clips have each status, those that occur, "ok" first."""
    found = Counter(one.status for one in results)
    return {"ok": found.pop("ok", 0), **dict(sorted(found.items()))}


def write_report(path: Path, results: Sequence[Checked]) -> None:
    """Write one row an entry: where it stands, file, caption, status, what is wrong, and what the file says of itself.

    Raises:
        InputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("entry", "status", "problem", "caption", "start", "seconds", "fps", "height", "width", "codec"))
    for one in results:
        clip, f = one.clip, one.facts
        said = ("", "") if clip is None else (clip.caption, clip.start)
        facts = ("",) * 5 if f is None else (f"{f.seconds:.3f}", f"{f.fps:.3f}", f.height, f.width, f.codec)
        writer.writerow((one.name, one.status, one.problem, *said, *facts))
    atomic_write_text(path, text.getvalue())


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
        pixels = read_video(clip.path, frames, fps, size, clip.start)
    except InputError as error:
        status: Status = "too short" if isinstance(error, TooShort) else "undecodable"
        return Checked(entry.name, status, f"{entry.name}: {error}", clip, facts), None
    shown = [round(k) for k in np.linspace(0, frames - 1, min(STRIP, frames))]
    return Checked(entry.name, "ok", "", clip, facts), pixels[shown]


def _in_order(
    entries: Sequence[Entry], look: Callable[[Entry], tuple[Checked, Frames | None]], workers: int
) -> Iterator[tuple[Checked, Frames | None]]:
    """Results in order; few are decoded ahead, so that a long list need not fit into memory."""
    waiting = iter(entries)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        while block := list(islice(waiting, 8 * max(1, workers))):
            yield from pool.map(look, block)


def _write_sheet(path: Path, page: Sequence[tuple[Frames, str]]) -> None:
    strips, captions = [strip for strip, _ in page], [caption for _, caption in page]
    save_picture(path, contact_sheet(strips, captions, columns=COLUMNS, strip=len(strips[0])))
