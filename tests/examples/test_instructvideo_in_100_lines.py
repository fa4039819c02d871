"""The flat example takes the steps of `finetune`, and what it writes opens in a stock pipeline."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.models.lora import LORA_FILE
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from tests.toy import seeded, toy_backbone

EXAMPLE = Path(__file__).parents[2] / "examples" / "instructvideo_in_100_lines.py"
CAPTIONS = ["a red fox", "the deer running", "snow", "a deer", "the red snow"]


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames[:, 0].mean(dim=(1, 2))


def example() -> Any:
    spec = importlib.util.spec_from_file_location("example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_steps_are_those_of_finetune_bit_for_bit(tiny_tokenizer: Any, tmp_path: Path) -> None:
    """Adapter for adapter, in the file that each of them writes."""
    module, toy = example(), toy_backbone(tiny_tokenizer)
    latents = torch.randn(5, 4, 4, 8, 8, generator=seeded(0))
    config = FinetuneConfig(steps=2, lr=1e-2, warmup=0, frames=4, trackers=())
    packaged = finetune(copy.deepcopy(toy), LatentDataset(latents, CAPTIONS), redness, tmp_path / "run", config)
    module.train(toy, redness, latents, CAPTIONS, steps=2, lr=1e-2)
    layers = module.get_peft_model_state_dict(toy.unet)
    module.TextToVideoSDPipeline.save_lora_weights(tmp_path / "flat", unet_lora_layers=layers)
    flat, expected = load_file(tmp_path / "flat" / LORA_FILE), load_file(packaged.lora / LORA_FILE)
    assert flat.keys() == expected.keys() and all(torch.equal(flat[name], expected[name]) for name in flat)
    assert max(float(weight.abs().max()) for name, weight in flat.items() if "lora_B" in name) > 1e-3


def test_it_is_one_screen_after_another() -> None:
    """The name says how many lines it has; every equation of the method stands behind its line."""
    text = EXAMPLE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    assert all(f"# Eq. {n}" in text for n in ("3, 4", "5", "6", "7", "8", "2, 9"))
