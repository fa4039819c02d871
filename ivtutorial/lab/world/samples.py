"""Batches of frames and clips of the zoo, drawn on the fly for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ivtutorial.lab.world import facts as world, web_faults as web
from ivtutorial.lab.world.drawing import scenes
from ivtutorial.lab.world.drawing.pen import Array
from ivtutorial.lab.world.drawing.subject import COLOURS, Subject
from ivtutorial.lab.world.drawing.subjects import ALL, subject


@dataclass(frozen=True)
class Sample:
    """One drawn clip (or some of its frames) with everything known about it."""

    facts: world.ClipFacts
    faults: web.WebFaults
    caption: str
    frames: Array  # (F, H, W, 3) in [0, 1]


def draw_sample(
    rng: np.random.Generator,
    subjects: Sequence[Subject] = ALL,
    web_share: float = 1.0,
    frames: Sequence[int] | None = None,
    held_out: bool | None = False,
    size: int = world.SIZE,
) -> Sample:
    """Draw one clip.

    Args:
        rng: draws everything.
        subjects: what to choose from.
        size: height and width in pixels.
        web_share: chance that it has web quality rather than being clean.
        frames: which of its frames to draw; all by default.
        held_out: as in :func:`ivtutorial.lab.world.facts.draw_facts`.
    """
    facts = world.draw_facts(rng, subjects, held_out)
    return show(facts, rng, web_share, frames, size)


def show(
    facts: world.ClipFacts,
    rng: np.random.Generator,
    web_share: float,
    frames: Sequence[int] | None = None,
    size: int = world.SIZE,
) -> Sample:
    """Draw the clip of given facts, with the arguments of :func:`draw_sample`."""
    item = subject(facts.subject)
    faults = web.draw_faults(rng) if rng.random() < web_share else web.WebFaults()
    picture = world.render(facts, item, size, frames)
    index = np.arange(world.FRAMES) if frames is None else np.asarray(frames)
    text = world.caption_of(facts, item, int(rng.integers(1000)), full=False)
    return Sample(facts, faults, text, web.degrade(picture, faults, index))


def single_frames(
    rng: np.random.Generator, count: int, web_share: float, held_out: bool | None = False
) -> list[Sample]:
    """Draw ``count`` clips, one random frame of each."""
    return [
        draw_sample(rng, web_share=web_share, frames=[int(rng.integers(world.FRAMES))], held_out=held_out)
        for _ in range(count)
    ]


def look_alikes(rng: np.random.Generator, count: int, web_share: float) -> list[Sample]:
    """Draw single frames of at most ``count`` different subjects that share one scene and one colour.

    In a batch drawn at random, colour and scene distinguish most captions; here only the subject (and its pose) does.
    """
    colour = str(rng.choice(sorted(COLOURS)))
    scene = scenes.SCENES[int(rng.integers(len(scenes.SCENES)))]
    chosen = [s for s in ALL if colour in s.colours and not world.is_held_out(s.name, colour, scene)]
    samples = []
    for k in rng.permutation(len(chosen))[:count]:
        facts = replace(world.draw_facts(rng, ALL, None, chosen[k].name), colour=colour, scene=scene)
        samples.append(show(facts, rng, web_share, [int(rng.integers(world.FRAMES))]))
    return samples


def stack(samples: Sequence[Sample]) -> Tensor:
    """Frames of several samples as one float32 tensor (N, F, 3, H, W) in [0, 1]."""
    frames = np.stack([s.frames for s in samples])
    return torch.from_numpy(frames).permute(0, 1, 4, 2, 3).contiguous()
