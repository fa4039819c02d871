"""Judges and reward trained on what a model makes: what counts as truth, and that an interrupted training goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import open_clip
import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.reward import reward_config
from ivtutorial.lab.reduced_models.tokenizer import make_tokenizer
from ivtutorial.lab.reduced_models.train_all.budget import Budget
from ivtutorial.lab.reduced_models.viewers.from_nothing import ship_viewers
from ivtutorial.lab.reduced_models.viewers.pairs import PAIRS_A_BLOCK, SampledPairs, asked_pair
from ivtutorial.lab.reduced_models.viewers.run import Viewers, train_viewers
from ivtutorial.lab.reduced_models.viewers.start import start_reward
from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.subjects import subject
from ivtutorial.lab.world.judges.features import FeatureNet
from ivtutorial.lab.world.judges.judge import Judge, JudgeNet
from ivtutorial.lab.world.judges.panel import open_panel
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.system.files import data_path
from tests.tiny_models import make_models

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

TINY = Viewers(batches=(("judge", 2), ("judge_2", 2), ("words", 8), ("taste", 8)), pairs=3, steps=2, bf16=False)


class Knowing:
    """A judge that recognises the subject of renders by heart, and may be told to lie."""

    def __init__(self, honest: bool = True) -> None:
        self.honest = honest

    def columns(self, clips: Tensor, facts: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Right where the clip is the render of the facts."""
        right = []
        for clip, fields in zip(clips, facts):
            asked = world.ClipFacts(**fields)
            drawn = torch.from_numpy(world.render(asked, subject(asked.subject))).permute(0, 3, 1, 2)
            right.append(float(torch.allclose(clip, drawn, atol=1e-6)))
        read = torch.tensor(right) if self.honest else 1 - torch.tensor(right)
        return {"subject": read, "utility": 3 * read}


def draw(captions: list[str], numbers: list[int]) -> Tensor:
    """A perfect model: renders what the caption of each pair asks for."""
    asked = {text: facts for k in range(PAIRS_A_BLOCK) for pair in [asked_pair(k)]
             for text, facts in zip(pair.captions, (pair.facts, pair.other))}  # fmt: skip
    clips = [world.render(asked[text], subject(asked[text].subject)) for text in captions]
    return torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3)


def test_the_pairs_differ_in_one_fact() -> None:
    for k in range(30):
        pair = asked_pair(k)
        names = ("subject", "colour", "scene", "action", "facing")
        differ = [name for name in names if getattr(pair.facts, name) != getattr(pair.other, name)]
        assert len(differ) == 1 and (differ == ["subject"] or not k % 3)
        assert pair.captions[0] != pair.captions[1]


def test_only_what_both_judges_prefer_is_truth(tmp_path: Path) -> None:
    honest: Any = Knowing()
    liar: Any = Knowing(honest=False)
    agreed = SampledPairs(tmp_path / "a", PAIRS_A_BLOCK)
    agreed.fill(draw, (honest, honest))
    assert list(agreed.agreed()) == list(range(PAIRS_A_BLOCK)) == list(agreed.right_and_wrong())
    divided = SampledPairs(tmp_path / "b", PAIRS_A_BLOCK)
    divided.fill(draw, (honest, liar))
    assert len(divided.agreed()) == 0 == len(divided.right_and_wrong())
    assert np.array_equal(agreed.frames, divided.frames)


@pytest.fixture(scope="module")
def model(tiny_backbone: Backbone, tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"), tiny_backbone, tiny_tokenizer) / "reduced"


def test_everything_is_trained_once_and_shipped(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "viewers"
    train_viewers(model, folder, TINY, Budget(steps=2))
    stages = json.loads((folder / "stages.json").read_text())
    assert list(stages) == ["judge", "judge_2", "samples", "words", "taste"]
    (folder / "taste.state.pt").unlink()
    train_viewers(model, folder, TINY, Budget(steps=2))
    assert json.loads((folder / "stages.json").read_text()) == stages and not (folder / "taste.state.pt").exists()

    FeatureNet().save(tmp_path / "features")
    ship_viewers(tmp_path)
    panel = open_panel(tmp_path / "models")
    assert isinstance(panel.judge.net, JudgeNet) and panel.second is not None and panel.artefacts is not None
    clips = torch.rand(1, 16, 3, 64, 64)
    reward = ClipReward.from_folder(tmp_path / "models" / "reward")
    assert torch.isfinite(reward(clips[0, :2], ["a red fox", "a red fox"])).all()
    assert {"subject_2", "disagreement"} <= panel.columns(clips, [asdict(asked_pair(0).facts)]).keys()


def test_a_training_goes_on_from_an_earlier_judge_and_reward(model: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train_viewers(model, first, TINY, Budget(steps=1))
    torch.manual_seed(5)  # the weights of a new network would be others
    train_viewers(model, second, replace(TINY, start=first, seed=7), Budget(steps=1))
    clips = torch.rand(1, 16, 3, 64, 64)
    sure = [Judge.load(folder / "judge")(clips, [asked_pair(0).facts]).log_probability for folder in (first, second)]
    for name in sure[0]:
        torch.testing.assert_close(sure[0][name], sure[1][name], atol=0.1, rtol=0.05)
    stages = json.loads((second / "stages.json").read_text())
    assert "started_from" in stages["judge"] and "started_from" not in stages["judge_2"]


def test_a_reward_of_another_vocabulary_sees_and_reads_as_before(tmp_path: Path) -> None:
    folder = data_path("models", "reward")
    before = ClipReward.from_folder(folder)
    tokenizer = make_tokenizer(vocabulary=700, captions=200)
    config = reward_config(len(tokenizer))
    text = {k: v for k, v in config["text_cfg"].items() if k != "hf_tokenizer_name"}
    new = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], text)
    start_reward(new, tokenizer, folder)
    frames = torch.rand(2, 3, 64, 64)
    new.eval()
    torch.testing.assert_close(new.encode_image(frames), before.model.encode_image(frames))
    with pytest.raises(InputError, match="expected the folder of a trained reward"):
        start_reward(new, tokenizer, tmp_path)


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text-to-video model"):
        train_viewers(tmp_path, tmp_path / "out", TINY, Budget(steps=1))
