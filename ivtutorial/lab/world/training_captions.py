"""Captions to train on: besides what a caption always holds, which way the subject faces and what is wrong with the
picture.

What a caption leaves unsaid a model must average over. An animal that may face either way is drawn with a head at both
ends, and a clip that may or may not be blurred is drawn half blurred. So these captions say it often, though not
always: prompts that do not must work too.
"""

from __future__ import annotations

import numpy as np

from ivtutorial.lab.world import captions
from ivtutorial.lab.world.drawing.subject import Subject
from ivtutorial.lab.world.facts import FACING_SHARE, ClipFacts
from ivtutorial.lab.world.web_faults import WebFaults

FAULT_SHARE = 0.5  # of the captions of clips with a fault
MOST_FAULTS = 3  # in one caption, so that it fits into the text encoder's 24 tokens

FAULT_WORDS: dict[str, tuple[str, ...]] = {
    "blur": ("blurry", "soft"),
    "wash": ("faded", "pale"),
    "tint": ("tinted",),
    "noise": ("grainy", "noisy"),
    "blocks": ("blocky",),
    "watermark": ("watermarked",),
    "flicker": ("flickering",),
    "jitter": ("shaky",),
}
TRAINING_TEMPLATES = (
    "{a} {subject} {verb} {place}",
    "{a} {subject} {verb} {place}",
    "{a} {subject} is {verb} {place}",
    "{place}, {a} {subject} is {verb}",
    "a video of {a} {subject} {verb} {place}",
)
FAULTY_TEMPLATES = ("a {faults} video of {a} {subject} {verb} {place}", "{faults}: {a} {subject} {verb} {place}")


def training_caption(facts: ClipFacts, subject: Subject, faults: WebFaults, rng: np.random.Generator) -> str:
    """One wording; each call draws another.

    Args:
        facts: what is true of the clip.
        subject: the subject that it names.
        faults: what is wrong with its picture.
        rng: draws the wording and what is left unsaid: in 7 of 100 all but the subject, in 8 more its colour.
    """
    chance = rng.random()
    if chance < 0.07:
        return captions.short(facts.subject, facts.colour if rng.random() < 0.7 else "")
    colour = facts.colour if chance > 0.15 else ""
    words = _fault_words(faults, rng)
    facing = facts.side is None and rng.random() < FACING_SHARE
    return _worded(facts, subject, colour, facing, words, rng)


def full_caption(facts: ClipFacts, subject: Subject, rng: np.random.Generator) -> str:
    """One wording with every fact, the way the subject faces too, and no fault."""
    return _worded(facts, subject, facts.colour, facts.side is None, [], rng)


def _worded(
    facts: ClipFacts, subject: Subject, colour: str, facing: bool, faults: list[str], rng: np.random.Generator
) -> str:
    verbs = captions.VERBS[facts.action]
    verb = _pick(verbs.get(subject.moves) or verbs["any"], rng)
    if facts.side is not None:
        verb = f"{verb} {_pick(captions.SIDES[facts.side], rng)}"
    elif facing:
        verb = f"{verb} facing {facts.facing}"
    article, named = captions.short(facts.subject, colour).split(" ", 1)
    return _pick(FAULTY_TEMPLATES if faults else TRAINING_TEMPLATES, rng).format(
        a=article, subject=named, verb=verb, place=_pick(captions.PLACES[facts.scene], rng), faults=" ".join(faults)
    )


def _fault_words(faults: WebFaults, rng: np.random.Generator) -> list[str]:
    """Words for the faults of a clip, in half of its captions; the others keep quiet about them."""
    present = [name for name in FAULT_WORDS if getattr(faults, name) > 0]
    if not present or rng.random() >= FAULT_SHARE:
        return []
    named = [present[k] for k in rng.permutation(len(present))[:MOST_FAULTS]]
    return [_pick(FAULT_WORDS[name], rng) for name in named]


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
