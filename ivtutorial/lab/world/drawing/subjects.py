"""Every subject of the zoo, in the groups of the paper: 45 species to learn from, 6 unseen ones, and things."""

from __future__ import annotations

from ivtutorial.errors import InputError
from ivtutorial.lab.world.drawing.birds import BIRDS
from ivtutorial.lab.world.drawing.carnivores import CARNIVORES
from ivtutorial.lab.world.drawing.hoofed import HOOFED
from ivtutorial.lab.world.drawing.insects import INSECTS
from ivtutorial.lab.world.drawing.primates import PRIMATES
from ivtutorial.lab.world.drawing.reptiles import REPTILES
from ivtutorial.lab.world.drawing.sea import SEA_ANIMALS
from ivtutorial.lab.world.drawing.small_mammals import SMALL_MAMMALS
from ivtutorial.lab.world.drawing.subject import Subject
from ivtutorial.lab.world.drawing.things import THINGS

# Fine-tuning never sees these six (the paper's "new animals").
NEW_ANIMALS = ("snail", "hippopotamus", "cheetah", "crocodile", "lobster", "octopus")

_ANIMALS: tuple[Subject, ...] = (
    HOOFED + PRIMATES + CARNIVORES + SMALL_MAMMALS + BIRDS + REPTILES + SEA_ANIMALS + INSECTS
)

SPECIES: tuple[Subject, ...] = tuple(s for s in _ANIMALS if s.name not in NEW_ANIMALS)
UNSEEN: tuple[Subject, ...] = tuple(s for s in _ANIMALS if s.name in NEW_ANIMALS)
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
