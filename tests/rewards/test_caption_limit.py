"""Captions longer than what a reward reads: one warning that counts them and shows the first."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from open_clip import SimpleTokenizer
from open_clip.tokenizer import HFTokenizer

from ivtutorial.checks import check_frames, check_scores
from ivtutorial.errors import InputError
from ivtutorial.rewards.base import HasTextTower
from ivtutorial.rewards.caption_limit import CaptionLimit, count_tokens
from ivtutorial.rewards.combine import WeightedSum
from tests.rewards.tiny_clip import frames, make_reward

LONG = "a red fox running through the snow " * 12


@pytest.fixture(scope="module")
def tokenizer(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> HFTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer.save_pretrained(folder)
    return HFTokenizer(str(folder), context_length=16)


def test_a_cut_caption_is_reported_once(tokenizer: HFTokenizer, caplog: pytest.LogCaptureFixture) -> None:
    """Two captions that differ only beyond the sixteenth token score the same, and that is said."""
    reward = make_reward(tokenizer)
    with caplog.at_level(logging.WARNING):
        same = reward(frames(2), [LONG + "at night", LONG + "by day"])
        reward(frames(2), [LONG + "at night", "a fox"])
    assert torch.equal(*(make_reward(tokenizer).text_features([LONG + end]) for end in ("at night", "by day")))
    [message] = [record.getMessage() for record in caplog.records if "tokens" in record.getMessage()][:1]
    assert same.shape == (2,) and "2 captions" in message and "16 tokens" in message and "'a red fox running" in message
    assert sum(record.name.endswith("caption_limit") for record in caplog.records) == 3  # one for each of three rewards


def test_captions_that_fit_are_silent(tokenizer: HFTokenizer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        make_reward(tokenizer)(frames(2), ["a fox", ""])
    assert caplog.text == ""


@pytest.mark.parametrize("words", [74, 75, 76, 200])
def test_tokens_are_counted_before_they_are_cut(words: int) -> None:
    """CLIP's own tokenizer: one token a word and one at each end; 75 words are the most that 77 tokens hold."""
    assert count_tokens(SimpleTokenizer(), "fox " * words) == words + 2


def test_a_tokenizer_that_cannot_count_is_no_error() -> None:
    assert count_tokens(lambda texts: torch.zeros(len(texts), 4), LONG) == 0


def test_the_warning_comes_again_only_when_there_are_twice_as_many(caplog: pytest.LogCaptureFixture) -> None:
    """At 1, 2, 4 and 8 captions that are cut, one at a time."""
    limit = CaptionLimit("ImageReward", 35)
    with caplog.at_level(logging.WARNING):
        for k in range(10):
            limit.check([f"caption {k}", "short"], [40, 5])
            limit.check([f"caption {k}"], [40])
    assert [record.getMessage().split()[0] for record in caplog.records] == ["1", "2", "4", "8"]
    assert "35 tokens that ImageReward reads" in caplog.text


def test_a_reward_that_returns_no_tensor_is_named() -> None:
    with pytest.raises(InputError, match="returned list: expected a torch tensor of 2 scores"):
        check_scores([0.1, 0.2], 2)
    with pytest.raises(InputError, match=r"returned shape \(2, 1\): expected one score for each of 2 frames"):
        check_scores(torch.zeros(2, 1), 2)
    with pytest.raises(InputError, match="returned float"):
        WeightedSum([(1.0, lambda frames, captions: 0.5)])(frames(2), ["a", "b"])  # type: ignore[list-item, return-value]


def test_frames_that_are_no_tensor_are_named() -> None:
    with pytest.raises(InputError, match="must be a torch tensor, got ndarray"):
        check_frames(np.zeros((2, 3, 8, 8), np.float32))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Frames must be floats .* got torch.uint8. Divide 8-bit values by 255"):
        check_frames(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


def test_what_has_a_text_tower(tokenizer: HFTokenizer) -> None:
    assert isinstance(make_reward(tokenizer), HasTextTower)
    assert not isinstance(lambda frames, captions: frames.mean(dim=(1, 2, 3)), HasTextTower)
