"""A CLIP of open_clip that is small and random."""

from __future__ import annotations

from typing import Any

import open_clip
import torch
from open_clip.tokenizer import HFTokenizer
from torch import Tensor

from ivtutorial.rewards import ClipReward

SIZE = 32


def model_config(vocab_size: int = 49408, context_length: int = 16) -> dict[str, Any]:
    vision = {"image_size": SIZE, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": context_length, "vocab_size": vocab_size, "width": 16, "heads": 2, "layers": 1}
    return {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}


def tiny_clip(config: dict[str, Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.CLIP(**config)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    model.visual.image_mean, model.visual.image_std = mean, std
    return model


def make_reward(tokenizer: HFTokenizer, **options: Any) -> ClipReward:
    config = model_config(len(tokenizer.tokenizer))
    return ClipReward(tiny_clip(config), tokenizer, config, **options)


def frames(n: int = 3, h: int = SIZE, w: int = SIZE) -> Tensor:
    return torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(0))
