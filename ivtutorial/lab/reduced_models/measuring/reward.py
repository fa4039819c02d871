"""Does the reduced HPS prefer what the annotators prefer? Held-out pairs against their noise-free taste.

| kind             | the two that are scored                                                              |
|------------------|--------------------------------------------------------------------------------------|
| `clean_over_web` | same content; one frame clean, the other with visible faults                          |
| `quality`        | same content, two draws of faults                                                    |
| `content`        | a frame that shows the caption, one with a wrong subject, colour or scene, as faulty  |
| `caption`        | one frame with its caption, and with one that has a wrong subject, colour or scene   |

Pairs between which the taste is undecided are left out.

On the model's own samples (:func:`measure_on_samples`) the truth is what two judges agree on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import estimate
from ivtutorial.evaluation.table import Evaluation
from ivtutorial.lab.reduced_models.viewers.pairs import SampledPairs, asked_pair
from ivtutorial.lab.world import annotators, facts as world, samples as frames
from ivtutorial.lab.world.drawing.subjects import subject
from ivtutorial.lab.world.judges.judge import Judge
from ivtutorial.lab.world.judges.second import SecondNet
from ivtutorial.models.named import open_model
from ivtutorial.rewards.base import ImageReward
from ivtutorial.rewards.named import open_reward
from ivtutorial.sampling.generation import Job, Sampling, sample_batches
from ivtutorial.system.processes import launch

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


def measure_on_samples(
    models: Path, count: int, sampling: Sampling = Sampling(), seed: int = 0, processes: int = 1
) -> dict[str, Any]:
    """Whether the reward prefers the right subject in samples of the model: pairs from the same noise, one sampled with
    the caption, one with the caption of another subject, scene or colour, of held-out combinations.

    Args:
        models: folder with `reduced`, `reward`, `judge` and `judge_2`.
        count: pairs to sample.
        sampling: of the samples.
        seed: of the pairs and their noise.
        processes: single-threaded processes that share the sampling.

    Returns:
        `right_over_wrong`: share of the pairs in which both judges read the caption's subject in the first sample only
        that the reward, as the mean over four frames, prefers the first; `agreed`: share of those in which both judges
        clearly prefer the same sample that it prefers that one. Each mean, std, low, high, n. `sampled`: pairs.

    Raises:
        InputError: a model is missing, or no pair in which the judges agree.
    """
    with tempfile.TemporaryDirectory() as folder:
        launch(_fill, processes, models, Path(folder), count, sampling, seed, group=False)
        bank = SampledPairs(Path(folder), count, seed, held_out=True)
        rows = {"right_over_wrong": bank.right_and_wrong(), "agreed": bank.agreed()}
        reward, result = open_reward(models / "reward"), {}
        for name, numbers in rows.items():
            if not len(numbers):
                raise InputError(f"the judges agree on none of {count} pairs of samples: measure with more of them")
            better = np.sign(bank.utility[numbers].mean(2) @ np.asarray([1.0, -1.0])) if name == "agreed" else 1.0
            result[name] = _share(torch.from_numpy(_leads(reward, bank, numbers, seed) * better > 0))
    return {**result, "sampled": count}


def _fill(models: Path, folder: Path, count: int, sampling: Sampling, seed: int) -> None:
    backbone = open_model(models / "reduced")
    judges = Judge.load(models / "judge"), Judge.load(models / "judge_2", SecondNet)

    def draw(captions: list[str], numbers: list[int]) -> Tensor:
        jobs = [Job(number, text, _FRESH + seed) for number, text in zip(numbers, captions)]
        return torch.cat([clips for _, clips in sample_batches(backbone, jobs, sampling)])

    rank, size = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    SampledPairs(folder, count, seed, held_out=True).fill(draw, judges, rank, size)


def _leads(reward: ImageReward, bank: SampledPairs, numbers: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """By how much the reward prefers the first sample of each pair, as the caption's picture."""
    frames = torch.from_numpy(np.asarray(bank.frames[numbers])).permute(0, 1, 2, 5, 3, 4).flatten(0, 2).float() / 255
    captions = [asked_pair(int(number), seed, held_out=True).captions[0] for number in numbers for _ in range(8)]
    scores = _scores(reward, frames, captions).unflatten(0, (-1, 2, 4)).mean(2)
    lead: NDArray[np.float64] = (scores[:, 0] - scores[:, 1]).double().numpy()
    return lead


EXPLAINED_BY = ("subject", "scene", "colour", "watermark", "blur", "wash", "tint", "noise")


def slopes_within_captions(samples: Evaluation, names: Sequence[str] = EXPLAINED_BY) -> dict[str, dict[str, float]]:
    """What moves the reward on the model's own samples: its least-squares slope on each of the judge's readings.

    Captions differ in score for reasons of their own, so each caption's means are taken out first, of the reward and of
    the readings: only differences between samples of one caption count, which is what fine-tuning can change.

    Args:
        samples: an evaluation with at least two seeds a prompt and a judge's columns.
        names: the readings that explain together.

    Returns:
        Reading -> slope and its standard error, which lets samples of a caption be alike (clustered by caption). A
        reading that never differs within a caption has no slope and is left out.

    Raises:
        InputError: one seed a prompt.
    """
    groups = np.asarray([row["index"] for row in samples.rows])
    if len(set(groups)) == len(groups):
        raise InputError("slopes within captions need at least two seeds a prompt.")

    def centred(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        values = samples.column(name)
        means = {g: values[groups == g].mean() for g in set(groups)}
        return values - np.asarray([means[g] for g in groups])

    known = [name for name in names if name in samples.numbers and np.ptp(centred(name)) > 0]
    x, y = np.stack([centred(name) for name in known], axis=1), centred("reward")
    inverse = np.linalg.pinv(x.T @ x)
    slope = inverse @ x.T @ y
    scores = np.stack([x[groups == g].T @ (y - x @ slope)[groups == g] for g in sorted(set(groups))])
    errors = np.sqrt(np.diag(inverse @ scores.T @ scores @ inverse))
    return {name: {"slope": float(b), "se": float(e)} for name, b, e in zip(known, slope, errors)}
