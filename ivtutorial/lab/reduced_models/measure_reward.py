"""Does the reduced HPS prefer what the annotators prefer? Held-out pairs against their noise-free taste.

| kind             | the two that are scored                                                              |
|------------------|--------------------------------------------------------------------------------------|
| `clean_over_web` | same content; one frame clean, the other with visible faults                          |
| `quality`        | same content, two draws of faults                                                    |
| `content`        | a frame that shows the caption, one with a wrong subject, colour or scene, as faulty  |
| `caption`        | one frame with its caption, and with one that has a wrong subject, colour or scene   |

Pairs between which the taste is undecided are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import estimate
from ivtutorial.lab.world import annotators, facts as world, samples as frames
from ivtutorial.lab.world.drawing.subjects import subject
from ivtutorial.rewards.base import ImageReward

_FRESH = 740_000  # seeds that no training uses


def measure_reward(reward: ImageReward, pairs: int = 1000, seed: int = 0) -> dict[str, dict[str, float]]:
    """Share of pairs in which the reward agrees with the taste.

    Args:
        reward: what to measure.
        pairs: drawn for each kind; `clean_over_web` is the third or so of `quality` that fits.
        seed: of the draws.

    Returns:
        For each kind of the module's table: mean, std, low, high (95 % interval), n.

    Raises:
        InputError: too few pairs to have each kind.
    """
    quality = [_pair(seed, k, "quality") for k in range(pairs)]
    best = annotators.ALIGNMENT_WEIGHT  # utility of a frame that is aligned and clean
    groups = {
        "clean_over_web": [p for p in quality if max(p.utilities) == best != min(p.utilities)],
        "quality": [p for p in quality if p.utilities[0] != p.utilities[1]],
        "content": [_pair(seed, k, "content") for k in range(pairs)],
    }
    results = {name: _of_pairs(reward, group) for name, group in groups.items()}
    return results | {"caption": _of_captions(reward, pairs, seed)}


def _pair(seed: int, k: int, kind: str) -> annotators.Pair:
    return annotators.draw_pair(np.random.default_rng((_FRESH, seed, k, len(kind))), kind)


def _of_pairs(reward: ImageReward, pairs: Sequence[annotators.Pair]) -> dict[str, float]:
    if not pairs:
        raise InputError("no pair of some kind was drawn: measure with more pairs")
    seen = torch.from_numpy(np.concatenate([p.frames for p in pairs])).permute(0, 3, 1, 2)
    scores = _scores(reward, seen, [p.caption for p in pairs for _ in range(2)]).unflatten(0, (-1, 2))
    taste = torch.tensor([p.utilities for p in pairs])
    return _share((scores[:, 0] > scores[:, 1]) == (taste[:, 0] > taste[:, 1]))


def _of_captions(reward: ImageReward, count: int, seed: int) -> dict[str, float]:
    seen, right, wrong = [], [], []
    for k in range(count):
        rng = np.random.default_rng((_FRESH, seed, k, 1))
        sample = frames.draw_sample(rng, frames=[int(rng.integers(world.FRAMES))], web_share=0.6)
        other = annotators.change_fact(replace(sample.facts, seed=int(rng.integers(2**31))), rng)
        seen.append(sample)
        right.append(world.caption_of(sample.facts, subject(sample.facts.subject), k))
        wrong.append(world.caption_of(other, subject(other.subject), k))
    pixels = frames.stack(seen)[:, 0]
    return _share(_scores(reward, pixels, right) > _scores(reward, pixels, wrong))


@torch.no_grad()
def _scores(reward: ImageReward, pixels: Tensor, captions: list[str], batch: int = 64) -> Tensor:
    starts = range(0, len(captions), batch)
    return torch.cat([reward(pixels[i : i + batch], captions[i : i + batch]) for i in starts]).cpu()


def _share(agreed: Tensor) -> dict[str, float]:
    return asdict(estimate(agreed.float().tolist()))
