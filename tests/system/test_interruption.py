"""Ctrl-C and SIGTERM: the step at hand is finished and kept, and going on from there is exact."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.lora import LORA_FILE
from ivtutorial.system.interruption import noting_signals
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

METHOD = InstructVideo(tau=0.5, D=4, S=2)
CONFIG = FinetuneConfig(METHOD, steps=4, lr=1e-2, frames=4, batch_size=1, checkpoint_every=100, trackers=())


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames[:, 0].mean(dim=(1, 2))


def some_latents() -> LatentDataset:
    latents = torch.randn(3, 4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return LatentDataset(latents, ["a red fox", "snow", "a deer"])


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / LORA_FILE)


class Presses:
    """A reward during whose n-th call a signal comes."""

    def __init__(self, at: int, number: int) -> None:
        self.at, self.number, self.calls = at, number, 0

    def __call__(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
        self.calls += 1
        if self.calls == self.at:
            signal.raise_signal(self.number)
        return redness(frames, captions)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_step_ends_the_run_after_it_with_a_checkpoint(toy: Backbone, tmp_path: Path, number: int) -> None:
    """The signal comes within step 2 of 4: checkpoint 2 is there though none was due, and going on is exact."""
    data, out = some_latents(), tmp_path / "run"
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        finetune(toy, data, Presses(2, number), out, CONFIG, progress=False)
    assert (out / "checkpoints" / "latest").read_text().strip() == "step-000002"
    assert signal.getsignal(number) is before
    again = finetune(toy, data, Presses(0, number), out, CONFIG, resume=True, progress=False)
    whole = finetune(toy, data, Presses(0, number), tmp_path / "whole", CONFIG, progress=False)
    assert [row["step"] for row in again.metrics] == [1, 2, 3, 4]
    first, second = weights(again.lora), weights(whole.lora)
    assert all(torch.equal(first[name], second[name]) for name in second)


def test_a_second_signal_ends_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), noting_signals() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        signal.raise_signal(signal.SIGINT)


def test_a_thread_leaves_the_signals_alone() -> None:
    answers = []

    def elsewhere() -> None:
        with noting_signals() as asked:
            answers.append(asked())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert answers == [False]
