"""Our HPSv2 against the hpsv2 package's own `score`, on the same checkpoint file: a small network with random weights.

Run by `scripts/check_hpsv2.py`, which puts the package on the path; pytest does not collect this file by itself. Both
compute in float32 on the CPU, in another order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hpsv2 import img_score
from hpsv2.src.open_clip.model import CLIP
from hpsv2.src.open_clip.transform import image_transform
from PIL import Image

from ivtutorial.rewards.clip import ClipReward
from tests.tolerances import assert_close, roundings

SIZE, PROMPT = 64, "A fox & a deer, running; photo (4k)"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": SIZE, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
# (height, width): larger and smaller than the model's input, upright, wide, odd; not with the longer side equal to it,
# which the package hands on unpadded and then crashes with.
SHAPES = [(96, 96), (40, 40), (96, 128), (131, 77), (20, 61)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("hps") / "HPS_v2_compressed.pt"
    torch.save({"state_dict": open_clip.CLIP(**CONFIG).state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The package's own model class, transform and scoring function, with the small configuration."""
    img_score.model_dict["model"] = CLIP(**CONFIG, output_dict=True)
    img_score.model_dict["preprocess_val"] = image_transform(SIZE, is_train=False, resize_longest_max=True)
    img_score.device = "cpu"
    return img_score.score


@pytest.fixture(scope="module")
def ours(checkpoint: Path) -> ClipReward:
    model = open_clip.CLIP(**CONFIG)
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    model.visual.image_mean, model.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return ClipReward(model, open_clip.get_tokenizer("ViT-H-14"), CONFIG, preprocessing="hpsv2")


def test_scores_agree_with_the_package(theirs: Any, ours: ClipReward, checkpoint: Path) -> None:
    pixels = [np.random.default_rng(sum(s)).integers(256, size=(*s, 3), dtype=np.uint8) for s in SHAPES]
    expected = theirs([Image.fromarray(one) for one in pixels], PROMPT, cp=str(checkpoint))
    frames = [torch.from_numpy(one).permute(2, 0, 1)[None] / 255 for one in pixels]
    scores = [ours(one, [PROMPT]).item() for one in frames]
    assert_close(scores, [float(one) for one in expected], n=roundings(ours.model), size=1.0)


def test_the_scores_above_tell_pictures_apart(ours: ClipReward) -> None:
    """Otherwise agreement would say nothing."""
    frames = torch.rand(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    frames = frames * torch.linspace(0.1, 1, 8).view(8, 1, 1, 1)
    assert ours(frames, [PROMPT] * 8).std() > 1e-3
