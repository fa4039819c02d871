"""Reptiles and amphibians: snake, lizard, turtle, frog, crocodile."""

from __future__ import annotations

import numpy as np

from ivtutorial.lab.world.drawing.pen import Array, Number, Pen, mix
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject

TONGUE = (0.85, 0.10, 0.15)
TOOTH = (0.98, 0.98, 0.95)


def draw_snake(pen: Pen, p: Pose, c: Palette) -> None:
    """A long thick body in round bends that travel along it, a raised head and a forked tongue."""
    xs = np.linspace(-0.95, 0.35, 12)
    body = [(x, 0.36 + 0.23 * np.sin(6.6 * x + 2.0 - p.phase)) for x in xs]
    head_y = 0.95 + 0.06 * p.wave
    body += [(0.53, 0.42 + 0.5 * (body[-1][1] - 0.36)), (0.58, head_y)]
    pen.curve(body[:7], 0.05, c.main, 0.14)
    pen.curve(body[6:], 0.14, c.main, 0.13)
    for x, y in body[2:12:2]:
        pen.circle(x, y, 0.085, c.dark)
    pen.capsule(0.85, head_y, 1.0, head_y + 0.08 * p.wave, 0.035, TONGUE)
    pen.ellipse(0.67, head_y + 0.02, 0.25, 0.16, c.main)
    pen.eye(0.72, head_y + 0.08, 0.075)


def _sprawled_leg(pen: Pen, hip: float, knee: float, foot: float, side: int, swing: Array, c: Palette) -> None:
    """A bent leg seen from above, with a round foot; ``side`` is +1 or -1."""
    bend_x, bend_y = knee + 0.6 * swing, 0.62 + 0.37 * side
    pen.capsule(hip, 0.62 + 0.1 * side, bend_x, bend_y, 0.09, c.main, 0.075)
    pen.capsule(bend_x, bend_y, foot + swing, 0.62 + 0.52 * side, 0.075, c.main, 0.1)


def draw_lizard(pen: Pen, p: Pose, c: Palette) -> None:
    """Seen from above like a gecko: splayed bent legs, a long winding tail, a wedge of a head, two eyes."""
    swing = 0.24 * p.stride * np.sin(p.phase)
    for side in (1, -1):
        _sprawled_leg(pen, -0.2, -0.36, -0.26, side, -side * swing, c)
        _sprawled_leg(pen, 0.32, 0.42, 0.56, side, side * swing, c)
    sway = 0.06 * p.wave + 0.12 * p.stride * np.sin(p.phase)
    tail: list[tuple[Number, Number]]
    tail = [(-0.2, 0.62), (-0.42, 0.56 - 0.4 * sway), (-0.6, 0.54 - 0.5 * sway), (-0.76, 0.62), (-0.87, 0.78 + sway)]
    pen.curve([*tail, (-0.97, 0.84 + 1.5 * sway)], 0.16, c.main, 0.04)
    pen.ellipse(0.06, 0.62, 0.4, 0.19, c.main)
    nod = -0.2 * swing
    pen.capsule(0.55, 0.62 + nod, 0.87, 0.62 + nod, 0.19, c.main, 0.09)
    for x in (-0.16, 0.06, 0.28):
        pen.circle(x, 0.62, 0.08, c.dark)
    pen.eye(0.64, 0.75 + nod, 0.075)
    pen.eye(0.64, 0.49 + nod, 0.075)


def draw_turtle(pen: Pen, p: Pose, c: Palette) -> None:
    """A high domed shell with dark plates over stumpy legs, a round head on a stretched neck."""
    s, skin = 0.22 * p.stride, mix(c.main, c.light, 0.6)
    for x, phase in ((-0.4, p.phase), (0.32, p.phase + np.pi)):
        pen.leg(x, 0.4, phase + np.pi, s, 0.12, c.far, r1=0.11, bend=0.0)
    reach = 0.04 * p.wave
    pen.capsule(0.35, 0.45, 0.72 + reach, 0.66, 0.14, skin, 0.12)
    pen.ellipse(0.77 + reach, 0.7, 0.21, 0.18, skin)
    pen.eye(0.83 + reach, 0.76, 0.06, white=False)
    pen.polygon([(-0.7, 0.45), (-0.98, 0.3), (-0.7, 0.3)], skin)
    for x, phase in ((-0.48, p.phase), (0.4, p.phase + np.pi)):
        pen.leg(x, 0.4, phase, s, 0.13, skin, r1=0.12, bend=0.0)
    corners = [(-0.66, 0.45), (-0.5, 0.84), (-0.1, 1.02), (0.3, 0.84), (0.46, 0.45)]
    dome = pen.polygon(corners, c.main, round_by=0.14)
    for x, y in ((-0.46, 0.66), (-0.1, 0.82), (0.26, 0.66)):
        pen.circle(x, y, 0.13, c.dark, inside=dome)
    pen.capsule(-0.78, 0.36, 0.58, 0.36, 0.075, c.dark)


def draw_frog(pen: Pen, p: Pose, c: Palette) -> None:
    """A squat sitter with a bulging eye on top, a wide mouth and a huge folded hind leg; it hops."""
    hop = p.stride * np.maximum(np.sin(p.phase), 0.0)
    y, reach = 0.4 * hop, 0.2 * hop
    pen.capsule(0.3, 0.4 + y, 0.42 + reach, 0.08 + 0.8 * y, 0.1, c.main, 0.08)
    pen.capsule(0.42 + reach, 0.08 + 0.8 * y, 0.66 + reach, 0.08 + 0.8 * y, 0.08, c.main)
    body = pen.capsule(-0.42, 0.36 + y, 0.36, 0.66 + y, 0.3, c.main, 0.36)
    pen.ellipse(0.4, 0.32 + y, 0.42, 0.17, c.light, 0.3, inside=body)
    pen.circle(0.38, 1.02 + y, 0.2, c.main)
    pen.eye(0.4, 1.06 + y, 0.16)
    pen.capsule(0.34, 0.62 + y, 0.71, 0.7 + y, 0.04, c.dark)
    foot = -0.2 - 0.7 * hop
    pen.capsule(-0.55, 0.2 + y, foot, 0.09, 0.1, c.far, 0.08)
    pen.capsule(foot, 0.08, foot + 0.32, 0.08, 0.08, c.main)
    pen.ellipse(-0.46, 0.38 + y, 0.44, 0.26, c.dark, 0.75)
    pen.ellipse(-0.47, 0.4 + y, 0.39, 0.21, c.main, 0.75)


def draw_crocodile(pen: Pen, p: Pose, c: Palette) -> None:
    """Long toothy jaws that open, a low body, a saw-edged back and a thick tapering tail."""
    s = 0.24 * p.stride
    pen.leg(-0.36, 0.36, p.phase + np.pi, s, 0.11, c.far, r1=0.08)
    pen.leg(0.14, 0.36, p.phase, s, 0.11, c.far, r1=0.08)
    tip = 0.5 + 0.14 * p.wave
    pen.polygon(
        [(-0.75, 0.5), (-0.62, 0.76), (-0.5, 0.56), (-0.36, 0.82), (-0.2, 0.6), (-0.06, 0.82), (0.1, 0.5)],
        c.dark,
    )
    pen.curve([(-0.35, 0.42), (-0.7, 0.36), (-0.97, tip)], 0.23, c.main, 0.04)
    pen.ellipse(-0.1, 0.43, 0.45, 0.25, c.main)
    gape = 0.16 + 0.13 * p.wave
    pen.capsule(0.2, 0.42, 0.92, 0.32, 0.16, c.main, 0.075)
    for x in (0.56, 0.73, 0.9):
        pen.polygon([(x - 0.08, 0.4), (x, 0.56), (x + 0.08, 0.4)], TOOTH)
    pen.capsule(0.22, 0.6, 0.92, 0.52 + gape, 0.19, c.main, 0.08)
    pen.circle(0.34, 0.82, 0.14, c.main)
    pen.eye(0.37, 0.84, 0.1)
    pen.leg(-0.42, 0.36, p.phase, s, 0.12, c.main, r1=0.09)
    pen.leg(0.06, 0.36, p.phase + np.pi, s, 0.12, c.main, r1=0.09)


REPTILES = (
    Subject("snake", draw_snake, ("green", "red", "yellow", "black"), "crawl"),
    Subject("lizard", draw_lizard, ("green", "orange", "blue", "purple"), "crawl"),
    Subject("turtle", draw_turtle, ("green", "brown", "purple", "red")),
    Subject("frog", draw_frog, ("green", "yellow", "blue", "red")),
    Subject("crocodile", draw_crocodile, ("green", "grey", "orange", "pink"), "crawl"),
)
