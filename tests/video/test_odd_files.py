"""Files as they are met: cut without encoding anew, with strange names, unknown codecs, several streams."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ivtutorial.errors import InputError
from ivtutorial.video.reader import read_video, read_video_with_notes, video_facts
from tests.video.synthetic import encode, moving_dot, numbered, numbers, write


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def cut(path: Path, out: Path, first: int, container: str) -> Path:
    """Copies the packets from number `first` on, as `ffmpeg -c copy` does."""
    with av.open(str(path)) as source, av.open(str(out), "w", format=container) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(video=0)):
            if index >= first and packet.size:
                packet.stream = stream
                target.mux(packet)
    return out


OPEN_GOP = {"crf": "1", "x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-pyramid=normal:ref=4"}


@pytest.mark.parametrize("container", ["mpegts", "matroska", "mp4"])
@pytest.mark.parametrize("which", [1, 2])
def test_h264_that_was_cut_at_a_later_key_picture_is_whole(tmp_path: Path, container: str, which: int) -> None:
    """Every frame that is given is one of the source's, in steps of one; none is a smear of its neighbours."""
    whole = encode(tmp_path / "whole", numbered(48), container=container, rate=24, options=OPEN_GOP)
    with av.open(str(whole)) as source:
        keys = [i for i, packet in enumerate(source.demux(video=0)) if packet.size and packet.is_keyframe]
    frames = numbers(read_video(cut(whole, tmp_path / "cut", keys[which], container), 20, 24))
    assert np.abs(np.diff(frames) - 1).max() <= 3 and frames[-1] - frames[0] <= 22
    assert {value - round(value) for value in frames} == {0}


X265 = {"x265-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:log-level=none:crf=4"}


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("libx264", "mpegts", {"crf": "1", "g": "12", "bf": "0", "sc_threshold": "0"}),
        ("libx264", "matroska", {"crf": "1", "g": "12", "bf": "0", "sc_threshold": "0"}),
        ("libx265", "mpegts", X265),
        ("libx265", "mp4", X265),
        ("libvpx-vp9", "matroska", {"g": "12", "crf": "5", "b:v": "0"}),
    ],
)
@pytest.mark.parametrize("first", [4, 12])
def test_a_recording_that_was_joined_late_begins_at_its_first_key_picture(
    tmp_path: Path, codec: str, container: str, options: dict[str, str], first: int
) -> None:
    """Key pictures are 0, 12, 24, ...: from packet 4 or 12 on, the first that can be decoded is number 12."""
    whole = encode(tmp_path / "whole", numbered(40), codec, container, 24, options=options)
    frames, notes = read_video_with_notes(cut(whole, tmp_path / "cut", first, container), 12, 24)
    assert numbers(frames) == list(range(12, 24))
    assert notes == ([] if first == 12 else ["begins with 8 pictures that need earlier ones; they are left out"])


def test_a_cut_file_that_is_damaged_is_refused(tmp_path: Path) -> None:
    """The lenient second reading of cut files still refuses every damage but the one harmless complaint."""
    whole = encode(tmp_path / "whole.ts", moving_dot().repeat(3, axis=0), container="mpegts", rate=24, options=OPEN_GOP)
    with av.open(str(whole)) as source:
        keys = [i for i, packet in enumerate(source.demux(video=0)) if packet.size and packet.is_keyframe]
    path = cut(whole, tmp_path / "cut.mkv", keys[1], "matroska")
    expected, data = read_video(path, 20, 24).astype(int), path.read_bytes()
    refused = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        damaged = bytearray(data)
        for place in rng.integers(len(data) // 3, len(data) * 9 // 10, 4):
            damaged[place] ^= int(rng.integers(1, 256))
        try:
            assert np.abs(read_video(write(tmp_path / "damaged.mkv", bytes(damaged)), 20, 24) - expected).mean() < 2
        except InputError:
            refused += 1
    assert refused >= 8


@pytest.mark.parametrize(
    "name",
    ["12:30:05.mp4", "http:x.mp4", "file:x.mp4", "100%d.mp4", "%03d.mp4", "q'uo\"te.mp4", "two\nlines.mp4", "-y.mp4"],
)
def test_a_name_is_never_an_address_or_a_pattern(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "a.mp4", numbered(4)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read_video(name, 2).shape == (2, 32, 32, 3)
    assert video_facts(name).seconds == 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes that are no text")
def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    encode(tmp_path / "a.mp4", numbered(4)).rename(path)
    assert read_video(path, 2).shape == (2, 32, 32, 3)


def test_an_unknown_codec_is_one_clear_error(tmp_path: Path) -> None:
    data = encode(tmp_path / "a.mp4", numbered(4)).read_bytes()
    path = write(tmp_path / "a.mp4", data.replace(b"avc1", b"zzzz"))
    for read in (read_video, video_facts):
        with pytest.raises(InputError, match=r"a\.mp4: .*codec is unknown"):
            read(path)


def test_a_title_that_is_not_utf8_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        output.metadata["title"] = "TITLEXX"
        stream = output.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for index in range(4):
            frame = av.VideoFrame(32, 32, "yuv420p")
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    write(path, path.read_bytes().replace(b"TITLEXX", b"TITL\xe9XX"))
    assert read_video(path, 2).shape == (2, 32, 32, 3)


def test_sound_with_a_cover_is_no_video(tmp_path: Path) -> None:
    from av.stream import Disposition

    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        sound = output.add_stream("aac", rate=44100)
        cover = output.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt, cover.disposition = 32, 32, "yuvj420p", Disposition.attached_pic
        picture = av.VideoFrame(32, 32, "yuvj420p")
        picture.pts = 0
        output.mux(cover.encode(picture))
        for index in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, 1024 * index
            output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    with pytest.raises(InputError, match="holds no video stream"):
        read_video(path, 1)


@pytest.mark.parametrize(
    ("codec", "container", "kind"),
    [
        ("libx264", "mp4", "yuv420p"),
        ("libx264", "mp4", "yuv444p"),
        ("libx264", "mp4", "yuv422p10le"),
        ("libx265", "mp4", "yuv420p10le"),
        ("libvpx-vp9", "webm", "yuv420p"),
        ("libvpx", "webm", "yuv420p"),
        ("libsvtav1", "mp4", "yuv420p"),
        ("mpeg4", "avi", "yuv420p"),
        ("mjpeg", "mov", "yuvj420p"),
        ("ffv1", "matroska", "yuv422p"),
        ("huffyuv", "avi", "yuv422p"),
        ("utvideo", "avi", "yuv420p"),
        ("prores_ks", "mov", "yuv422p10le"),
        ("rawvideo", "nut", "rgb24"),
        ("gif", "gif", "gray"),
        ("wmv2", "asf", "yuv420p"),
    ],
)
def test_codecs_and_formats(tmp_path: Path, codec: str, container: str, kind: str) -> None:
    options = {"crf": "2"} if codec.startswith(("libx", "libsvt")) else {}
    path = encode(tmp_path / "a", numbered(8, 64, 64), codec, container, 8, kind, options)
    result = np.array(numbers(read_video(path, 8)))
    assert np.abs(result - np.arange(8)).max() <= (
        1 if codec in ("mpeg4", "libvpx", "wmv2") else 0
    )  # these skip a little


def test_a_file_that_names_other_files_is_no_video(tmp_path: Path) -> None:
    """The hash of such a file says nothing of the frames, and a list is not to open files that it does not name."""
    encode(tmp_path / "plain.mp4", numbered(8))
    write(tmp_path / "clip.mp4", b"ffconcat version 1.0\nfile plain.mp4\n")
    with pytest.raises(InputError, match=r"clip.mp4: is a list of other files \(concat\), not a video"):
        read_video(tmp_path / "clip.mp4", 4, 8)


def test_an_animated_webp_is_not_called_a_picture(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in numbered(8)]
    pictures[0].save(tmp_path / "clip.webp", save_all=True, append_images=pictures[1:], duration=125)
    with pytest.raises(InputError, match="is WebP, which is read as a still picture only; convert it to MP4 first"):
        read_video(tmp_path / "clip.webp", 4, 8)
