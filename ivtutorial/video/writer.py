"""Video files and pictures: read, write, lay out on a sheet, embed in a page. Knows nothing of diffusion.

Everywhere here a clip is `frames`: F frames of H x W RGB pixels. The reader returns uint8 (F, H, W, 3);
writers take that, or float in [0, 1], channels last (F, H, W, 3) or first (F, 3, H, W), as a numpy array or
a torch tensor.

Files are H.264 yuv420p in BT.601, tagged as such, which every browser plays. Colour has half the resolution
in each direction; RGB -> YUV runs with accurate rounding, so that writing and reading do not darken a clip.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ivtutorial.errors import InputError
from ivtutorial.system.files import atomic_write
from ivtutorial.video.reader import ACCURATE, Frames, rate, read_video

__all__ = ["Frames", "contact_sheet", "encode_video", "html_video", "read_video", "to_uint8", "write_video"]

_BT601, _LIMITED_RANGE = 6, 1  # FFmpeg's AVCOL_SPC_SMPTE170M and AVCOL_RANGE_MPEG
_MARGIN, _INK, _PAPER = 4, (20, 20, 20), (255, 255, 255)


def encode_video(frames: Any, fps: float = 8.0, crf: int = 20) -> bytes:
    """Encodes a clip as an H.264 MP4 file in memory; the same frames give the same bytes.

    Args:
        frames: F frames, see the module's first lines; H and W even (yuv420p halves both for colour).
        fps: frames a second, 0.1 to 1000.
        crf: x264's quality from 0 (best) to 51; 20 looks like the original, 30 is small.

    Returns:
        The bytes of the file.

    Raises:
        InputError: frames that are no clip, values outside the range, odd height or width, crf out of range.
    """
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


def html_video(
    frames: Any,
    label: str,
    fps: float = 8.0,
    width: int | None = None,
    pixelated: bool = False,
    crf: int = 20,
    autoplay: bool = False,
) -> str:
    """Returns a `<video>` element that holds the clip itself, so the page needs no other file.

    Args:
        frames: F frames, see the module's first lines; H and W even.
        label: what the clip shows, in words, for those who cannot see it; any text, it is escaped.
        fps: frames a second, 0.1 to 1000.
        width: width on the page in CSS pixels, the height follows; None shows the clip in its own size.
        pixelated: enlarge with sharp pixel edges, which suits a 64 x 64 clip shown at 256.
        crf: quality, see `encode_video`.
        autoplay: start without a click (still muted).

    Returns:
        HTML text.

    Raises:
        InputError: as for `encode_video`, or an empty label.
    """
    if not label.strip():
        raise InputError("a video needs a label that says what it shows, for those who cannot see it.")
    shown = to_uint8(frames)
    data = base64.b64encode(encode_video(shown, fps, crf)).decode("ascii")
    style = "max-width:100%;height:auto" + (";image-rendering:pixelated" if pixelated else "")
    return (
        f"<video controls loop muted playsinline{' autoplay' if autoplay else ''} "
        f'aria-label="{html.escape(label)}" width="{width or shown.shape[2]}" style="{style}" '
        f'src="data:video/mp4;base64,{data}"></video>'
    )


def contact_sheet(
    clips: Sequence[Any],
    titles: Sequence[str] | None = None,
    columns: int = 6,
    frame: int | None = None,
    strip: int = 0,
    scale: int = 1,
) -> Image.Image:
    """Lays clips out on one picture, to look at many at once: one frame of each, or a film strip of each.

    Args:
        clips: N >= 1 clips, see the module's first lines; sizes may differ, cells are as large as the
            largest.
        titles: N captions printed below the cells, cut to the cell's width; None prints none.
        columns: cells in a row, >= 1.
        frame: which frame to show (may be negative); None shows the middle one, F // 2.
        strip: n >= 1 shows n evenly spread frames of each clip side by side instead, from the first to the
            last.
        scale: enlarge every pixel to scale x scale.

    Returns:
        An RGB picture.

    Raises:
        InputError: no clips, more or fewer titles than clips, or a frame that a clip does not have.

    Example:
        >>> contact_sheet([cat, dog], titles=["a cat", "a dog"], strip=4, columns=1).save("sheet.png")
    """
    if not len(clips):
        raise InputError("a contact sheet needs at least one clip, got none.")
    if titles is not None and len(titles) != len(clips):
        raise InputError(f"one title a clip: got {len(titles)} titles for {len(clips)} clips.")
    if columns < 1 or strip < 0 or scale < 1:
        raise InputError(f"need columns >= 1, strip >= 0, scale >= 1, got {columns}, {strip}, {scale}.")
    cells = [_cell(to_uint8(clip), frame, strip, scale) for clip in clips]
    return _grid(cells, list(titles or []), min(columns, len(cells)))


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


def _cell(clip: Frames, frame: int | None, strip: int, scale: int) -> Image.Image:
    count = len(clip)
    if strip:
        shown = [clip[round(k)] for k in np.linspace(0, count - 1, strip)]
    else:
        index = count // 2 if frame is None else frame
        if not -count <= index < count:
            raise InputError(f"there is no frame {index} in a clip of {count} frames.")
        shown = [clip[index]]
    picture = Image.fromarray(np.concatenate(shown, axis=1))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _grid(cells: list[Image.Image], titles: list[str], columns: int) -> Image.Image:
    font = ImageFont.load_default(size=11)
    line = 15 if titles else 0
    width = max(cell.width for cell in cells) + _MARGIN
    height = max(cell.height for cell in cells) + line + _MARGIN
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * width + _MARGIN, rows * height + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, cell in enumerate(cells):
        left, top = _MARGIN + index % columns * width, _MARGIN + index // columns * height
        sheet.paste(cell, (left, top))
        if titles:
            text = _shorten(titles[index], font, width - _MARGIN)
            draw.text((left, top + height - line - _MARGIN), text, fill=_INK, font=font)
    return sheet


def _shorten(text: str, font: Any, width: int) -> str:
    """The longest beginning of the text that fits, with an ellipsis where something is missing."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
