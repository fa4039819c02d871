"""The models in data/third_generation open, and their page says what their training measured."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ivtutorial.lab.world.judges.panel import open_panel
from ivtutorial.models.named import open_model
from ivtutorial.rewards.clip import ClipReward

FOLDER = Path(__file__).parents[3] / "data" / "third_generation"


def test_the_models_open() -> None:
    backbone = open_model(str(FOLDER / "reduced"))
    assert backbone.embed(["a red fox"]).isfinite().all()
    assert open_panel(FOLDER).second is not None
    rewards = ClipReward.from_folder(FOLDER / "reward")(torch.rand(2, 3, 64, 64), ["a red fox", "a blue whale"])
    assert rewards.shape == (2,) and rewards.isfinite().all()


def test_the_page_says_what_the_training_measured() -> None:
    stages = json.loads((FOLDER / "reduced" / "training.json").read_text(encoding="utf-8"))
    video, decoder, page = stages["video"], stages["decoder"], (FOLDER / "README.md").read_text(encoding="utf-8")
    for text in (
        f"| {video['species']:.0%} |", f"| {video['movement']:.0%} |", f"{decoder['sharpness']:.2f} |",
        f"{decoder['db']:.1f} / {decoder['db_subject']:.1f} dB",
    ):  # fmt: skip
        assert text.replace("%", " %") in page
