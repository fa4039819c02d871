"""Clips survive writing and reading; any rate and size becomes F frames; damaged files are refused."""

from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ivtutorial.errors import InputError
from ivtutorial.video.reader import VideoFacts, read_video, video_facts
from ivtutorial.video.writer import encode_video, write_video
from tests.video.synthetic import moving_dot, numbered, numbers, write

# Writing


def test_a_clip_survives_writing_and_reading(tmp_path: Path) -> None:
    """Smooth colours: the error is small and has no bias.

    The libraries' default conversion is 1.4 levels too dark in green and exceeds both bounds.
    """
    k, y, x = np.mgrid[:16, :64, :64]
    waves = [120 + 40 * np.sin(x / 9 + k / 5), 128 + 50 * np.cos(y / 11), 100 + 30 * np.sin((x + y) / 10)]
    frames = np.stack(waves, -1).astype(np.uint8)
    write_video(tmp_path / "a.mp4", frames, crf=10)
    back = read_video(tmp_path / "a.mp4")
    error = back.astype(float) - frames
    assert back.shape == (16, 64, 64, 3) and back.dtype == np.uint8
    assert np.abs(error).mean() < 1.4
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.6


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 90, 40), (20, 180, 220), (128, 128, 128)])
def test_a_flat_colour_comes_back(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    """8-bit limited-range YUV has 220 levels for 256: one colour comes back to within 2."""
    frames = np.broadcast_to(np.array(colour, np.uint8), (4, 32, 32, 3))
    write_video(tmp_path / "a.mp4", frames, crf=1)
    back = read_video(tmp_path / "a.mp4", frames=4)
    assert np.abs(back.astype(int) - np.array(colour)).max() <= 2


def test_all_forms_of_a_clip_give_the_same_file() -> None:
    """uint8 and float, channels last and first, numpy and torch, also with gradient."""
    frames = moving_dot()
    first = torch.from_numpy(frames).permute(0, 3, 1, 2)
    forms = [frames, frames / 255, first, first.float() / 255, (first.double() / 255).requires_grad_()]
    assert len({encode_video(form) for form in forms}) == 1


def test_the_same_clip_gives_the_same_bytes() -> None:
    """Noise in the picture and in memory: with x264's mbtree nearly every one of these files would differ."""
    rng = np.random.default_rng(0)
    noisy = (moving_dot() + rng.normal(0, 8, (16, 64, 64, 1))).clip(0, 255).astype(np.uint8)
    files, rubbish = set(), []
    for _ in range(12):
        rubbish.append(rng.bytes(int(rng.integers(1000, 200_000))))
        files.add(encode_video(noisy))
    assert len(files) == 1


def test_the_file_is_h264_yuv420p_at_the_asked_rate(tmp_path: Path) -> None:
    import av

    write_video(tmp_path / "a.mp4", moving_dot(), fps=12.5)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.frames, float(stream.average_rate)) == (16, 12.5)


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (np.zeros((4, 33, 32, 3), np.uint8), "even height and width, got 33x32"),
        (np.zeros((4, 32, 31, 3), np.uint8), "even height and width, got 32x31"),
        (np.zeros((32, 32, 3), np.uint8), r"shape .* got \(32, 32, 3\)"),
        (np.zeros((4, 32, 32, 4), np.uint8), r"got \(4, 32, 32, 4\)"),
        (np.zeros((0, 32, 32, 3), np.uint8), r"got \(0, 32, 32, 3\)"),
        (np.zeros((4, 32, 32, 3), np.int64), "got int64"),
        (np.full((4, 32, 32, 3), -0.5), r"\[0, 1\], got values from -0.5 .*\(x \+ 1\) / 2"),
        (np.full((4, 32, 32, 3), 255.0), "got values from 255"),
        (np.full((4, 32, 32, 3), np.nan), "got values from nan"),
    ],
)
def test_what_is_no_clip_is_refused_and_the_old_file_stays(tmp_path: Path, frames: object, says: str) -> None:
    target = write(tmp_path / "a.mp4", b"old")
    with pytest.raises(InputError, match=says):
        write_video(target, frames)
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("settings", [{"crf": 52}, {"crf": -1}, {"fps": 0}, {"fps": float("nan")}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="crf from 0 to 51 and fps from 0.1 to 1000"):
        encode_video(moving_dot(), **settings)  # type: ignore[arg-type]


# Reading: time


@pytest.mark.parametrize(
    ("source_fps", "fps", "start", "expected"),
    [
        (8, 8, 0, [0, 1, 2, 3, 4, 5]),
        (24, 8, 0, [0, 3, 6, 9, 12, 15]),
        (8, 8, 0.5, [4, 5, 6, 7, 8, 9]),  # 0.5 s at 8 fps are 4 frames
        (4, 8, 0, [0, 0, 1, 1, 2, 2]),  # halfway between two frames: the earlier one
        (30, 8, 0, [0, 4, 7, 11, 15, 19]),  # k * 3.75 = 0, 3.75, 7.5 (tie: 7), 11.25, 15, 18.75
        (10, 25, 0, [0, 0, 1, 1, 2, 2]),  # k * 0.4 = 0, .4, .8, 1.2, 1.6, 2.0
    ],
)
def test_frames_are_those_nearest_in_time(
    tmp_path: Path, source_fps: float, fps: float, start: float, expected: list[int]
) -> None:
    write_video(tmp_path / "a.mp4", numbered(24), fps=source_fps, crf=1)
    assert numbers(read_video(tmp_path / "a.mp4", frames=6, fps=fps, start=start)) == expected


@pytest.mark.parametrize(
    ("source_fps", "enough", "found_in_one_less"),
    [(2, 4, 12), (4, 8, 14), (8, 16, 15), (24, 46, 15), (25, 47, 15), (30, 57, 15)],
)
def test_a_clip_is_long_enough_when_the_last_time_falls_into_it(
    tmp_path: Path, source_fps: int, enough: int, found_in_one_less: int
) -> None:
    """The 16th frame at 8 fps is at t = 15/8 s, n frames at r fps last n/r s: more than 15 r / 8 are enough.

    For r = 24, 45 frames end at 1.875 s exactly, so 46 are needed; for r = 2, 3 frames end at 1.5 s, which
    holds the 12 times 0, 1/8, ..., 11/8.
    """
    write_video(tmp_path / "a.mp4", numbered(enough), fps=source_fps)
    assert len(read_video(tmp_path / "a.mp4")) == 16
    write_video(tmp_path / "a.mp4", numbered(enough - 1), fps=source_fps)
    with pytest.raises(InputError, match=f"too few frames: {found_in_one_less} of the 16 needed at 8 fps"):
        read_video(tmp_path / "a.mp4")


def test_too_few_frames_says_how_many_and_how_long(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", numbered(3))
    with pytest.raises(InputError, match=r"a\.mp4: too few frames: 3 of the 16 .* lasts 0\.38 s and 2\.00 s are"):
        read_video(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="too few frames: 0 of the 1"):
        read_video(tmp_path / "a.mp4", frames=1, start=5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"frames": 0},
        {"fps": 0},
        {"fps": float("inf")},
        {"start": -1},
        {"start": float("nan")},
        {"size": (0, 4)},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(tmp_path: Path, arguments: dict[str, object]) -> None:
    write_video(tmp_path / "a.mp4", numbered(4))
    with pytest.raises(InputError, match="need frames >= 1|size is"):
        read_video(tmp_path / "a.mp4", **arguments)  # type: ignore[arg-type]


# Reading: space


def test_the_centre_is_cut_after_scaling_the_shorter_side(tmp_path: Path) -> None:
    """64 x 128, outer quarters red, middle half blue: scaled to 32 x 64, the middle 32 columns are blue."""
    frames = np.zeros((2, 64, 128, 3), np.uint8)
    frames[..., 0] = 200
    frames[:, :, 32:96] = (0, 0, 200)
    write_video(tmp_path / "wide.mp4", frames, crf=1)
    write_video(tmp_path / "tall.mp4", frames.transpose(0, 2, 1, 3), crf=1)
    for name in ("wide.mp4", "tall.mp4"):
        inner = read_video(tmp_path / name, frames=2, size=(32, 32)).astype(int)[:, 2:-2, 2:-2]
        assert np.abs(inner - np.array([0, 0, 200])).max() <= 6, name


@pytest.mark.parametrize("size", [(64, 64), (17, 40), (200, 100), (32, 32)])
def test_any_size_can_be_asked_for(tmp_path: Path, size: tuple[int, int]) -> None:
    write_video(tmp_path / "a.mp4", numbered(2, 48, 80), crf=1)
    back = read_video(tmp_path / "a.mp4", frames=2, size=size)
    assert back.shape == (2, *size, 3)
    assert numbers(back) == [0, 1]


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_a_clip_filmed_on_its_side_is_turned_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], turns: int
) -> None:
    """The track header's matrix (a, b, c, d) maps (x, y) to (a x + c y, b x + d y), y downwards.

    So (0, 1, -1, 0) sends right to down: a quarter turn clockwise, numpy's rot90 with k = -1.
    """

    def header(a: int, b: int, c: int, d: int) -> bytes:
        return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)

    frames = np.zeros((2, 32, 64, 3), np.uint8)
    frames[:, :16, :32] = 220  # the top left corner is light
    data = encode_video(frames, crf=1)
    place = data.index(header(1, 0, 0, 1), data.index(b"tkhd"))
    turned = data[:place] + header(*matrix) + data[place + 36 :]
    back = read_video(write(tmp_path / "a.mp4", turned), frames=2)
    expected = np.rot90(frames, turns, axes=(1, 2))
    assert back.shape == expected.shape
    assert np.abs(back.astype(int) - expected).mean() < 4


# Reading: bad files


def sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    return path


def picture(path: Path) -> Path:
    data = io.BytesIO()
    Image.new("RGB", (64, 64)).save(data, "PNG")
    return write(path, data.getvalue())


def test_files_that_are_no_video_are_refused_by_name(tmp_path: Path) -> None:
    cases = {
        tmp_path / "absent.mp4": "no such file",
        tmp_path: "not a video",
        write(tmp_path / "empty.mp4", b""): "not a video",
        write(tmp_path / "text.mp4", b"this is no video\n" * 100): "not a video",
        picture(tmp_path / "png.mp4"): r"is a picture \(png\), not a video",
        sound(tmp_path / "sound.mp4"): "no video stream, only audio",
    }
    for path, says in cases.items():
        with pytest.raises(InputError, match=says) as caught:
            read_video(path)
        assert str(path) in str(caught.value)


def test_what_a_file_says_of_its_video(tmp_path: Path) -> None:
    """12 frames at 6 a second are 2 s."""
    write_video(tmp_path / "a.mp4", np.zeros((12, 18, 32, 3), np.uint8), fps=6)
    assert video_facts(tmp_path / "a.mp4") == VideoFacts(18, 32, 6.0, 2.0, "h264")
    with pytest.raises(InputError, match="no such file"):
        video_facts(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").write_bytes(b"text")
    with pytest.raises(InputError, match="not a video"):
        video_facts(tmp_path / "b.mp4")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    data = encode_video(moving_dot())
    for part in (0.3, 0.9):
        path = write(tmp_path / "cut.mp4", data[: int(len(data) * part)])
        with pytest.raises(InputError, match="cut.mp4: .*damaged"):
            read_video(path)


def test_damage_is_never_read_as_a_different_clip(tmp_path: Path) -> None:
    """Three bytes of the coded pictures are changed, 40 times: the clip is read as it was, or it is refused.

    Without err_detect=explode more than half of such files decode to visibly wrong frames and no error.
    """
    data = encode_video(moving_dot())
    whole = read_video(write(tmp_path / "whole.mp4", data))
    first, last = data.index(b"mdat") + 4, data.index(b"moov") - 4
    refused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        damaged = bytearray(data)
        for place in rng.integers(first, last, 3):
            damaged[place] ^= int(rng.integers(1, 256))
        path = write(tmp_path / "damaged.mp4", bytes(damaged))
        try:
            assert np.abs(read_video(path).astype(int) - whole).mean() < 1
        except InputError as error:
            assert "damaged" in str(error)
            refused += 1
    assert refused > 20


def test_real_clips_are_read_at_any_size(real_clips: Path) -> None:
    paths = sorted(real_clips.glob("*.mp4"))
    assert paths
    for path in paths:
        frames = read_video(path, frames=16, fps=8, size=(64, 64))
        assert frames.shape == (16, 64, 64, 3)
        assert frames.std() > 10, f"{path} came back as a flat picture"


# Pages and sheets
