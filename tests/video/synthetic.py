"""Clips whose content is known."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.video.picture import ACCURATE


def numbered(count: int, height: int = 32, width: int = 32) -> np.ndarray:
    """`count` flat grey frames; frame k has the level 20 + 3 k, so a frame read back tells its number."""
    levels = 20 + 3 * np.arange(count)
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).astype(np.uint8)


def numbers(frames: np.ndarray) -> list[int]:
    return [round((float(frame.mean()) - 20) / 3) for frame in frames]


def moving_dot() -> np.ndarray:
    """16 frames of a disc crossing a colour gradient: something for the encoder to do."""
    y, x = np.mgrid[:64, :64]
    frames = [
        np.stack([3 * x + 20, 3 * y + 20, np.where((x - 10 - 2 * k) ** 2 + (y - 32) ** 2 < 90, 230, 60)], -1)
        for k in range(16)
    ]
    return np.stack(frames).astype(np.uint8)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def encode(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    container: str | None = None,
    rate: int = 8,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    **context: Any,
) -> Path:
    """Writes a clip with any codec and container that FFmpeg has.

    Args:
        path: of the file. frames: uint8 (F, H, W, 3 or 4). codec, container, pixel_format: FFmpeg's names.
        rate: frames a second. options: of the encoder. times: of each frame in units of 1 / rate, default 0, 1, ...
        context: attributes of the codec context, such as `color_trc`.
    """
    import av

    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixel_format
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
            frame = frame.reformat(format=pixel_format, interpolation=ACCURATE)
            frame.pts, frame.time_base = index if times is None else times[index], Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def quadrants(height: int = 32, width: int = 48) -> np.ndarray:
    """Four frames: red and green above, blue and white below."""
    frames = np.zeros((4, height, width, 3), np.uint8)
    frames[:, : height // 2, : width // 2] = (200, 40, 40)
    frames[:, : height // 2, width // 2 :] = (40, 180, 40)
    frames[:, height // 2 :, : width // 2] = (40, 40, 200)
    frames[:, height // 2 :, width // 2 :] = (220, 220, 220)
    return frames
