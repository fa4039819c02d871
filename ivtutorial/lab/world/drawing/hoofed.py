"""Hoofed animals, distinguished by antlers, horns, humps, wool, stripes and blotches."""

from __future__ import annotations

import numpy as np

from ivtutorial.lab.world.drawing.pen import Colour, Pen, union
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject

_INK: Colour = (0.08, 0.07, 0.09)
BONE: Colour = (0.93, 0.86, 0.68)
ANTLER: Colour = (0.36, 0.22, 0.11)
TEAL: Colour = (0.08, 0.60, 0.62)
GOLD: Colour = (0.98, 0.80, 0.25)
IVORY: Colour = (0.98, 0.97, 0.90)
_SKIN: Colour = (0.95, 0.66, 0.66)


def _legs(
    pen: Pen, p: Pose, colour: Colour, rear: float, front: float, hip: float, r: float, far: bool = False,
    foot: Colour | None = None, swing: float = 0.25, r1: float | None = None,
) -> None:  # fmt: skip
    """The hind and fore leg of one side, in a trot: each steps with the opposite leg of the other side."""
    turn = np.pi if far else 0.0
    pen.leg(rear, hip, p.phase + turn, swing * p.stride, r, colour, foot, r1, bend=0.08)
    pen.leg(front, hip, p.phase + np.pi - turn, swing * p.stride, r, colour, foot, r1, bend=0.08)


def _ink(c: Palette) -> Colour:
    """Near-black for faces and markings; a light shade on subjects that are black themselves."""
    return _INK if sum(c.main) > 0.75 else c.dark


def _eye(pen: Pen, c: Palette, x: float, y: float, r: float = 0.05) -> None:
    """A dark dot, ringed in white where the coat is too dark to show it."""
    pen.eye(x, y, r if sum(c.main) > 0.75 else 1.3 * r, white=sum(c.main) <= 0.75)


def draw_horse(pen: Pen, p: Pose, c: Palette) -> None:
    """A long-legged body, arched neck, flowing dark mane and tail."""
    _legs(pen, p, c.far, -0.47, 0.38, 0.68, 0.09, far=True, foot=c.dark, r1=0.055, swing=0.32)
    pen.curve([(-0.56, 0.88), (-0.8, 0.78), (-0.88 + 0.09 * p.wave, 0.34)], 0.09, c.dark, 0.07)
    pen.ellipse(-0.07, 0.8, 0.57, 0.24, c.main)
    pen.capsule(0.22, 0.98, 0.52, 1.42, 0.13, c.dark, 0.1)
    pen.capsule(0.36, 0.86, 0.64, 1.32, 0.19, c.main, 0.12)
    pen.capsule(0.64, 1.32, 0.9, 1.06, 0.13, c.main, 0.085)
    pen.polygon([(0.56, 1.38), (0.64, 1.6), (0.73, 1.38)], c.main)
    _eye(pen, c, 0.7, 1.3, 0.045)
    _legs(pen, p, c.main, -0.4, 0.3, 0.68, 0.105, foot=c.dark, r1=0.065, swing=0.32)


def draw_zebra(pen: Pen, p: Pose, c: Palette) -> None:
    """A pony with bold upright stripes, a bristle mane and a dark muzzle."""
    ink = _ink(c)
    _legs(pen, p, c.far, -0.47, 0.36, 0.6, 0.09, far=True, r1=0.06, swing=0.3)
    pen.capsule(-0.62, 0.86, -0.84, 0.52 + 0.06 * p.wave, 0.04, ink, 0.08)
    pen.capsule(0.24, 1.0, 0.52, 1.42, 0.12, ink)
    body = pen.ellipse(-0.06, 0.78, 0.62, 0.29, c.main)
    neck = pen.capsule(0.4, 0.86, 0.64, 1.3, 0.21, c.main, 0.14)
    coat = union(body, neck)
    for x, top in ((-0.48, -0.54), (-0.23, -0.25), (0.02, 0.02), (0.27, 0.24)):
        pen.capsule(x, 0.4, top, 1.15, 0.055, ink, inside=coat)
    for y in (0.9, 1.14):
        pen.capsule(0.2, y + 0.14, 0.8, y - 0.08, 0.05, ink, inside=neck)
    pen.capsule(0.66, 1.3, 0.84, 1.12, 0.14, c.main, 0.11)
    pen.circle(0.88, 1.07, 0.095, ink)
    pen.capsule(0.58, 1.4, 0.56, 1.52, 0.07, c.main, 0.05)
    _eye(pen, c, 0.71, 1.31)
    _legs(pen, p, c.main, -0.4, 0.28, 0.6, 0.11, r1=0.07, swing=0.3)


def draw_sheep(pen: Pen, p: Pose, c: Palette) -> None:
    """A cloud of wool on thin dark legs, with a dark face and a drooping ear."""
    ink = _ink(c)
    _legs(pen, p, ink, -0.4, 0.3, 0.45, 0.06, far=True, swing=0.2)
    _legs(pen, p, ink, -0.3, 0.4, 0.45, 0.065, swing=0.2)
    pen.circle(-0.78, 0.8 + 0.04 * p.wave, 0.14, c.main)
    pen.ellipse(-0.08, 0.7, 0.6, 0.34, c.main)
    for x, y in ((-0.5, 0.9), (-0.18, 1.02), (0.16, 1.0), (0.42, 0.84)):
        pen.circle(x, y, 0.22, c.main)
    for x, y in ((-0.55, 0.58), (-0.2, 0.46), (0.2, 0.48)):
        pen.circle(x, y, 0.22, c.main)
    pen.ellipse(0.68, 0.9, 0.17, 0.27, ink, 0.5)
    pen.circle(0.52, 1.12, 0.16, c.main)
    pen.capsule(0.48, 0.96, 0.34, 0.86, 0.075, ink)
    pen.eye(0.68, 0.99, 0.06)


def draw_deer(pen: Pen, p: Pose, c: Palette) -> None:
    """A stag: slender legs, upright neck, huge branching antlers, a white tail."""
    _legs(pen, p, c.far, -0.47, 0.24, 0.6, 0.065, far=True, r1=0.04, swing=0.3)
    pen.capsule(-0.62, 0.82, -0.74, 0.86 + 0.05 * p.wave, 0.1, (0.97, 0.97, 0.95))
    pen.ellipse(-0.15, 0.71, 0.52, 0.23, c.main)
    pen.capsule(0.2, 0.77, 0.42, 1.08, 0.17, c.main, 0.11)
    pen.capsule(0.44, 1.08, 0.7, 0.98, 0.11, c.main, 0.07)
    pen.capsule(0.36, 1.1, 0.2, 1.06, 0.06, c.main)
    pen.curve([(0.42, 1.14), (0.22, 1.34), (0.26, 1.58)], 0.045, ANTLER)
    pen.curve([(0.5, 1.14), (0.76, 1.32), (0.76, 1.58)], 0.045, ANTLER)
    pen.capsule(0.26, 1.3, 0.04, 1.46, 0.045, ANTLER)
    pen.capsule(0.68, 1.26, 0.92, 1.36, 0.045, ANTLER)
    pen.capsule(0.54, 1.2, 0.5, 1.46, 0.045, ANTLER)
    pen.circle(0.75, 0.98, 0.055, _INK)
    _eye(pen, c, 0.5, 1.1, 0.045)
    _legs(pen, p, c.main, -0.4, 0.17, 0.6, 0.08, r1=0.045, swing=0.3)


def draw_cow(pen: Pen, p: Pose, c: Palette) -> None:
    """A boxy blotched body with an udder, a pink muzzle, two horns and a tufted tail."""
    patch = _INK if sum(c.main) > 1.7 else IVORY
    _legs(pen, p, c.far, -0.54, 0.3, 0.5, 0.11, far=True, swing=0.25)
    pen.capsule(-0.7, 1.0, -0.86 + 0.07 * p.wave, 0.5, 0.04, c.main)
    pen.circle(-0.86 + 0.07 * p.wave, 0.46, 0.085, patch)
    pen.ellipse(-0.18, 0.46, 0.16, 0.16, _SKIN)
    body = pen.polygon([(-0.58, 0.64), (-0.58, 0.96), (0.36, 0.96), (0.36, 0.64)], c.main, round_by=0.16)
    pen.ellipse(-0.44, 0.98, 0.2, 0.2, patch, inside=body)
    pen.ellipse(0.04, 0.74, 0.18, 0.16, patch, inside=body)
    pen.capsule(0.48, 1.22, 0.4, 1.46, 0.07, BONE, 0.045)
    pen.capsule(0.64, 1.22, 0.76, 1.45, 0.07, BONE, 0.045)
    pen.capsule(0.42, 0.94, 0.56, 1.1, 0.22, c.main, 0.2)
    pen.capsule(0.6, 1.1, 0.76, 0.96, 0.18, c.main, 0.14)
    pen.ellipse(0.82, 0.88, 0.14, 0.13, _SKIN)
    pen.capsule(0.42, 1.16, 0.24, 1.1, 0.075, patch)
    _eye(pen, c, 0.65, 1.14, 0.055)
    _legs(pen, p, c.main, -0.46, 0.22, 0.5, 0.125, swing=0.25)


def draw_goat(pen: Pen, p: Pose, c: Palette) -> None:
    """Long horns swept back, a beard under the chin and a short tail turned up."""
    _legs(pen, p, c.far, -0.47, 0.26, 0.5, 0.08, far=True, r1=0.055)
    pen.capsule(-0.56, 0.8, -0.74, 1.0 + 0.06 * p.wave, 0.08, c.main, 0.05)
    pen.ellipse(-0.12, 0.68, 0.52, 0.25, c.main)
    pen.capsule(0.24, 0.74, 0.48, 1.06, 0.18, c.main, 0.13)
    pen.curve([(0.5, 1.16), (0.44, 1.4), (0.24, 1.5), (0.04, 1.42)], 0.09, ANTLER, 0.04)
    pen.polygon([(0.58, 0.96), (0.8, 0.94), (0.66, 0.6)], c.dark, round_by=0.02)
    pen.capsule(0.5, 1.12, 0.8, 0.98, 0.14, c.main, 0.09)
    pen.capsule(0.42, 1.1, 0.24, 1.0 + 0.03 * p.wave, 0.06, c.far)
    _eye(pen, c, 0.58, 1.15, 0.045)
    _legs(pen, p, c.main, -0.4, 0.18, 0.5, 0.09, foot=c.dark, r1=0.06)


def draw_pig(pen: Pen, p: Pose, c: Palette) -> None:
    """A round barrel on short legs with a blunt snout, floppy ears and a curly tail."""
    _legs(pen, p, c.far, -0.46, 0.3, 0.4, 0.1, far=True, swing=0.22)
    y = 0.05 * p.wave
    pen.curve([(-0.66, 0.78), (-0.8, 0.94 + y), (-0.92, 0.82 + y), (-0.8, 0.68 + y)], 0.045, c.far)
    pen.ellipse(-0.1, 0.66, 0.64, 0.42, c.main)
    pen.circle(0.48, 0.76, 0.32, c.main)
    pen.capsule(0.7, 0.66, 0.82, 0.66, 0.16, c.main)
    pen.ellipse(0.87, 0.66, 0.08, 0.18, c.dark)
    pen.polygon([(0.46, 1.02), (0.68, 1.2), (0.7, 0.96)], c.far, round_by=0.03)
    pen.polygon([(0.2, 1.06), (0.42, 1.06), (0.38, 0.76 + y)], c.far, round_by=0.05)
    _eye(pen, c, 0.62, 0.86, 0.06)
    _legs(pen, p, c.main, -0.38, 0.22, 0.4, 0.11, foot=c.dark, swing=0.22)


def draw_camel(pen: Pen, p: Pose, c: Palette) -> None:
    """Two tall humps and a long neck that dips before it rises."""
    _legs(pen, p, c.far, -0.5, 0.26, 0.62, 0.085, far=True, r1=0.06)
    pen.capsule(-0.64, 0.8, -0.76 + 0.05 * p.wave, 0.5, 0.04, c.dark, 0.06)
    pen.capsule(-0.4, 0.88, -0.38, 1.26, 0.23, c.main, 0.13)
    pen.capsule(0.1, 0.88, 0.12, 1.26, 0.22, c.main, 0.13)
    pen.ellipse(-0.12, 0.76, 0.56, 0.24, c.main)
    pen.curve([(0.28, 0.76), (0.56, 0.74), (0.68, 0.96), (0.68, 1.3)], 0.17, c.main, 0.1)
    pen.capsule(0.68, 1.34, 0.88, 1.28, 0.12, c.main, 0.09)
    pen.circle(0.58, 1.44, 0.06, c.dark)
    _eye(pen, c, 0.74, 1.38, 0.045)
    _legs(pen, p, c.main, -0.42, 0.18, 0.62, 0.1, foot=c.dark, r1=0.07)


def draw_llama(pen: Pen, p: Pose, c: Palette) -> None:
    """A fluffy body, a tall upright neck, banana ears and a bright saddle blanket."""
    _legs(pen, p, c.far, -0.46, 0.26, 0.5, 0.09, far=True, swing=0.24)
    pen.circle(-0.68, 0.88 + 0.05 * p.wave, 0.15, c.main)
    for x in (-0.42, -0.08, 0.26):
        pen.circle(x, 0.68, 0.29, c.main)
    pen.capsule(0.4, 0.7, 0.44, 1.24, 0.22, c.main, 0.16)
    pen.polygon([(-0.34, 1.0), (0.1, 1.0), (0.1, 0.74), (-0.34, 0.74)], TEAL)
    pen.capsule(-0.32, 0.7, 0.08, 0.7, 0.05, GOLD)
    pen.capsule(0.48, 1.28, 0.74, 1.2, 0.16, c.main, 0.11)
    pen.capsule(0.36, 1.38, 0.32, 1.56, 0.075, c.main, 0.045)
    pen.capsule(0.52, 1.4, 0.54, 1.56, 0.07, c.far, 0.045)
    pen.circle(0.82, 1.21, 0.05, _INK)
    _eye(pen, c, 0.58, 1.31)
    _legs(pen, p, c.main, -0.38, 0.18, 0.5, 0.12, swing=0.24)


def draw_hippopotamus(pen: Pen, p: Pose, c: Palette) -> None:
    """A huge barrel on stumps; an enormous swollen muzzle with tusks, small eyes and ears on top."""
    _legs(pen, p, c.far, -0.56, 0.16, 0.35, 0.13, far=True, swing=0.22, r1=0.12)
    pen.capsule(-0.84, 0.74, -0.93, 0.54 + 0.06 * p.wave, 0.05, c.far)
    gape = 0.05 + 0.05 * p.wave
    pen.ellipse(0.56, 0.56 - gape, 0.32, 0.2, c.far, -0.1)
    pen.capsule(0.5, 0.64, 0.74, 0.64, 0.1, _SKIN)
    for x in (0.58, 0.78):
        pen.capsule(x, 0.54 - gape, x, 0.64 - gape, 0.055, IVORY)
    pen.ellipse(-0.22, 0.68, 0.68, 0.46, c.main)
    pen.capsule(0.26, 0.98, 0.5, 0.9, 0.27, c.main, 0.22)
    pen.ellipse(0.66, 0.86, 0.3, 0.22, c.main)
    pen.circle(0.12, 1.24, 0.1, c.far)
    pen.circle(0.84, 1.02, 0.06, c.dark)
    pen.circle(0.38, 1.2, 0.12, c.main)
    pen.eye(0.4, 1.19, 0.075)
    _legs(pen, p, c.main, -0.46, 0.06, 0.35, 0.15, swing=0.22, r1=0.13)


HOOFED = (
    Subject("horse", draw_horse, ("brown", "white", "black", "grey")),
    Subject("zebra", draw_zebra, ("white", "grey", "pink", "yellow")),
    Subject("sheep", draw_sheep, ("white", "black", "pink", "blue")),
    Subject("deer", draw_deer, ("brown", "orange", "white", "blue")),
    Subject("cow", draw_cow, ("white", "brown", "black", "yellow")),
    Subject("goat", draw_goat, ("grey", "white", "black", "yellow")),
    Subject("pig", draw_pig, ("pink", "black", "orange", "blue")),
    Subject("camel", draw_camel, ("yellow", "brown", "orange", "green")),
    Subject("llama", draw_llama, ("white", "brown", "pink", "red")),
    Subject("hippopotamus", draw_hippopotamus, ("grey", "purple", "blue", "green")),
)
