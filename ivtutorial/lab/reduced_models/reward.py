"""What the reduced HPS learns, as HPSv2 did: a CLIP learnt from frames and captions, then tuned on preferences.

Stage 1 is CLIP's symmetric contrastive loss on single frames of both qualities. Half its batches share one scene and
colour, the other half also hold, for each frame, a caption with one wrong fact (as NegCLIP does, arXiv 2210.01936):
in a plain batch scene and colour distinguish nearly all captions and the subject is never learnt well.

Stage 2 shows a caption with two frames and the choices of several noisy annotators; the two scores, times the logit
scale, go through a softmax, and the loss is the cross-entropy with the votes (HPSv2, arXiv 2306.09341, Sec. 4). Its
first steps keep the contrastive loss besides; then the choices alone decide, so that differences in score become
differences in taste: under the contrastive loss a wrong subject costs about five times as much as a watermark, to the
annotators it matters half as much again.

What stage 2 forgets about captions, `mix_weights` brings back: a mean of the weights before and after it (WiSE-FT,
arXiv 2109.01903).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import CLIPTokenizer

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.tokenizer import MAX_LENGTH
from ivtutorial.lab.world import annotators, facts as world, samples as frames
from ivtutorial.lab.world.drawing.subjects import subject
from ivtutorial.rewards.clip import WEIGHTS_FILE
from ivtutorial.rewards.preprocess import CLIP_MEAN, CLIP_STD
from ivtutorial.system.files import atomic_write, atomic_write_text

ANNOTATORS = 9  # who look at each pair; the loss sees the share of their votes


def reward_config(vocabulary: int) -> dict[str, Any]:
    """The open_clip configuration of the reduced HPS, its `model_cfg`."""
    return {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 64, "layers": 4, "width": 128, "head_width": 32, "patch_size": 8},
        "text_cfg": {
            "context_length": MAX_LENGTH, "vocab_size": vocabulary, "width": 128, "heads": 4, "layers": 2,
            "hf_tokenizer_name": "tokenizer",
        },
    }  # fmt: skip


class Lessons:
    """What the reward learns from: which caption a frame has, and which of two frames people prefer.

    Args:
        model: open_clip's CLIP.
        tokenizer: of its captions.
        device: of the model.
    """

    def __init__(self, model: Any, tokenizer: CLIPTokenizer, device: torch.device) -> None:
        self.model, self.tokenizer, self.device = model, tokenizer, device
        self.mean, self.std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))

    def image(self, batch: Tensor) -> Tensor:
        """Features of frames (B, 3, H, W) in [0, 1]."""
        return self.model.encode_image((batch.to(self.device) - self.mean) / self.std, normalize=True)

    def text(self, captions: list[str]) -> Tensor:
        """Features of captions."""
        ids = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
        )
        return self.model.encode_text(ids.input_ids.to(self.device), normalize=True)

    def contrastive(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """CLIP's loss on `count` frames, and the logits."""
        wrong: list[str] = []
        if rng.random() < 0.5:
            samples = frames.look_alikes(rng, count, web_share=0.6)
            captions = [s.caption for s in samples]
        else:
            samples = frames.single_frames(rng, count, web_share=0.6)
            captions, wrong = right_and_wrong(samples, rng)
        scale = self.model.logit_scale.exp().clamp(max=100)
        logits = scale * self.image(frames.stack(samples)[:, 0]) @ self.text(captions + wrong).T
        want = torch.arange(len(samples), device=self.device)
        return (F.cross_entropy(logits, want) + F.cross_entropy(logits[:, : len(want)].T, want)) / 2, logits

    def preferences(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """The loss on the annotators' votes over `count` pairs, and how often the model agrees with their taste."""
        pairs = [annotators.draw_pair(rng) for _ in range(count)]
        seen = torch.from_numpy(np.concatenate([p.frames for p in pairs])).permute(0, 3, 1, 2)
        scores = (self.image(seen).unflatten(0, (count, 2)) * self.text([p.caption for p in pairs])[:, None]).sum(-1)
        votes = torch.tensor(
            [[annotators.annotate(p, rng) for _ in range(ANNOTATORS)] for p in pairs],
            dtype=torch.float32,
            device=self.device,
        ).mean(1)
        taste = torch.tensor([0 if p.utilities[0] > p.utilities[1] else 1 for p in pairs], device=self.device)
        scale = self.model.logit_scale.exp().clamp(max=100)
        wanted = torch.stack([votes, 1 - votes], dim=1)
        return F.cross_entropy(scale * scores, wanted), (scores.argmax(1) == taste).float().mean()


def mix_weights(before: Path, after: Path, share: float, out: Path) -> None:
    """Weighted mean of the weights of two rewards of one training: ``share`` of the later one, the rest of the earlier.

    Args:
        before: folder of the reward that `after` started from.
        after: folder of the tuned reward.
        share: 0 to 1.
        out: folder to write; may be `after`.

    Raises:
        InputError: a share out of range, a folder without weights, or rewards of other shapes.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share = {share}: expected a number from 0 (all of the first) to 1 (all of the second).")
    for folder in (before, after):
        if not (folder / WEIGHTS_FILE).is_file():
            raise InputError(f"no {WEIGHTS_FILE} in {folder}: expected a folder of a trained reward.")
    old, new = load_file(before / WEIGHTS_FILE), load_file(after / WEIGHTS_FILE)
    if {k: v.shape for k, v in old.items()} != {k: v.shape for k, v in new.items()}:
        raise InputError(f"{before} and {after} hold models of other shapes: mix two rewards of one training.")
    if out != after:
        shutil.copytree(after, out, dirs_exist_ok=True)
    mixed = {k: old[k].float().lerp(new[k].float(), share).half().contiguous() for k in old}
    with atomic_write(out / WEIGHTS_FILE) as file:
        file.write(save(mixed))
    record = after / "training.json"
    facts = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    atomic_write_text(out / "training.json", json.dumps({**facts, "share_of_tuned_weights": share}, indent=1) + "\n")


def right_and_wrong(samples: list[frames.Sample], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """For each sample a caption that names every fact, and one that differs from it in one fact."""
    right, wrong = [], []
    for sample in samples:
        words = int(rng.integers(1000))
        other = annotators.change_fact(sample.facts, rng)
        right.append(world.caption_of(sample.facts, subject(sample.facts.subject), words))
        wrong.append(world.caption_of(other, subject(other.subject), words))
    return right, wrong
