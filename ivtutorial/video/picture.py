"""From a decoded frame to an upright RGB picture with square pixels, as a player would show it.

| the file says            | what is done                                                                              |
|--------------------------|-------------------------------------------------------------------------------------------|
| YUV, any matrix or range | RGB, with accurate rounding and full chroma interpolation: FFmpeg's default is 1 to 2     |
|                          | levels of 255 too dark                                                                    |
| display matrix           | turned and mirrored, to the nearest of the eight ways that keep the edges upright         |
| pixels not square        | stretched, in the same resampling that brings the picture to its size                     |
| interlaced               | only every other line is used: the two halves of such a frame are of two moments          |
| transparent              | laid on black                                                                             |
| HDR: PQ or HLG           | light is computed (BT.2100), white at 203 cd/m^2, brighter parts are compressed smoothly  |
| BT.2020 or P3 primaries  | converted to those of BT.709; what lies outside is clipped                                |
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ivtutorial.errors import InputError

if TYPE_CHECKING:
    import av

    from ivtutorial.video.decode import Decoded

Floats = npt.NDArray[np.float32]

# swscale flags: BICUBIC | FULL_CHR_H_INT | FULL_CHR_H_INP | ACCURATE_RND | BITEXACT
ACCURATE = 0x4 | 0x2000 | 0x4000 | 0x40000 | 0x80000
# FFmpeg's numbers, which are those of ITU-T H.273.
_UNKNOWN_MATRICES = {8: "YCgCo", 11: "YDzDx", 12: "derived YUV", 13: "derived YUV", 14: "ICtCp", 15: "IPT"}
_PQ, _HLG, _GAMMA = 16, 18, 2.4
_HDR = {_PQ: "PQ", _HLG: "HLG"}
_WHITE, _PEAK, _KNEE = 203.0, 1000.0, 0.5  # cd/m^2 of white and of the brightest light; compression begins at the knee
# Linear RGB of these primaries -> linear RGB of BT.709 (both with white D65).
_FROM_BT2020 = ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730))
_FROM_P3 = ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274))
_TO_BT709 = {9: ("BT.2020", _FROM_BT2020), 11: ("P3", _FROM_P3), 12: ("P3", _FROM_P3)}


def upright(decoded: Decoded, size: tuple[int, int] | None, notes: list[str]) -> Image.Image:
    """The picture that a player would show.

    Args:
        decoded: a frame.
        size: (H, W) in pixels to scale it to, so that it just covers them, and cut in the centre; None keeps the
            file's resolution.
        notes: what was converted is added here, once.

    Raises:
        InputError: colours that cannot be converted.
    """
    frame, aspect = decoded.frame, decoded.aspect
    if frame.interlaced_frame:
        _note(notes, "interlaced: every other line is used")
        frame, aspect = _field(frame), aspect / 2
    if decoded.aspect != 1:
        _note(notes, f"pixels are {decoded.aspect.numerator}:{decoded.aspect.denominator}, made square")
    pixels = _rgb(frame, decoded.transfer, decoded.primaries, notes)
    if any(item.type.name.startswith("DOVI") for item in _side_data(frame)):
        _note(notes, "Dolby Vision's own data is left out; colours may differ")
    pixels, turned = _oriented(pixels, _matrix(frame))
    return cover(Image.fromarray(np.ascontiguousarray(pixels)), size, 1 / aspect if turned else aspect)


def cover(picture: Image.Image, size: tuple[int, int] | None, aspect: Fraction = Fraction(1)) -> Image.Image:
    """Scales a picture so that it just covers (H, W) and cuts the centre, in one resampling.

    Args:
        picture: as stored.
        size: (H, W) in pixels; None is the picture's own, with the shorter side of its pixels stretched.
        aspect: width of a stored pixel / its height.
    """
    across, down = float(max(aspect, Fraction(1))), float(max(1 / aspect, Fraction(1)))  # in square pixels
    shown_height, shown_width = picture.height * down, picture.width * across
    height, width = size or (round(shown_height), round(shown_width))
    if (picture.height, picture.width) == (height, width) and aspect == 1:
        return picture
    shrink = min(shown_width / width, shown_height / height)
    left, top = (shown_width - width * shrink) / 2, (shown_height - height * shrink) / 2
    right, bottom = min(left + width * shrink, shown_width), min(top + height * shrink, shown_height)
    box = (left / across, top / down, right / across, bottom / down)
    return picture.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _rgb(frame: av.VideoFrame, transfer: int, primaries: int, notes: list[str]) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3), BT.709."""
    matrix = int(frame.colorspace)
    if matrix in _UNKNOWN_MATRICES:
        raise InputError(f"its colours are stored as {_UNKNOWN_MATRICES[matrix]}; convert it to BT.709 first.")
    deep = transfer in _HDR or primaries in _TO_BT709
    has_alpha = frame.format.has_palette or any(part.is_alpha for part in frame.format.components)
    kind = {(False, False): "rgb24", (False, True): "rgba", (True, False): "rgb48le", (True, True): "rgba64le"}
    pixels: Any = frame.to_ndarray(format=kind[deep, has_alpha], interpolation=ACCURATE)
    if not deep and not has_alpha:
        return np.asarray(pixels, np.uint8)
    most = float(np.iinfo(pixels.dtype).max)
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    if deep:
        _note(notes, f"HDR ({_HDR[transfer]}) tone-mapped" if transfer in _HDR else _wide(primaries))
        colours = _to_bt709(colours.astype(np.float32) / most, transfer, primaries) * 255
    if has_alpha and alpha.min() < most:
        _note(notes, "transparent parts laid on black")
        colours = colours * (alpha / most)
    return np.asarray(np.rint(colours), np.uint8)


def _wide(primaries: int) -> str:
    return f"{_TO_BT709[primaries][0]} colours converted to BT.709"


def _to_bt709(colours: Floats, transfer: int, primaries: int) -> Floats:
    """Values in [0, 1] under any curve and primaries -> values in [0, 1] as BT.709 displays expect them."""
    if transfer == _PQ:
        light = _compress(_light_of_pq(colours) / _WHITE)
    elif transfer == _HLG:
        light = _compress(_light_of_hlg(colours) / _WHITE)
    else:
        light = colours**_GAMMA
    if primaries in _TO_BT709:
        light = light @ np.array(_TO_BT709[primaries][1], np.float32).T
    return np.asarray(light.clip(0, 1) ** (1 / _GAMMA), np.float32)


def _light_of_pq(values: Floats) -> Floats:
    """The PQ curve (BT.2100): values in [0, 1] -> light in cd/m^2, at most 10000."""
    power = values ** (1 / 78.84375)
    ratio = (power - 0.8359375).clip(0) / (18.8515625 - 18.6875 * power)
    return np.asarray(10000 * ratio ** (1 / 0.1593017578125), np.float32)


def _light_of_hlg(values: Floats) -> Floats:
    """The HLG curve (BT.2100) on a display of 1000 cd/m^2: values in [0, 1] -> light in cd/m^2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    brightness = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    return np.asarray(_PEAK * brightness[..., None] ** 0.2 * scene, np.float32)


def _compress(light: Floats) -> Floats:
    """Light with white at 1 -> light of at most 1: equal below the knee, a smooth curve above; hues stay.

    The curve is (x + a) / (x + b) times a constant, with value and slope of the identity at the knee k and value 1 at
    the peak p.
    """
    k, p = _KNEE, _PEAK / _WHITE
    a = -(k**2) * (p - 1) / (k**2 - 2 * k + p)
    b = (k**2 - 2 * k * p + p) / (p - 1)
    most = light.max(axis=-1, keepdims=True).clip(1e-6, p)
    above = (b**2 + 2 * b * k + k**2) / (b - a) * (most + a) / (most + b)
    return np.asarray(light.clip(0, p) * np.where(most > k, above / most, 1), np.float32)


def _field(frame: av.VideoFrame) -> av.VideoFrame:
    """The even lines of a frame, chroma too; half as high."""
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(frame.time_base or 1)
    )
    field, sink = graph.add("field", "type=top"), graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()
    source.push(frame)
    result: Any = sink.pull()
    return result


def _side_data(frame: av.VideoFrame) -> list[Any]:
    """What the file adds to a frame, by position: iterating gives the items before PyAV 19, and their kinds since."""
    items: Any = frame.side_data
    return [items[k] for k in range(len(items))]


def _matrix(frame: av.VideoFrame) -> Sequence[int]:
    """(a, b, c, d) of the display matrix, which maps (x, y) to (a x + c y, b x + d y), y downwards."""
    for item in _side_data(frame):
        if item.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack("=9i", bytes(item))
            return a, b, c, d
    return 1, 0, 0, 1


def _oriented(pixels: npt.NDArray[np.uint8], matrix: Sequence[int]) -> tuple[npt.NDArray[np.uint8], bool]:
    """Turns and mirrors (H, W, 3) as a display matrix says; also whether height and width have changed places."""
    a, b, c, d = matrix
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    if turned:
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1], turned


def _note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)
