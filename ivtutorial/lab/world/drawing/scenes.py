"""The places where clips happen: a backdrop painted once, wider than the picture, over which the camera drifts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ivtutorial.lab.world.drawing.pen import Array, Colour, Pen, Placement

MARGIN = 8  # pixels on each side, at a picture width of 64, that a drifting camera may uncover
HORIZON = 0.64  # height of the horizon, as a fraction of the picture from the top

Paint = Callable[[Pen, np.random.Generator], None]


def _ramp(height: int, stops: list[tuple[float, Colour]]) -> Array:
    """Vertical colour gradient (height, 3) through (position in [0, 1], colour) stops."""
    at = (np.arange(height) + 0.5) / height
    xs = [s for s, _ in stops]
    return np.stack([np.interp(at, xs, [c[k] for _, c in stops]) for k in range(3)], 1).astype(np.float32)


def _pine(pen: Pen, x: float, y: float, size: float, leaves: Colour) -> None:
    pen.capsule(x, y, x, y + 0.3 * size, 0.08 * size, (0.38, 0.27, 0.18))
    pen.polygon([(x - 0.42 * size, y + 0.25 * size), (x + 0.42 * size, y + 0.25 * size), (x, y + 1.35 * size)], leaves)


def _cloud(pen: Pen, x: float, y: float, colour: Colour = (0.97, 0.98, 1.0)) -> None:
    pen.ellipse(x, y, 0.34, 0.11, colour)
    pen.ellipse(x + 0.1, y + 0.08, 0.18, 0.12, colour)


def _meadow(pen: Pen, rng: np.random.Generator) -> None:
    pen.ellipse(-0.9 + rng.uniform(-0.3, 0.3), 0.0, 0.9, 0.26, (0.50, 0.74, 0.45))
    pen.ellipse(0.9 + rng.uniform(-0.3, 0.3), 0.0, 0.8, 0.2, (0.53, 0.77, 0.47))
    pen.polygon([(-3, 0), (3, 0), (3, -2), (-3, -2)], (0.57, 0.79, 0.42))
    _cloud(pen, rng.uniform(-0.9, 0.9), rng.uniform(0.75, 0.95))
    for x in rng.uniform(-1.2, 1.2, 4):
        pen.circle(float(x), rng.uniform(-0.6, -0.4), 0.035, (0.98, 0.92, 0.45))


def _snow(pen: Pen, rng: np.random.Generator) -> None:
    pen.polygon([(-3, 0), (3, 0), (3, -2), (-3, -2)], (0.90, 0.94, 0.98))
    shift = rng.uniform(-0.3, 0.3)
    for x, h in ((-0.8 + shift, 0.55), (0.1 + shift, 0.4), (0.9 + shift, 0.6)):
        pen.polygon([(x - 0.6, 0.0), (x + 0.6, 0.0), (x, h)], (0.66, 0.74, 0.84))
        pen.polygon([(x - 0.22, h * 0.63), (x + 0.22, h * 0.63), (x, h)], (0.97, 0.98, 1.0))


def _desert(pen: Pen, rng: np.random.Generator) -> None:
    pen.ellipse(rng.uniform(-1, 1), -0.02, 1.0, 0.2, (0.87, 0.70, 0.44))
    pen.polygon([(-3, 0), (3, 0), (3, -2), (-3, -2)], (0.92, 0.77, 0.51))
    side = rng.choice([-1.0, 1.0])
    x = side * rng.uniform(0.8, 1.05)
    for dx, low, high in ((0.0, -0.1, 0.62), (0.2, 0.22, 0.42), (-0.2, 0.15, 0.36)):
        pen.capsule(x + dx, low, x + dx, high, 0.075, (0.30, 0.52, 0.30))
    pen.capsule(x - 0.2, 0.15, x + 0.2, 0.22, 0.06, (0.30, 0.52, 0.30))
    pen.circle(-x * 0.8, 0.85, 0.16, (1.0, 0.93, 0.55))


def _beach(pen: Pen, rng: np.random.Generator) -> None:
    pen.polygon([(-3, 0.05), (3, 0.05), (3, -0.22), (-3, -0.22)], (0.22, 0.55, 0.76))
    pen.polygon([(-3, -0.2), (3, -0.2), (3, -2), (-3, -2)], (0.95, 0.87, 0.66))
    pen.capsule(-3, -0.2, 3, -0.2, 0.035, (0.96, 0.98, 1.0))
    x = rng.choice([-1.0, 1.0]) * rng.uniform(0.9, 1.1)
    pen.curve([(x, -0.35), (x - 0.06, 0.2), (x * 0.92, 0.65)], 0.06, (0.55, 0.40, 0.25), 0.045)
    for angle in (0.3, 1.2, 2.0, 2.9):
        pen.capsule(x * 0.92, 0.66, x * 0.92 + 0.38 * np.cos(angle), 0.66 + 0.22 * np.sin(angle) - 0.1, 0.05,
                    (0.25, 0.58, 0.30))  # fmt: skip


def _forest(pen: Pen, rng: np.random.Generator) -> None:
    pen.polygon([(-3, 0), (3, 0), (3, -2), (-3, -2)], (0.44, 0.56, 0.33))
    for x in np.linspace(-1.35, 1.35, 6) + rng.uniform(-0.12, 0.12, 6):
        _pine(pen, float(x), rng.uniform(-0.08, 0.05), rng.uniform(0.6, 0.85), (0.13, 0.36, 0.24))


def _city(pen: Pen, rng: np.random.Generator) -> None:
    for i, x in enumerate(np.linspace(-1.3, 1.3, 6) + rng.uniform(-0.05, 0.05, 6)):
        high, shade = rng.uniform(0.35, 0.9), (0.60, 0.56, 0.60) if i % 2 else (0.70, 0.63, 0.60)
        pen.polygon([(x - 0.22, -0.02), (x + 0.22, -0.02), (x + 0.22, high), (x - 0.22, high)], shade)
        for y in np.arange(0.15, high - 0.1, 0.22):
            pen.capsule(x - 0.1, y, x + 0.1, y, 0.045, (0.93, 0.88, 0.66))
    pen.polygon([(-3, 0), (3, 0), (3, -2), (-3, -2)], (0.50, 0.50, 0.53))
    for x in np.arange(-1.5, 1.6, 0.6):
        pen.capsule(float(x), -0.55, float(x) + 0.25, -0.55, 0.03, (0.93, 0.92, 0.85))


def _night(pen: Pen, rng: np.random.Generator) -> None:
    pen.polygon([(-3, 0), (3, 0), (3, -2), (-3, -2)], (0.27, 0.37, 0.50))
    for x in rng.uniform(-1.4, 1.4, 8):
        pen.circle(float(x), rng.uniform(0.15, 1.0), 0.028, (0.96, 0.96, 0.85))
    x = rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 0.9)
    pen.circle(x, 0.78, 0.17, (0.97, 0.95, 0.80))
    pen.circle(x + 0.08, 0.82, 0.14, (0.14, 0.18, 0.41))


def _sunset(pen: Pen, rng: np.random.Generator) -> None:
    pen.circle(rng.uniform(-0.7, 0.7), 0.1, 0.3, (1.0, 0.88, 0.45))
    pen.ellipse(-0.8 + rng.uniform(-0.3, 0.3), -0.02, 0.9, 0.2, (0.45, 0.25, 0.36))
    pen.ellipse(0.8 + rng.uniform(-0.3, 0.3), -0.02, 0.8, 0.16, (0.45, 0.25, 0.36))
    pen.polygon([(-3, 0), (3, 0), (3, -2), (-3, -2)], (0.56, 0.36, 0.38))


SKIES: dict[str, list[tuple[float, Colour]]] = {
    "meadow": [(0.0, (0.55, 0.77, 0.95)), (HORIZON, (0.80, 0.91, 0.97))],
    "snow": [(0.0, (0.66, 0.79, 0.90)), (HORIZON, (0.84, 0.90, 0.95))],
    "desert": [(0.0, (0.60, 0.80, 0.92)), (HORIZON, (0.97, 0.90, 0.72))],
    "beach": [(0.0, (0.50, 0.80, 0.96)), (HORIZON, (0.84, 0.94, 0.98))],
    "forest": [(0.0, (0.62, 0.78, 0.74)), (HORIZON, (0.78, 0.87, 0.76))],
    "city": [(0.0, (0.70, 0.76, 0.84)), (HORIZON, (0.87, 0.87, 0.86))],
    "night": [(0.0, (0.11, 0.14, 0.36)), (HORIZON, (0.27, 0.33, 0.60))],
    "sunset": [(0.0, (0.50, 0.30, 0.52)), (0.35, (0.93, 0.50, 0.38)), (HORIZON, (1.0, 0.76, 0.42))],
}

_PAINT: dict[str, Paint] = {
    "meadow": _meadow, "snow": _snow, "desert": _desert, "beach": _beach,
    "forest": _forest, "city": _city, "night": _night, "sunset": _sunset,
}  # fmt: skip

SCENES = tuple(SKIES)


def backdrop(scene: str, rng: np.random.Generator, size: int) -> Array:
    """Paint a scene.

    Args:
        scene: one of :data:`SCENES`.
        rng: places clouds, trees and houses.
        size: picture height and width in pixels.

    Returns:
        float32 (size, size + 2 * margin, 3) in [0, 1], with the margin of :func:`margin` pixels on each side.
    """
    wide = size + 2 * margin(size)
    picture = np.empty((1, size, wide, 3), np.float32)
    picture[0] = _ramp(size, SKIES[scene])[:, None, :]
    place = Placement(x=wide / 2, y=HORIZON * size, scale=size * 0.4, pivot=0.0)
    _PAINT[scene](Pen(picture, place), rng)
    return picture[0]


def margin(size: int) -> int:
    """Pixels of backdrop beyond each side of a picture of this size."""
    return MARGIN * size // 64


def drift(picture: Array, shift: Array) -> Array:
    """Frames seen by a camera that moves sideways over a backdrop.

    Args:
        picture: (H, W + 2 * margin, 3) from :func:`backdrop`.
        shift: (F,) in pixels, within the margin; fractions are interpolated.

    Returns:
        float32 (F, H, W, 3).
    """
    high, wide = picture.shape[:2]
    edge = margin(high)
    width = wide - 2 * edge
    start = edge + np.clip(shift, -edge, edge - 1e-3)
    whole = np.floor(start).astype(int)
    part = (start - whole).astype(np.float32)
    out = np.empty((len(shift), high, width, 3), np.float32)
    for f, (at, w) in enumerate(zip(whole, part)):
        out[f] = (1 - w) * picture[:, at : at + width] + w * picture[:, at + 1 : at + 1 + width]
    return out
