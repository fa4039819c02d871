"""An evaluation that was interrupted goes on where it stopped, and ends as one that was not."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from ivtutorial.data.prompts import Prompt
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.evaluation.table import Evaluation
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora, lora_parameters, save_lora, set_lora_scale
from ivtutorial.sampling.generation import Sampling
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone

if TYPE_CHECKING:
    Start = Callable[..., Evaluation]

PROMPTS = ["a red fox", "the deer, running", "snow"]
SHORT = Sampling(D=2, frames=4, batch_size=2)
LOGGER = "ivtutorial.evaluation.unfinished"


class Grouped:
    """A reward whose text depends, far beyond rounding, on which captions are encoded together."""

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight
        self.known: dict[str, float] = {}

    def text_features(self, captions: Sequence[str]) -> list[float]:
        new = [caption for caption in dict.fromkeys(captions) if caption not in self.known]
        self.known.update({caption: len(caption) + 0.1 * sum(map(len, new)) for caption in new})
        return [self.known[caption] for caption in captions]

    def offload_text(self, device: Any = "cpu") -> None:
        """There is nothing to move."""

    def __call__(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
        return self.weight * frames[:, 0].mean(dim=(1, 2)) + torch.tensor(self.text_features(captions))


def light(clips: Tensor, facts: Any) -> dict[str, Tensor]:
    return {"light": clips.mean((1, 2, 3, 4))}


def shadow(clips: Tensor, facts: Any) -> dict[str, Tensor]:
    return {"light": 1 - clips.mean((1, 2, 3, 4))}


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Counts sampled batches; Ctrl-C comes while the one after `stop` is made."""
    decode, count = Backbone.decode_clips, {"batches": 0, "stop": 1000}

    def decode_clips(self: Backbone, z: Tensor, *args: Any) -> Tensor:
        count["batches"] += 1
        if count["batches"] > count["stop"]:
            raise KeyboardInterrupt
        return decode(self, z, *args)

    monkeypatch.setattr(Backbone, "decode_clips", decode_clips)
    yield count


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture
def start(toy: Backbone) -> Start:
    """An evaluation by a model and a reward that remember nothing, as in a new process."""

    def run(out: Path | None, **changed: Any) -> Evaluation:
        toy._embeddings.clear()
        settings: dict[str, Any] = {"model": toy, "prompts": PROMPTS, "seeds": (4, 1, 7), "sampling": SHORT, "S": 2}
        return evaluate(**{**settings, "reward": Grouped(), "judge": light, "out": out, **changed})

    return run


def interrupt(start: Start, sampled: dict[str, int], out: Path, batches: int, **settings: Any) -> list[Path]:
    """Stop after so many batches; their files."""
    sampled |= {"batches": 0, "stop": batches}
    with pytest.raises(KeyboardInterrupt):
        start(out, **settings)
    sampled |= {"batches": 0, "stop": 1000}
    parts = sorted((out / "unfinished").iterdir())
    assert len(parts) == batches
    return parts


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_interrupted_evaluation_goes_on_and_ends_as_one_without_a_break(
    start: Start, sampled: dict[str, int], tmp_path: Path
) -> None:
    """Nine clips in five batches: a caption of the third and of the fourth was encoded with those of the second."""
    whole = start(tmp_path / "whole")
    assert sampled["batches"] == 5 and "diversity" in whole.numbers
    interrupt(start, sampled, tmp_path / "cut", 2)
    resumed = start(tmp_path / "cut")
    assert sampled["batches"] == 3, "only what was missing"
    assert resumed.rows == whole.rows and resumed.settings == whole.settings
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole"), "table, sheet, page and clips; no parts"
    start(tmp_path / "cut")
    assert sampled["batches"] == 3 + 5, "a finished one is made anew"


def test_it_may_be_interrupted_again_and_after_the_last_batch(
    start: Start, sampled: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    interrupt(start, sampled, tmp_path, 1)
    sampled["stop"] = 2
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path)
    sampled |= {"batches": 0, "stop": 1000}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Evaluation, "save", stopped)
        start(tmp_path)
    assert sampled["batches"] == 2
    assert start(tmp_path).rows == start(tmp_path / "whole").rows and sampled["batches"] == 2 + 5
    assert not (tmp_path / "unfinished").exists()


CHANGES: dict[str, dict[str, Any]] = {
    "D": {"sampling": replace(SHORT, D=3)},
    "guidance": {"sampling": replace(SHORT, guidance=2.0)},
    "batch size": {"sampling": replace(SHORT, batch_size=1)},
    "seeds": {"seeds": (4, 7, 1)},
    "one prompt": {"prompts": [*PROMPTS[:2], "rain"]},
    "facts": {"prompts": [Prompt(text, {"action": "run", "facing": "left"}) for text in PROMPTS]},
    "setting of the reward": {"reward": Grouped(0.5)},
    "judge": {"judge": shadow},
    "S": {"S": 1},
    "fps": {"fps": 4.0},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_differs_begins_again_and_says_so(
    name: str, start: Start, sampled: dict[str, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    interrupt(start, sampled, tmp_path, 2)
    changed = CHANGES[name]
    with caplog.at_level(logging.WARNING, LOGGER):
        result = start(tmp_path, **changed)
    assert sampled["batches"] == (9 if name == "batch size" else 5)
    if "reward" in changed:
        changed["reward"].known.clear()
    expected = start(None, **changed)
    assert [{**row, "clip": ""} for row in result.rows] == expected.rows
    [line] = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert str(tmp_path) in line and "2 batches" in line and "begins again" in line


def test_no_weights_of_another_model_or_adapter_are_mixed_in(
    start: Start, sampled: dict[str, int], tmp_path: Path, tiny_tokenizer: Any
) -> None:
    """Nor another scale of the same adapter, whoever sets it."""

    def model(change: float = 0.0) -> Backbone:
        backbone = toy_backbone(tiny_tokenizer)
        backbone.vae.decoder.conv_out.bias.data += change
        return backbone

    def adapter(seed: int) -> tuple[Backbone, Path]:
        backbone = model()
        attach_lora(backbone.unet, rank=1, seed=seed)
        for parameter in lora_parameters(backbone.unet)[1::2]:
            parameter.data.fill_(0.1)
        return backbone, save_lora(backbone.unet, tmp_path / f"lora-{seed}")

    (tuned, one), (_, two) = adapter(0), adapter(1)
    half = adapter(0)[0]
    set_lora_scale(half.unet, 0.5)
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"model": model()}, {"model": model(0.1)}),
        ({}, {"lora": one}),
        ({"lora": one}, {"lora": two}),
        ({"lora": one}, {"lora": one, "lora_scale": 0.5}),
        ({"model": tuned}, {"model": half}),
    ]
    for number, (before, after) in enumerate(pairs):
        interrupt(start, sampled, tmp_path / f"{number}", 1, **before)
        start(tmp_path / f"{number}", **after)
        assert sampled["batches"] == 5, number


def test_the_same_weights_go_on_wherever_they_lie(
    start: Start, sampled: dict[str, int], tmp_path: Path, tiny_tokenizer: Any
) -> None:
    backbone = toy_backbone(tiny_tokenizer)
    attach_lora(backbone.unet, rank=1, seed=0)
    first, moved = (save_lora(backbone.unet, tmp_path / name) for name in ("first", "moved"))
    interrupt(start, sampled, tmp_path / "out", 2, lora=first)
    result = start(tmp_path / "out", lora=moved)
    assert sampled["batches"] == 3 and result.settings["lora"] == str(moved)


def test_a_damaged_part_and_a_clip_that_is_gone_or_another_are_made_again(
    start: Start, sampled: dict[str, int], tmp_path: Path
) -> None:
    whole = start(tmp_path / "whole")
    parts = interrupt(start, sampled, tmp_path / "cut", 4)
    parts[0].write_bytes(parts[0].read_bytes()[:-10])
    (tmp_path / "cut" / "clips" / "0000-7.mp4").unlink()
    (tmp_path / "cut" / "clips" / "0001-1.mp4").write_bytes(b"of another program")
    assert start(tmp_path / "cut").rows == whole.rows and sampled["batches"] == 5 - 1
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_without_a_folder_nothing_is_kept(
    start: Start, sampled: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sampled["stop"] = 2
    with pytest.raises(KeyboardInterrupt):
        start(None)
    assert list(tmp_path.iterdir()) == []


def ending_early(frames: Tensor, captions: Sequence[str]) -> Tensor:
    """A reward whose process ends at snow, while the environment says so."""
    if "IVTUTORIAL_TEST_ENDS" in os.environ and "snow" in captions:
        raise RuntimeError("ended here")
    return frames[:, 0].mean(dim=(1, 2))


def test_each_process_goes_on_with_its_share_and_another_number_of_them_begins_again(
    start: Start, sampled: dict[str, int], tmp_path: Path, toy: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes have the prompts 0, 2, 4 and 1, 3; the second one ends at its second batch."""
    prompts = ["a red fox", "the deer, running", "a fox", "snow", "a deer"]
    same: dict[str, Any] = {
        "prompts": prompts, "seeds": 0, "reward": ending_early, "sampling": replace(SHORT, batch_size=1),
    }  # fmt: skip
    monkeypatch.setenv("IVTUTORIAL_TEST_ENDS", "yes")
    with pytest.raises(RuntimeError, match="ended here"):
        start(tmp_path, processes=2, **same)
    monkeypatch.delenv("IVTUTORIAL_TEST_ENDS")
    there = {part.stem.partition("-")[2] for part in (tmp_path / "unfinished").glob("*.safetensors")}
    clips = [tmp_path / "clips" / f"{name}.mp4" for name in there]
    assert "0001-0" in there and "0003-0" not in there
    written = [clip.stat().st_mtime_ns for clip in clips]
    result = start(tmp_path, processes=2, **same)
    assert [clip.stat().st_mtime_ns for clip in clips] == written
    alone = start(None, **same)
    for name in alone.numbers:
        n = roundings(toy.unet, passes=2) + roundings(toy.vae)
        assert_close(result.column(name), alone.column(name), n, size=3.0)
    assert result.keys == alone.keys and not (tmp_path / "unfinished").exists()
    interrupt(start, sampled, tmp_path, 2, **same)
    first = tmp_path / "clips" / "0000-0.mp4"
    before = first.stat().st_mtime_ns
    again = start(tmp_path, processes=2, **same)
    assert first.stat().st_mtime_ns > before and again.keys == alone.keys and not (tmp_path / "unfinished").exists()
