"""The fine-tuning set of the reduced world: 45 species x 20 clips of web quality, as video files with
captions.

The paper fine-tunes on about 20 video-caption pairs of each of 45 species, taken from the web without a quality filter.
Clip k of a species is drawn from the seed (seed, number of the species, k), so that another species changes no clip of
the others, and never shows a held-out combination. What is written is what any user's clips are, MP4 files and a CSV
(:mod:`ivtutorial.data.clips`), with ``facts.json`` beside it: what is true of each clip and which faults it was given.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ivtutorial.data.clips import Clip, write_clips
from ivtutorial.errors import InputError
from ivtutorial.lab.world import facts as world, web_faults as web
from ivtutorial.lab.world.drawing.pen import Array
from ivtutorial.lab.world.drawing.subjects import SPECIES, subject
from ivtutorial.system.files import atomic_write_text
from ivtutorial.video.writer import write_video

PER_SPECIES = 20
CLIP_SEED = 2312  # the paper's arXiv number begins so; any number would do
# The number of each of the paper's species in the seeds of its clips; any other species has one made from its name.
NUMBERED = (
    "horse", "zebra", "sheep", "deer", "cow", "goat", "pig", "camel", "llama", "gorilla", "monkey", "kangaroo", "cat",
    "dog", "lion", "tiger", "bear", "raccoon", "fox", "wolf", "rabbit", "squirrel", "mouse", "rat", "hedgehog", "bat",
    "bird", "chicken", "duck", "goose", "turkey", "snake", "lizard", "turtle", "frog", "fish", "shark", "whale",
    "dolphin", "spider", "beetle", "ant", "butterfly", "bee", "fly",
)  # fmt: skip
CRF = 27  # 6 KB a clip; the finest of the sensor noise is lost, the other faults survive


@dataclass(frozen=True)
class ClipPlan:
    """One clip of the fine-tuning set before it is drawn.

    Attributes:
        name: path of its file below the set's folder, such as "fox/07.mp4".
        caption: what its words say. facts: what it shows. faults: what spoils it.
    """

    name: str
    caption: str
    facts: world.ClipFacts
    faults: web.WebFaults


def plan_clips(
    per_species: int = PER_SPECIES, seed: int = CLIP_SEED, species: Sequence[str] | None = None
) -> Iterator[ClipPlan]:
    """Decide on every clip of the set, in the order of the species; the same arguments give the same clips.

    Args:
        per_species: clips of each.
        seed: another seed is another set.
        species: names of those wanted; each has the clips that it has in the whole set.

    Raises:
        InputError: ``per_species`` is not positive, or an unknown species.
    """
    unknown = set(species or ()) - {animal.name for animal in SPECIES}
    if unknown:
        raise InputError(
            f"unknown species {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in SPECIES)}"
        )
    if per_species < 1:
        raise InputError(f"need at least one clip of each species, got {per_species}")
    for animal in SPECIES:
        number = NUMBERED.index(animal.name) if animal.name in NUMBERED else zlib.crc32(animal.name.encode())
        if species is not None and animal.name not in species:
            continue
        for k in range(per_species):
            rng = np.random.default_rng((seed, number, k))
            facts = world.draw_facts(rng, SPECIES, held_out=False, subject=animal.name)
            caption = world.caption_of(facts, animal, int(rng.integers(1000)))
            yield ClipPlan(f"{animal.name}/{k:02d}.mp4", caption, facts, web.draw_faults(rng))


def draw_clip(plan: ClipPlan) -> Array:
    """The pixels of a planned clip, float32 (16, 64, 64, 3) in [0, 1]."""
    return web.degrade(world.render(plan.facts, subject(plan.facts.subject)), plan.faults)


def make_clips(
    folder: str | Path,
    per_species: int = PER_SPECIES,
    seed: int = CLIP_SEED,
    crf: int = CRF,
    species: Sequence[str] | None = None,
) -> list[Clip]:
    """Draw the set and write ``SPECIES/NN.mp4``, ``captions.csv`` and ``facts.json`` into a folder.

    Args:
        folder: made if absent; files of the same names are replaced.
        per_species: clips of each species.
        seed: another seed is another set.
        crf: H.264 quality, 0 (best) to 51.
        species: names of those wanted; all 45 by default.

    Returns:
        The clips, as ``ivtutorial.data.clips.read_clips(folder)`` reads them.

    Raises:
        InputError: a bad number, an unknown species, or the folder cannot be written.

    Example:
        >>> make_clips("runs/clips", per_species=2)[0].caption  # doctest: +SKIP
    """
    folder = Path(folder)
    plans = list(plan_clips(per_species, seed, species))
    for plan in plans:
        write_video(folder / plan.name, draw_clip(plan), world.FPS, crf)
    rows = [{"video": p.name, "facts": asdict(p.facts), "faults": asdict(p.faults)} for p in plans]
    lines = ",\n".join(json.dumps(row) for row in rows)
    atomic_write_text(folder / "facts.json", f"[\n{lines}\n]\n")
    clips = [Clip(folder / p.name, p.caption) for p in plans]
    write_clips(folder / "captions.csv", clips)
    return clips
