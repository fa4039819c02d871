"""The device is the one that is named, else the best there is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.system.device import check_bf16, choose_device


def test_a_named_device_is_taken_and_otherwise_the_gpu_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device() == choose_device("cuda") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("stale", ["2", "abc", ""])
def test_what_another_job_left_as_local_rank_is_named(monkeypatch: pytest.MonkeyPatch, stale: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", stale)
    with pytest.raises(InputError, match=f"LOCAL_RANK = '{stale}' in the environment, and there are 2 GPUs.* Unset it"):
        choose_device()
    assert choose_device("cpu") == torch.device("cpu")


def test_without_a_gpu_there_is_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == choose_device("cpu") == torch.device("cpu")
    for name in ("cuda", "tpu"):
        with pytest.raises(InputError, match=f"device = '{name}': expected 'cpu', or 'cuda' where there is a GPU"):
            choose_device(name)


@pytest.mark.parametrize(("major", "driver"), [(7, True), (8, False)], ids=["a T4", "an old driver"])
def test_bf16_where_there_is_none_names_the_card_and_the_other_precision(
    monkeypatch: pytest.MonkeyPatch, major: int, driver: bool
) -> None:
    card = SimpleNamespace(name="Tesla T4", major=major)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: driver)
    with pytest.raises(InputError, match=r"'bf16': Tesla T4 has no bf16.*'fp16', as the presets t4, 8gb and 16gb-fp16"):
        check_bf16("bf16", torch.device("cuda", 0))
    check_bf16("fp16", torch.device("cuda", 0))
    check_bf16("bf16", torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    card.major = 8
    check_bf16("bf16", torch.device("cuda", 0))
