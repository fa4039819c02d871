"""The table of shipped rewards: every row leads to a loader, and help and messages name every row."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest
import torch
from open_clip.tokenizer import HFTokenizer

from ivtutorial.errors import InputError
from ivtutorial.rewards.named import open_named
from ivtutorial.rewards.shipped import SHIPPED
from tests.rewards.contract import assert_image_reward
from tests.rewards.tiny_clip import SIZE, make_reward


@pytest.mark.parametrize("name", SHIPPED)
def test_every_row_leads_to_a_loader(name: str) -> None:
    """A function (path=None, ..., dtype=float32) with a docstring; loading itself may need a download."""
    module, function, words = SHIPPED[name]
    loader = getattr(importlib.import_module(f"ivtutorial.rewards.{module}"), function)
    parameters = inspect.signature(loader).parameters
    assert next(iter(parameters)) == "path" and parameters["path"].default is None
    assert parameters["dtype"].default == torch.float32 and inspect.getdoc(loader) and words


def test_help_and_messages_name_every_row() -> None:
    from ivtutorial.cli.options import Reward

    with pytest.raises(InputError) as caught:
        open_named("no such reward")
    for text in (str(caught.value), Reward.__metadata__[0].help):  # type: ignore[attr-defined]
        assert [name for name in SHIPPED if name not in text] == []


def test_the_contract_holds_for_clip(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer.save_pretrained(folder)
    assert_image_reward(make_reward(HFTokenizer(str(folder), context_length=16)), SIZE)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda frames, captions: frames.mean(dim=(1, 2, 3)).detach() + 0 * frames.sum(),  # no slope
        lambda frames, captions: frames.mean(dim=(1, 2, 3)) - frames.mean(),  # looks at the other frames
        lambda frames, captions: frames.mean(),  # one score for all
        lambda frames, captions: frames.mean(dim=(1, 2, 3)),  # takes frames from 0 to 255
    ],
)
def test_the_contract_refuses(wrong: Any) -> None:
    with pytest.raises((AssertionError, InputError, pytest.fail.Exception)):
        assert_image_reward(wrong)
