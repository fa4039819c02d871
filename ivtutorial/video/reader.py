"""Reads video files of any format, rate, size and length as clips of F frames (for `ivtutorial.video.writer`).

Choices worth knowing:
- A damaged file is an error. Left alone, the decoder hides damage: it repeats or smears what it has, and the
  clip looks fine to a program. So decoding runs with `err_detect=explode`, and any frame marked corrupt
  stops it.
- YUV -> RGB runs with accurate rounding and full chroma interpolation: the default is 1 to 2 levels of 255
  too dark.
- Every file is decoded from its beginning, also for a late `start`: seeking is not exact in every format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ivtutorial.errors import InputError

if TYPE_CHECKING:
    import av

Frames = npt.NDArray[np.uint8]

# swscale flags: BICUBIC | FULL_CHR_H_INT | FULL_CHR_H_INP | ACCURATE_RND | BITEXACT
ACCURATE = 0x4 | 0x2000 | 0x4000 | 0x40000 | 0x80000


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
    so a faster source is thinned out and a slower one repeats frames; nothing is blended. The picture is
    turned upright as the file says, scaled so that it just covers `size`, and cut in the centre.

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
        >>> read_video("cat.mp4", frames=16, fps=8, size=(64, 64)).shape
        (16, 64, 64, 3)
    """
    _check_request(frames, fps, size, start)
    times = [rate(start) + k / rate(fps) for k in range(frames)]
    found, end = _decode_at(Path(path), times)
    if len(found) < frames:
        raise TooShort(
            f"{path}: too few frames: {len(found)} of the {frames} needed at {fps:g} fps; the video lasts "
            f"{float(end):.2f} s and {start + frames / fps:.2f} s are needed. Ask for fewer frames."
        )
    pictures = [_upright(frame) for frame in found]
    size = size or (pictures[0].height, pictures[0].width)
    return np.stack([np.asarray(_cover(picture, size)) for picture in pictures])


def video_facts(path: str | Path) -> VideoFacts:
    """Reads size, rate and length from a file's header; no frame is decoded.

    Args:
        path: a video file.

    Raises:
        InputError: no such file, not a video, or damaged.
    """
    import av

    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file.")
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(path, container)
            seconds = (
                stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, 10**6)
            )
            fps = float(stream.average_rate or 0)
            return VideoFacts(stream.height, stream.width, fps, float(seconds), stream.codec_context.name)
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error


def rate(value: float) -> Fraction:
    """A number as a fraction: time stamps in files are fractions, and ties must not depend on rounding."""
    return Fraction(value).limit_denominator(1001)


def _check_request(frames: int, fps: float, size: tuple[int, int] | None, start: float) -> None:
    if frames < 1 or not 0.1 <= fps <= 1000 or not 0 <= start < float("inf"):
        raise InputError(f"need frames >= 1, fps from 0.1 to 1000 and start >= 0 s, got {frames}, {fps} and {start}.")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise InputError(f"size is (height, width) in pixels, both at least 1, got {size}.")


def _decode_at(path: Path, times: list[Fraction]) -> tuple[list[av.VideoFrame], Fraction]:
    """Decodes `path`; returns the frames nearest to `times`, which ascend, and the time it stopped at."""
    import av

    if not path.exists():
        raise InputError(f"{path}: no such file.")
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(path, container)
            return _nearest(_stamped(path, container, stream), times)
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Any) -> InputError:
    return InputError(f"{path}: not a video that can be read, or damaged ({error.strerror or error}).")


def _video_stream(path: Path, container: Any) -> Any:
    """The stream to decode, set to fail on damage; refuses pictures and sound (also sound with cover art)."""
    from av.stream import Disposition

    kind = container.format.name
    if kind.endswith("_pipe") or kind == "image2":
        raise InputError(f"{path}: is a picture ({kind.removesuffix('_pipe')}), not a video.")
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        kinds = sorted({stream.type for stream in container.streams}) or ["nothing"]
        raise InputError(f"{path}: holds no video stream, only {', '.join(kinds)}.")
    moving[0].codec_context.options = {"err_detect": "explode"}
    return moving[0]


def _stamped(path: Path, container: Any, stream: Any) -> Iterable[tuple[Fraction, av.VideoFrame]]:
    """Yields (seconds since the first frame, frame); without time stamps frames count at the average rate."""
    first: Fraction | None = None
    for index, frame in enumerate(container.decode(stream)):
        if frame.is_corrupt:
            raise InputError(f"{path}: damaged: frame {index} cannot be decoded whole.")
        if frame.pts is None or frame.time_base is None:
            time = Fraction(index) / Fraction(stream.average_rate or 25)
        else:
            time = frame.pts * Fraction(frame.time_base)
        first = time if first is None else first
        yield time - first, frame


def _nearest(
    stamped: Iterable[tuple[Fraction, av.VideoFrame]], times: list[Fraction]
) -> tuple[list[av.VideoFrame], Fraction]:
    """Picks the frame nearest to each time in one pass; returns the picks and the time where decoding ended.

    The last frame lasts as long as the one before it, and a time past its end has no frame. That end is
    shortened by a tenth of a frame, so that rounded time stamps do not add a frame to a clip that is one too
    short.
    """
    chosen: list[av.VideoFrame] = []
    before: tuple[Fraction, av.VideoFrame] | None = None
    period = Fraction(1, 25)
    for time, frame in stamped:
        while len(chosen) < len(times) and times[len(chosen)] <= time:
            wanted = times[len(chosen)]
            chosen.append(before[1] if before and wanted - before[0] <= time - wanted else frame)
        if len(chosen) == len(times):
            return chosen, time
        period = time - before[0] if before else period
        before = (time, frame)
    if before is None:
        return [], Fraction(0)
    end = before[0] + period
    rest = islice(times, len(chosen), None)
    return chosen + [before[1] for wanted in rest if wanted < end - period / 10], end


def _upright(frame: av.VideoFrame) -> Image.Image:
    """RGB picture, turned as the file's display matrix says (phones store portrait clips on their side)."""
    picture = frame.to_ndarray(format="rgb24", interpolation=ACCURATE)
    return Image.fromarray(np.rot90(picture, round(frame.rotation / 90)))


def _cover(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scales the picture so that it just covers (H, W) and cuts the centre, in one resampling."""
    height, width = size
    if (picture.height, picture.width) == (height, width):
        return picture
    shrink = min(picture.width / width, picture.height / height)
    left, top = (picture.width - width * shrink) / 2, (picture.height - height * shrink) / 2
    box = (left, top, min(left + width * shrink, picture.width), min(top + height * shrink, picture.height))
    return picture.resize((width, height), Image.Resampling.BICUBIC, box=box)
