"""Tiny random stand-ins for the shipped models, for tests that only need the plumbing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone


def make_models(folder: Path, backbone: Backbone, tokenizer: Any) -> Path:
    """Writes `reduced`, `reward` and `judge` as the trained ones are written."""
    from ivtutorial.lab.world.judges.judge import Judge, JudgeNet
    from ivtutorial.models.backbone_folder import save_backbone

    save_backbone(backbone, folder / "reduced")
    make_reward(folder / "reward", tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Judge(JudgeNet()).save(folder / "judge")
    return folder


def make_reward(folder: Path, tokenizer: Any) -> None:
    """Writes a tiny open_clip model that reads 64 x 64 frames."""
    import open_clip
    from open_clip.tokenizer import HFTokenizer

    from ivtutorial.rewards import ClipReward

    tokenizer.save_pretrained(folder)
    vision = {"image_size": 64, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16}
    text = {"context_length": 16, "vocab_size": len(tokenizer), "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.CLIP(**config)
    model.visual.image_mean, model.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    ClipReward(model, HFTokenizer(str(folder), context_length=16), config).save(folder)
