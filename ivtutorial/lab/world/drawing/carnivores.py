"""Carnivores: distinguished by head and tail (mane, ruff, mask, brush), by pattern and by the way they stand."""

from __future__ import annotations

import numpy as np

from ivtutorial.lab.world.drawing.pen import Colour, Number, Pen, mix
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject

_INK: Colour = (0.07, 0.06, 0.08)
_SNOW: Colour = (0.98, 0.97, 0.95)
PINK: Colour = (0.95, 0.50, 0.55)
COLLAR: Colour = (0.85, 0.12, 0.15)


def _legs(
    pen: Pen, p: Pose, colour: Colour, rear: float, front: float, hip: float, r: float, r1: float,
    far: bool = False, foot: Colour | None = None, swing: float = 0.26, foot_size: float = 0.06,
) -> None:  # fmt: skip
    """The hind and fore leg of one side; the other side (``far``) steps in opposition."""
    turn = np.pi if far else 0.0
    for x, phase in ((rear, p.phase + turn), (front, p.phase + turn + np.pi)):
        pen.leg(x, hip, phase, swing * p.stride, r, colour, foot, r1, bend=0.07, foot_size=foot_size)


def _ink(c: Palette) -> Colour:
    """A colour for stripes and spots that stands out from the coat, whatever the coat."""
    return mix(c.main, _INK, 0.85) if sum(c.main) > 0.75 else c.dark


def _stare(pen: Pen, x: float, y: float, gap: float, r: float, iris: Colour) -> None:
    """Two coloured eyes of a face turned toward us, with dark pupils that look ahead."""
    for at in (x - gap, x + gap):
        pen.circle(at, y, r, iris)
        pen.circle(at + 0.015, y, r * 0.55, _INK)


def _ear(pen: Pen, x0: Number, x1: Number, y: Number, tip_x: Number, tip_y: Number, colour: Colour) -> None:
    """A pointed ear on the base from x0 to x1."""
    pen.polygon([(x0, y), (tip_x, tip_y), (x1, y)], colour, round_by=0.03)


def draw_cat(pen: Pen, p: Pose, c: Palette) -> None:
    """A round face with big pointed ears and green eyes; a long tail held up in a hook."""
    _legs(pen, p, c.far, -0.5, 0.3, 0.5, 0.085, 0.07, far=True, foot_size=0.0)
    sway = 0.12 * p.wave
    pen.curve([(-0.58, 0.66), (-0.84, 0.86), (-0.86 + sway, 1.24), (-0.64 + 1.6 * sway, 1.44)], 0.085, c.main)
    pen.capsule(-0.44, 0.62, 0.3, 0.62, 0.21, c.main)
    _ear(pen, 0.2, 0.52, 1.1, 0.2, 1.5, c.main)
    _ear(pen, 0.54, 0.86, 1.1, 0.86, 1.5, c.main)
    pen.ellipse(0.53, 0.98, 0.37, 0.31, c.main)
    pen.ellipse(0.58, 0.86, 0.19, 0.13, mix(c.light, _SNOW, 0.5))
    pen.circle(0.59, 0.92, 0.055, PINK)
    _stare(pen, 0.56, 1.06, 0.17, 0.085, (0.72, 0.88, 0.25))
    _legs(pen, p, c.main, -0.42, 0.2, 0.5, 0.11, 0.075, foot_size=0.05)


def draw_dog(pen: Pen, p: Pose, c: Palette) -> None:
    """A long muzzle with a big black nose and tongue, a floppy ear, a red collar, a wagging tail."""
    _legs(pen, p, c.far, -0.5, 0.3, 0.55, 0.1, 0.07, far=True)
    pen.curve([(-0.56, 0.76), (-0.8, 0.98), (-0.84 + 0.18 * p.wave, 1.26)], 0.09, c.main, 0.05)
    pen.capsule(-0.42, 0.68, 0.2, 0.72, 0.23, c.main, 0.26)
    pen.capsule(0.22, 0.8, 0.42, 1.1, 0.2, c.main)
    pen.capsule(0.14, 1.02, 0.5, 0.84, 0.055, COLLAR)
    pen.capsule(0.68, 0.98, 0.74, 0.8, 0.06, PINK)
    pen.circle(0.42, 1.22, 0.26, c.main)
    pen.capsule(0.5, 1.12, 0.8, 1.07, 0.17, c.main, 0.12)
    pen.circle(0.91, 1.14, 0.08, _INK)
    pen.eye(0.56, 1.28, 0.075)
    pen.capsule(0.28, 1.34, 0.16 + 0.04 * p.wave, 0.98, 0.1, c.dark, 0.15)
    _legs(pen, p, c.main, -0.42, 0.2, 0.55, 0.13, 0.08)


def draw_lion(pen: Pen, p: Pose, c: Palette) -> None:
    """A huge shaggy mane around a broad face, and a tail with a tuft."""
    hair = mix(c.main, (0.38, 0.14, 0.03), 0.75)
    _legs(pen, p, c.far, -0.55, 0.25, 0.5, 0.11, 0.09, far=True, foot_size=0.0)
    tip_x, tip_y = -0.9 + 0.08 * p.wave, 1.12 + 0.1 * p.wave
    pen.curve([(-0.6, 0.74), (-0.84, 0.74), (tip_x, tip_y)], 0.045, c.main)
    pen.circle(tip_x, tip_y + 0.06, 0.12, hair)
    pen.capsule(-0.48, 0.66, 0.2, 0.68, 0.25, c.main)
    _legs(pen, p, c.main, -0.46, 0.14, 0.5, 0.14, 0.1, foot_size=0.0)
    turns = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    rays = np.tile((0.52, 0.42), 10)
    mane = list(np.stack([0.45 + rays * np.cos(turns), 0.96 + rays * np.sin(turns)], axis=1))
    pen.polygon(mane, hair, round_by=0.03)
    for x in (0.24, 0.76):
        pen.circle(x, 1.24, 0.11, c.main)
    pen.ellipse(0.5, 0.98, 0.34, 0.34, c.main)
    pen.ellipse(0.53, 0.82, 0.19, 0.14, mix(c.light, _SNOW, 0.5))
    pen.ellipse(0.54, 0.9, 0.1, 0.06, _INK)
    for x in (0.4, 0.68):
        pen.circle(x, 1.07, 0.055, _INK)


def draw_tiger(pen: Pen, p: Pose, c: Palette) -> None:
    """A heavy cat with bold stripes on body, tail and brow, and white cheeks."""
    ink = _ink(c)
    _legs(pen, p, c.far, -0.56, 0.26, 0.5, 0.12, 0.09, far=True, foot_size=0.0)
    pen.curve([(-0.62, 0.72), (-0.88, 0.8), (-0.88 + 0.08 * p.wave, 1.2)], 0.08, c.main)
    pen.circle(-0.88 + 0.08 * p.wave, 1.22, 0.1, ink)
    body = pen.capsule(-0.5, 0.7, 0.24, 0.72, 0.29, c.main)
    for x in (-0.66, -0.42, -0.18, 0.06):
        pen.polygon([(x - 0.07, 1.05), (x + 0.09, 1.05), (x + 0.05, 0.52)], ink, inside=body)
    for x in (0.3, 0.8):
        pen.circle(x, 1.33, 0.12, ink)
    head = pen.ellipse(0.54, 1.06, 0.38, 0.34, c.main)
    pen.ellipse(0.58, 0.84, 0.22, 0.17, _SNOW, inside=head)
    for x, y in ((0.55, 1.42), (0.12, 0.92), (0.98, 0.92)):
        pen.capsule(x, y, 0.56 + 0.62 * (x - 0.56), 1.0 + 0.55 * (y - 1.0), 0.06, ink, inside=head)
    pen.ellipse(0.58, 0.95, 0.09, 0.06, PINK)
    _stare(pen, 0.56, 1.12, 0.16, 0.075, _SNOW)
    _legs(pen, p, c.main, -0.46, 0.16, 0.5, 0.15, 0.1, foot_size=0.0)


def draw_bear(pen: Pen, p: Pose, c: Palette) -> None:
    """A massive humped body on thick legs, a low head with round ears and a light muzzle."""
    _legs(pen, p, c.far, -0.6, 0.3, 0.45, 0.17, 0.13, far=True, swing=0.22)
    pen.ellipse(-0.24, 0.76, 0.64, 0.42, c.main)
    pen.circle(0.02, 0.92, 0.36, c.main)
    pen.circle(0.34, 1.26, 0.14, c.far)
    pen.circle(0.68, 1.27, 0.14, c.far)
    pen.circle(0.54, 0.96, 0.32, c.main)
    pen.capsule(0.72, 0.86, 0.8, 0.84, 0.16, c.light)
    pen.circle(0.92, 0.92, 0.08, _INK)
    pen.eye(0.66, 1.06, 0.065, white=sum(c.main) < 0.75)
    _legs(pen, p, c.main, -0.5, 0.18, 0.45, 0.2, 0.14, swing=0.22)


def draw_raccoon(pen: Pen, p: Pose, c: Palette) -> None:
    """A burglar's mask on a pointed face and a thick ringed tail held up."""
    ink = _ink(c)
    _legs(pen, p, c.far, -0.4, 0.34, 0.36, 0.1, 0.07, far=True, swing=0.2)
    x, y = -0.84 + 0.08 * p.wave, 1.24
    tail = pen.capsule(-0.46, 0.48, x, y, 0.15, c.main, 0.16)
    for t in (0.3, 0.62, 0.96):
        u, v = -0.46 + t * (x + 0.46), 0.48 + t * (y - 0.48)
        pen.capsule(u - 0.2, v - 0.1, u + 0.2, v + 0.1, 0.065, ink, inside=tail)
    pen.ellipse(-0.12, 0.6, 0.5, 0.4, c.main)
    for at in (0.28, 0.78):
        pen.circle(at, 1.13, 0.13, ink)
    head = pen.ellipse(0.53, 0.84, 0.4, 0.31, c.main)
    pen.ellipse(0.53, 0.85, 0.5, 0.17, _SNOW, inside=head)
    pen.ellipse(0.54, 0.86, 0.5, 0.12, _INK, inside=head)
    pen.ellipse(0.58, 0.73, 0.15, 0.14, _SNOW)
    pen.circle(0.6, 0.78, 0.065, _INK)
    for at in (0.4, 0.72):
        pen.circle(at, 0.89, 0.05, _SNOW)
    _legs(pen, p, c.main, -0.32, 0.24, 0.36, 0.12, 0.08, foot=ink, swing=0.2)


def draw_fox(pen: Pen, p: Pose, c: Palette) -> None:
    """A huge bushy tail with a white tip, a thin pointed snout, tall ears, dark stockings."""
    ink = _ink(c)
    _legs(pen, p, c.far, -0.26, 0.36, 0.44, 0.08, 0.055, far=True, foot=ink, foot_size=0.05)
    lift = 0.1 * p.wave
    pen.capsule(-0.3, 0.58, -0.68, 0.86 + lift, 0.1, c.main, 0.28)
    pen.polygon([(-0.88, 0.98 + lift), (-0.56, 1.1 + lift), (-0.86, 1.4 + lift)], _SNOW, round_by=0.06)
    pen.capsule(-0.24, 0.58, 0.32, 0.62, 0.17, c.main, 0.22)
    pen.ellipse(0.46, 0.64, 0.11, 0.18, _SNOW)
    _ear(pen, 0.24, 0.46, 1.02, 0.22, 1.46, c.far)
    _ear(pen, 0.38, 0.64, 1.02, 0.46, 1.5, c.main)
    wedge = [(0.26, 0.82), (0.34, 1.1), (0.58, 1.08), (0.93, 0.82), (0.5, 0.72)]
    head = pen.polygon(wedge, c.main, round_by=0.04)
    pen.capsule(0.3, 0.7, 0.94, 0.75, 0.08, _SNOW, inside=head)
    pen.circle(0.94, 0.83, 0.06, _INK)
    pen.circle(0.56, 0.98, 0.055, _INK)
    _legs(pen, p, c.main, -0.2, 0.28, 0.44, 0.1, 0.055, foot=ink, foot_size=0.05)


def draw_wolf(pen: Pen, p: Pose, c: Palette) -> None:
    """A howling head thrown back, a thick shaggy ruff, a hanging brush of a tail."""
    _legs(pen, p, c.far, -0.5, 0.24, 0.6, 0.1, 0.065, far=True)
    pen.capsule(-0.6, 0.78, -0.82 + 0.1 * p.wave, 0.34, 0.12, c.far, 0.15)
    body = pen.capsule(-0.44, 0.74, 0.16, 0.78, 0.22, c.main, 0.27)
    pen.capsule(-0.7, 0.98, 0.3, 1.06, 0.1, c.dark, inside=body)
    ruff = [(0.0, 0.8), (0.12, 1.2), (0.5, 1.3), (0.6, 1.0), (0.54, 0.8), (0.4, 0.78), (0.4, 0.56)]
    pen.polygon(ruff, c.main, round_by=0.04)
    pen.polygon([(0.56, 1.1), (0.54, 0.9), (0.5, 0.74), (0.36, 0.62), (0.34, 0.86)], c.light, round_by=0.03)
    _ear(pen, 0.16, 0.36, 1.22, 0.02, 1.5, c.dark)
    pen.capsule(0.56, 1.08, 0.88, 1.14, 0.11, c.main, 0.05)
    pen.capsule(0.6, 1.2, 0.82, 1.24, 0.07, (0.75, 0.2, 0.22), 0.03)
    pen.capsule(0.4, 1.2, 0.76, 1.48, 0.21, c.main, 0.085)
    pen.circle(0.8, 1.53, 0.08, _INK)
    pen.eye(0.46, 1.32, 0.06, white=sum(c.main) < 0.75)
    _legs(pen, p, c.main, -0.42, 0.14, 0.6, 0.125, 0.075)


def draw_cheetah(pen: Pen, p: Pose, c: Palette) -> None:
    """A slender spotted body on long thin legs, a small head with black tear lines, a long tail."""
    ink = _ink(c)
    _legs(pen, p, c.far, -0.5, 0.36, 0.65, 0.075, 0.05, far=True, swing=0.34, foot_size=0.0)
    tip_x, tip_y = -0.72 + 0.1 * p.wave, 1.3 + 0.06 * p.wave
    pen.curve([(-0.56, 0.78), (-0.84, 0.76), (-0.92, 1.02), (tip_x, tip_y)], 0.065, c.main)
    pen.capsule(0.3 * tip_x - 0.64, 0.3 * tip_y + 0.71, tip_x, tip_y, 0.075, ink)
    body = pen.capsule(-0.5, 0.76, 0.3, 0.78, 0.16, c.main, 0.24)
    for k, x in enumerate(np.linspace(-0.56, 0.26, 7)):
        y = 0.78 + (0.03 * k if k % 2 == 0 else -0.1)
        pen.circle(float(x), y + 0.03, 0.068, ink, inside=body)
    _legs(pen, p, c.main, -0.44, 0.26, 0.65, 0.105, 0.055, swing=0.34, foot_size=0.0)
    for x in (0.44, 0.82):
        pen.circle(x, 1.38, 0.085, ink)
    pen.ellipse(0.63, 1.18, 0.29, 0.26, c.main)
    pen.ellipse(0.67, 1.04, 0.13, 0.09, _SNOW)
    for x, side in ((0.52, 1.0), (0.8, -1.0)):
        pen.capsule(x, 1.24, x + 0.04 * side, 1.02, 0.028, _INK)
        pen.circle(x, 1.25, 0.055, _INK)
    pen.ellipse(0.67, 1.1, 0.06, 0.045, _INK)


CARNIVORES = (
    Subject("cat", draw_cat, ("orange", "black", "grey", "white")),
    Subject("dog", draw_dog, ("brown", "yellow", "white", "black")),
    Subject("lion", draw_lion, ("yellow", "orange", "white", "red")),
    Subject("tiger", draw_tiger, ("orange", "white", "yellow", "blue")),
    Subject("bear", draw_bear, ("brown", "black", "white", "purple")),
    Subject("raccoon", draw_raccoon, ("grey", "brown", "green", "pink")),
    Subject("fox", draw_fox, ("orange", "red", "grey", "blue")),
    Subject("wolf", draw_wolf, ("grey", "black", "white", "purple")),
    Subject("cheetah", draw_cheetah, ("yellow", "orange", "pink", "green")),
)
