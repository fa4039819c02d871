"""What a subject of the zoo is: a drawing in its own box, a pose that moves it, and the colours it comes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ivtutorial.lab.world.drawing.pen import Array, Colour, Pen, mix

# The colour words of the captions. "green" on grass or "white" on snow stays readable by its shading and details.
COLOURS: dict[str, Colour] = {
    "red": (0.80, 0.16, 0.14),
    "orange": (0.93, 0.52, 0.13),
    "yellow": (0.95, 0.83, 0.22),
    "green": (0.24, 0.58, 0.24),
    "blue": (0.20, 0.40, 0.80),
    "purple": (0.52, 0.27, 0.66),
    "pink": (0.94, 0.56, 0.68),
    "brown": (0.48, 0.29, 0.15),
    "black": (0.15, 0.14, 0.16),
    "grey": (0.52, 0.53, 0.56),
    "white": (0.93, 0.92, 0.90),
}


@dataclass(frozen=True)
class Palette:
    """The colours a drawing uses, derived from one colour word.

    Attributes:
        main: the colour that the caption names; most of the subject.
        light: for bellies, muzzles, highlights. dark: for markings, hooves, outlines of wings.
        far: for the limbs on the far side.
    """

    main: Colour
    light: Colour
    dark: Colour
    far: Colour

    @classmethod
    def of(cls, word: str) -> Palette:
        """The palette of a colour word of :data:`COLOURS`."""
        main = COLOURS[word]
        # Dark colours need markings lighter than themselves, or a black zebra would have no stripes.
        dark = mix(main, (0.03, 0.03, 0.05), 0.62) if sum(main) > 0.75 else mix(main, (1.0, 1.0, 1.0), 0.35)
        return cls(main, mix(main, (1.0, 0.98, 0.94), 0.5), dark, mix(main, (0.05, 0.05, 0.10), 0.3))


@dataclass(frozen=True)
class Pose:
    """How a subject holds itself, per frame; every array has shape (F,).

    Attributes:
        phase: gait phase in radians; it stands still at rest, turns slowly in a walk and fast in a run.
        stride: how far the limbs go, 0 (rest) to 1 (run).
        wave: a slow swing in [-1, 1] for tails, ears, trunks, breathing; never quite still.
        flap: a beat in [-1, 1] for wings and fins; slow at rest, fast in motion.
    """

    phase: Array
    stride: Array
    wave: Array
    flap: Array


Draw = Callable[[Pen, Pose, Palette], None]


@dataclass(frozen=True)
class Subject:
    """One kind of thing that clips show.

    Attributes:
        name: the noun of the captions.
        draw: paints it facing right within x in [-1, 1], y in [0, 1.6].
        colours: the colour words it comes in, the most natural first.
        moves: how it moves, which picks the verbs: "legs", "wings", "fins", "crawl" or "wheels".
        hover: height of its box above the ground, in units; fliers and swimmers are off the ground.
        size: its size in the picture relative to others.
    """

    name: str
    draw: Draw
    colours: tuple[str, ...]
    moves: str = "legs"
    hover: float = 0.0
    size: float = 1.0
