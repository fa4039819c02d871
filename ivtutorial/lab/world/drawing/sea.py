"""Animals of the sea: fish, shark, whale, dolphin, octopus, lobster."""

from __future__ import annotations

import numpy as np

from ivtutorial.lab.world.drawing.pen import Array, Pen, union
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject

BELLY = (0.97, 0.97, 0.96)
WATER = (0.80, 0.93, 1.0)


def _beat(p: Pose) -> Array:
    """The sweep of a tail, in [-1, 1]: gentle at rest, full when swimming fast."""
    return p.flap * (0.35 + 0.65 * p.stride)


def draw_fish(pen: Pen, p: Pose, c: Palette) -> None:
    """A tall oval body with a big fan tail, fins, a huge eye and light bands."""
    b = 0.2 * _beat(p)
    pen.polygon([(-0.4, 0.6), (-0.95, 1.05 + b), (-0.8, 0.6 + b), (-0.95, 0.15 + b)], c.main, round_by=0.03)
    pen.polygon([(-0.3, 0.85), (-0.25, 1.28), (0.25, 1.12), (0.4, 0.85)], c.dark, round_by=0.03)
    pen.polygon([(-0.2, 0.4), (-0.25 - b, 0.02), (0.2, 0.3)], c.dark, round_by=0.03)
    body = pen.ellipse(0.15, 0.62, 0.68, 0.42, c.main)
    pen.ellipse(-0.28, 0.62, 0.08, 0.4, c.light, inside=body)
    pen.ellipse(0.08, 0.62, 0.08, 0.45, c.light, inside=body)
    pen.polygon([(0.22, 0.5), (-0.1, 0.36 + 2 * b), (-0.05, 0.6 + b)], c.dark, round_by=0.02)
    pen.eye(0.52, 0.74, 0.13)
    pen.capsule(0.7, 0.5, 0.84, 0.54, 0.03, c.dark)


def draw_shark(pen: Pen, p: Pose, c: Palette) -> None:
    """A long pointed torpedo with a tall triangular back fin, a sickle tail, gills and a toothy mouth."""
    b = 0.18 * _beat(p)
    pen.polygon(
        [(-0.55, 0.7), (-0.97, 1.2 + b), (-0.76, 0.66 + b), (-0.95, 0.22 + b), (-0.55, 0.55)],
        c.main,
        round_by=0.03,
    )
    pen.polygon([(-0.22, 0.8), (-0.24, 1.42), (0.3, 0.8)], c.main, round_by=0.03)
    pen.capsule(0.1, 0.63, -0.7, 0.64 + b, 0.28, c.main, 0.07)
    body = pen.ellipse(0.2, 0.63, 0.6, 0.31, c.main)
    pen.capsule(0.45, 0.68, 0.93, 0.72, 0.24, c.main, 0.06)
    pen.ellipse(0.25, 0.36, 0.62, 0.16, BELLY, 0.06, inside=body)
    pen.polygon([(0.36, 0.48), (-0.1, 0.02 - b), (0.02, 0.46)], c.far, round_by=0.02)
    for x in (0.22, 0.34):
        pen.capsule(x, 0.58, x, 0.78, 0.03, c.dark)
    mouth = pen.polygon([(0.52, 0.42), (0.86, 0.62), (0.54, 0.58)], (0.45, 0.04, 0.08), round_by=0.02)
    pen.capsule(0.54, 0.6, 0.86, 0.64, 0.045, BELLY, inside=mouth)
    pen.eye(0.64, 0.76, 0.055, white=False)


def draw_whale(pen: Pen, p: Pose, c: Palette) -> None:
    """A huge blunt head, a pale pleated belly, a raised tail with flukes and a water spout."""
    b = 0.14 * _beat(p)
    spout = 1.3 + 0.12 * p.wave
    pen.curve([(0.4, 0.95), (0.4, spout), (0.2, spout + 0.1), (0.1, spout - 0.05)], 0.06, WATER)
    pen.curve([(0.4, spout), (0.6, spout + 0.1), (0.7, spout - 0.05)], 0.06, WATER)
    pen.polygon([(-0.78, 0.8 + b), (-0.98, 1.25 + b), (-0.72, 1.12 + b), (-0.45, 1.3 + b), (-0.6, 0.8 + b)], c.main)
    pen.curve([(-0.1, 0.45), (-0.5, 0.5), (-0.7, 0.95 + b)], 0.36, c.main, 0.06)
    body = pen.ellipse(0.3, 0.52, 0.65, 0.48, c.main)
    pen.ellipse(0.4, 0.12, 0.62, 0.26, BELLY, 0.15, inside=body)
    for x in (0.25, 0.45, 0.65):
        pen.capsule(x, 0.05, x + 0.08, 0.3, 0.025, c.light, inside=body)
    pen.polygon([(0.2, 0.35), (-0.15, 0.1 - b), (-0.05, 0.35)], c.dark, round_by=0.03)
    pen.eye(0.66, 0.56, 0.075)


def draw_dolphin(pen: Pen, p: Pose, c: Palette) -> None:
    """A sleek body arched in a leap, a bulging forehead over a bottle beak, a hooked back fin, flukes below."""
    b = 0.17 * _beat(p)
    flukes = [(-0.68, 0.4 + b), (-0.97, 0.42 + b), (-0.82, 0.24 + b), (-0.74, 0.0 + b), (-0.56, 0.3 + b)]
    pen.polygon(flukes, c.main, round_by=0.03)
    pen.polygon([(-0.28, 1.0), (-0.34, 1.32), (-0.2, 1.3), (0.14, 1.05)], c.main, round_by=0.03)
    pen.curve([(0.0, 0.84), (-0.36, 0.7), (-0.68, 0.32 + b)], 0.31, c.main, 0.06)
    pen.capsule(0.6, 0.72, 0.9, 0.6, 0.1, c.main, 0.065)
    body = pen.ellipse(0.08, 0.84, 0.5, 0.31, c.main)
    head = pen.ellipse(0.44, 0.82, 0.28, 0.25, c.main, -0.35)
    pen.ellipse(0.2, 0.56, 0.5, 0.17, BELLY, -0.05, inside=union(body, head))
    pen.capsule(0.66, 0.66, 0.92, 0.56, 0.025, BELLY)
    pen.polygon([(0.3, 0.64), (-0.04, 0.22 - b), (0.04, 0.6)], c.far, round_by=0.03)
    pen.eye(0.54, 0.86, 0.06, white=False)


def draw_octopus(pen: Pen, p: Pose, c: Palette) -> None:
    """A big bulbous head with two eyes over six arms that spread and curl up at the tips."""
    b = _beat(p)
    for side in (-1, 1):
        w = 0.12 * b * side
        pen.curve([(0.12 * side, 0.6), (0.2 * side + w, 0.3), (0.1 * side - w, 0.08)], 0.13, c.far, 0.07)
        knee = (0.48 * side - w, 0.22 + 0.5 * w * side)
        pen.curve([(0.2 * side, 0.62), knee, (0.62 * side - w, 0.08), (0.8 * side - w, 0.16)], 0.14, c.main, 0.05)
        bent = (0.62 * side, 0.46 + w * side)
        pen.curve(
            [(0.25 * side, 0.66), bent, (0.85 * side, 0.42), (0.93 * side, 0.62 - w * side)],
            0.14,
            c.main,
            0.05,
        )
    pen.ellipse(0.0, 1.08, 0.5, 0.48, c.main)
    pen.ellipse(0.0, 0.7, 0.36, 0.24, c.main)
    pen.eye(-0.02, 0.92, 0.14)
    pen.eye(0.32, 0.92, 0.13)


def draw_lobster(pen: Pen, p: Pose, c: Palette) -> None:
    """Seen from above: two giant claws in front, long feelers, a banded tail ending in a fan."""
    s = 0.16 * p.stride * np.sin(p.phase)
    for i, x in enumerate((-0.12, 0.06, 0.24)):
        step = s * (-1) ** i
        pen.capsule(x, 0.74, x - 0.12 + step, 1.22, 0.05, c.far)
        pen.capsule(x, 0.74, x - 0.12 - step, 0.26, 0.05, c.far)
    pen.polygon([(-0.6, 0.74), (-0.95, 1.1), (-0.85, 0.74), (-0.95, 0.38)], c.main, round_by=0.05)
    tail = pen.capsule(-0.7, 0.74, 0.0, 0.74, 0.15, c.main, 0.25)
    for x in (-0.62, -0.42, -0.22):
        pen.capsule(x, 0.4, x, 1.1, 0.035, c.dark, inside=tail)
    pen.ellipse(0.14, 0.74, 0.38, 0.26, c.main)
    for side in (1, -1):
        elbow, y = 0.44 + s * side, 0.74 + (0.42 + 0.04 * p.wave) * side
        pen.capsule(0.4, 0.74 + 0.1 * side, 0.95, 0.74 + (0.12 + 0.04 * p.wave) * side, 0.03, c.dark)
        pen.capsule(0.3, 0.74 + 0.14 * side, elbow, y, 0.09, c.main)
        pen.capsule(elbow, y, elbow + 0.4, y - (0.1 - 0.05 * p.wave) * side, 0.12, c.main, 0.04)
        pen.ellipse(elbow + 0.22, y + 0.12 * side, 0.32, 0.16, c.main, 0.2 * side)
        pen.circle(0.42, 0.74 + 0.12 * side, 0.06, (0.05, 0.05, 0.08))


SEA_ANIMALS = (
    Subject("fish", draw_fish, ("orange", "blue", "yellow", "pink"), "fins", hover=0.3),
    Subject("shark", draw_shark, ("grey", "blue", "white", "black"), "fins", hover=0.3),
    Subject("whale", draw_whale, ("blue", "grey", "black", "white"), "fins", hover=0.3),
    Subject("dolphin", draw_dolphin, ("grey", "blue", "pink", "purple"), "fins", hover=0.3),
    Subject("octopus", draw_octopus, ("red", "purple", "orange", "pink"), "fins", hover=0.3),
    Subject("lobster", draw_lobster, ("red", "blue", "brown", "orange"), "crawl"),
)
