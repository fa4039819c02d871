"""Pairs of samples of the model: the same noise, once with a caption and once with one fact of it changed.

What is true of a sample nobody knows; what two judges agree on is the nearest to it. So both read both samples of each
pair against the caption, and a pair teaches only where they prefer the same one.

| file | content |
|---|---|
| `frames.bin` | uint8 (N, 2, 4, 64, 64, 3): four frames of the sample for the caption, and of the other |
| `utility.bin` | float32 (N, 2, 2): the annotators' utility of each sample, as each judge reads it |
| `subject.bin` | uint8 (N, 2, 2): whether each judge reads the caption's subject |
| `sampled.bin` | uint8 (blocks,): which blocks of :data:`PAIRS_A_BLOCK` pairs are done |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ivtutorial.lab.reduced_models.train_all.pool import open_bytes
from ivtutorial.lab.world import annotators, facts as world
from ivtutorial.lab.world.drawing.subjects import ALL, subject
from ivtutorial.lab.world.judges.judge import Judge

PAIRS_A_BLOCK = 8
KEPT = (2, 6, 10, 14)  # of the 16 frames
CLEAR = 0.3  # utilities nearer than this teach nothing
_SEED = 920_000

Sampler = Callable[
    [list[str], list[int]], Tensor
]  # captions and the numbers of their noise -> clips (N, 16, 3, 64, 64) in [0, 1]


@dataclass(frozen=True)
class AskedPair:
    """What a pair is sampled for: its caption, the other one, and the facts of both."""

    facts: world.ClipFacts
    other: world.ClipFacts
    captions: tuple[str, str]


def asked_pair(number: int, seed: int = 0, held_out: bool = False) -> AskedPair:
    """Pair ``number``: in two of three the subject differs, in the others colour or scene may."""
    rng = np.random.default_rng((_SEED, seed, int(held_out), number))
    facts = world.draw_facts(rng, ALL, held_out=held_out)
    other = annotators.change_fact(facts, rng)
    while number % 3 and other.subject == facts.subject:
        other = annotators.change_fact(facts, rng)
    words = int(rng.integers(1000))
    texts = [world.caption_of(f, subject(f.subject), words) for f in (facts, other)]
    return AskedPair(facts, other, (texts[0], texts[1]))


class SampledPairs:
    """A bank of such pairs in files that several processes fill; see the module's docstring."""

    def __init__(self, folder: Path, count: int, seed: int = 0, held_out: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.count, self.seed, self.held_out = count, seed, held_out
        self.frames = open_bytes(folder / "frames.bin", (count, 2, len(KEPT), 64, 64, 3))
        self.utility = open_bytes(folder / "utility.bin", (count, 2, 2 * 4)).view(np.float32)
        self.subject = open_bytes(folder / "subject.bin", (count, 2, 2))
        self.is_sampled = open_bytes(folder / "sampled.bin", (-(-count // PAIRS_A_BLOCK),))

    def fill(self, draw: Sampler, judges: tuple[Judge, Judge], rank: int = 0, size: int = 1) -> None:
        """Sample and read what is missing of this process's share; killed, it loses at most one block."""
        for block in range(rank, len(self.is_sampled), size):
            if self.is_sampled[block]:
                continue
            rows = range(block * PAIRS_A_BLOCK, min((block + 1) * PAIRS_A_BLOCK, self.count))
            pairs = [asked_pair(k, self.seed, self.held_out) for k in rows]
            fields = [asdict(pair.facts) for pair in pairs]
            for side in (0, 1):
                clips = draw([pair.captions[side] for pair in pairs], list(rows))
                kept = clips[:, list(KEPT)].permute(0, 1, 3, 4, 2)
                self.frames[rows.start : rows.stop, side] = (kept * 255).round().to(torch.uint8).numpy()
                for j, judge in enumerate(judges):
                    read = judge.columns(clips, fields)
                    self.utility[rows.start : rows.stop, side, j] = read["utility"].numpy()
                    self.subject[rows.start : rows.stop, side, j] = read["subject"].numpy()
            self.is_sampled[block] = 1

    def agreed(self) -> NDArray[np.int64]:
        """Numbers of the pairs in which both judges clearly prefer the same sample."""
        lead = self.utility[:, 0] - self.utility[:, 1]
        same: NDArray[np.int64] = np.flatnonzero(
            (np.sign(lead[:, 0]) == np.sign(lead[:, 1])) & (abs(lead).min(1) > CLEAR)
        )
        return same

    def right_and_wrong(self) -> NDArray[np.int64]:
        """Numbers of the pairs whose first sample shows the caption's subject and whose second does not, to both."""
        read = np.asarray(self.subject, dtype=bool)
        right: NDArray[np.int64] = np.flatnonzero(read[:, 0].all(1) & ~read[:, 1].any(1))
        return right
