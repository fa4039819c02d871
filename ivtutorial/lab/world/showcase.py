"""Pictures of the reduced world for people: one clip of each subject, and preference pairs with their
choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ivtutorial.lab.world import annotators, facts as world, web_faults as web
from ivtutorial.lab.world.drawing.pen import Array
from ivtutorial.lab.world.drawing.subjects import ALL, subject


def showcase(names: Sequence[str], web_quality: bool = False, seed: int = 0) -> tuple[list[Array], list[str]]:
    """A clip of each subject, with its facts drawn at random.

    Returns:
        Clips, float32 (16, 64, 64, 3) in [0, 1], and captions.

    Raises:
        InputError: an unknown subject.
    """
    clips, captions = [], []
    for k, name in enumerate(names):
        rng = np.random.default_rng((seed, k))
        facts = world.draw_facts(rng, ALL, held_out=None, subject=name)
        frames = world.render(facts, subject(name))
        clips.append(web.degrade(frames, web.draw_faults(rng)) if web_quality else frames)
        captions.append(world.caption_of(facts, subject(name)))
    return clips, captions


def show_pairs(count: int, seed: int = 0) -> tuple[list[dict[str, Any]], list[Array], list[str]]:
    """Preference pairs with one annotator's choice each.

    Returns:
        A row for each pair; the frames, two a pair, as clips of one frame; and their titles, a star at the
        chosen one.
    """
    rows, frames, titles = [], [], []
    for k in range(count):
        rng = np.random.default_rng((seed, k))
        pair = annotators.draw_pair(rng)
        first = annotators.annotate(pair, rng)
        rows.append(
            {
                "caption": pair.caption,
                "kind": pair.kind,
                "utilities": list(pair.utilities),
                "probability_of_first": annotators.preference(pair.utilities),
                "choice": "first" if first else "second",
            }
        )
        frames += [pair.frames[:1], pair.frames[1:]]
        titles += [("* " if chosen else "  ") + pair.caption for chosen in (first, not first)]
    return rows, frames, titles
