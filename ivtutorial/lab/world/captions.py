"""What clips are called: many natural wordings of the same facts, and the words for each fact."""

from __future__ import annotations

import numpy as np

# How something moves picks its verbs; one word for each action would teach a model words, not actions.
VERBS: dict[str, dict[str, tuple[str, ...]]] = {
    "rest": {
        "legs": ("standing still", "resting", "waiting"),
        "wings": ("hovering in place", "resting", "floating still"),
        "fins": ("floating still", "resting", "drifting in place"),
        "crawl": ("sitting still", "resting", "waiting"),
        "wheels": ("standing still", "parked", "waiting"),
    },
    "walk": {
        "legs": ("walking", "strolling", "wandering"),
        "wings": ("flying slowly", "gliding slowly", "floating along"),
        "fins": ("swimming slowly", "gliding slowly", "drifting along"),
        "crawl": ("crawling", "creeping", "crawling slowly"),
        "wheels": ("moving slowly", "rolling slowly", "cruising"),
    },
    "run": {
        "legs": ("running", "racing", "dashing"),
        "wings": ("flying fast", "racing", "speeding"),
        "fins": ("swimming fast", "racing", "speeding"),
        "crawl": ("scurrying", "racing", "rushing"),
        "wheels": ("speeding", "racing", "moving fast"),
    },
    "jump": {"any": ("jumping up and down", "hopping", "leaping", "bouncing")},
    "dance": {"any": ("dancing", "swaying", "rocking from side to side")},
    "approach": {"any": ("coming closer", "approaching the camera", "coming toward us")},
}

SIDES: dict[str, tuple[str, ...]] = {
    "left": ("to the left", "leftwards", "toward the left"),
    "right": ("to the right", "rightwards", "toward the right"),
}

PLACES: dict[str, tuple[str, ...]] = {
    "meadow": ("in a green meadow", "on the grass", "in a sunny field"),
    "snow": ("in the snow", "in a snowy landscape", "before snowy mountains"),
    "desert": ("in the desert", "on the sand dunes", "in a sandy desert"),
    "beach": ("on the beach", "by the sea", "on the shore"),
    "forest": ("in the forest", "in the woods", "among the pine trees"),
    "city": ("in the city", "on a city street", "in front of tall buildings"),
    "night": ("at night", "under a starry sky", "in the moonlight"),
    "sunset": ("at sunset", "under an orange evening sky", "as the sun goes down"),
}

TEMPLATES = (
    "{a} {subject} {verb} {place}",
    "{a} {subject} {verb} {place}",
    "{a} {subject} is {verb} {place}",
    "{place}, {a} {subject} is {verb}",
    "a video of {a} {subject} {verb} {place}",
)


def caption(
    subject: str, colour: str, moves: str, action: str, side: str | None, scene: str, rng: np.random.Generator,
    facing: str | None = None,
) -> str:  # fmt: skip
    """One wording of a clip's facts, such as "a spotted deer ..." in one of several natural forms.

    Args:
        subject: its name.
        colour: a colour word; an empty one leaves the colour unsaid.
        moves: how it moves, as in :class:`~ivtutorial.lab.world.drawing.subject.Subject`.
        action: a key of :data:`VERBS`.
        side: "left", "right" or None where the action has no direction.
        scene: a key of :data:`PLACES`.
        rng: picks the wording.
        facing: "left" or "right" to say which way it faces where `side` says nothing; None leaves it unsaid.
    """
    verbs = VERBS[action]
    verb = _pick(verbs.get(moves) or verbs["any"], rng)
    if side is not None:
        verb = f"{verb} {_pick(SIDES[side], rng)}"
    elif facing is not None:
        verb = f"{verb} facing {facing}"
    article, named = short(subject, colour).split(" ", 1)
    return _pick(TEMPLATES, rng).format(a=article, subject=named, verb=verb, place=_pick(PLACES[scene], rng))


def short(subject: str, colour: str) -> str:
    """Only what is shown: "a red fox", or "an ant" with an empty colour."""
    named = f"{colour} {subject}".strip()
    return f"{'an' if named[0] in 'aeiou' else 'a'} {named}"


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
