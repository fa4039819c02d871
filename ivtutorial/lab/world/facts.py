"""Clips of the zoo: the facts of a clip, how they are drawn at random, and how they become frames.

A clip is fully determined by its :class:`ClipFacts`: rendering twice gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.lab.world import captions
from ivtutorial.lab.world.drawing import scenes
from ivtutorial.lab.world.drawing.pen import Array, Pen, Placement
from ivtutorial.lab.world.drawing.subject import Palette, Pose, Subject
from ivtutorial.system.files import hash_of

FRAMES = 16
FPS = 8
FACING_SHARE = 0.6  # of the captions that leave something unsaid say the way a subject without a direction faces
SIZE = 64

# Where an action has a direction, the direction is part of it.
ACTIONS = ("rest", "walk", "run", "jump", "dance", "approach")
DIRECTED = ("walk", "run")


@dataclass(frozen=True)
class ClipFacts:
    """Everything that is true of a clip.

    Attributes:
        subject: name of a subject. colour: one of its colour words. scene: one of the scenes.
        action: one of :data:`ACTIONS`. facing: "left" or "right"; for walk and run also the direction of travel.
        seed: fixes sizes, places, camera drift and the wording of the caption.
    """

    subject: str
    colour: str
    scene: str
    action: str
    facing: str
    seed: int

    @property
    def side(self) -> str | None:
        """The direction of travel, None where the action has none."""
        return self.facing if self.action in DIRECTED else None

    @property
    def movement(self) -> str:
        """The action together with its direction, such as "run left" or "jump"."""
        return f"{self.action} {self.facing}" if self.action in DIRECTED else self.action


MOVEMENTS = ("rest", "walk left", "walk right", "run left", "run right", "jump", "dance", "approach")


def is_held_out(subject: str, colour: str, scene: str) -> bool:
    """Whether the text-to-video model never trains on this combination (about one in eight); it tests composition."""
    return int(hash_of([f"{subject}|{colour}|{scene}".encode()])[:2], 16) < 32


def draw_facts(
    rng: np.random.Generator, subjects: Sequence[Subject], held_out: bool | None = False, subject: str | None = None
) -> ClipFacts:
    """Draw a clip's facts uniformly: subject, then colour, scene, action and facing.

    Args:
        rng: draws everything.
        subjects: what to choose from.
        held_out: False for combinations that the text-to-video model may train on, True for the others, None for both.
        subject: fixes the subject's name.

    Raises:
        InputError: ``subject`` is not among ``subjects``.
    """
    chosen = [s for s in subjects if subject is None or s.name == subject]
    if not chosen:
        known = ", ".join(sorted(s.name for s in subjects))
        raise InputError(f"unknown subject {subject!r}; the zoo knows: {known}")
    while True:
        item = chosen[int(rng.integers(len(chosen)))]
        colour = item.colours[int(rng.integers(len(item.colours)))]
        scene = scenes.SCENES[int(rng.integers(len(scenes.SCENES)))]
        if held_out is None or is_held_out(item.name, colour, scene) == held_out:
            break
    action = ACTIONS[int(rng.integers(len(ACTIONS)))]
    facing = ("left", "right")[int(rng.integers(2))]
    return ClipFacts(item.name, colour, scene, action, facing, int(rng.integers(2**31)))


def caption_of(facts: ClipFacts, subject: Subject, variant: int = 0, full: bool = True) -> str:
    """A caption of the clip; each ``variant`` is another wording.

    Args:
        facts: what is true of the clip.
        subject: the subject that it names.
        variant: which wording.
        full: name everything. Otherwise some captions leave colour or facing unsaid and some name only the subject, as
            people do; models train on those, so that short prompts work.
    """
    rng = np.random.default_rng((facts.seed, 1, variant))
    chance = 1.0 if full else rng.random()
    if chance < 0.07:
        return captions.short(facts.subject, facts.colour if rng.random() < 0.7 else "")
    colour = facts.colour if chance > 0.15 else ""
    facing = facts.facing if full or rng.random() < FACING_SHARE else None
    return captions.caption(facts.subject, colour, subject.moves, facts.action, facts.side, facts.scene, rng, facing)


def render(facts: ClipFacts, subject: Subject, size: int = SIZE, frames: Sequence[int] | None = None) -> Array:
    """Draw a clip, clean.

    Args:
        facts: what to draw.
        subject: the subject that it names.
        size: height and width in pixels.
        frames: which of the 16 frames; all by default.

    Returns:
        float32 (F, size, size, 3) in [0, 1].
    """
    rng = np.random.default_rng((facts.seed, 0))
    index = np.arange(FRAMES) if frames is None else np.asarray(frames)
    time = (index / FPS).astype(np.float32)  # seconds; a clip lasts 2
    pan = rng.uniform(-3.0, 3.0) * size / 64
    shift = (pan * (time - 1.0)).astype(np.float32)
    picture = scenes.drift(scenes.backdrop(facts.scene, rng, size), shift)
    pose, place, ground = _perform(facts, subject, rng, time, size)
    place = Placement(place.x - shift, place.y, place.scale, place.facing, place.tilt, place.pivot)
    pen = Pen(picture, place)
    if subject.hover == 0:
        _shadow(picture, place, ground)
    subject.draw(pen, pose, Palette.of(facts.colour))
    return np.clip(picture, 0.0, 1.0)


def _shadow(picture: Array, place: Placement, ground: Array) -> None:
    """A soft dark ellipse on the ground under the subject, which stays when it jumps."""
    flat = Placement(place.x, ground, place.scale, pivot=0.0)
    Pen(picture, flat).ellipse(0.0, 0.0, 0.75, 0.10, (0.1, 0.1, 0.15), opacity=0.25)


def _perform(
    facts: ClipFacts, subject: Subject, rng: np.random.Generator, time: Array, size: int
) -> tuple[Pose, Placement, Array]:
    """Pose and place over time of a subject doing an action, and the height of the ground under it in pixels."""
    facing = 1.0 if facts.facing == "right" else -1.0
    unit = size / 64
    scale: Array = np.full(len(time), 24.0 * subject.size * rng.uniform(0.92, 1.08), np.float32)
    x: Array = np.full(len(time), 32.0 + rng.uniform(-4, 4), np.float32)
    y: Array = np.full(len(time), 57.0 + rng.uniform(-1.5, 1.5) - 20.0 * subject.hover, np.float32)
    start = rng.uniform(0, 2 * np.pi)
    beat, stride, tilt = 0.0, 0.0, np.zeros(len(time), np.float32)  # beat in cycles per second
    hop: Array = np.zeros(len(time), np.float32)
    if facts.action == "walk":
        beat, stride = 1.25, 0.65
        x = 32.0 + facing * 9.0 * (time - 0.94) + rng.uniform(-2, 2)
        hop = 1.0 * np.abs(np.sin(2 * np.pi * beat * time))
    elif facts.action == "run":
        beat, stride = 2.5, 1.0
        x = 32.0 + facing * 24.0 * (time - 0.94) + rng.uniform(-2, 2)
        hop = 3.0 * np.abs(np.sin(2 * np.pi * beat / 2 * time))
    elif facts.action == "jump":
        stride = 0.4
        hop = 13.0 * np.abs(np.sin(np.pi * time + start))
    elif facts.action == "dance":
        beat, stride = 1.5, 0.4
        tilt = (0.32 * np.sin(2 * np.pi * 1.5 * time + start)).astype(np.float32)
        x = x + 3.5 * np.sin(2 * np.pi * 0.75 * time + start)
    elif facts.action == "approach":
        beat, stride = 1.25, 0.35
        scale = scale * (0.55 + 0.31 * time)
        y = 50.0 + (y - 50.0) * (0.3 + 0.37 * time)
    placement = Placement(
        x.astype(np.float32) * unit, (y - hop).astype(np.float32) * unit, scale.astype(np.float32) * unit, facing, tilt
    )
    return _pose(facts.action, time, start, beat, stride), placement, y.astype(np.float32) * unit


def _pose(action: str, time: Array, start: float, beat: float, stride: float) -> Pose:
    """Limbs, wings and tail over time: `beat` steps a second of this `stride`, from the phase `start` on."""
    # A jump has its legs apart all the time.
    phase = 2 * np.pi * beat * time + (start if beat else np.pi / 2 if action == "jump" else 0.0)
    rate = 1.0 if action == "rest" else 2.0 if action != "run" else 3.0
    return Pose(
        phase=phase.astype(np.float32),
        stride=np.full(len(time), stride, np.float32),
        wave=np.sin(2 * np.pi * time + start).astype(np.float32),
        flap=np.sin(2 * np.pi * rate * time + start).astype(np.float32),
    )
