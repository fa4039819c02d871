"""What makes a GPU repeat its results: set inside, restored outside, and what cannot repeat is named."""

from __future__ import annotations

import os

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.system.repeatable import repeatable


def test_inside_everything_repeats_and_afterwards_torch_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    with repeatable(True):
        assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark and os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic) == before
    assert torch.backends.cudnn.benchmark
    with repeatable(False):
        assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic) == before


def test_what_cannot_repeat_is_named_and_the_setting_to_change() -> None:
    """`put_` has no such form, on a CPU either."""
    message = r"put_.*Replace it in your reward, or set deterministic to False"
    with pytest.raises(InputError, match=message), repeatable(True):
        torch.zeros(3).put_(torch.tensor([1, 1]), torch.tensor([1.0, 2.0]))
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("on", [True, False])
def test_other_errors_pass(on: bool) -> None:
    with pytest.raises(RuntimeError, match="unlike"), repeatable(on):
        raise RuntimeError("sizes are unlike")
