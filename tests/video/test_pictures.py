"""A picture is what a player shows: upright, its pixels square, its colours those of an ordinary display."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.video.reader import read_video, read_video_with_notes
from ivtutorial.video.writer import encode_video
from tests.video.synthetic import encode, quadrants, write

# Orientation and shape


def with_matrix(data: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """An MP4 file with another matrix in its track header: (x, y) goes to (a x + c y, b x + d y), y downwards."""

    def header(a: int, b: int, c: int, d: int) -> bytes:
        return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)

    place = data.index(header(1, 0, 0, 1), data.index(b"tkhd"))
    return data[:place] + header(a, b, c, d) + data[place + 36 :]


@pytest.mark.parametrize("a", [-1, 1])
@pytest.mark.parametrize("d", [-1, 1])
@pytest.mark.parametrize("turned", [False, True])
def test_all_eight_orientations(tmp_path: Path, a: int, d: int, turned: bool) -> None:
    """The picture as numpy makes it: pixel (x, y) lands where the matrix sends it."""
    frames = quadrants()
    matrix = (0, a, d, 0) if turned else (a, 0, 0, d)
    path = write(tmp_path / "a.mp4", with_matrix(encode_video(frames, crf=1), *matrix))
    height, width = frames.shape[1:3]
    y, x = np.mgrid[:height, :width]
    new_x, new_y = matrix[0] * x + matrix[2] * y, matrix[1] * x + matrix[3] * y
    new_x, new_y = new_x - new_x.min(), new_y - new_y.min()
    expected = np.zeros((new_y.max() + 1, new_x.max() + 1, 3), np.uint8)
    expected[new_y, new_x] = frames[0]
    back = read_video(path, 2)
    assert back.shape[1:] == expected.shape
    assert np.abs(back[0].astype(int) - expected).mean() < 4


@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, 1)])
@pytest.mark.parametrize("shape", [(2, 1), (1, 2), (4, 3)])
def test_pixels_become_square(tmp_path: Path, shape: tuple[int, int], matrix: tuple[int, int, int, int]) -> None:
    """Stored 48 x 32 with pixels 2:1 is shown as 96 x 32; the quadrants keep their halves, turned and mirrored too."""
    path = encode(tmp_path / "a.mp4", quadrants(), options={"crf": "1"}, sample_aspect_ratio=Fraction(*shape))
    write(path, with_matrix(path.read_bytes(), *matrix))
    wide = shape[0] / shape[1]
    height, width = (32, round(48 * wide)) if wide > 1 else (round(32 / wide), 48)
    if matrix[0] == 0:
        height, width = width, height
    back, notes = read_video_with_notes(path, 2)
    assert back.shape[1:3] == (height, width) and notes == [f"pixels are {shape[0]}:{shape[1]}, made square"]
    square = read_video(path, 2, size=(20, 20))
    middle = read_video(path, 2, size=(height, width))
    for picture in (square[0], middle[0]):
        h, w = picture.shape[:2]
        corners = {
            tuple(np.rint(picture[y, x] / 20).astype(int)) for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)
        }
        assert len(corners) == 4


def test_odd_sizes(tmp_path: Path) -> None:
    frames = np.repeat(np.arange(33, dtype=np.uint8)[None, :, None, None] * 7, 31, axis=2).repeat(3, axis=3)
    path = encode(tmp_path / "a.mkv", frames.repeat(2, axis=0), "ffv1", pixel_format="bgr0")
    assert np.array_equal(read_video(path, 2), frames.repeat(2, axis=0))


def test_an_interlaced_frame_is_one_moment(tmp_path: Path) -> None:
    """Odd lines show a bar 12 pixels further to the right: together its edges are combs, alone they are straight."""
    frames = np.full((4, 64, 96, 3), 20, np.uint8)
    frames[:, 0::2, 20:50] = 220
    frames[:, 1::2, 32:62] = 220
    path = encode(tmp_path / "a.mp4", frames, options={"crf": "1", "x264-params": "tff=1"})
    back, notes = read_video_with_notes(path, 2)
    assert back.shape == (2, 64, 96, 3) and notes == ["interlaced: every other line is used"]
    lit = back[0, 4:-4, :, 0] > 120
    assert (lit == lit[0]).all() and 28 <= lit[0].sum() <= 32


# Colours

COLOURS = np.array([(200, 40, 40), (40, 180, 40), (40, 40, 200), (128, 128, 128), (235, 235, 235), (16, 16, 16)])


def patches() -> np.ndarray:
    return np.broadcast_to(np.repeat(COLOURS, 8, axis=0)[None, None], (3, 16, 48, 3)).astype(np.uint8)


def middles(frames: np.ndarray) -> np.ndarray:
    return frames[0, 8, 4::8].astype(int)


@pytest.mark.parametrize("matrix", [1, 5, 6, 9])  # BT.709, BT.470BG, BT.601, BT.2020
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_matrices_ranges_and_depths(tmp_path: Path, matrix: int, full: bool, kind: str) -> None:
    """The encoder's YUV is made here by the matrix's own constants, K_r and K_b of ITU-T H.273."""
    import av

    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    rgb = patches()[0] / 255
    luma = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    planes = [luma, (rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)]
    bits = 10 if "10" in kind else 8
    step, most = 2 ** (bits - 8), 2**bits - 1
    scaled = [planes[0] * (most if full else 219 * step) + (0 if full else 16 * step)]
    scaled += [plane * (most if full else 224 * step) + 128 * step for plane in planes[1:]]
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = 16, 48, kind
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1
        for index in range(3):
            frame = av.VideoFrame(48, 16, kind)
            frame.colorspace, frame.color_range, frame.pts = matrix, 2 if full else 1, index
            for plane, values in zip(frame.planes, scaled, strict=True):
                stride = 48 // plane.width
                part = np.ascontiguousarray(np.rint(values[::stride, ::stride])).astype(
                    np.uint8 if bits == 8 else "<u2"
                )
                rows = np.zeros((plane.height, plane.line_size), np.uint8)
                rows[:, : part.shape[1] * part.itemsize] = part.view(np.uint8).reshape(plane.height, -1)
                plane.update(rows.tobytes())
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    back = middles(read_video(tmp_path / "a.mkv", 2))
    assert np.abs(back - COLOURS).max() <= 3


def pq(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: light in cd/m^2 -> value."""
    power = (light / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(scene: np.ndarray) -> np.ndarray:
    """ARIB STD-B67: light of the scene in [0, 1] -> value."""
    curve = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), curve)


GREYS = np.array([0.0, 5.0, 20.0, 60.0, 101.5, 203.0, 600.0, 1000.0])  # cd/m^2


@pytest.mark.parametrize("curve", ["PQ", "HLG"])
def test_high_dynamic_range_is_brought_to_an_ordinary_display(tmp_path: Path, curve: str) -> None:
    """Up to half of white, 203 cd/m^2, light is kept: value (L / 203)^(1 / 2.4). Above, brightness rises up to 255."""
    values = pq(GREYS) if curve == "PQ" else hlg((GREYS / 1000) ** (1 / 1.2))
    levels = np.rint(values * 255).astype(np.uint8)
    frames = np.broadcast_to(np.repeat(levels, 8)[None, None, :, None], (3, 16, 64, 3)).astype(np.uint8)
    trc = 16 if curve == "PQ" else 18
    path = encode(tmp_path / "a.mkv", frames, "ffv1", pixel_format="yuv444p10le", color_trc=trc, color_primaries=9)
    back, notes = read_video_with_notes(path, 2)
    result = back[0, 8, 4::8].astype(int)
    assert notes == [f"HDR ({curve}) tone-mapped"]
    assert (np.diff(result[:, 0]) > 0).all() and result.max() <= 255 and np.ptp(result, axis=1).max() <= 2
    expected = 255 * (GREYS[:5] / 203) ** (1 / 2.4)
    assert np.abs(result[:5, 0] - expected).max() <= 8  # levels of 8 bits under PQ are coarse
    assert 200 <= result[5, 0] <= 240 and result[7, 0] >= 245


def test_wide_primaries_are_converted(tmp_path: Path) -> None:
    """BT.709's red is (0.627, 0.069, 0.016) in linear BT.2020 (BT.2087): read back it is red again. Greys stay."""
    red = np.rint(255 * np.array([0.6274, 0.0691, 0.0164]) ** (1 / 2.4)).astype(np.uint8)
    frames = np.zeros((3, 16, 32, 3), np.uint8) + red
    frames[:, :, 16:] = 128
    path = encode(tmp_path / "a.mkv", frames, "ffv1", pixel_format="yuv444p10le", color_primaries=9, color_trc=14)
    back, notes = read_video_with_notes(path, 2)
    assert notes == ["BT.2020 colours converted to BT.709"]
    assert np.abs(back[0, 8, 8].astype(int) - (255, 0, 0)).max() <= 30 and back[0, 8, 8, 0] > 250
    assert np.abs(back[0, 8, 24].astype(int) - 128).max() <= 2


@pytest.mark.parametrize(
    ("codec", "container", "kind", "suffix"),
    [
        ("libvpx-vp9", "webm", "yuva420p", ".webm"),
        ("libvpx", "webm", "yuva420p", ".webm"),
        ("qtrle", "mov", "argb", ".mov"),
        ("png", "mov", "rgba", ".mov"),
        ("prores_ks", "mov", "yuva444p10le", ".mov"),
        ("apng", "apng", "rgba", ".apng"),
        ("ffv1", "matroska", "bgra", ".mkv"),
    ],
)
def test_transparent_parts_are_laid_on_black(
    tmp_path: Path, codec: str, container: str, kind: str, suffix: str
) -> None:
    """The left half is opaque, the right half transparent with white below, which must not be seen."""
    frames = np.zeros((3, 32, 64, 4), np.uint8)
    frames[:, :, :32] = (200, 40, 40, 255)
    frames[:, :, 32:] = (255, 255, 255, 0)
    options: dict[str, str] = {"crf": "4", "b:v": "2M", "auto-alt-ref": "0"} if "vpx" in codec else {}
    path = encode(tmp_path / f"a{suffix}", frames, codec, container, pixel_format=kind, options=options)
    back, notes = read_video_with_notes(path, 2)
    assert notes == ["transparent parts laid on black"]
    assert back[0, 16, 48].max() <= 12 and np.abs(back[0, 16, 16].astype(int) - (200, 40, 40)).max() <= 12


def test_an_opaque_clip_with_an_alpha_channel_is_as_it_is(tmp_path: Path) -> None:
    frames = np.concatenate([quadrants(), np.full((4, 32, 48, 1), 255, np.uint8)], axis=-1)
    back, notes = read_video_with_notes(encode(tmp_path / "a.mov", frames, "qtrle", pixel_format="argb"), 2)
    assert notes == [] and np.array_equal(back[0], quadrants()[0])


def test_a_matrix_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", quadrants(), "ffv1", pixel_format="yuv444p", colorspace=14)
    with pytest.raises(InputError, match=r"a\.mkv: its colours are stored as ICtCp"):
        read_video(path, 2)


def test_the_sizes_of_a_clip_may_change_on_the_way(tmp_path: Path) -> None:
    """Two MPEG transport streams, one after the other: the first one's size is kept."""
    parts: list[Any] = []
    for k, size in enumerate(((32, 48), (64, 96))):
        path = encode(tmp_path / f"{k}.ts", quadrants(*size), container="mpegts", times=[4 * k + i for i in range(4)])
        parts.append(path.read_bytes())
    back = read_video(write(tmp_path / "a.ts", b"".join(parts)), 8)
    assert back.shape == (8, 32, 48, 3)
