"""Small mammals: rabbit, squirrel, mouse, rat, hedgehog, bat, distinguished by ears, tails and coats."""

from __future__ import annotations

import numpy as np

from ivtutorial.lab.world.drawing.pen import Array, Colour, Number, Pen, mix
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject

_INK: Colour = (0.07, 0.06, 0.08)
_SNOW: Colour = (0.98, 0.97, 0.95)
_SKIN: Colour = (0.96, 0.62, 0.64)
NUT: Colour = (0.55, 0.33, 0.14)


def _foot(pen: Pen, x: float, phase: Array, swing: Array, length: float, r: float, colour: Colour) -> None:
    """A long flat foot that slides forward and back on the ground and lifts on the way."""
    at, lift = x + swing * np.sin(phase), r + 0.5 * swing * np.maximum(np.cos(phase), 0.0)
    pen.capsule(at, lift, at + length, lift, r, colour)


def _eye(pen: Pen, c: Palette, x: float, y: float, r: float) -> None:
    """A dark button eye, with a white rim on dark coats."""
    pen.eye(x, y, r, white=sum(c.main) < 0.75)


def draw_rabbit(pen: Pen, p: Pose, c: Palette) -> None:
    """Very long upright ears, a round haunch with a long foot, a cotton tail."""
    swing = 0.26 * p.stride
    _foot(pen, -0.4, p.phase + np.pi, swing, 0.34, 0.09, c.far)
    pen.leg(0.36, 0.4, p.phase, swing, 0.09, c.far, r1=0.07, bend=0.0)
    pen.circle(-0.74, 0.42 + 0.03 * p.wave, 0.17, _SNOW)
    pen.ellipse(-0.06, 0.5, 0.54, 0.34, c.main, 0.2)
    twitch = 0.08 * p.wave
    pen.capsule(0.42, 0.98, 0.22 + twitch, 1.48, 0.1, c.far)
    pen.capsule(0.52, 0.98, 0.52 + twitch, 1.48, 0.11, c.main)
    pen.capsule(0.52, 1.04, 0.52 + twitch, 1.44, 0.05, _SKIN)
    pen.circle(0.52, 0.82, 0.28, c.main)
    pen.ellipse(0.68, 0.74, 0.17, 0.14, c.main)
    pen.circle(0.84, 0.78, 0.05, _SKIN)
    _eye(pen, c, 0.62, 0.9, 0.065)
    pen.leg(0.28, 0.4, p.phase + np.pi, swing, 0.1, c.main, r1=0.08, bend=0.0)
    pen.circle(-0.34, 0.42, 0.31, c.far)
    pen.circle(-0.34, 0.44, 0.28, c.main)
    _foot(pen, -0.42, p.phase, swing, 0.4, 0.1, c.main)


def _brush(pen: Pen, x: Array, c: Palette) -> None:
    """The bushy tail of a squirrel, curling up behind its back and swaying by x."""
    pen.capsule(-0.1, 0.22, -0.5, 0.32, 0.12, c.main, 0.2)
    pen.capsule(-0.5, 0.32, -0.64 + x, 0.72, 0.2, c.main, 0.28)
    pen.capsule(-0.64 + x, 0.72, -0.56 + 2 * x, 1.14, 0.28, c.main, 0.3)
    pen.capsule(-0.56 + 2 * x, 1.14, -0.28 + 3 * x, 1.28, 0.3, c.main, 0.2)
    pen.capsule(-0.62 + x, 0.6, -0.54 + 2 * x, 1.1, 0.07, c.far, 0.1)


def draw_squirrel(pen: Pen, p: Pose, c: Palette) -> None:
    """Sits upright with a nut in its paws, under a huge tail that curls up behind it."""
    swing = 0.24 * p.stride
    _foot(pen, 0.0, p.phase + np.pi, swing, 0.3, 0.08, c.far)
    _brush(pen, 0.06 * p.wave, c)
    pen.ellipse(0.14, 0.52, 0.31, 0.44, c.far, 0.12)
    pen.ellipse(0.17, 0.52, 0.29, 0.43, c.main, 0.12)
    pen.ellipse(0.32, 0.58, 0.14, 0.28, c.light, 0.15)
    pen.polygon([(0.2, 1.2), (0.18, 1.55), (0.42, 1.3)], c.main, round_by=0.02)
    pen.circle(0.36, 1.12, 0.25, c.main)
    pen.capsule(0.48, 1.06, 0.62, 1.02, 0.15, c.main, 0.1)
    pen.circle(0.73, 1.04, 0.05, _INK)
    _eye(pen, c, 0.46, 1.18, 0.065)
    pen.capsule(0.24, 0.76, 0.58, 0.68, 0.085, c.far)
    pen.circle(0.7, 0.72, 0.14, NUT)
    pen.capsule(0.6, 0.84, 0.8, 0.84, 0.06, (0.3, 0.17, 0.07))
    pen.circle(0.06, 0.3, 0.25, c.main)
    _foot(pen, 0.0, p.phase, swing, 0.4, 0.09, c.main)


def draw_mouse(pen: Pen, p: Pose, c: Palette) -> None:
    """Two enormous round ears with pink insides on a small round body; a thin curled tail."""
    swing = 0.28 * p.stride
    for x, turn in ((-0.42, np.pi), (0.14, 0.0)):
        _foot(pen, x, p.phase + turn, swing, 0.14, 0.065, _SKIN)
    y = 0.08 * p.wave
    pen.curve([(-0.6, 0.3), (-0.88, 0.42), (-0.9, 0.82 + y), (-0.66, 0.94 + y)], 0.04, _SKIN)
    pen.ellipse(-0.2, 0.44, 0.52, 0.36, c.main)
    pen.circle(0.58, 1.04, 0.29, c.far)
    pen.circle(0.6, 1.04, 0.2, _SKIN)
    pen.circle(0.4, 0.64, 0.33, c.main)
    pen.capsule(0.5, 0.58, 0.8, 0.5, 0.22, c.main, 0.09)
    pen.circle(0.9, 0.5, 0.075, _SKIN)
    pen.circle(0.06, 1.04, 0.35, c.main)
    pen.circle(0.08, 1.03, 0.24, _SKIN)
    _eye(pen, c, 0.56, 0.72, 0.075)
    for x, turn in ((-0.3, 0.0), (0.26, np.pi)):
        _foot(pen, x, p.phase + turn, swing, 0.14, 0.07, _SKIN)


def draw_rat(pen: Pen, p: Pose, c: Palette) -> None:
    """A hunched back, a pointed snout with buck teeth, small ears, a thick naked tail on the ground."""
    swing = 0.26 * p.stride
    for x, phase in ((-0.16, p.phase + np.pi), (0.4, p.phase)):
        pen.leg(x, 0.32, phase, swing, 0.09, c.far, _SKIN, 0.06, bend=0.03, foot_size=0.12)
    y = 0.12 * p.wave
    pen.curve([(-0.2, 0.36), (-0.42, 0.16), (-0.64, 0.12 + 0.3 * y)], 0.1, _SKIN, 0.08)
    pen.curve([(-0.64, 0.12 + 0.3 * y), (-0.84, 0.24 + y), (-0.93, 0.46 + y), (-0.92, 0.66 + y)], 0.08, _SKIN, 0.045)
    pen.ellipse(-0.02, 0.58, 0.44, 0.38, c.main, -0.2)
    pen.capsule(0.2, 0.6, 0.48, 0.6, 0.3, c.main, 0.24)
    pen.capsule(0.79, 0.34, 0.8, 0.26, 0.06, _SNOW)
    pen.capsule(0.5, 0.6, 0.88, 0.44, 0.23, c.main, 0.08)
    pen.circle(0.95, 0.45, 0.07, _SKIN)
    pen.circle(0.4, 0.9, 0.15, c.main)
    pen.circle(0.41, 0.9, 0.095, _SKIN)
    _eye(pen, c, 0.64, 0.66, 0.06)
    for x, phase, r in ((-0.12, p.phase, 0.16), (0.3, p.phase + np.pi, 0.1)):
        pen.leg(x, 0.34, phase, swing, r, c.main, _SKIN, 0.065, bend=0.03, foot_size=0.14)


def draw_hedgehog(pen: Pen, p: Pose, c: Palette) -> None:
    """A dome of spines over a pale pointed face with a black nose."""
    swing = 0.26 * p.stride
    face = mix((0.93, 0.78, 0.58), c.light, 0.35)
    _foot(pen, -0.46, p.phase + np.pi, swing, 0.12, 0.075, c.dark)
    _foot(pen, 0.22, p.phase, swing, 0.12, 0.075, c.dark)
    breath = 1.0 + 0.03 * p.wave
    spines: list[tuple[Number, Number]] = [(-0.6, 0.14), (0.52, 0.14)]
    for k, a in enumerate(np.linspace(0.12, 0.97, 15) * np.pi):
        r = 0.98 if k % 2 else 0.74  # tip, notch
        spines.append((-0.1 + 0.88 * r * np.cos(a), 0.2 + breath * r * np.sin(a)))
    pen.polygon(spines, c.main, round_by=0.02)
    for a in np.array([0.36, 0.62, 0.88]) * np.pi:
        u, v = np.cos(a), np.sin(a)
        pen.capsule(-0.1 + 0.34 * u, 0.3 + 0.34 * v, -0.1 + 0.6 * u, 0.28 + 0.6 * v, 0.04, c.dark, 0.02)
    pen.capsule(0.54, 0.36, 0.84, 0.28, 0.23, face, 0.07)
    pen.circle(0.91, 0.3, 0.085, _INK)
    pen.circle(0.42, 0.6, 0.1, face)
    pen.circle(0.62, 0.44, 0.06, _INK)
    _foot(pen, -0.34, p.phase, swing, 0.12, 0.08, face)
    _foot(pen, 0.34, p.phase + np.pi, swing, 0.12, 0.08, face)


def draw_bat(pen: Pen, p: Pose, c: Palette) -> None:
    """Wide scalloped wings on both sides of a small furry body, tall ears and two fangs."""
    lift = 0.48 * p.flap
    for side in (-1.12, 0.78):
        points = ((0.08, 0.95, 0.0), (0.5, 1.12, 0.6), (0.98, 0.95, 1.0), (0.84, 0.5, 0.8), (0.64, 0.68, 0.6),
                  (0.5, 0.4, 0.45), (0.32, 0.58, 0.3), (0.1, 0.4, 0.0))  # fmt: skip
        pen.polygon([(0.17 + side * x, y + lift * k) for x, y, k in points], c.main, round_by=0.02)
        pen.capsule(0.17, 0.85, 0.17 + side * 0.52, 1.06 + 0.6 * lift, 0.045, c.dark)
    pen.ellipse(0.17, 0.62, 0.2, 0.34, c.far)
    for x, tip in ((0.16, 0.06), (0.44, 0.5)):
        pen.polygon([(x - 0.1, 1.08), (tip, 1.5), (x + 0.1, 1.1)], c.main, round_by=0.03)
    pen.circle(0.3, 1.0, 0.26, c.main)
    for x in (0.28, 0.48):
        pen.eye(x, 1.06, 0.085)
    for x in (0.34, 0.46):
        pen.polygon([(x - 0.05, 0.9), (x + 0.05, 0.9), (x, 0.74)], _SNOW)


SMALL_MAMMALS = (
    Subject("rabbit", draw_rabbit, ("white", "brown", "pink", "grey")),
    Subject("squirrel", draw_squirrel, ("red", "brown", "grey", "pink")),
    Subject("mouse", draw_mouse, ("grey", "white", "yellow", "blue")),
    Subject("rat", draw_rat, ("brown", "black", "grey", "green")),
    Subject("hedgehog", draw_hedgehog, ("brown", "grey", "purple", "green")),
    Subject("bat", draw_bat, ("black", "purple", "brown", "red"), "wings", hover=0.45),
)
