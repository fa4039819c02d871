"""What the reward learns from beyond renders: samples of the model whose scores it will raise.

A reward that has seen only drawings tells species apart by what drawings show. On the model's own samples, blurred and
half right, its slope on the right species was nil across captions. So every third of its last lessons is on samples:
half of the pairs are those of which both judges prefer the same one, half a sample beside itself with further faults.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ivtutorial.lab.reduced_models.reward import Lessons
from ivtutorial.lab.reduced_models.train_all.loop import StepLoss, TrainStep
from ivtutorial.lab.reduced_models.viewers.pairs import KEPT, SampledPairs, asked_pair
from ivtutorial.lab.world import annotators, web_faults as web

SAMPLED = 3  # every third step learns from samples
ANCHOR = 0.25  # of the steps keep the contrastive loss beside the choices


def words_loss(lessons: Lessons) -> StepLoss:
    """CLIP's contrastive loss on frames and captions: which words a frame deserves."""

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        value, logits = lessons.contrastive(_own_rng(step), step.batch // step.group.size)
        hit = logits.argmax(1).eq(torch.arange(len(logits), device=logits.device)).float().mean()
        return value, {"retrieval": hit}

    return loss


def taste_loss(lessons: Lessons, bank: SampledPairs) -> StepLoss:
    """The annotators' choices between renders and, in every third step, between samples."""
    pairs = bank.agreed()

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        rng, count = _own_rng(step), step.batch // step.group.size // 2
        if step.number % SAMPLED == 0 and len(pairs):
            value, right = sampled_choices(lessons, bank, rng.choice(pairs, size=count), rng)
            return value, {"sampled": value.detach(), "sampled_agreement": right}
        value, agreement = lessons.preferences(rng, count)
        numbers = {"preference": value.detach(), "agreement": agreement}
        if step.progress < ANCHOR:
            value = value + 0.25 * lessons.contrastive(rng, step.batch // step.group.size // 4)[0]
        return value, numbers

    return loss


def sampled_choices(
    lessons: Lessons, bank: SampledPairs, numbers: np.ndarray, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The loss on pairs of samples, and how often the model prefers the better one.

    Half of the pairs are those of the bank; in the other half the first sample stands beside itself with more faults.
    """
    first, second, captions, lead = [], [], [], []
    for k, number in enumerate(numbers):
        frame = int(rng.integers(len(KEPT)))
        a, b = bank.frames[number, :, frame].astype(np.float32) / 255
        pair = asked_pair(int(number), bank.seed, bank.held_out)
        u = bank.utility[number].mean(1)
        ahead = float(u[0] - u[1])
        if k % 2:
            faults = web.draw_faults(rng)
            b = web.degrade(a[None], faults, np.asarray([KEPT[frame]]))[0]
            ahead = annotators.SEVERITY_WEIGHT * faults.severity
        first.append(a)
        second.append(b)
        captions.append(pair.captions[0])
        lead.append(ahead)
    seen = torch.from_numpy(np.stack([*first, *second])).permute(0, 3, 1, 2)
    scores = (lessons.image(seen).unflatten(0, (2, -1)) * lessons.text(captions)).sum(-1).T
    chance = torch.tensor(lead, dtype=torch.float32, device=scores.device).sigmoid()
    scale = lessons.model.logit_scale.exp().clamp(max=100)
    loss = F.cross_entropy(scale * scores, torch.stack([chance, 1 - chance], dim=1))
    return loss, ((scores[:, 0] > scores[:, 1]) == (chance > 0.5)).float().mean()


def _own_rng(step: TrainStep) -> np.random.Generator:
    return np.random.default_rng((int(step.rng.integers(2**62)), step.group.rank))
