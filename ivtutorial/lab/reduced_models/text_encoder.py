"""Train the reduced text encoder, a stock ``CLIPTextModel``: its state at the end token must hold a caption's facts.

A text-to-video model takes its text encoder ready-made (ModelScopeT2V uses that of OpenCLIP ViT-H) and keeps it frozen.
Ours is made here in minutes, from captions and facts alone, and is frozen afterwards in the same way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ivtutorial.lab.reduced_models import loop as training
from ivtutorial.lab.reduced_models.tokenizer import MAX_LENGTH, make_tokenizer, save_tokenizer
from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.scenes import SCENES
from ivtutorial.lab.world.drawing.subject import COLOURS
from ivtutorial.lab.world.drawing.subjects import ALL, subject
from ivtutorial.lab.world.judges.judge import targets
from ivtutorial.system.device import choose_device

WIDTH = 128


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A two-layer ``CLIPTextModel`` for this tokenizer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=MAX_LENGTH, projection_dim=WIDTH, hidden_act="gelu",
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip


class _Reader(nn.Module):
    """The encoder with a linear reading of each fact from its pooled state."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.encoder = encoder
        counts = {"subject": len(ALL), "colour": len(COLOURS), "scene": len(SCENES), "movement": len(world.MOVEMENTS)}
        self.heads = nn.ModuleDict({k: nn.Linear(WIDTH, n) for k, n in counts.items()})

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        pooled = self.encoder(ids).pooler_output
        return {k: head(pooled) for k, head in self.heads.items()}


def train_text(folder: Path, config: training.TrainConfig) -> CLIPTextModel:
    """Train and save to ``folder/tokenizer`` and ``folder/text_encoder``."""
    torch.manual_seed(config.seed)
    device = choose_device()
    tokenizer = make_tokenizer(seed=config.seed)
    reader = _Reader(make_text_encoder(tokenizer)).to(device)

    def loss(step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        facts = [world.draw_facts(rng, ALL) for _ in range(config.batch)]
        texts = [world.caption_of(f, subject(f.subject), int(rng.integers(1000))) for f in facts]
        ids = tokenizer(texts, padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        out = reader(ids.input_ids.to(device))
        numbers, total = {}, torch.zeros((), device=device)
        for name, logits in out.items():
            want = torch.tensor([targets(f)[name] for f in facts], device=device)
            total = total + F.cross_entropy(logits, want)
            numbers[name] = float((logits.argmax(-1) == want).float().mean())
        return total, numbers

    training.train(reader, loss, config, folder, "text")
    if training.process()[0] == 0:
        save_tokenizer(tokenizer, folder / "tokenizer")
        reader.encoder.half().save_pretrained(folder / "text_encoder", safe_serialization=True)
        reader.encoder.float()
        training.record(folder / "text_encoder" / "training.json", "text", config)
    return reader.encoder
