"""Drawing: anti-aliased shapes from signed distances, all frames of a clip at once.

A shape is given by its signed distance in pixels: negative inside, positive outside. Its coverage of a pixel is
``clip(0.5 - distance, 0, 1)``, which is the exact area for a straight edge crossing the pixel squarely and close to
it otherwise, so nothing has to be drawn larger and shrunk. Every number may be a scalar or one value per frame,
shape (F,); that is how things move.

Coordinates of a subject (the *pen's* units): x to the right, y up, the ground at y = 0, the subject facing right
within x in [-1, 1] and y in [0, 1.6]. :class:`Placement` puts that box into the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Drawings mix scalars and per-frame arrays of either precision; what is painted on is float32.
Array = NDArray[np.floating[Any]]
Number = float | Array  # a scalar, or one value per frame with shape (F,)
Colour = tuple[float, float, float]  # red, green, blue in [0, 1]


def per_frame(value: Number) -> Array:
    """Shape a scalar or (F,) array for broadcasting over pixels: (1, 1, 1) or (F, 1, 1)."""
    return np.asarray(value, dtype=np.float32).reshape(-1, 1, 1)


def mix(a: Colour, b: Colour, amount: float) -> Colour:
    """Blend two colours; ``amount`` 0 gives ``a``, 1 gives ``b``."""
    return (
        a[0] + (b[0] - a[0]) * amount,
        a[1] + (b[1] - a[1]) * amount,
        a[2] + (b[2] - a[2]) * amount,
    )


@dataclass(frozen=True)
class Placement:
    """Where a subject's box lies in the picture, per frame.

    Attributes:
        x, y: pixel position of the point (0, 0) of the box (on the ground, under the middle); scalar or (F,).
        scale: pixels per unit; scalar or (F,).
        facing: +1 to face right, -1 to face left.
        tilt: rotation in radians about the point (0, pivot), positive lifts the head; scalar or (F,).
        pivot: height of that point in units.
    """

    x: Number
    y: Number
    scale: Number
    facing: float = 1.0
    tilt: Number = 0.0
    pivot: float = 0.5


@dataclass(frozen=True)
class Coverage:
    """How much of each pixel a shape covers: ``alpha`` (F, h, w) in [0, 1], within a box of the picture."""

    top: int
    left: int
    alpha: Array

    @property
    def bottom(self) -> int:
        """The first row below the box."""
        return self.top + self.alpha.shape[1]

    @property
    def right(self) -> int:
        """The first column to the right of the box."""
        return self.left + self.alpha.shape[2]


class Pen:
    """Paints shapes, in a subject's own units, onto the frames of a clip.

    Every drawing method paints at once, over what is there, and returns the :class:`Coverage` of what it painted.
    ``inside=coverage`` confines a shape to an earlier one (stripes on a body); ``opacity`` lets what is below show.

    Args:
        frames: float32 (F, H, W, 3) in [0, 1], painted in place.
        place: where the subject's box lies.
    """

    def __init__(self, frames: Array, place: Placement) -> None:
        self.frames = frames
        self.count, self.height, self.width = frames.shape[:3]
        self._x, self._y, self._scale = per_frame(place.x), per_frame(place.y), per_frame(place.scale)
        self._facing, self._pivot = place.facing, place.pivot
        tilt = per_frame(place.tilt)
        self._cos, self._sin = np.cos(tilt), np.sin(tilt)

    def at(self, x: Number, y: Number) -> tuple[Array, Array]:
        """Pixel position of a point given in units, each (F, 1, 1) or (1, 1, 1)."""
        u, v = per_frame(x), per_frame(y) - self._pivot
        turned_u, turned_v = u * self._cos - v * self._sin, u * self._sin + v * self._cos + self._pivot
        return self._x + self._facing * self._scale * turned_u, self._y - self._scale * turned_v

    def ellipse(
        self, x: Number, y: Number, rx: Number, ry: Number, colour: Colour, angle: Number = 0.0,
        inside: Coverage | None = None, opacity: float = 1.0,
    ) -> Coverage:  # fmt: skip
        """An ellipse with centre (x, y) and half-axes rx, ry, turned by ``angle`` radians (anticlockwise)."""
        px, py = self.at(x, y)
        a, b = per_frame(rx) * self._scale, per_frame(ry) * self._scale
        # The pen's axes in the picture: x may be mirrored, y points down.
        turn = per_frame(angle)
        cos = np.cos(turn) * self._cos - np.sin(turn) * self._sin
        sin = np.sin(turn) * self._cos + np.cos(turn) * self._sin
        reach = np.maximum(a, b)
        box = self._box(px, py, reach)
        if box is None:
            return _nothing(self.count)
        ys, xs = self._grid(box)
        dx, dy = (xs - px) * self._facing, py - ys
        u, v = dx * cos + dy * sin, -dx * sin + dy * cos
        a, b = np.maximum(a, 0.3), np.maximum(b, 0.3)
        u, v = u / a, v / b
        k0 = np.sqrt(u * u + v * v)
        k1 = np.sqrt((u / a) ** 2 + (v / b) ** 2)
        distance = k0 * (k0 - 1.0) / np.maximum(k1, 1e-6)
        # At the very centre the estimate is 0/0; the true distance there is minus the smaller half-axis.
        distance = np.where(k0 < 1e-3, -np.minimum(a, b), distance)
        return self._paint(box, distance, colour, inside, opacity)

    def circle(
        self, x: Number, y: Number, r: Number, colour: Colour, inside: Coverage | None = None, opacity: float = 1.0
    ) -> Coverage:
        """A disc with centre (x, y) and radius r."""
        return self.capsule(x, y, x, y, r, colour, inside=inside, opacity=opacity)

    def capsule(
        self, x0: Number, y0: Number, x1: Number, y1: Number, r0: Number, colour: Colour, r1: Number | None = None,
        inside: Coverage | None = None, opacity: float = 1.0,
    ) -> Coverage:  # fmt: skip
        """A thick line with round ends from (x0, y0) to (x1, y1); its half-width goes from r0 to r1 (default r0)."""
        ax, ay = self.at(x0, y0)
        bx, by = self.at(x1, y1)
        ra = per_frame(r0) * self._scale
        rb = ra if r1 is None else per_frame(r1) * self._scale
        half = np.hypot(bx - ax, by - ay) / 2 + np.maximum(ra, rb)
        box = self._box((ax + bx) / 2, (ay + by) / 2, half)
        if box is None:
            return _nothing(self.count)
        ys, xs = self._grid(box)
        dx, dy = bx - ax, by - ay
        along = np.clip(((xs - ax) * dx + (ys - ay) * dy) / np.maximum(dx * dx + dy * dy, 1e-6), 0.0, 1.0)
        distance = np.hypot(xs - ax - along * dx, ys - ay - along * dy) - (ra + (rb - ra) * along)
        return self._paint(box, distance, colour, inside, opacity)

    def polygon(
        self, points: Sequence[tuple[Number, Number]], colour: Colour, inside: Coverage | None = None,
        opacity: float = 1.0, round_by: float = 0.0,
    ) -> Coverage:  # fmt: skip
        """A filled polygon (any simple one), its corners rounded outward by ``round_by`` units."""
        corners = [self.at(x, y) for x, y in points]
        xs_all = np.concatenate([np.broadcast_to(px, (self.count, 1, 1)) for px, _ in corners], axis=1)
        ys_all = np.concatenate([np.broadcast_to(py, (self.count, 1, 1)) for _, py in corners], axis=1)
        cx, cy = xs_all.mean(1, keepdims=True), ys_all.mean(1, keepdims=True)
        grow = round_by * self._scale
        reach = np.hypot(xs_all - cx, ys_all - cy).max(1, keepdims=True) + grow
        box = self._box(cx, cy, reach)
        if box is None:
            return _nothing(self.count)
        ys, xs = self._grid(box)
        best: Array | None = None
        inside_sign: Array | None = None
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1]):
            dx, dy = bx - ax, by - ay
            ux, uy = xs - ax, ys - ay
            along = np.clip((ux * dx + uy * dy) / np.maximum(dx * dx + dy * dy, 1e-6), 0.0, 1.0)
            square = (ux - along * dx) ** 2 + (uy - along * dy) ** 2
            best = square if best is None else np.minimum(best, square)
            # Even-odd rule: an edge crossed by the ray to the right of the pixel flips inside and outside.
            crosses = ((ay > ys) != (by > ys)) & (ux < dx * uy / np.where(np.abs(dy) < 1e-6, 1e-6, dy))
            inside_sign = crosses if inside_sign is None else inside_sign ^ crosses
        assert best is not None and inside_sign is not None
        distance = np.sqrt(best) * np.where(inside_sign, -1.0, 1.0) - grow
        return self._paint(box, distance.astype(np.float32), colour, inside, opacity)

    def curve(
        self, points: Sequence[tuple[Number, Number]], r0: float, colour: Colour, r1: float | None = None,
        inside: Coverage | None = None,
    ) -> None:  # fmt: skip
        """A thick line through several points (a tail, a neck, a snake), tapering from r0 to r1."""
        r1 = r0 if r1 is None else r1
        steps = len(points) - 1
        for i, ((xa, ya), (xb, yb)) in enumerate(zip(points, points[1:])):
            ra, rb = r0 + (r1 - r0) * i / steps, r0 + (r1 - r0) * (i + 1) / steps
            self.capsule(xa, ya, xb, yb, ra, colour, rb, inside=inside)

    def leg(
        self, x: float, y: float, phase: Array, swing: Number, r: float, colour: Colour, foot: Colour | None = None,
        r1: float | None = None, bend: float = 0.12, foot_size: float = 0.0, lean: float = 0.0,
    ) -> None:  # fmt: skip
        """A walking leg from the hip (x, y) to the ground: two segments, the foot swinging and lifting with ``phase``.

        Args:
            x: of the hip.
            y: of the hip.
            colour: of the leg.
            foot: colour of the foot, that of the leg by default.
            phase: (F,) radians; legs that step together share it, opposite legs differ by pi.
            swing: how far the foot goes forward and back, in units; 0 stands still. Scalar or (F,).
            r: half-width at the hip.
            r1: half-width at the foot, three quarters of r by default.
            bend: how far the knee goes back (negative: forward) at mid-step.
            foot_size: length of a foot pointing forward; 0 for none.
            lean: how far the foot stands before (after, if negative) the hip.
        """
        swing = np.asarray(swing, np.float32)
        r1 = r * 0.75 if r1 is None else r1
        foot_x = x + lean + swing * np.sin(phase)
        foot_y = r1 + np.maximum(np.cos(phase), 0.0) * swing * 0.55
        knee_x = (x + foot_x) / 2 - bend * np.minimum(np.abs(swing) * 3, 1.0)
        knee_y = (y + foot_y) / 2 + 0.02
        self.capsule(x, y, knee_x, knee_y, r, colour, (r + r1) / 2)
        self.capsule(knee_x, knee_y, foot_x, foot_y, (r + r1) / 2, colour, r1)
        if foot_size > 0 or foot is not None:
            self.capsule(foot_x, foot_y, foot_x + foot_size, foot_y, r1, foot or colour)

    def eye(self, x: Number, y: Number, r: float = 0.06, white: bool = True) -> None:
        """An eye looking ahead: a white disc with a dark pupil, or only the dark disc."""
        if white:
            self.circle(x, y, r, (0.97, 0.97, 0.97))
        self.circle(np.asarray(x) + (0.25 * r if white else 0.0), y, r * (0.62 if white else 1.0), (0.05, 0.05, 0.08))

    def _box(self, x: Array, y: Array, reach: Array) -> tuple[int, int, int, int] | None:
        """The part of the picture (top, bottom, left, right) that a shape can touch in any frame."""
        top = max(int(np.floor((y - reach).min())) - 1, 0)
        bottom = min(int(np.ceil((y + reach).max())) + 2, self.height)
        left = max(int(np.floor((x - reach).min())) - 1, 0)
        right = min(int(np.ceil((x + reach).max())) + 2, self.width)
        return (top, bottom, left, right) if top < bottom and left < right else None

    def _grid(self, box: tuple[int, int, int, int]) -> tuple[Array, Array]:
        top, bottom, left, right = box
        ys = np.arange(top, bottom, dtype=np.float32)[None, :, None] + 0.5
        xs = np.arange(left, right, dtype=np.float32)[None, None, :] + 0.5
        return ys, xs

    def _paint(
        self, box: tuple[int, int, int, int], distance: Array, colour: Colour, inside: Coverage | None, opacity: float
    ) -> Coverage:
        top, bottom, left, right = box
        alpha = np.clip(0.5 - distance, 0.0, 1.0).astype(np.float32)
        alpha = np.broadcast_to(alpha, (self.count, bottom - top, right - left))
        if inside is not None:
            alpha = alpha * _crop(inside, box)
        coverage = Coverage(top, left, alpha)
        weight = (alpha * opacity)[..., None] if opacity != 1.0 else alpha[..., None]
        region = self.frames[:, top:bottom, left:right]
        region += weight * (np.asarray(colour, np.float32) - region)
        return coverage


def union(*parts: Coverage) -> Coverage:
    """The coverage of several shapes together, to confine a pattern to all of them."""
    parts = tuple(p for p in parts if p.alpha.size) or parts[:1]
    top, left = min(p.top for p in parts), min(p.left for p in parts)
    bottom, right = max(p.bottom for p in parts), max(p.right for p in parts)
    alpha = np.zeros((parts[0].alpha.shape[0], bottom - top, right - left), np.float32)
    for p in parts:
        view = alpha[:, p.top - top : p.bottom - top, p.left - left : p.right - left]
        np.maximum(view, p.alpha, out=view)
    return Coverage(top, left, alpha)


def _crop(coverage: Coverage, box: tuple[int, int, int, int]) -> Array:
    """The coverage within another box, zero where it says nothing."""
    top, bottom, left, right = box
    out = np.zeros((coverage.alpha.shape[0], bottom - top, right - left), np.float32)
    t, b = max(top, coverage.top), min(bottom, coverage.bottom)
    lo, hi = max(left, coverage.left), min(right, coverage.right)
    if t < b and lo < hi:
        source = coverage.alpha[:, t - coverage.top : b - coverage.top, lo - coverage.left : hi - coverage.left]
        out[:, t - top : b - top, lo - left : hi - left] = source
    return out


def _nothing(count: int) -> Coverage:
    return Coverage(0, 0, np.zeros((count, 0, 0), np.float32))
