"""The device is the one that is named, else the best there is."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.system.device import choose_device


def test_a_named_device_is_taken_and_otherwise_the_gpu_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device() == choose_device("cuda") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")


def test_without_a_gpu_there_is_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == choose_device("cpu") == torch.device("cpu")
    for name in ("cuda", "tpu"):
        with pytest.raises(InputError, match=f"device = '{name}': expected 'cpu', or 'cuda' where there is a GPU"):
            choose_device(name)
