"""Frames are taken by their times, whatever the stamps of the file are like; the last one lasts as long as it says."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.video.reader import read_video, read_video_with_notes
from ivtutorial.video.timing import rising
from tests.video.synthetic import encode, numbered, numbers

EVERY_THIRD = list(range(0, 36, 3))


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("libx264", "avi", {"bf": "2"}),  # holds decoding stamps only
        ("libx264", "avi", {"bf": "3", "x264-params": "b-pyramid=strict"}),
        ("libx264", "h264", {"bf": "2"}),  # no stamps at all
        ("libx264", "mpegts", {"bf": "2"}),  # begins at 1.4 s
        ("libx264", "matroska", {"bf": "2"}),  # rounded to milliseconds
        ("libx264", "mp4", {"bf": "2", "x264-params": "open-gop=1:keyint=8"}),
        ("mpeg4", "avi", {"bf": "0"}),
        ("ffv1", "nut", {}),
        ("mjpeg", "avi", {}),
        ("libx264", "flv", {"bf": "2"}),
    ],
)
def test_b_frames_and_missing_stamps(tmp_path: Path, codec: str, container: str, options: dict[str, str]) -> None:
    """40 frames at 24 a second, sampled at 8: every third one."""
    formats = {"mjpeg": "yuvj420p"}
    path = encode(
        tmp_path / "a", numbered(40), codec, container, 24, formats.get(codec, "yuv420p"), {"crf": "1", **options}
    )
    result = np.array(numbers(read_video(path, 12, 8)))
    assert np.abs(result - EVERY_THIRD).max() <= (1 if codec == "mpeg4" else 0)  # which keeps tiny changes back


@pytest.mark.parametrize("container", ["mp4", "matroska", "mov"])
def test_a_variable_rate(tmp_path: Path, container: str) -> None:
    """Frames at 0, 1, 2, 6, 7, 11 of 24ths; times 0, 3, 6, 9: the nearest are 0, 2 (at 2), 3 (at 6), 4 (at 7, tie)."""
    path = encode(
        tmp_path / "a", numbered(6), container=container, rate=24, options={"crf": "1"}, times=[0, 1, 2, 6, 7, 11]
    )
    assert numbers(read_video(path, 4, 8)) == [0, 2, 3, 4]


def test_a_start_before_zero_or_late(tmp_path: Path) -> None:
    """Time counts from the first frame, at -5 or +100 periods."""
    for first in (-5, 100):
        path = encode(tmp_path / "a.mkv", numbered(12), rate=8, options={"crf": "1"}, times=range(first, first + 12))
        assert numbers(read_video(path, 6, 4)) == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("container", ["mp4", "matroska", "gif"])
def test_a_clip_that_ends_on_a_held_frame_lasts_as_long(tmp_path: Path, container: str) -> None:
    """Three frames at 0, 1 and 2 tenths, the last one held to 1 s: ten times, seven of them on the last frame."""
    import av

    with av.open(str(tmp_path / "a"), "w", format=container) as output:
        stream = output.add_stream("gif" if container == "gif" else "libx264", rate=10)
        stream.height = stream.width = 32
        stream.pix_fmt = "gray" if container == "gif" else "yuv420p"
        packets = []
        for index, picture in enumerate(numbered(4)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = (0, 1, 2, 10)[index], Fraction(1, 10)
            packets += stream.encode(frame)
        for packet in [*packets, *stream.encode(None)]:
            if packet.pts is not None and packet.pts * packet.time_base == Fraction(2, 10):
                packet.duration = int(Fraction(8, 10) / packet.time_base)
            if packet.pts is None or packet.pts * packet.time_base < 1 or container == "gif":
                output.mux(packet)
    if container == "gif":  # its muxer holds a frame until the next one comes, so the fourth is the one that is seen
        assert numbers(read_video(tmp_path / "a", 10, 10))[:3] == [0, 1, 2]
        return
    assert numbers(read_video(tmp_path / "a", 10, 10)) == [0, 1, *[2] * 8]
    with pytest.raises(InputError, match="too few frames: 10 of the 11"):
        read_video(tmp_path / "a", 11, 10)


@pytest.mark.parametrize("fps", [5, 8, 12, 15, 16, 24, 25, 30, 50, 60])
def test_n_frames_hold_n_frames(tmp_path: Path, fps: int) -> None:
    """The exact length at the common rates: n frames are n frames, and one more is too many."""
    path = encode(tmp_path / "a.mp4", numbered(12), rate=fps, options={"crf": "1"})
    assert numbers(read_video(path, 12, fps)) == list(range(12))
    with pytest.raises(InputError, match="12 of the 13"):
        read_video(path, 13, fps)


def test_stamps_that_do_not_rise() -> None:
    """One bad stamp of nine lies between its neighbours; with more, frames are counted; decoding stamps come first."""
    seconds = [Fraction(k) for k in range(9)]
    one_bad = [*seconds[:4], Fraction(0), *seconds[5:]]
    none: list[Fraction | None] = [None] * 9
    assert rising(seconds, none, Fraction(2)) == (seconds, "")
    assert rising(one_bad, [s + 5 for s in seconds], Fraction(2)) == ([s + 5 for s in seconds], "")
    times, note = rising(one_bad, none, Fraction(2))
    assert times == seconds and "1 of 9 time stamps" in note
    for stamps in (none, [Fraction(0)] * 9, [*seconds[:3], *seconds[:3], *seconds[:3]]):
        times, note = rising(stamps, none, Fraction(2))
        assert times == [Fraction(k, 2) for k in range(9)] and "counted at 2 a second" in note
    far = [*seconds[:4], Fraction(10**6), *seconds[5:]]
    assert rising(far, none, Fraction(2))[0] == seconds
    held = [*seconds[:8], None]
    assert rising(held, none, Fraction(2))[0] == [*seconds[:8], Fraction(15, 2)]


def test_counting_frames_is_noted(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.h264", numbered(8), container="h264", rate=8)
    assert read_video_with_notes(path, 4, 8)[1] == ["no usable time stamps: frames are counted at 8 a second"]
    path = encode(tmp_path / "a.mp4", numbered(8))
    assert read_video_with_notes(path, 4, 8)[1] == []


def test_a_stream_without_frames_is_no_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        output.start_encoding()
    with pytest.raises(InputError, match=r"a\.mkv: .*(no frames|not a video)"):
        read_video(path, 1)
