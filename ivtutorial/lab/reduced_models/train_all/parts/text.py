"""Tokenizer and text encoder, a stock ``CLIPTextModel``: its states must hold the facts of a caption.

A video model takes its text encoder ready-made and keeps it frozen; ours is made here in minutes. Each fact is read
twice: from the pooled state, and through one attention over the token states, which is how a UNet will read them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ivtutorial.lab.reduced_models.tokenizer import make_tokenizer, token_ids
from ivtutorial.lab.reduced_models.train_all.loop import StepLoss, TrainStep, to_device
from ivtutorial.lab.reduced_models.train_all.pool import CHANCE
from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.scenes import SCENES
from ivtutorial.lab.world.drawing.subject import COLOURS
from ivtutorial.lab.world.drawing.subjects import ALL, subject
from ivtutorial.lab.world.judges.judge import targets
from ivtutorial.lab.world.training_captions import FAULT_WORDS, training_caption
from ivtutorial.lab.world.web_faults import WebFaults

# Classes of each fact; the last one is "left unsaid".
CLASSES = {
    "subject": len(ALL), "colour": len(COLOURS) + 1, "scene": len(SCENES) + 1, "movement": len(world.MOVEMENTS) + 1,
    "facing": 3,
}  # fmt: skip
FAULT_NAMES = tuple(FAULT_WORDS)


def random_caption(rng: np.random.Generator, held_out: bool | None = False) -> tuple[world.ClipFacts, str]:
    """Facts drawn at random, with random faults, and one wording."""
    facts = world.draw_facts(rng, ALL, held_out)
    strengths: dict[str, Any] = {name: float(rng.random() < chance) for name, chance in CHANCE.items()}
    return facts, training_caption(facts, subject(facts.subject), WebFaults(**strengths), rng)


def learn_tokenizer(captions: int = 20_000, seed: int = 0) -> CLIPTokenizer:
    """A tokenizer that has one token for every word of the training captions."""

    def texts() -> Iterator[str]:
        for k in range(captions):
            yield random_caption(np.random.default_rng((seed, zlib.crc32(b"tokenizer"), k)), None)[1]

    return make_tokenizer(texts=texts())


def labels(facts: world.ClipFacts, text: str) -> tuple[list[int], list[float]]:
    """Labels of a caption: a class number for each entry of :data:`CLASSES`, and 0 or 1 for each fault."""
    words, known = text.replace(":", " ").replace(",", " ").split(), targets(facts)
    short = len(words) <= 4 and words[0] in ("a", "an")
    numbers = [
        known["subject"],
        known["colour"] if facts.colour in words else len(COLOURS),
        len(SCENES) if short else known["scene"],
        len(world.MOVEMENTS) if short else known["movement"],
        2 if facts.side is None and "facing" not in words or short else int(facts.facing == "right"),
    ]
    return numbers, [float(any(w in words for w in FAULT_WORDS[name])) for name in FAULT_NAMES]


class Reader(nn.Module):
    """The encoder with readings of each fact, from the pooled state and from the token states."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        width = encoder.config.hidden_size
        self.encoder = encoder
        counts = {**CLASSES, "faults": len(FAULT_NAMES)}
        self.pooled = nn.ModuleDict({k: nn.Linear(width, n) for k, n in counts.items()})
        self.tokens = nn.ModuleDict({k: nn.Linear(width, n) for k, n in counts.items()})
        self.queries = nn.ParameterDict({k: nn.Parameter(torch.randn(width) * width**-0.5) for k in counts})

    def forward(self, ids: Tensor) -> list[dict[str, Tensor]]:
        """Two readings of (B, 24) token numbers: logits (B, classes) of each fact."""
        out = self.encoder(ids)
        states = out.last_hidden_state
        through = {
            k: self.tokens[k]((states * (states @ query).softmax(-1)[..., None]).sum(1))
            for k, query in self.queries.items()
        }
        return [{k: head(out.pooler_output) for k, head in self.pooled.items()}, through]


def text_loss(reader: Reader, tokenizer: CLIPTokenizer) -> StepLoss:
    """Cross entropies of all that captions say."""

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        drawn = step.own([random_caption(step.rng) for _ in range(step.batch)])
        rows = [labels(facts, text) for facts, text in drawn]
        numbers_of = (torch.tensor([row[k] for row in rows]) for k in (0, 1))
        columns = token_ids(tokenizer, [text for _, text in drawn]), *numbers_of
        ids, wanted, faults = (to_device(part, step.group.device) for part in columns)
        total, numbers = torch.zeros((), device=ids.device), {}
        for way, out in zip(("pooled", "tokens"), reader(ids)):
            for k, name in enumerate(CLASSES):
                total = total + F.cross_entropy(out[name].float(), wanted[:, k])
                numbers[f"{way}_{name}"] = (out[name].argmax(-1) == wanted[:, k]).float().mean()
            total = total + F.binary_cross_entropy_with_logits(out["faults"].float(), faults)
        return total, numbers

    return loss
