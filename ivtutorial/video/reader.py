"""Reads video files of any format, rate, size and length as clips of F frames (for `ivtutorial.video.writer`).

| module    | what it does                                                        |
|-----------|---------------------------------------------------------------------|
| `decode`  | opens a file, chooses the stream, decodes it, refuses damage        |
| `timing`  | which frame is shown at which time                                  |
| `picture` | colours, orientation and shape of one frame                         |

Every file is decoded from its beginning, also for a late `start`: seeking is not exact in every format.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ivtutorial.errors import InputError
from ivtutorial.video.decode import Damaged, Decoded, Unordered, is_cut_between_keys, opened
from ivtutorial.video.picture import upright
from ivtutorial.video.timing import nearest, rate

Frames = npt.NDArray[np.uint8]


class TooShort(InputError):
    """The video ends before the last frame that is wanted."""


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of its video.

    Attributes:
        height, width: in pixels, as stored (before it is turned upright).
        fps: frames a second on average, 0 if it does not say. seconds: its length, 0 if it does not say.
        codec: such as "h264".
    """

    height: int
    width: int
    fps: float
    seconds: float
    codec: str


def read_video(
    path: str | Path,
    frames: int = 16,
    fps: float = 8.0,
    size: tuple[int, int] | None = None,
    start: float = 0.0,
) -> Frames:
    """Reads the first `frames` frames of a video at `fps`, whatever its own rate, size and length.

    Frame k is the source frame whose time stamp is nearest to `start + k / fps` (the earlier one at a tie),
    so a faster source is thinned out and a slower one repeats frames; nothing is blended. The picture is what a player
    would show (`ivtutorial.video.picture`), scaled so that it just covers `size`, and cut in the centre.

    Args:
        path: a video file in any format that FFmpeg knows.
        frames: how many frames to return, F >= 1.
        fps: frames a second to sample at, 0.1 to 1000.
        size: (H, W) in pixels; None keeps the video's own.
        start: seconds from the video's beginning, >= 0.

    Returns:
        uint8 (F, H, W, 3), RGB.

    Raises:
        InputError: no such file, not a video, damaged, or too short (the message says how many frames it
            has).

    Example:
        >>> read_video("cat.mp4", frames=16, fps=8, size=(64, 64)).shape  # doctest: +SKIP
        (16, 64, 64, 3)
    """
    return read_video_with_notes(path, frames, fps, size, start)[0]


def read_video_with_notes(
    path: str | Path,
    frames: int = 16,
    fps: float = 8.0,
    size: tuple[int, int] | None = None,
    start: float = 0.0,
) -> tuple[Frames, list[str]]:
    """As `read_video`, and what was converted or guessed on the way, in words, such as "HDR (PQ) tone-mapped"."""
    _check_request(frames, fps, size, start)
    path = Path(path)
    notes: list[str] = []
    times = [rate(start) + k / rate(fps) for k in range(frames)]
    chosen, end = _choose(path, times, notes)
    if not chosen and not end:
        raise InputError(f"{path}: its video stream holds no frames.")
    if len(chosen) < frames:
        raise TooShort(
            f"{path}: too few frames: {len(chosen)} of the {frames} needed at {fps:g} fps; the video lasts "
            f"{float(end):.2f} s and {start + frames / fps:.2f} s are needed. Ask for fewer frames."
        )
    pictures = []
    for decoded in chosen:
        try:
            pictures.append(np.asarray(upright(decoded, size, notes)))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        size = size or pictures[0].shape[:2]  # where the resolution changes on the way, the first one's is kept
    return np.stack(pictures), notes


def video_facts(path: str | Path) -> VideoFacts:
    """Reads size, rate and length from a file's header; no frame is decoded.

    Args:
        path: a video file.

    Raises:
        InputError: no such file, not a video, or damaged.
    """
    with opened(Path(path)) as video:
        stream, container = video.stream, video.container
        seconds = stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, 10**6)
        fps = float(stream.average_rate or 0)
        return VideoFacts(stream.height, stream.width, fps, float(seconds), stream.codec_context.name)


def _check_request(frames: int, fps: float, size: tuple[int, int] | None, start: float) -> None:
    if frames < 1 or not 0.1 <= fps <= 1000 or not 0 <= start < float("inf"):
        raise InputError(f"need frames >= 1, fps from 0.1 to 1000 and start >= 0 s, got {frames}, {fps} and {start}.")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise InputError(f"size is (height, width) in pixels, both at least 1, got {size}.")


def _choose(
    path: Path, times: list[Fraction], notes: list[str], lenient: bool = False
) -> tuple[list[Decoded], Fraction]:
    """Decodes the frames nearest to `times`, which ascend; returns them and the time where decoding ended."""
    try:
        try:
            with opened(path, lenient) as video:
                result = nearest(video.frames(), times, video.least())
        except Unordered:
            with opened(path, lenient) as video:
                stamps, guesses = video.rising_stamps(times[-1]), video.notes
            with opened(path, lenient) as video:
                result = nearest(video.frames(stamps), times)
                video.notes = guesses
    except Damaged:
        if lenient or not is_cut_between_keys(path):
            raise
        return _choose(path, times, notes, lenient=True)
    notes.extend(video.notes)
    return result
