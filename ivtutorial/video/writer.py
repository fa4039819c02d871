"""Writes video files. Knows nothing of diffusion.

Everywhere here a clip is `frames`: F frames of H x W RGB pixels. The reader returns uint8 (F, H, W, 3);
writers take that, or float in [0, 1], channels last (F, H, W, 3) or first (F, 3, H, W), as a numpy array or
a torch tensor.

Files are H.264 yuv420p in BT.601, tagged as such, which every browser plays. Colour has half the resolution
in each direction; RGB -> YUV runs with accurate rounding, so that writing and reading do not darken a clip.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.system.files import atomic_write
from ivtutorial.video.picture import ACCURATE
from ivtutorial.video.pyav import need_pyav
from ivtutorial.video.reader import Frames
from ivtutorial.video.timing import rate

_BT601, _LIMITED_RANGE = 6, 1  # FFmpeg's AVCOL_SPC_SMPTE170M and AVCOL_RANGE_MPEG


def encode_video(frames: Any, fps: float = 8.0, crf: int = 20) -> bytes:
    """Encodes a clip as an H.264 MP4 file in memory; the same frames give the same bytes.

    Args:
        frames: F frames, see the module's first lines; H and W even (yuv420p halves both for colour).
        fps: frames a second, 0.1 to 1000.
        crf: x264's quality from 0 (best) to 51; 20 looks like the original, 30 is small.

    Returns:
        The bytes of the file.

    Raises:
        InputError: frames that are no clip, values outside the range, odd height or width, crf out of range; or PyAV
            is missing.
    """
    need_pyav()
    import av

    pixels = to_uint8(frames)
    height, width = pixels.shape[1:3]
    if height % 2 or width % 2:
        raise InputError(
            f"H.264 yuv420p needs an even height and width, got {height}x{width}: crop or pad the frames by one pixel."
        )
    if not 0 <= crf <= 51 or not 0.1 <= fps <= 1000:
        raise InputError(f"need crf from 0 to 51 and fps from 0.1 to 1000, got crf={crf} and fps={fps}.")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        # One thread and no mbtree, or x264's bytes vary from run to run (mbtree's rounding depends on where
        # buffers lie). Without mbtree a given crf is larger and better; quality for size is the same.
        options = {"crf": str(crf), "preset": "medium", "threads": "1", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=rate(fps), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace = _BT601
        stream.codec_context.color_range = _LIMITED_RANGE
        for picture in pixels:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", interpolation=ACCURATE)))
        container.mux(stream.encode(None))
    return file.getvalue()


def write_video(path: str | Path, frames: Any, fps: float = 8.0, crf: int = 20) -> None:
    """Writes a clip as an H.264 yuv420p MP4 file, whole or not at all.

    Args:
        path: the file to write, usually `*.mp4`.
        frames: F frames, see the module's first lines; H and W even.
        fps: frames a second, 0.1 to 1000.
        crf: quality, see `encode_video`.

    Raises:
        InputError: as for `encode_video`, or the file cannot be written.
    """
    data = encode_video(frames, fps, crf)
    with atomic_write(path) as file:
        file.write(data)


def to_uint8(frames: Any) -> Frames:
    """Brings a clip to uint8 (F, H, W, 3).

    Args:
        frames: uint8, or float in [0, 1]; (F, H, W, 3) or (F, 3, H, W), where a shape that can be read both
            ways is taken as channels last; numpy array or torch tensor.

    Returns:
        uint8 (F, H, W, 3); floats are rounded to the nearest of 255 levels.

    Raises:
        InputError: another shape or type, no frames, NaN, or floats outside [0, 1].
    """
    if hasattr(frames, "detach"):  # a torch tensor, perhaps on a GPU, with gradient, or in a type numpy lacks
        frames = frames.detach().cpu()
        frames = frames.float() if frames.is_floating_point() else frames
    pixels = np.asarray(frames)
    if pixels.ndim != 4 or 3 not in (pixels.shape[1], pixels.shape[-1]) or 0 in pixels.shape:
        raise InputError(f"a clip has the shape (F, H, W, 3) or (F, 3, H, W), got {tuple(pixels.shape)}.")
    if pixels.shape[-1] != 3:
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise InputError(f"frames are uint8 in 0..255 or float in [0, 1], got {pixels.dtype}.")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # a NaN fails this comparison too
        raise InputError(
            f"float frames must lie in [0, 1], got values from {low:.4g} to {high:.4g}: "
            "clamp them, or if they are in [-1, 1] use (x + 1) / 2."
        )
    return np.ascontiguousarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))
