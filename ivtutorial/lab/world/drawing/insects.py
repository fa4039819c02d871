"""Small crawlers and fliers: spider, beetle, ant, butterfly, bee, fly, snail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ivtutorial.lab.world.drawing.pen import Array, Colour, Number, Pen, union
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject

_INK: Colour = (0.10, 0.09, 0.11)
WING: Colour = (0.90, 0.96, 1.0)
SLIME: Colour = (0.90, 0.78, 0.56)
SLANT = 0.95  # of a butterfly's body, radians above the horizontal


def _step(
    pen: Pen, hip: tuple[float, float], knee: tuple[float, float], foot_x: float, phase: Array, swing: Number,
    r: float, colour: Colour,
) -> None:  # fmt: skip
    """A jointed insect leg whose foot swings and lifts; its knee is above the hip or beside it."""
    x = np.asarray(foot_x + swing * np.sin(phase), np.float32)
    y = np.asarray(r + 0.8 * swing * np.maximum(np.cos(phase), 0.0), np.float32)
    knee_x, knee_y = knee[0] + 0.5 * (x - foot_x), knee[1] + 0.5 * (y - r)
    pen.capsule(*hip, knee_x, knee_y, r, colour)
    pen.capsule(knee_x, knee_y, x, y, r, colour, 0.7 * r)


def draw_spider(pen: Pen, p: Pose, c: Palette) -> None:
    """Eight long legs in nested arches around a round body; small head with two eyes."""
    s = 0.18 * p.stride
    arches = ((0.62, 1.32, 0.94), (0.64, 0.98, 0.76), (0.56, 0.7, 0.55), (0.4, 0.42, 0.32))
    for i, (knee_x, knee_y, foot_x) in enumerate(arches):
        colour = c.main if i % 2 == 0 else c.far
        for side in (-1, 1):
            phase = p.phase + np.pi * (i + (side > 0))
            _step(pen, (side * 0.1, 0.58), (side * knee_x, knee_y), side * foot_x, phase, s, 0.05, colour)
    pen.circle(-0.1, 0.66, 0.41, c.main)
    pen.circle(0.28, 0.5, 0.2, c.main)
    pen.eye(0.26, 0.58, 0.09)
    pen.eye(0.43, 0.55, 0.08)


def draw_beetle(pen: Pen, p: Pose, c: Palette) -> None:
    """A shiny dome split by a dark seam, dark spots, a dark head and six short legs."""
    s = 0.24 * p.stride
    for i, x in enumerate((-0.55, -0.05, 0.45)):
        for far in (1, 0):
            phase = p.phase + np.pi * (i + far)
            foot_x, foot_y = (
                x + 0.2 * far - 0.06 + s * np.sin(phase),
                0.06 + 0.7 * s * np.maximum(np.cos(phase), 0.0),
            )
            pen.capsule(x + 0.08 * far, 0.4, foot_x, foot_y, 0.065, _INK)
    pen.curve([(0.7, 0.75), (0.82, 1.08), (0.97, 1.14 + 0.08 * p.wave)], 0.04, _INK)
    pen.circle(0.66, 0.58, 0.28, _INK)
    pen.circle(0.8, 0.66, 0.09, (0.97, 0.97, 0.97))
    lid = pen.polygon([(-1.0, 0.28), (1.0, 0.28), (1.0, 1.4), (-1.0, 1.4)], c.main, opacity=0.0)
    dome = pen.ellipse(-0.14, 0.42, 0.82, 0.82, c.main, inside=lid)
    pen.ellipse(-0.3, 1.1, 0.24, 0.07, c.light, 0.1, inside=dome)
    pen.curve([(0.62, 0.95), (0.2, 0.9), (-0.35, 0.85), (-0.95, 0.7)], 0.045, _INK, inside=dome)
    for x, y in ((-0.52, 0.5), (0.02, 0.55), (0.14, 1.1)):
        pen.circle(x, y, 0.13, c.dark, inside=dome)


def draw_ant(pen: Pen, p: Pose, c: Palette) -> None:
    """Three balls joined by a thin waist, six thin jointed legs and bent antennae."""
    s = 0.24 * p.stride
    for i, (x, knee_x, foot_x) in enumerate(((-0.1, -0.35, -0.55), (0.02, 0.0, 0.05), (0.12, 0.35, 0.6))):
        for far in (1, 0):
            phase = p.phase + np.pi * (i + far)
            shift = 0.12 * far
            colour = c.far if far else c.main
            _step(pen, (x, 0.5), (knee_x + shift, 0.56 - 0.1 * (i == 1)), foot_x + shift, phase, s, 0.04, colour)
    pen.capsule(-0.4, 0.55, 0.5, 0.6, 0.05, c.main)
    pen.ellipse(-0.6, 0.62, 0.38, 0.29, c.main, -0.15)
    pen.circle(0.02, 0.57, 0.18, c.main)
    pen.circle(0.56, 0.72, 0.26, c.main)
    pen.curve([(0.62, 0.9), (0.7, 1.2), (0.95, 1.15 + 0.1 * p.wave)], 0.04, c.main)
    pen.curve([(0.5, 0.9), (0.48, 1.22), (0.7, 1.35 + 0.1 * p.wave)], 0.04, c.far)
    pen.eye(0.64, 0.77, 0.09)


def _wing(pen: Pen, put: Callable[[float, float], tuple[Number, Number]], fold: Array, side: int, c: Palette) -> None:
    """The fore and hind wing on one side of a butterfly, dark-edged, in the body's own axes (see ``put``)."""
    back = [(-0.02, 0.05), (-0.52, 0.15), (-0.52, 0.55), (-0.15, 0.62)]
    fore = [(0.0, 0.05), (0.25, 0.1), (0.6, 0.8), (0.05, 0.76)]
    shapes = [[put(u, v * side) for u, v in wing] for wing in (back, fore)]
    wings = union(*(pen.polygon(shape, c.dark, round_by=0.13) for shape in shapes))
    pen.ellipse(*put(-0.3, 0.34 * side), 0.29, 0.33 * fold, c.main, SLANT, inside=wings)
    pen.ellipse(*put(0.24, 0.46 * side), 0.26, 0.44 * fold, c.main, SLANT - 0.25 * side, inside=wings)
    pen.circle(*put(0.32, 0.62 * side), 0.08, c.light)


def draw_butterfly(pen: Pen, p: Pose, c: Palette) -> None:
    """Four broad wings with dark edges about a slim slanted body; the wings fold and open."""
    ux, uy = 0.92 * np.cos(SLANT), 0.92 * np.sin(SLANT)
    fold = 0.68 + 0.32 * p.flap

    def put(along: float, across: float) -> tuple[Number, Number]:
        return -0.05 + along * ux - across * fold * uy, 0.74 + along * uy + across * fold * ux

    _wing(pen, put, fold, 1, c)
    _wing(pen, put, fold, -1, c)
    for side in (1, -1):
        pen.curve([put(0.3, 0.0), put(0.75, 0.14 * side)], 0.035, _INK)
    pen.capsule(*put(-0.45, 0.0), *put(0.32, 0.0), 0.07, _INK, 0.1)


def draw_bee(pen: Pen, p: Pose, c: Palette) -> None:
    """A plump round body with broad dark stripes, two pale wings and a sting."""
    pen.ellipse(0.02, 1.18 + 0.1 * p.flap, 0.18, 0.34, (0.75, 0.85, 0.93), -0.25 + 0.7 * p.flap)
    pen.polygon([(-0.75, 0.66), (-0.98, 0.58), (-0.75, 0.5)], _INK)
    for x in (-0.25, 0.0, 0.25):
        pen.capsule(x, 0.3, x - 0.06 - 0.08 * p.stride * np.sin(p.phase), 0.08, 0.04, _INK)
    body = pen.ellipse(-0.2, 0.58, 0.66, 0.47, c.main)
    for x in (-0.58, -0.24, 0.1):
        pen.capsule(x, 0.0, x, 1.2, 0.065, _INK, inside=body)
    pen.circle(0.52, 0.62, 0.34, c.main)
    pen.curve([(0.55, 0.85), (0.66, 1.12), (0.84, 1.14 + 0.05 * p.wave)], 0.035, _INK)
    pen.eye(0.64, 0.68, 0.1)
    pen.ellipse(-0.2, 1.18 + 0.1 * p.flap, 0.2, 0.37, WING, 0.3 + 0.7 * p.flap, opacity=0.9)


def draw_fly(pen: Pen, p: Pose, c: Palette) -> None:
    """A huge red eye, a stout body, glassy wings swept back and dangling legs."""
    pen.ellipse(-0.35, 1.02 + 0.2 * p.flap, 0.55, 0.17, WING, -0.6 - 0.4 * p.flap, opacity=0.75)
    for x in (-0.2, 0.08, 0.3):
        sway = 0.1 * p.stride * np.sin(p.phase)
        pen.curve([(x, 0.4), (x + 0.12, 0.2), (x - 0.02 + sway, 0.04)], 0.035, _INK)
    pen.ellipse(-0.45, 0.52, 0.46, 0.29, c.main, 0.15)
    pen.circle(0.14, 0.64, 0.34, c.main)
    pen.circle(0.56, 0.6, 0.25, c.main)
    pen.capsule(0.68, 0.42, 0.72, 0.24, 0.06, c.dark)
    pen.ellipse(0.66, 0.7, 0.21, 0.26, (0.80, 0.10, 0.10))
    pen.circle(0.72, 0.8, 0.06, (1.0, 0.6, 0.55))
    pen.ellipse(-0.3, 0.92 + 0.12 * p.flap, 0.6, 0.2, WING, -0.25 - 0.35 * p.flap, opacity=0.6)


def draw_snail(pen: Pen, p: Pose, c: Palette) -> None:
    """A big coiled shell on a soft flat foot that stretches, with two eyes on stalks."""
    reach = 0.16 * p.stride * np.sin(p.phase)
    pen.capsule(-0.8 + reach, 0.06, 0.3, 0.15, 0.06, SLIME, 0.15)
    pen.capsule(0.2, 0.15, 0.55 + reach, 0.15, 0.15, SLIME)
    pen.capsule(0.55 + reach, 0.15, 0.66 + reach, 0.55, 0.16, SLIME, 0.17)
    for x in (0.56, 0.82):
        top = x + reach + 0.07 * p.wave
        pen.capsule(0.66 + reach, 0.6, top, 1.02, 0.06, SLIME)
        pen.circle(top, 1.06, 0.1, _INK)
    lift = 0.05 * p.stride * np.cos(p.phase)
    pen.circle(-0.24, 0.8 + lift, 0.65, c.main)
    turns = 3.3 * np.pi * np.sqrt(np.linspace(0.02, 1.0, 12))
    coil = [(-0.24 + 0.046 * a * np.cos(a), 0.8 + lift + 0.046 * a * np.sin(a)) for a in turns]
    pen.curve(coil, 0.05, c.dark)


INSECTS = (
    Subject("spider", draw_spider, ("black", "brown", "grey", "purple"), moves="crawl"),
    Subject("beetle", draw_beetle, ("red", "green", "blue", "orange"), moves="crawl"),
    Subject("ant", draw_ant, ("black", "red", "brown", "orange"), moves="crawl"),
    Subject("butterfly", draw_butterfly, ("blue", "orange", "yellow", "pink"), moves="wings", hover=0.4),
    Subject("bee", draw_bee, ("yellow", "orange", "pink", "white"), moves="wings", hover=0.4),
    Subject("fly", draw_fly, ("black", "grey", "green", "blue"), moves="wings", hover=0.45),
    Subject("snail", draw_snail, ("brown", "yellow", "pink", "purple"), moves="crawl"),
)
