"""Birds: bird, chicken, duck, goose, turkey."""

from __future__ import annotations

import numpy as np

from ivtutorial.lab.world.drawing.pen import Pen
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject

BEAK = (0.98, 0.62, 0.08)
COMB = (0.86, 0.10, 0.12)


def _bird_legs(pen: Pen, p: Pose, x: float, y: float, r: float, foot: float) -> None:
    """Two orange legs with long toes, stepping in turn."""
    for hip, phase in ((x - 0.08, p.phase + np.pi), (x + 0.1, p.phase)):
        toe = hip + 0.28 * p.stride * np.sin(phase)
        lift = r + 0.16 * p.stride * np.maximum(np.cos(phase), 0.0)
        pen.capsule(hip, y, toe, lift, r, BEAK)
        pen.capsule(toe, lift, toe + foot, lift, r, BEAK)


def draw_bird(pen: Pen, p: Pose, c: Palette) -> None:
    """A songbird in flight: long beating wings, forked tail, round head, short pointed beak."""
    tip_y = 0.95 + 0.68 * p.flap
    tip_x = -0.3 - 0.1 * np.abs(p.flap)
    pen.polygon([(-0.05, 0.8), (0.4, 0.8), (tip_x + 0.4, tip_y + 0.03)], c.far, round_by=0.05)
    pen.polygon([(-0.3, 0.8), (-0.95, 1.02), (-0.76, 0.76), (-0.97, 0.55), (-0.3, 0.62)], c.main)
    pen.polygon([(0.7, 1.0), (0.98, 0.86), (0.7, 0.78)], BEAK)
    body = pen.ellipse(0.02, 0.72, 0.54, 0.27, c.main, 0.15)
    pen.ellipse(0.25, 0.54, 0.42, 0.17, c.light, 0.2, inside=body)
    pen.circle(0.54, 0.88, 0.23, c.main)
    pen.eye(0.62, 0.94, 0.065, white=False)
    wing = pen.polygon([(-0.32, 0.74), (0.3, 0.76), (tip_x, tip_y)], c.main, round_by=0.07)
    pen.circle(tip_x, tip_y, 0.32, c.dark, inside=wing)


def draw_chicken(pen: Pen, p: Pose, c: Palette) -> None:
    """A plump body with a raised feathery tail, a big red comb and wattle, thin legs."""
    bob = 0.06 * p.stride * np.sin(2 * p.phase)
    _bird_legs(pen, p, 0.0, 0.45, 0.045, 0.14)
    for x, y in ((-0.62, 1.32), (-0.82, 1.12), (-0.84, 0.88)):
        pen.capsule(-0.3, 0.72, x + 0.06 * p.wave, y, 0.2, c.main, 0.09)
    pen.ellipse(-0.05, 0.68, 0.55, 0.36, c.main)
    pen.capsule(0.2, 0.74, 0.5 + bob, 1.2, 0.3, c.main, 0.17)
    for x, y in ((0.34, 1.36), (0.48, 1.45), (0.63, 1.4)):
        pen.circle(x + bob, y, 0.11, COMB)
    pen.circle(0.5 + bob, 1.22, 0.18, c.main)
    pen.polygon([(0.64 + bob, 1.3), (0.93 + bob, 1.18), (0.64 + bob, 1.1)], BEAK)
    pen.ellipse(0.65 + bob, 1.0, 0.09, 0.15, COMB)
    pen.eye(0.55 + bob, 1.25, 0.06, white=False)
    wing = pen.ellipse(-0.16, 0.66 + 0.03 * p.wave, 0.32, 0.2, c.dark, 0.25)
    pen.ellipse(-0.13, 0.71 + 0.03 * p.wave, 0.31, 0.18, c.main, 0.25, inside=wing)


def draw_duck(pen: Pen, p: Pose, c: Palette) -> None:
    """A long low body with a curled-up tail, short neck, round head and a broad flat bill."""
    rock = 0.05 * p.stride * np.sin(p.phase)
    _bird_legs(pen, p, -0.1, 0.25, 0.055, 0.16)
    pen.polygon([(-0.5, 0.32), (-0.97, 0.72 + 0.05 * p.wave), (-0.55, 0.66), (-0.2, 0.66)], c.main, round_by=0.03)
    body = pen.ellipse(-0.12, 0.45, 0.66, 0.3, c.main)
    pen.ellipse(0.0, 0.2, 0.6, 0.14, c.light, inside=body)
    pen.capsule(0.3, 0.55, 0.42 + rock, 0.9, 0.2, c.main, 0.16)
    pen.ellipse(0.76 + rock, 0.87, 0.22, 0.085, BEAK, -0.1)
    pen.circle(0.45 + rock, 0.98, 0.23, c.main)
    pen.eye(0.53 + rock, 1.05, 0.06, white=False)
    pen.ellipse(-0.22, 0.5, 0.38, 0.17, c.dark, -0.12)
    pen.ellipse(-0.2, 0.54, 0.35, 0.15, c.main, -0.12)


def draw_goose(pen: Pen, p: Pose, c: Palette) -> None:
    """A very long thin upright neck, a small head with a strong wedge of a bill, a boat-shaped body."""
    nod = 0.08 * p.stride * np.sin(p.phase) + 0.03 * p.wave
    _bird_legs(pen, p, -0.15, 0.38, 0.055, 0.18)
    pen.polygon([(-0.55, 0.48), (-0.97, 0.8 + 0.05 * p.wave), (-0.5, 0.8), (-0.1, 0.8)], c.main, round_by=0.03)
    pen.ellipse(-0.18, 0.58, 0.6, 0.29, c.main, 0.12)
    pen.capsule(0.22, 0.64, 0.42, 0.95, 0.19, c.main, 0.1)
    pen.capsule(0.42, 0.95, 0.4 + nod, 1.42, 0.1, c.main, 0.1)
    pen.polygon([(0.54 + nod, 1.56), (0.92 + nod, 1.38), (0.54 + nod, 1.34)], BEAK, round_by=0.02)
    pen.ellipse(0.47 + nod, 1.45, 0.19, 0.15, c.main, -0.15)
    pen.eye(0.51 + nod, 1.49, 0.05, white=False)
    wing = pen.ellipse(-0.28, 0.6, 0.42, 0.19, c.dark, -0.05)
    pen.ellipse(-0.25, 0.66, 0.42, 0.17, c.main, -0.05, inside=wing)


def draw_turkey(pen: Pen, p: Pose, c: Palette) -> None:
    """A huge round fan of pale-tipped tail feathers behind a plump body, a bare red head."""
    sway = 0.35 + 0.06 * p.wave
    feathers = [angle + sway for angle in np.radians([-28, 14, 56, 98, 140, 182])]
    for angle in feathers:
        pen.circle(-0.22 + 0.55 * np.cos(angle), 0.78 + 0.57 * np.sin(angle), 0.22, c.light)
    for angle in feathers:
        x, y = -0.22 + 0.47 * np.cos(angle), 0.78 + 0.49 * np.sin(angle)
        pen.capsule(-0.22, 0.78, x, y, 0.12, c.main, 0.22)
    _bird_legs(pen, p, 0.1, 0.4, 0.05, 0.16)
    pen.ellipse(0.05, 0.58, 0.47, 0.37, c.dark)
    pen.ellipse(0.06, 0.6, 0.42, 0.32, c.main)
    pen.capsule(0.38, 0.72, 0.6, 1.12, 0.13, COMB, 0.11)
    pen.circle(0.63, 1.15, 0.15, COMB)
    pen.polygon([(0.72, 1.22), (0.95, 1.1), (0.72, 1.06)], BEAK)
    pen.eye(0.65, 1.19, 0.055, white=False)


BIRDS = (
    Subject("bird", draw_bird, ("blue", "red", "yellow", "purple"), "wings", hover=0.45),
    Subject("chicken", draw_chicken, ("white", "brown", "black", "orange")),
    Subject("duck", draw_duck, ("yellow", "white", "green", "pink")),
    Subject("goose", draw_goose, ("white", "grey", "blue", "brown")),
    Subject("turkey", draw_turkey, ("brown", "black", "purple", "orange")),
)
