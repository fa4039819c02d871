"""Gorilla, monkey and kangaroo: animals known by their arms, their tail and their hop."""

from __future__ import annotations

import numpy as np

from ivtutorial.lab.world.drawing.pen import Colour, Number, Pen
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject

FACE: Colour = (0.96, 0.80, 0.62)


def draw_gorilla(pen: Pen, p: Pose, c: Palette) -> None:
    """Massive shoulders, long arms resting on the knuckles, a silver back and a domed head."""
    s = 0.3 * p.stride
    pen.leg(-0.62, 0.5, p.phase + np.pi, s, 0.15, c.far, r1=0.09, bend=-0.08, foot_size=0.1)
    pen.leg(0.5, 0.95, p.phase, s, 0.17, c.far, r1=0.11, bend=0.0)
    body = pen.capsule(-0.52, 0.66, 0.18, 1.04, 0.28, c.main, 0.4)
    pen.ellipse(-0.42, 0.98, 0.34, 0.16, c.light, 0.5, inside=body)
    pen.capsule(0.46, 1.38, 0.54, 1.24, 0.22, c.main, 0.26)
    pen.ellipse(0.7, 1.2, 0.18, 0.21, c.light)
    pen.capsule(0.62, 1.37, 0.84, 1.35, 0.06, c.main)
    pen.eye(0.74, 1.27, 0.05, white=False)
    pen.capsule(0.74, 1.08, 0.84, 1.1, 0.03, c.dark)
    pen.leg(-0.52, 0.5, p.phase, s, 0.2, c.main, r1=0.11, bend=-0.08, foot_size=0.12)
    pen.leg(0.3, 1.0, p.phase + np.pi, s, 0.22, c.main, r1=0.14, bend=0.0)


def draw_monkey(pen: Pen, p: Pose, c: Palette) -> None:
    """A big round ear, a pale face, slim limbs and a long tail curled over the back."""
    s = 0.3 * p.stride
    x = -0.66 + 0.09 * p.wave
    pen.leg(-0.44, 0.55, p.phase + np.pi, s, 0.09, c.far, bend=-0.06)
    pen.leg(0.3, 0.6, p.phase, s, 0.08, c.far)
    tail: list[tuple[Number, Number]] = [(-0.4, 0.68), (-0.8, 0.76), (x - 0.24, 1.06)]
    tail += [(x - 0.12, 1.38), (x + 0.16, 1.44), (x + 0.24, 1.18)]
    pen.curve(tail, 0.075, c.main, 0.065)
    pen.capsule(-0.36, 0.62, 0.24, 0.7, 0.21, c.main, 0.19)
    pen.circle(0.24, 1.14, 0.19, c.main)
    pen.circle(0.23, 1.14, 0.11, FACE)
    pen.circle(0.54, 1.08, 0.33, c.main)
    pen.ellipse(0.66, 1.08, 0.2, 0.22, FACE)
    pen.ellipse(0.74, 0.93, 0.19, 0.14, FACE)
    pen.eye(0.7, 1.13, 0.06, white=False)
    pen.leg(-0.34, 0.55, p.phase, s, 0.11, c.main, bend=-0.06, foot_size=0.08)
    pen.leg(0.2, 0.6, p.phase + np.pi, s, 0.09, c.main, foot_size=0.08)


def draw_kangaroo(pen: Pen, p: Pose, c: Palette) -> None:
    """Upright on huge hind feet, hopping; a thick tail behind, small arms, tall ears and a pale belly."""
    y = 0.35 * p.stride * np.maximum(np.sin(p.phase), 0.0)
    kick = 0.3 * p.stride * np.cos(p.phase)
    tail = [(-0.3, 0.5 + y), (-0.6, 0.22 + y), (-0.95, 0.1 + 1.4 * y + 0.05 * p.wave)]
    pen.curve(tail, 0.2, c.main, 0.05)
    pen.capsule(-0.2, 0.58 + y, 0.2, 1.0 + y, 0.32, c.main, 0.17)
    pen.capsule(0.02, 0.56 + y, 0.22, 0.84 + y, 0.15, c.light, 0.1)
    pen.capsule(0.22, 1.0 + y, 0.36, 1.22 + y, 0.15, c.main, 0.12)
    pen.capsule(0.4, 1.26 + y, 0.66, 1.16 + y, 0.14, c.main, 0.09)
    pen.capsule(0.3, 1.34 + y, 0.2, 1.52 + y, 0.08, c.main, 0.05)
    pen.capsule(0.4, 1.36 + y, 0.38, 1.55 + y, 0.075, c.far, 0.05)
    pen.curve([(0.26, 0.96 + y), (0.44, 0.76 + y), (0.6, 0.84 + y)], 0.07, c.far, 0.05)
    pen.circle(0.74, 1.17 + y, 0.055, (0.08, 0.07, 0.09))
    pen.eye(0.48, 1.29 + y, 0.05, white=False)
    pen.capsule(-0.16, 0.46 + y, 0.14 + 0.4 * kick, 0.38 + y, 0.22, c.main, 0.13)
    pen.capsule(0.14 + 0.4 * kick, 0.38 + y, -0.14 + kick, 0.1 + 0.8 * y, 0.1, c.main, 0.08)
    pen.capsule(-0.14 + kick, 0.08 + 0.8 * y, 0.34 + kick, 0.07 + 0.6 * y, 0.08, c.dark, 0.07)


PRIMATES = (
    Subject("gorilla", draw_gorilla, ("black", "grey", "red", "purple")),
    Subject("monkey", draw_monkey, ("brown", "orange", "red", "green")),
    Subject("kangaroo", draw_kangaroo, ("brown", "red", "yellow", "purple")),
)
