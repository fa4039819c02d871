"""A small model, its data, and a run of six steps that many tests look at."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.run_folder import FinetuneResult
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

from tests.training.runs import CAPTIONS, CONFIG, redness


@pytest.fixture(scope="session")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture
def fresh_toy(toy: Backbone) -> Backbone:
    return copy.deepcopy(toy)


@pytest.fixture(scope="session")
def data() -> LatentDataset:
    latents = torch.randn(5, 4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return LatentDataset(latents, CAPTIONS)


@pytest.fixture(scope="session")
def unbroken(toy: Backbone, data: LatentDataset, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    """Six steps, two rounds of samples and the one before the first step."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    config = replace(CONFIG, sample_every=3, sample_prompts=("a fox", "snow"))
    return finetune(toy, data, redness, out, config, progress=False)
