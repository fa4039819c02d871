"""Evaluation and paired comparison: columns, files, pairs, intervals with a known answer."""

from __future__ import annotations

import csv
import html
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from ivtutorial.data.prompts import Prompt
from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import compare
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.evaluation.scoring import score
from ivtutorial.evaluation.table import Evaluation
from ivtutorial.models.named import open_model
from ivtutorial.sampling.generation import Sampling, generate
from ivtutorial.system.processes import launch
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

PROMPTS = ["a red fox", "the deer, running", "snow"]
SHORT = Sampling(D=2, frames=4)
SMALL: dict[str, Any] = {"sampling": SHORT, "S": 2}
MOVES = ("flow", "warp_error", "travel")
LOOKS = ("sharpness", "colourfulness", "flicker", "motion")
MEASURED = ("reward", *LOOKS, *MOVES)
FACTS = {"subject": "fox", "colour": "red", "scene": "snow", "action": "run", "facing": "left", "seed": 1}


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames[:, 0].mean(dim=(1, 2))


def judge(clips: Tensor, facts: Any) -> dict[str, Tensor]:
    """A judge that sees a fox everywhere."""
    right = {} if facts is None else {"subject": torch.tensor([float(f["subject"] == "fox") for f in facts])}
    return {**right, "watermark": clips.mean((1, 2, 3, 4))}


def rows(*rewards: float, seed: int = 0) -> Evaluation:
    result = [
        {"index": i, "prompt": f"prompt {i}", "seed": seed, "clip": "", "reward": r} for i, r in enumerate(rewards)
    ]
    return Evaluation(result, {})


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture(scope="module")
def folder(toy: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation")
    evaluate(toy, PROMPTS, redness, out, [4, 1], Sampling(D=2, frames=4, batch_size=4), S=2)
    return out


def test_the_table_holds_the_scores_of_the_generated_clips(toy: Backbone, folder: Path) -> None:
    clips = generate(toy, PROMPTS, [4, 1], SHORT)
    expected = score(clips, [p for p in PROMPTS for _ in range(2)], redness, S=2)
    result = Evaluation.load(folder)
    assert [key[::2] for key in result.keys] == [(0, 4), (0, 1), (1, 4), (1, 1), (2, 4), (2, 1)]
    n = roundings(toy.unet, passes=2) + roundings(toy.vae)
    assert_close(result.column("reward"), expected.rewards, n, size=3.0)
    assert_close(result.summary()["reward"].mean, expected.total.mean, n, size=3.0)
    assert result.numbers == [*MEASURED, "diversity"]


def test_the_files(folder: Path) -> None:
    with open(folder / "scores.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["prompt"] for row in table[::2]] == PROMPTS
    assert all((folder / row["clip"]).is_file() for row in table) and (folder / "sheet.png").is_file()
    stored = json.loads((folder / "evaluation.json").read_text())
    assert stored["settings"]["D"] == 2 and stored["summary"]["reward"]["n"] == 6


def test_the_page_shows_every_clip(folder: Path, tmp_path: Path) -> None:
    """Each clip is linked by a path below the folder, with its prompt in words; texts cannot break the page."""
    page = (folder / "index.html").read_text()
    rows = Evaluation.load(folder).rows
    assert all(f'src="{row["clip"]}"' in page for row in rows) and page.count("<video") == len(rows) == 6
    assert 'aria-label="the deer, running, seed 4"' in page and "http" not in page
    odd = Evaluation([{"index": 0, "prompt": '<b>&"', "seed": 0, "clip": "", "reward": 1.0}], {"model": "<i>"})
    odd.save(tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert "<b>&" not in text and "<i>" not in text and '<b>&"' in html.unescape(text)


def test_two_processes_make_the_same_table(toy: Backbone, folder: Path) -> None:
    result = evaluate(toy, PROMPTS, redness, None, [4, 1], processes=2, **SMALL)
    one = Evaluation.load(folder)
    assert result.keys == one.keys
    n = roundings(toy.unet, passes=2) + roundings(toy.vae)
    for name in one.numbers:
        assert_close(result.column(name), one.column(name), n, size=3.0)


def test_a_judge_adds_its_columns(toy: Backbone) -> None:
    asked = [Prompt("a red fox", FACTS), Prompt("a deer", {**FACTS, "subject": "deer"})]
    result = evaluate(toy, asked, redness, judge=judge, **SMALL)
    assert result.numbers == ["reward", "subject", "watermark", *LOOKS, *MOVES, "travel_error"]
    assert result.column("subject").tolist() == [1.0, 0.0]
    without = evaluate(toy, ["a red fox"], redness, judge=judge, **SMALL)
    assert without.numbers == ["reward", "watermark", *LOOKS, *MOVES]


class Reader:
    """A judge with a network."""

    def __init__(self, weight: float) -> None:
        self.net = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(self.net.weight, weight)
        torch.nn.init.zeros_(self.net.bias)

    def columns(self, clips: Tensor, facts: Any) -> dict[str, Tensor]:
        return {"size": self.net(clips.mean((1, 2, 3, 4))[:, None])[:, 0].detach()}


def test_which_judge_and_which_reward_is_stored_and_compared(toy: Backbone) -> None:
    """By name and by weights: a judge or a reward that was trained again under its name is another one."""

    class Net(torch.nn.Linear):
        def forward(self, frames: Tensor, captions: Any = None) -> Tensor:
            return super().forward(frames.mean((1, 2, 3))[:, None])[:, 0]

    reward, other = (Net(1, 1).requires_grad_(False) for _ in range(2))
    one, again, two = (
        evaluate(toy, ["a red fox"], reward, judge=Reader(weight).columns, **SMALL) for weight in (1.0, 1.0, 2.0)
    )
    assert one.settings["judge"] == f"{__name__}:Reader.columns"
    assert one.settings["judge_weights"].startswith("float32 ") and one.settings["reward_weights"].startswith("float32")
    assert compare(one, again).columns["size"].mean == 0.0
    with pytest.raises(InputError, match="differ in judge .*Reader.columns with weights float32"):
        compare(one, two)
    plain = evaluate(toy, ["a red fox"], reward, **SMALL)
    assert (plain.settings["judge"], plain.settings["judge_weights"]) == (None, "")
    assert compare(one, plain).only_before == ["size"]
    with pytest.raises(InputError, match="differ in reward .* with weights float32"):
        compare(plain, evaluate(toy, ["a red fox"], other, **SMALL))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "no prompt"),
        (["a fox", None], "entry 2: a caption is text, got None"),
        ([Prompt("a fox", FACTS), "a deer"], "prompt 2 has no facts"),
    ],
)
def test_unusable_prompts(toy: Backbone, prompts: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(toy, prompts, redness, judge=judge, **SMALL)


def test_no_evaluation_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable evaluation"):
        Evaluation.load(tmp_path)
    with pytest.raises(InputError, match="no column 'species'"):
        rows(1.0).column("species")


def test_comparing_folders(folder: Path) -> None:
    """A table compared with itself: no change in any column."""
    result = compare(folder, folder)
    assert set(result.columns) == {*MEASURED, "diversity"}
    assert all((one.mean, one.low, one.high) == (0.0, 0.0, 0.0) for one in result.columns.values())


def test_inside_a_group_every_process_has_the_whole_table(toy: Backbone, folder: Path, tmp_path: Path) -> None:
    """As under torchrun: the clips are shared, the tables equal, and the files are written once."""
    call = partial(evaluate, toy, PROMPTS, redness, tmp_path, [4, 1], Sampling(D=2, frames=4, batch_size=4), S=2)
    first, second = launch(call, 2)
    assert first.rows == second.rows and first.keys == Evaluation.load(folder).keys
    assert Evaluation.load(tmp_path).keys == first.keys


def test_diversity_needs_several_seeds(folder: Path, toy: Backbone) -> None:
    """Two seeds: each clip has one other, so both have the same distance."""
    result = Evaluation.load(folder).column("diversity")
    assert_close(result[0::2], result[1::2])
    assert (result > 0).all()
    assert "diversity" not in evaluate(toy, PROMPTS[:1], redness, seeds=0, **SMALL).numbers


def test_beside_a_model_on_a_gpu_the_reward_has_its_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward of a billion weights in float32 would not fit beside it, and would be eight times slower."""
    asked: list[Any] = []

    class Enough(Exception):
        pass

    def spy(*arguments: Any) -> None:
        asked.extend(arguments)
        raise Enough

    monkeypatch.setattr("ivtutorial.evaluation.evaluation.open_reward", spy)
    model = open_model("reduced", torch.float16).to("meta")
    with pytest.raises(Enough):
        evaluate(model, ["a fox"], "hpsv2")
    assert asked == ["hpsv2", torch.device("meta"), torch.float16]


def test_segments_that_do_not_divide_the_frames_are_refused_before_a_model_is_opened() -> None:
    with pytest.raises(InputError, match="S = 3 segments do not divide F = 4 frames: use one of 1, 2, 4"):
        evaluate("no such model", ["a fox"], "reduced", sampling=Sampling(D=2, frames=4), S=3)
