"""Evaluation and paired comparison: columns, files, pairs, intervals with a known answer."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ivtutorial.data.prompts import Prompt
from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import compare, difference
from ivtutorial.evaluation.evaluation import Evaluation, evaluate
from ivtutorial.evaluation.intervals import bootstrap_interval, estimate
from ivtutorial.evaluation.scoring import score
from ivtutorial.sampling.generation import generate
from ivtutorial.system.processes import launch
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

PROMPTS = ["a red fox", "the deer, running", "snow"]
SMALL: dict[str, Any] = {"D": 2, "frames": 4, "S": 2}
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
    found = [
        {"index": i, "prompt": f"prompt {i}", "seed": seed, "clip": "", "reward": r} for i, r in enumerate(rewards)
    ]
    return Evaluation(found, {})


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture(scope="module")
def folder(toy: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation")
    evaluate(toy, PROMPTS, redness, out, [4, 1], batch_size=4, **SMALL)
    return out


def test_the_table_holds_the_scores_of_the_generated_clips(toy: Backbone, folder: Path) -> None:
    clips = generate(toy, PROMPTS, [4, 1], D=2, frames=4)
    expected = score(clips, [p for p in PROMPTS for _ in range(2)], redness, S=2)
    found = Evaluation.load(folder)
    assert [key[::2] for key in found.keys] == [(0, 4), (0, 1), (1, 4), (1, 1), (2, 4), (2, 1)]
    n = roundings(toy.unet, passes=2) + roundings(toy.vae)
    assert_close(found.column("reward"), expected.rewards, n, size=3.0)
    assert_close(found.summary()["reward"].mean, expected.total.mean, n, size=3.0)
    assert found.numbers == [*MEASURED, "diversity"]


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
    assert "&lt;b&gt;&amp;&quot;" in text and "<b>&" not in text and "<i>" not in text


def test_two_processes_make_the_same_table(toy: Backbone, folder: Path) -> None:
    found = evaluate(toy, PROMPTS, redness, None, [4, 1], processes=2, **SMALL)
    one = Evaluation.load(folder)
    assert found.keys == one.keys
    n = roundings(toy.unet, passes=2) + roundings(toy.vae)
    for name in one.numbers:
        assert_close(found.column(name), one.column(name), n, size=3.0)


def test_a_judge_adds_its_columns(toy: Backbone) -> None:
    asked = [Prompt("a red fox", FACTS), Prompt("a deer", {**FACTS, "subject": "deer"})]
    found = evaluate(toy, asked, redness, judge=judge, **SMALL)
    assert found.numbers == ["reward", "subject", "watermark", *LOOKS, *MOVES, "travel_error"]
    assert found.column("subject").tolist() == [1.0, 0.0]
    without = evaluate(toy, ["a red fox"], redness, judge=judge, **SMALL)
    assert without.numbers == ["reward", "watermark", *LOOKS, *MOVES]


@pytest.mark.parametrize(
    ("prompts", "told"),
    [
        ([], "no prompt"),
        (["a fox", None], "entry 2: a caption is text, got None"),
        ([Prompt("a fox", FACTS), "a deer"], "prompt 2 has no facts"),
    ],
)
def test_unusable_prompts(toy: Backbone, prompts: list[Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        evaluate(toy, prompts, redness, judge=judge, **SMALL)


def test_no_evaluation_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable evaluation"):
        Evaluation.load(tmp_path)
    with pytest.raises(InputError, match="no column 'species'"):
        rows(1.0).column("species")


# --- comparison -------------------------------------------------------------------------------------------------------


def test_paired_difference_by_hand() -> None:
    """Differences 1, 3, 2: mean 2, standard deviation 1, so d_z = 2; all three rise."""
    found = compare(rows(1.0, 5.0, 9.0), rows(2.0, 8.0, 11.0)).reward
    assert (found.before, found.after, found.mean, found.n) == (5.0, 7.0, 2.0, 3)
    assert found.effect_size == pytest.approx(2.0) and found.wins == 1.0
    assert 1.0 <= found.low < 2.0 < found.high <= 3.0


def test_pairing_takes_the_spread_of_the_prompts_out() -> None:
    """Every prompt rises by 0.1 while prompts differ by thousands: the interval is the point 0.1."""
    before = [1000.0 * k for k in range(8)]
    found = difference(before, [one + 0.5 for one in before])
    assert (found.low, found.high) == (0.5, 0.5) and found.effect_size == math.inf


def test_nothing_changes() -> None:
    found = difference([1.0, 2.0], [1.0, 2.0])
    assert (found.mean, found.effect_size, found.wins) == (0.0, 0.0, 0.5)


def test_pairs_are_found_by_prompt_and_seed_not_by_place() -> None:
    first, second = rows(1.0, 2.0), rows(1.5, 2.5)
    turned = Evaluation(list(reversed(second.rows)), {})
    assert compare(first, turned).reward.mean == 0.5


@pytest.mark.parametrize("other", [rows(1.0), rows(1.0, 2.0, seed=1), rows(1.0, 2.0, 3.0)])
def test_evaluations_of_other_prompts_or_seeds(other: Evaluation) -> None:
    with pytest.raises(InputError, match="not of the same prompts and seeds"):
        compare(rows(1.0, 2.0), other)


def test_an_infinite_effect_size_is_null_in_json() -> None:
    stored = compare(rows(1.0, 2.0), rows(2.0, 3.0)).to_dict()
    assert stored["reward"]["effect_size"] is None and json.dumps(stored, allow_nan=False)


def test_comparing_folders(folder: Path) -> None:
    """A table compared with itself: no change in any column."""
    found = compare(folder, folder)
    assert set(found.columns) == {*MEASURED, "diversity"}
    assert all((one.mean, one.low, one.high) == (0.0, 0.0, 0.0) for one in found.columns.values())


# --- intervals --------------------------------------------------------------------------------------------------------


def test_the_bootstrap_agrees_with_the_normal_interval() -> None:
    """For 400 normal numbers the 95 % interval of the mean is +- 1.96 s / 20, to a few per cent."""
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = bootstrap_interval(values.tolist())
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.06 * half)
    narrow = bootstrap_interval(values.tolist(), level=0.5)
    assert low < narrow[0] < narrow[1] < high
    assert bootstrap_interval(values.tolist()) == (low, high)


def test_estimate_of_one_and_of_two_numbers() -> None:
    """Standard deviation with divisor n - 1: of 1 and 3 it is sqrt(2)."""
    one, two = estimate([2.0]), estimate([1.0, 3.0])
    assert (one.mean, one.std, one.low, one.high, one.n) == (2.0, 0.0, 2.0, 2.0, 1)
    assert two.std == pytest.approx(2**0.5) and (two.low, two.high) == (1.0, 3.0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_numbers_that_have_no_mean(values: list[float]) -> None:
    with pytest.raises(InputError, match="finite number"):
        estimate(values)


def test_inside_a_group_every_process_has_the_whole_table(toy: Backbone, folder: Path, tmp_path: Path) -> None:
    """As under torchrun: the clips are shared, the tables equal, and the files are written once."""
    call = partial(evaluate, toy, PROMPTS, redness, tmp_path, [4, 1], batch_size=4, **SMALL)
    first, second = launch(call, 2)
    assert first.rows == second.rows and first.keys == Evaluation.load(folder).keys
    assert Evaluation.load(tmp_path).keys == first.keys


def test_diversity_is_told_for_several_seeds_only(folder: Path, toy: Backbone) -> None:
    """Two seeds: each clip has one other, so both have the same distance."""
    found = Evaluation.load(folder).column("diversity")
    assert_close(found[0::2], found[1::2])
    assert (found > 0).all()
    assert "diversity" not in evaluate(toy, PROMPTS[:1], redness, seeds=0, **SMALL).numbers
