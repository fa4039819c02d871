"""Where autocast is on, and where there is nothing for it to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.rivals.ddpo import DDPO
from ivtutorial.rivals.rwr import RWR
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.methods import METHODS
from ivtutorial.training.step import Run
from tests.toy import toy_backbone
from tests.training.runs import CAPTIONS

SMALL = {"D": 4, "S": 2}
ROUNDS = {RWR: {"group": 2, "inner_updates": 2}, DDPO: {"group": 2, "inner_updates": 2}}


@pytest.mark.parametrize("everything_half", [True, False])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_steps_in_bf16_and_no_cast_weight_is_remembered(
    tiny_tokenizer: Any, tmp_path: Path, name: str, everything_half: bool
) -> None:
    """A weight that was cast while sampling, without gradient, would have none in the loss that follows.

    With all weights in bf16 there is nothing to cast; with the VAE in float32 autocast is on, and remembers nothing.
    """
    seen: list[tuple[bool, bool]] = []

    def note(*_: Any) -> None:
        seen.append((torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()))

    backbone = toy_backbone(tiny_tokenizer).to("cpu", torch.bfloat16)
    if not everything_half:
        backbone.vae.float()
    handle = backbone.unet.register_forward_pre_hook(note)
    data = LatentDataset(torch.randn(5, 4, 4, 8, 8), CAPTIONS)
    method = METHODS[name](**SMALL, **ROUNDS.get(METHODS[name], {}))
    config = FinetuneConfig(method, steps=2, lr=1e-2, frames=4, batch_size=1, precision="bf16", trackers=())

    def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
        return frames[:, 0].mean(dim=(1, 2))

    result = finetune(backbone, data, redness, tmp_path / "run", config, device="cpu", progress=False)
    handle.remove()
    assert result.skipped == 0 and all(row["grad_norm"] > 0 for row in result.metrics)
    assert {enabled for enabled, _ in seen} == {not everything_half}
    assert everything_half or {cached for _, cached in seen} == {False}


@pytest.mark.parametrize(("part", "on"), [("vae", False), ("text_encoder", False), ("unet", True)])
def test_on_a_gpu_an_autoencoder_in_float32_computes_in_it(tiny_tokenizer: Any, part: str, on: bool) -> None:
    """`memory.vae=fp32` is what helps where fp16 overflows in the decoder; autocast would make it fp16 again."""
    backbone = toy_backbone(tiny_tokenizer).to("meta", torch.float16)
    getattr(backbone, part).float()
    accelerator = SimpleNamespace(autocast=lambda: torch.autocast("cpu", torch.float16))
    rest: list[Any] = [None] * 9
    run = Run(Path(), FinetuneConfig(precision="fp16"), accelerator, backbone, *rest)
    with run.mixed_precision():
        assert torch.is_autocast_enabled("cpu") == on
