"""Things that are not animals: vehicles, flying machines, a robot, a snowman and a few household things."""

from __future__ import annotations

import numpy as np

from ivtutorial.lab.world.drawing.pen import Colour, Coverage, Number, Pen
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject

_INK: Colour = (0.10, 0.10, 0.12)
GLASS: Colour = (0.70, 0.88, 0.97)
STEEL: Colour = (0.72, 0.74, 0.78)
_SNOW: Colour = (0.97, 0.97, 0.98)
WOOD: Colour = (0.50, 0.31, 0.15)
FLAME: Colour = (0.98, 0.55, 0.10)
SCARF: Colour = (0.80, 0.16, 0.14)
GLOW: Colour = (1.0, 0.88, 0.35)
CREAM: Colour = (0.95, 0.89, 0.76)
LAMP: Colour = (1.0, 0.95, 0.6)


def _wheel(pen: Pen, p: Pose, x: float, r: float, hub: Colour = STEEL) -> None:
    """A tyre with a bright hub and one thick spoke that turns as the wheel rolls."""
    pen.circle(x, r, r, _INK)
    pen.circle(x, r, 0.66 * r, hub)
    dx, dy = 0.6 * r * np.cos(0.6 * p.phase + 0.6), -0.6 * r * np.sin(0.6 * p.phase + 0.6)
    pen.capsule(x - dx, r - dy, x + dx, r + dy, 0.17 * r, _INK)


def _ring(pen: Pen, x: Number, y: Number, r: float, width: float, colour: Colour) -> None:
    """A hoop: a disc confined to what lies outside a smaller disc."""
    outer = pen.circle(x, y, r, colour, opacity=0.0)
    inner = pen.circle(x, y, r - width, colour, opacity=0.0)
    alpha = outer.alpha.copy()
    if inner.alpha.size:
        top, left = inner.top - outer.top, inner.left - outer.left
        alpha[:, top : top + inner.alpha.shape[1], left : left + inner.alpha.shape[2]] -= inner.alpha
    pen.circle(x, y, r + 0.05, colour, inside=Coverage(outer.top, outer.left, alpha))


def _box(pen: Pen, left: Number, bottom: Number, right: Number, top: Number, colour: Colour, by: float) -> Coverage:
    """An upright rectangle with corners rounded by ``by``, which lies within the given sides."""
    left, right, bottom, top = left + by, right - by, bottom + by, top - by
    return pen.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], colour, round_by=by)


def _puffs(pen: Pen, p: Pose, x: float, y: float, back: float, rise: float, colour: Colour = _SNOW) -> None:
    """Three puffs of steam that grow as they drift away from (x, y)."""
    for i in range(3):
        age = np.asarray((p.phase / (2 * np.pi) + 0.12 * p.wave + i / 3 + 0.15) % 1.0, np.float32)
        pen.circle(x - back * age, y + rise * age, 0.06 + 0.1 * age, colour)


def draw_car(pen: Pen, p: Pose, c: Palette) -> None:
    """A low body with a rounded cabin, two windows and two wheels."""
    pen.polygon([(-0.62, 0.6), (-0.4, 1.08), (0.22, 1.08), (0.56, 0.6)], c.main, round_by=0.12)
    pen.polygon([(-0.48, 0.74), (-0.34, 1.04), (-0.14, 1.04), (-0.14, 0.74)], GLASS, round_by=0.02)
    pen.polygon([(0.04, 0.74), (0.04, 1.04), (0.18, 1.04), (0.4, 0.74)], GLASS, round_by=0.02)
    _box(pen, -0.98, 0.2, 0.98, 0.72, c.main, 0.18)
    pen.capsule(-0.85, 0.27, 0.85, 0.27, 0.05, c.dark)
    pen.circle(0.87, 0.52, 0.1, LAMP)
    pen.circle(-0.92, 0.52, 0.06, (0.9, 0.2, 0.15))
    _wheel(pen, p, -0.53, 0.26)
    _wheel(pen, p, 0.53, 0.26)


def draw_bus(pen: Pen, p: Pose, c: Palette) -> None:
    """A long tall box with a row of windows and a door."""
    _box(pen, -0.98, 0.2, 0.98, 1.3, c.main, 0.12)
    band = _box(pen, -0.86, 0.8, 0.94, 1.12, GLASS, 0.05)
    for x in (-0.44, -0.02, 0.4):
        pen.capsule(x, 0.5, x, 1.3, 0.075, c.main, inside=band)
    for x in (0.5, 0.76):
        pen.capsule(x, 0.3, x, 1.12, 0.03, c.dark)
    pen.capsule(-0.9, 0.64, 0.34, 0.64, 0.045, c.dark)
    pen.circle(0.88, 0.42, 0.08, LAMP)
    _wheel(pen, p, -0.58, 0.23)
    _wheel(pen, p, 0.22, 0.23)


def draw_train(pen: Pen, p: Pose, c: Palette) -> None:
    """A steam engine: boiler, cab, funnel with steam, coupled wheels."""
    _puffs(pen, p, 0.6, 1.28, 0.75, 0.18)
    pen.polygon([(0.5, 0.9), (0.7, 0.9), (0.76, 1.22), (0.44, 1.22)], c.dark, round_by=0.02)
    pen.circle(0.08, 0.95, 0.14, (0.85, 0.68, 0.25))
    pen.capsule(-0.5, 0.7, 0.66, 0.7, 0.28, c.main)
    _box(pen, -0.92, 0.3, -0.3, 1.2, c.main, 0.04)
    _box(pen, -0.98, 1.16, -0.24, 1.28, c.dark, 0.05)
    _box(pen, -0.78, 0.78, -0.44, 1.08, GLASS, 0.03)
    pen.polygon([(0.62, 0.34), (0.98, 0.04), (0.62, 0.04)], c.dark)
    pen.capsule(0.9, 0.74, 0.92, 0.74, 0.09, LAMP)
    for x in (-0.66, -0.14, 0.38):
        pen.circle(x, 0.25, 0.25, _INK)
        pen.circle(x, 0.25, 0.13, (0.80, 0.20, 0.16))
    dx, dy = 0.13 * np.cos(0.6 * p.phase), -0.13 * np.sin(0.6 * p.phase)
    pen.capsule(-0.66 + dx, 0.25 + dy, 0.38 + dx, 0.25 + dy, 0.045, STEEL)


def draw_bicycle(pen: Pen, p: Pose, c: Palette) -> None:
    """Two large spoked hoops, a slim frame, saddle and handlebars."""
    for x in (-0.54, 0.54):
        for k in (0.0, np.pi / 2):
            dx, dy = 0.38 * np.cos(0.4 * p.phase + k), -0.38 * np.sin(0.4 * p.phase + k)
            pen.capsule(x - dx, 0.43 - dy, x + dx, 0.43 + dy, 0.025, _INK)
        _ring(pen, x, 0.43, 0.43, 0.12, c.main)
    pen.curve([(-0.54, 0.43), (-0.04, 0.38), (0.4, 0.92)], 0.065, c.main)
    pen.capsule(0.38, 0.92, -0.24, 0.92, 0.065, c.main)
    pen.capsule(-0.24, 0.92, -0.54, 0.43, 0.065, c.main)
    pen.capsule(-0.04, 0.38, -0.29, 1.08, 0.065, c.main)
    pen.capsule(0.54, 0.43, 0.34, 1.16, 0.065, c.main)
    pen.capsule(-0.46, 1.14, -0.16, 1.14, 0.08, _INK)
    pen.curve([(0.34, 1.18), (0.6, 1.24), (0.66, 1.08)], 0.055, _INK)
    dx, dy = 0.2 * np.cos(0.8 * p.phase), -0.2 * np.sin(0.8 * p.phase)
    pen.capsule(-0.04 - dx, 0.38 - dy, -0.04 + dx, 0.38 + dy, 0.055, _INK)


def draw_sailboat(pen: Pen, p: Pose, c: Palette) -> None:
    """Tall triangular sails that lean with the wind over a broad hull among wavelets."""
    lean = 0.16 * p.wave
    bow = 0.12 * p.stride * np.sin(p.phase)
    pen.capsule(0.0, 0.3, lean, 1.54, 0.045, WOOD)
    pen.polygon([(-0.07, 0.5), (lean - 0.07, 1.5), (0.8 * lean - 0.86, 0.5 - bow)], c.main, round_by=0.02)
    pen.polygon([(0.09, 0.5), (lean + 0.07, 1.36), (0.84, 0.5 + bow)], c.main, round_by=0.02)
    hull = [(-0.92, 0.42 - bow), (0.96, 0.42 + bow), (0.62, 0.06 + bow), (-0.66, 0.06 - bow)]
    body = pen.polygon(hull, c.far, round_by=0.02)
    pen.capsule(-0.95, 0.4 - bow, 0.98, 0.4 + bow, 0.05, c.main, inside=body)
    for i in range(5):
        y = 0.05 + (0.03 + 0.05 * p.stride) * np.sin(p.phase + 2.4 * i)
        pen.ellipse(-0.8 + 0.4 * i, y, 0.24, 0.08, (0.25, 0.55, 0.85))


def draw_airplane(pen: Pen, p: Pose, c: Palette) -> None:
    """A long body with swept wing, tail fin, windows and a spinning propeller."""
    pen.polygon([(-0.93, 1.3), (-0.72, 1.3), (-0.4, 0.8), (-0.85, 0.75)], c.main, round_by=0.04)
    pen.polygon([(0.0, 0.85), (0.3, 0.85), (-0.02, 1.28), (-0.2, 1.28)], c.far, round_by=0.04)
    pen.capsule(-0.75, 0.72, 0.55, 0.62, 0.14, c.main, 0.27)
    pen.ellipse(0.6, 0.75, 0.19, 0.13, GLASS, -0.5)
    for x in (-0.45, -0.18, 0.09):
        pen.circle(x, 0.76, 0.065, GLASS)
    pen.polygon([(-0.1, 0.56), (0.34, 0.56), (-0.18, 0.1), (-0.45, 0.1)], c.far, round_by=0.05)
    pen.polygon([(-0.85, 0.72), (-0.58, 0.7), (-0.85, 0.5), (-1.0, 0.5)], c.far, round_by=0.03)
    blade = np.asarray(0.42 * np.cos(0.8 * p.phase + 0.8 * p.flap), np.float32)
    pen.ellipse(0.9, 0.62, 0.07, 0.42, _SNOW, opacity=0.6)
    pen.capsule(0.9, 0.62 - blade, 0.9, 0.62 + blade, 0.055, _INK)
    pen.circle(0.87, 0.62, 0.09, _INK)


def draw_helicopter(pen: Pen, p: Pose, c: Palette) -> None:
    """A round glass-nosed cabin, a thin tail boom, a big rotor on top and skids."""
    pen.capsule(-0.1, 0.75, -0.85, 0.88, 0.18, c.main, 0.07)
    pen.polygon([(-0.96, 1.15), (-0.84, 1.15), (-0.76, 0.85), (-0.9, 0.82)], c.main, round_by=0.03)
    for x in (0.0, 0.42):
        pen.capsule(x, 0.35, x, 0.1, 0.04, _INK)
    pen.capsule(-0.28, 0.07, 0.75, 0.07, 0.05, _INK)
    cabin = pen.ellipse(0.22, 0.63, 0.62, 0.43, c.main)
    nose = pen.circle(0.58, 0.74, 0.29, GLASS, inside=cabin)
    pen.capsule(0.52, 0.3, 0.52, 1.1, 0.03, c.main, inside=nose)
    pen.capsule(0.2, 1.0, 0.2, 1.3, 0.06, _INK)
    pen.ellipse(0.2, 1.34, 0.8, 0.08, _SNOW, opacity=0.5)
    blade = 0.5 + 0.35 * p.flap
    pen.capsule(0.2 - blade, 1.34, 0.2 + blade, 1.34, 0.055, _INK)
    dx, dy = 0.2 * np.cos(p.phase + p.flap), 0.2 * np.sin(p.phase + p.flap)
    pen.capsule(-0.88 - dx, 0.98 - dy, -0.88 + dx, 0.98 + dy, 0.04, _INK)


def draw_rocket(pen: Pen, p: Pose, c: Palette) -> None:
    """A slanted pointed hull with fins and a round window, riding on a flickering flame."""
    cos, sin = np.cos(0.9), np.sin(0.9)

    def put(along: Number, across: Number) -> tuple[Number, Number]:
        return 0.12 + along * cos - across * sin, 0.85 + along * sin + across * cos

    length = 0.95 + 0.18 * p.flap
    pen.polygon([put(-0.5, -0.2), put(-length, 0.08 * p.flap), put(-0.5, 0.2)], FLAME, round_by=0.05)
    pen.polygon([put(-0.5, -0.08), put(-length + 0.2, 0.0), put(-0.5, 0.08)], GLOW, round_by=0.03)
    for side in (1, -1):
        fin = [(-0.1, 0.2), (-0.35, 0.48), (-0.65, 0.45), (-0.48, 0.1)]
        pen.polygon([put(u, v * side) for u, v in fin], c.far, round_by=0.03)
    half = ((-0.52, 0.19), (-0.1, 0.31), (0.4, 0.23), (0.85, 0.0))
    hull = [put(u, v) for u, v in half] + [put(u, -v) for u, v in half[2::-1]]
    body = pen.polygon(hull, c.main, round_by=0.04)
    pen.capsule(*put(0.42, -0.5), *put(0.42, 0.5), 0.04, c.dark, inside=body)
    pen.circle(*put(0.12, 0.0), 0.16, c.dark)
    pen.circle(*put(0.12, 0.0), 0.11, GLASS)


def draw_balloon(pen: Pen, p: Pose, c: Palette) -> None:
    """A huge striped envelope over a small basket that swings on ropes above a burner."""
    swing = 0.18 * p.wave
    for side in (-1, 1):
        pen.capsule(0.3 * side, 0.66, 0.17 * side + swing, 0.24, 0.03, WOOD)
    pen.ellipse(0.5 * swing, 0.42, 0.07, 0.14 + 0.06 * p.flap, FLAME)
    _box(pen, swing - 0.24, 0.0, swing + 0.24, 0.28, WOOD, 0.05)
    top = pen.ellipse(0.0, 1.06, 0.7, 0.54, c.main)
    pen.polygon([(-0.63, 0.83), (0.63, 0.83), (0.22, 0.5), (-0.22, 0.5)], c.main, round_by=0.02)
    pen.ellipse(0.0, 1.04, 0.15, 0.56, c.light)
    for side in (-1, 1):
        pen.capsule(0.42 * side, 1.5, 0.42 * side, 0.5, 0.055, c.dark, inside=top)


def draw_robot(pen: Pen, p: Pose, c: Palette) -> None:
    """A boxy head with glowing eyes and an antenna, a boxy body, stiff arms and legs."""
    s = 0.28 * p.stride
    hand = 1.5 * s * np.sin(p.phase)
    pen.leg(-0.2, 0.45, p.phase + np.pi, s, 0.12, c.far, _INK, 0.1, bend=0.0, foot_size=0.16)
    pen.capsule(0.4, 0.78, 0.58 + hand, 0.42, 0.1, c.far)
    pen.leg(0.2, 0.45, p.phase, s, 0.12, c.main, _INK, 0.1, bend=0.0, foot_size=0.16)
    pen.capsule(0.05, 1.3, 0.05 + 0.1 * p.wave, 1.5, 0.035, _INK)
    pen.circle(0.05 + 0.1 * p.wave, 1.5, 0.09, (0.9, 0.2, 0.15))
    _box(pen, -0.46, 0.36, 0.48, 0.92, c.main, 0.06)
    _box(pen, -0.42, 0.94, 0.56, 1.4, c.main, 0.07)
    _box(pen, -0.04, 1.06, 0.52, 1.3, _INK, 0.04)
    pen.circle(0.1, 1.18, 0.08, GLOW)
    pen.circle(0.38, 1.18, 0.08, GLOW)
    pen.circle(0.24, 0.66, 0.1, c.dark)
    pen.capsule(-0.36, 0.78, -0.5 - hand, 0.42, 0.1, c.dark)
    pen.circle(-0.5 - hand, 0.38, 0.12, STEEL)


def draw_snowman(pen: Pen, p: Pose, c: Palette) -> None:
    """Balls of snow with a carrot nose, a black hat, a scarf and waving stick arms."""
    hop = 0.06 * p.stride * np.abs(np.sin(p.phase))
    rock = 0.1 * p.stride * np.sin(p.phase)
    wave = 0.2 * p.wave
    pen.capsule(-0.25, 0.8 + hop, -0.85, 1.0 + hop + wave, 0.045, WOOD)
    pen.circle(0.0, 0.42, 0.45, c.main)
    pen.circle(0.5 * rock, 0.86 + hop, 0.35, c.main)
    pen.circle(0.04 + rock, 1.19 + hop, 0.27, c.main)
    pen.capsule(0.28, 0.8 + hop, 0.88, 1.0 + hop - wave, 0.045, WOOD)
    pen.capsule(rock - 0.2, 0.99 + hop, rock + 0.24, 0.98 + hop, 0.06, SCARF)
    pen.capsule(rock - 0.2, 0.98 + hop, rock - 0.36, 0.72 + hop + 0.5 * wave, 0.06, SCARF)
    nose = [(0.22 + rock, 1.27 + hop), (0.6 + rock, 1.16 + hop), (0.22 + rock, 1.12 + hop)]
    pen.polygon(nose, (0.95, 0.5, 0.1), round_by=0.01)
    pen.circle(0.14 + rock, 1.27 + hop, 0.05, _INK)
    pen.capsule(rock - 0.24, 1.38 + hop, rock + 0.3, 1.38 + hop, 0.04, _INK)
    _box(pen, rock - 0.13, 1.37 + hop, rock + 0.2, 1.58 + hop, _INK, 0.02)
    for y in (0.82, 0.64):
        pen.circle(0.14, y + hop, 0.05, _INK)


def draw_teapot(pen: Pen, p: Pose, c: Palette) -> None:
    """A round pot with a curved spout, a looped handle, a lid with a knob, and steam."""
    _puffs(pen, p, 0.9, 0.98, 0.15, 0.48)
    lift = 0.16 * p.stride * np.abs(np.sin(p.phase))
    _ring(pen, -0.6, 0.6, 0.32, 0.11, c.main)
    pen.curve([(0.4, 0.35), (0.65, 0.55), (0.72, 0.8), (0.9, 0.9)], 0.15, c.main, 0.07)
    pen.ellipse(0.0, 0.08, 0.36, 0.08, c.dark)
    body = pen.ellipse(0.0, 0.55, 0.58, 0.5, c.main)
    pen.capsule(-0.7, 0.5, 0.7, 0.5, 0.05, c.light, inside=body)
    pen.ellipse(0.0, 0.99 + lift, 0.32, 0.11, c.dark)
    pen.circle(0.0, 1.14 + lift, 0.09, c.dark)


def draw_umbrella(pen: Pen, p: Pose, c: Palette) -> None:
    """A wide scalloped dome with turning ribs on a long stick with a hooked handle."""
    lean = 0.14 * p.wave
    pen.capsule(0.02, 0.25, lean, 1.52, 0.05, WOOD)
    pen.curve([(0.02, 0.25), (0.06, 0.11), (0.18, 0.06), (0.3, 0.11), (0.33, 0.24)], 0.06, WOOD)
    rim = [(x, 0.6 + up - lean * x) for x, up in zip(np.linspace(-1.1, 1.1, 7), (0.0, 0.16) * 3 + (0.0,))]
    clip = pen.polygon([(-1.1, 1.8), *rim, (1.1, 1.8)], c.main, opacity=0.0)
    dome = pen.ellipse(lean, 0.66, 0.95, 0.8, c.main, inside=clip)
    for i in range(2):
        x = 0.9 * np.cos((0.2 * p.phase + 1.0 + i * np.pi / 2) % np.pi)
        pen.curve([(lean, 1.46), (lean + 0.8 * x, 1.12), (lean + x, 0.6)], 0.05, c.dark, inside=dome)


def draw_mushroom(pen: Pen, p: Pose, c: Palette) -> None:
    """A broad spotted cap swaying on a thick pale stem."""
    lean = 0.15 * p.wave
    pen.capsule(0.0, 0.26, 0.5 * lean, 0.65, 0.26, CREAM, 0.22)
    pen.circle(0.0, 0.4, 0.055, _INK)
    pen.circle(0.18, 0.4, 0.055, _INK)
    clip = pen.polygon([(-1.1, 0.6 + lean), (1.1, 0.6 - lean), (1.1, 1.7), (-1.1, 1.7)], c.main, opacity=0.0)
    cap = pen.ellipse(lean, 0.62, 0.88, 0.82, c.main, inside=clip)
    for x, y, r in ((-0.5, 0.85, 0.15), (0.0, 1.15, 0.18), (0.5, 0.9, 0.16), (0.05, 0.72, 0.09)):
        pen.circle(x + lean, y, r, _SNOW, inside=cap)


THINGS = (
    Subject("car", draw_car, ("red", "blue", "green", "black"), moves="wheels"),
    Subject("bus", draw_bus, ("yellow", "red", "green", "white"), moves="wheels"),
    Subject("train", draw_train, ("green", "black", "blue", "brown"), moves="wheels"),
    Subject("bicycle", draw_bicycle, ("red", "blue", "black", "purple"), moves="wheels"),
    Subject("sailboat", draw_sailboat, ("white", "red", "orange", "purple"), moves="wheels"),
    Subject("airplane", draw_airplane, ("white", "blue", "yellow", "grey"), moves="wings", hover=0.45),
    Subject("helicopter", draw_helicopter, ("green", "grey", "yellow", "black"), moves="wings", hover=0.45),
    Subject("rocket", draw_rocket, ("white", "red", "grey", "pink"), moves="wings", hover=0.3),
    Subject("balloon", draw_balloon, ("red", "orange", "purple", "pink"), moves="wings", hover=0.4),
    Subject("robot", draw_robot, ("grey", "blue", "orange", "pink"), moves="legs"),
    Subject("snowman", draw_snowman, ("white", "pink", "blue", "grey"), moves="wheels"),
    Subject("teapot", draw_teapot, ("white", "brown", "purple", "green"), moves="wheels"),
    Subject("umbrella", draw_umbrella, ("red", "black", "yellow", "purple"), moves="wheels"),
    Subject("mushroom", draw_mushroom, ("red", "brown", "yellow", "pink"), moves="wheels"),
)
