"""Contact sheets: many clips on one picture, and how a picture is saved."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ivtutorial.errors import InputError
from ivtutorial.system.files import atomic_write
from ivtutorial.video.reader import Frames
from ivtutorial.video.writer import to_uint8

_MARGIN, _INK, _PAPER = 4, (20, 20, 20), (255, 255, 255)


def contact_sheet(
    clips: Sequence[Any],
    titles: Sequence[str] | None = None,
    columns: int = 6,
    frame: int | None = None,
    strip: int = 0,
    scale: int = 1,
    lines: int = 1,
) -> Image.Image:
    """Lays clips out on one picture, to look at many at once: one frame of each, or a film strip of each.

    Args:
        clips: N >= 1 clips as `ivtutorial.video.writer` takes them; sizes may differ, cells are as large as the
            largest.
        titles: N captions printed below the cells; None prints none.
        columns: cells in a row, >= 1.
        frame: which frame to show (may be negative); None shows the middle one, F // 2.
        strip: n >= 1 shows n evenly spread frames of each clip side by side instead, from the first to the
            last.
        scale: enlarge every pixel to scale x scale.
        lines: of the cell's width that a title may take; what does not fit is cut off.

    Returns:
        An RGB picture.

    Raises:
        InputError: no clips, more or fewer titles than clips, or a frame that a clip does not have.

    Example:
        >>> contact_sheet([cat, dog], titles=["a cat", "a dog"], strip=4, columns=1).save("sheet.png")  # doctest: +SKIP
    """
    if not len(clips):
        raise InputError("a contact sheet needs at least one clip, got none.")
    if titles is not None and len(titles) != len(clips):
        raise InputError(f"one title a clip: got {len(titles)} titles for {len(clips)} clips.")
    if columns < 1 or strip < 0 or scale < 1 or lines < 1:
        raise InputError(
            f"need columns >= 1, strip >= 0, scale >= 1, lines >= 1, got {columns}, {strip}, {scale}, {lines}."
        )
    cells = [_cell(to_uint8(clip), frame, strip, scale) for clip in clips]
    return _grid(cells, list(titles or []), min(columns, len(cells)), lines)


def save_picture(path: str | Path, picture: Image.Image) -> None:
    """Write a picture as PNG, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_write(path) as file:
        picture.save(file, format="PNG")


def _cell(clip: Frames, frame: int | None, strip: int, scale: int) -> Image.Image:
    count = len(clip)
    if strip:
        pictures = [clip[round(k)] for k in np.linspace(0, count - 1, strip)]
    else:
        index = count // 2 if frame is None else frame
        if not -count <= index < count:
            raise InputError(f"there is no frame {index} in a clip of {count} frames.")
        pictures = [clip[index]]
    picture = Image.fromarray(np.concatenate(pictures, axis=1))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _grid(cells: list[Image.Image], titles: list[str], columns: int, lines: int) -> Image.Image:
    font = ImageFont.load_default(size=11)
    width = max(cell.width for cell in cells) + _MARGIN
    texts = [_wrap(title, font, width - _MARGIN, lines) for title in titles]
    room = 15 * max((len(text) for text in texts), default=0)
    height = max(cell.height for cell in cells) + room + _MARGIN
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * width + _MARGIN, rows * height + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, cell in enumerate(cells):
        left, top = _MARGIN + index % columns * width, _MARGIN + index // columns * height
        sheet.paste(cell, (left, top))
        for k, line in enumerate(texts[index] if texts else []):
            draw.text((left, top + height - room - _MARGIN + 15 * k), line, fill=_INK, font=font)
    return sheet


def _wrap(text: str, font: Any, width: int, lines: int) -> list[str]:
    """One to `lines` lines: as many words as fit in each, the last one shortened."""
    words, wrapped = text.split(), [""]
    while words:
        longer = f"{wrapped[-1]} {words[0]}".strip()
        if font.getlength(longer) > width and wrapped[-1]:
            if len(wrapped) == lines:
                break
            wrapped.append("")
        else:
            wrapped[-1] = longer
            words.pop(0)
    wrapped[-1] = " ".join([wrapped[-1], *words])
    return [_shorten(line, font, width) for line in wrapped]


def _shorten(text: str, font: Any, width: int) -> str:
    """The longest beginning of the text that fits, with an ellipsis where something is missing."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    # A caption of a book's length is cut as fast as any other: letter by letter it would take minutes.
    fits = bisect_right(range(len(text)), width, key=lambda count: font.getlength(text[:count] + "…"))
    return text[: max(0, fits - 1)].rstrip() + "…"
