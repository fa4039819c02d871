"""The pairs of a study, and the blind, balanced order in which a rater sees them.

A pair is the clips of two models for the same prompt from the same noise. Each rater gets an order of their own. In
half of the pairs, drawn at random, the clip of X stands on the left, so that a habit of choosing one side cannot
favour a model. Order and sides follow from the study and the rater's name: who comes back finds them unchanged.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ivtutorial.errors import InputError
from ivtutorial.system.files import hash_of, sha256

QUESTIONS = {"quality": "Which clip looks better?", "alignment": "Which clip fits the text better?"}
LONGEST_NAME = 40
Model = Literal["X", "Y"]
Choice = Literal["left", "tie", "right"]
Winner = Literal["X", "tie", "Y"]


@dataclass(frozen=True)
class ClipPair:
    """Two clips of one prompt and seed.

    Attributes:
        index: place of the prompt in its list.
        prompt: the text.
        seed: of the noise.
        a: file of the first model's clip.
        b: file of the second model's clip.
    """

    index: int
    prompt: str
    seed: int
    a: Path
    b: Path


@dataclass(frozen=True)
class Step:
    """One question as one rater meets it.

    Attributes:
        pair: what is shown.
        left: whose clip stands on the left.
        question: a key of `QUESTIONS`.
    """

    pair: ClipPair
    left: Model
    question: str

    @property
    def key(self) -> tuple[int, int, str]:
        """(index, seed, question): what a rater answers once."""
        return self.pair.index, self.pair.seed, self.question

    @property
    def clips(self) -> tuple[Path, Path]:
        """Files of the left and of the right clip."""
        return (self.pair.a, self.pair.b) if self.left == "X" else (self.pair.b, self.pair.a)

    def winner(self, choice: Choice) -> Winner:
        """What choosing a side says about the models.

        Example:
            >>> Step(ClipPair(0, "a fox", 0, Path("a.mp4"), Path("b.mp4")), "Y", "quality").winner("left")
            'Y'
        """
        if choice == "tie":
            return "tie"
        return self.left if choice == "left" else "Y" if self.left == "X" else "X"


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        pairs: at least one.
        names: of the two folders, X then Y; never shown to a rater.
        identity: changes with any prompt, seed or byte of a clip, so that answers cannot be mixed up.
    """

    pairs: Sequence[ClipPair]
    names: tuple[str, str]
    identity: str

    def steps(self, rater: str) -> list[Step]:
        """All questions of a rater in their own order; those of one pair follow each other.

        Raises:
            InputError: a name that cannot be used, see `rater_name`.
        """
        draw = random.Random(f"{self.identity}/{rater_name(rater)}")
        pairs, first = list(self.pairs), draw.randrange(2)
        sides: list[Model] = ["X" if (k + first) % 2 else "Y" for k in range(len(pairs))]
        draw.shuffle(pairs)
        draw.shuffle(sides)
        return [Step(pair, left, question) for pair, left in zip(pairs, sides) for question in QUESTIONS]


def open_study(a: str | Path, b: str | Path, count: int | None = None, seed: int = 0) -> Study:
    """The study of two folders that `ivtutorial evaluate` wrote.

    Args:
        a: clips of the first model.
        b: clips of the second one, with the same prompts and seeds.
        count: number of pairs, drawn at random; None uses all.
        seed: of that draw.

    Returns:
        Its pairs in the order of the prompts.

    Raises:
        InputError: the same folder twice, no evaluation, one without clips, other prompts or seeds, a clip that is
            missing, or a count that is not there.

    Example:
        >>> len(open_study("runs/before", "runs/after").pairs)  # doctest: +SKIP
        64
    """
    first, second = Path(a), Path(b)
    if first.resolve() == second.resolve():
        raise InputError(f"{a} twice: a study compares two folders that `ivtutorial evaluate` wrote.")
    ours, theirs = _clips(first), _clips(second)
    if ours.keys() != theirs.keys():
        index, prompt, noise = min(ours.keys() ^ theirs.keys())
        where = first if (index, prompt, noise) in ours else second
        raise InputError(
            f"{first} and {second} do not hold the same prompts and seeds: only {where} has prompt {index} "
            f"({prompt!r}) with seed {noise}. Evaluate both models with the same list and seeds."
        )
    keys = _drawn(sorted(ours), count, seed)
    pairs = [ClipPair(*key, ours[key], theirs[key]) for key in keys]
    return Study(pairs, (str(a), str(b)), _identity(pairs))


def _clips(folder: Path) -> dict[tuple[int, str, int], Path]:
    """(index, prompt, seed) -> file. Read without `Evaluation`, which would load torch to show a page."""
    path = folder / "evaluation.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        clips = {(row["index"], row["prompt"], row["seed"]): folder / row["clip"] for row in rows if row["clip"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"no readable evaluation at {path} ({error}). Give a folder that `ivtutorial evaluate` wrote."
        ) from error
    missing = [str(clip) for clip in clips.values() if not clip.is_file()]
    if not clips or missing:
        problem = f"lacks {', '.join(missing[:3])}" if missing else "was written without clips"
        raise InputError(f"the evaluation in {folder} {problem}. Run `ivtutorial evaluate` again with --out {folder}.")
    return clips


def _drawn(
    keys: list[tuple[int, str, int]], count: int | None, seed: int
) -> list[tuple[int, str, int]]:  # fmt: skip
    if count is None:
        return keys
    if not 1 <= count <= len(keys):
        raise InputError(f"{count} pairs wanted: the two folders share {len(keys)}.")
    return sorted(random.Random(seed).sample(keys, count))


def _identity(pairs: Sequence[ClipPair]) -> str:
    about = (
        (f"{pair.index}\0{pair.prompt}\0{pair.seed}\0".encode(), *(bytes.fromhex(sha256(x)) for x in (pair.a, pair.b)))
        for pair in pairs
    )
    return hash_of(piece for pieces in about for piece in pieces)[:12]


def rater_name(text: str) -> str:
    """A rater's name without needless spaces.

    Raises:
        InputError: empty, longer than 40 characters, or with characters that are not printed.

    Example:
        >>> rater_name("  Ada   L. ")
        'Ada L.'
    """
    name = " ".join(text.split())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InputError(f"{name[:60]!r} as the name of a rater: give 1 to {LONGEST_NAME} letters.")
    return name
