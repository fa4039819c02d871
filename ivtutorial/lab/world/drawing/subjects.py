"""Every subject of the zoo, in the groups of the paper: 45 species to learn from, 6 unseen ones, and things."""

from __future__ import annotations

from ivtutorial.errors import InputError
from ivtutorial.lab.world.drawing import (
    birds,
    carnivores,
    hoofed,
    insects,
    primates,
    reptiles,
    sea,
    small_mammals,
    things,
)
from ivtutorial.lab.world.drawing.subject import Subject

# Fine-tuning never sees these six (the paper's "new animals").
NEW_ANIMALS = ("snail", "hippopotamus", "cheetah", "crocodile", "lobster", "octopus")

_ANIMALS: tuple[Subject, ...] = (
    hoofed.SUBJECTS + primates.SUBJECTS + carnivores.SUBJECTS + small_mammals.SUBJECTS
    + birds.SUBJECTS + reptiles.SUBJECTS + sea.SUBJECTS + insects.SUBJECTS
)  # fmt: skip

SPECIES: tuple[Subject, ...] = tuple(s for s in _ANIMALS if s.name not in NEW_ANIMALS)
UNSEEN: tuple[Subject, ...] = tuple(s for s in _ANIMALS if s.name in NEW_ANIMALS)
THINGS: tuple[Subject, ...] = things.SUBJECTS
ALL: tuple[Subject, ...] = SPECIES + UNSEEN + THINGS

_BY_NAME = {s.name: s for s in ALL}


def subject(name: str) -> Subject:
    """The subject of this name.

    Raises:
        InputError: there is none.
    """
    if name not in _BY_NAME:
        raise InputError(f"unknown subject {name!r}; the zoo knows: {', '.join(sorted(_BY_NAME))}")
    return _BY_NAME[name]
