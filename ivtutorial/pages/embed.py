"""Media inside a page: what it shows travels with it, so that no other file is needed."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.video.writer import encode_video, to_uint8


def data_address(data: bytes, kind: str) -> str:
    """An address that holds the data itself.

    Args:
        data: content of a file.
        kind: its media type, such as "video/mp4".

    Example:
        >>> data_address(b"abc", "text/plain")
        'data:text/plain;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def html_video(
    frames: Any,
    label: str,
    fps: float = 8.0,
    width: int | None = None,
    pixelated: bool = False,
    crf: int = 20,
    autoplay: bool = False,
) -> str:
    """A `<video>` element that holds the clip itself, so the page needs no other file.

    Args:
        frames: F frames as `ivtutorial.video.writer` takes them; H and W even.
        label: what the clip shows, in words, for those who cannot see it; any text, it is escaped.
        fps: frames a second, 0.1 to 1000.
        width: width on the page in CSS pixels, the height follows; None shows the clip in its own size.
        pixelated: enlarge with sharp pixel edges, which suits a 64 x 64 clip shown at 256.
        crf: quality, see `ivtutorial.video.writer.encode_video`.
        autoplay: start without a click (still muted).

    Returns:
        HTML text.

    Raises:
        InputError: as for `ivtutorial.video.writer.encode_video`, or an empty label.
    """
    if not label.strip():
        raise InputError("a video needs a label that says what it shows, for those who cannot see it.")
    pixels = to_uint8(frames)
    style = "max-width:100%;height:auto" + (";image-rendering:pixelated" if pixelated else "")
    return (
        f"<video controls loop muted playsinline{' autoplay' if autoplay else ''} "
        f'aria-label="{html.escape(label)}" width="{width or pixels.shape[2]}" style="{style}" '
        f'src="{data_address(encode_video(pixels, fps, crf), "video/mp4")}"></video>'
    )


def vector_picture(figure: Any, alt: str) -> str:
    """An `<img>` element that holds a matplotlib figure as SVG, sharp at every width.

    Args:
        figure: of matplotlib.
        alt: what it shows, in words.

    Returns:
        HTML text.

    Raises:
        InputError: an empty alternative text.
    """
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _image(file.getvalue(), "image/svg+xml", alt)


def picture(image: Any, alt: str, width: int | None = None, lossless: bool = False) -> str:
    """An `<img>` element that holds the picture itself, as WebP, which is smaller than PNG.

    Args:
        image: a PIL image, or a matplotlib figure (which is closed, so that it is not shown twice).
        alt: what it shows, in words.
        width: width on the page in CSS pixels; None is the picture's own. Never wider than the page.
        lossless: keep every pixel of a PIL image as it is.

    Returns:
        HTML text.

    Raises:
        InputError: an empty alternative text.
    """
    file = io.BytesIO()
    if hasattr(image, "savefig"):
        import matplotlib.pyplot as plt

        image.savefig(file, format="webp", pil_kwargs={"quality": 85})
        plt.close(image)
    else:
        image.save(file, format="webp", quality=85, lossless=lossless)
    return _image(file.getvalue(), "image/webp", alt, width)


def _image(data: bytes, kind: str, alt: str, width: int | None = None) -> str:
    if not alt.strip():
        raise InputError("a picture needs words that say what it shows, for those who cannot see it.")
    size = f"width:{width}px;" if width else ""
    style = f"{size}max-width:100%;height:auto"
    return f'<img alt="{html.escape(alt)}" style="{style}" src="{data_address(data, kind)}">'
