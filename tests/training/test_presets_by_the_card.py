"""A run for which no preset is named: on a GPU its memory chooses one, unless the user has chosen; never on a CPU."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from ivtutorial import cli
from ivtutorial.errors import InputError
from ivtutorial.models.memory import Memory
from ivtutorial.training import finetuning
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.presets import PRESETS, advise_preset, card_settings, default_config

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

T4 = FinetuneConfig.from_dict(PRESETS["t4"])


def put_in(monkeypatch: pytest.MonkeyPatch, memory: float, major: int) -> None:
    """A machine that says it has one such card, of GiB."""
    card = SimpleNamespace(total_memory=memory * 2**30, major=major)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: card)


@pytest.fixture
def t4(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in(monkeypatch, 14.7, 7)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[FinetuneConfig]:
    """The settings that runs begin with; they end there."""
    settings: list[FinetuneConfig] = []

    def launch(function: Any, processes: int, *arguments: Any) -> list[Any]:
        settings.append(arguments[4])
        raise InputError("this is far enough")

    monkeypatch.setattr(finetuning, "launch", launch)
    return settings


def start(*arguments: Any, **options: Any) -> None:
    with pytest.raises(InputError, match="far enough"):
        finetune(*arguments, **options)


@pytest.mark.usefixtures("t4")
def test_a_run_without_settings_takes_the_preset_and_says_so(
    begun: list[FinetuneConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start("modelscope", "clips", "hpsv2", tmp_path)
    assert begun == [T4] and default_config("modelscope") == T4
    assert caplog.messages[0] == "no preset is given: t4, by the memory of the GPU" and len(caplog.messages) == 2


@pytest.mark.usefixtures("t4")
def test_one_of_several_processes_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("RANK", "1")
    assert default_config("modelscope") == T4 and caplog.messages == []


@pytest.mark.usefixtures("t4")
def test_a_cpu_the_small_model_and_an_opened_model_have_no_preset(
    begun: list[FinetuneConfig], tiny_backbone: Backbone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Several processes share a CPU, also where there is a GPU."""
    start("reduced", "clips", "hpsv2", tmp_path)
    start(tiny_backbone, "clips", "hpsv2", tmp_path)
    start("modelscope", "clips", "hpsv2", tmp_path, device="cpu")
    start("modelscope", "clips", "hpsv2", tmp_path, processes=2)
    start("modelscope", "clips", "hpsv2", tmp_path, FinetuneConfig(), device="cpu")
    assert begun == [FinetuneConfig()] * 5 and caplog.messages == []


def test_a_machine_without_a_gpu_has_no_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_config("modelscope") == FinetuneConfig() and card_settings("modelscope") == {}


@pytest.mark.usefixtures("t4")
def test_settings_that_are_given_stay_and_a_warning_names_the_preset(
    begun: list[FinetuneConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a configuration nobody knows what was chosen in it, so nothing in it changes."""
    given = FinetuneConfig(steps=7)
    start("modelscope", "clips", "hpsv2", tmp_path, given)
    assert begun == [given]
    assert len(caplog.messages) == 1 and "78 GiB" in caplog.text and "--preset t4" in caplog.text
    caplog.clear()
    for chosen in (replace(given, precision="fp16"), replace(given, memory=Memory(recompute_unet=True))):
        advise_preset(chosen, "modelscope")
    advise_preset(given, "reduced")
    assert caplog.messages == []


@pytest.mark.usefixtures("t4")
@pytest.mark.parametrize(
    ("given", "decided"),
    [
        ({"steps": 7}, {"batch_size", "accumulation", "precision", "memory"}),
        ({"batch_size": 8}, {"precision", "memory"}),
        ({"precision": "fp32"}, set()),
        ({"memory": {}}, set()),
    ],
)
def test_a_file_of_settings_is_completed_and_never_overruled(given: dict[str, Any], decided: set[str]) -> None:
    """Passes belong to the batch: eight clips a pass, as given, and four passes would be another step."""
    assert card_settings("modelscope", None, given) == {name: PRESETS["t4"][name] for name in decided}


@pytest.mark.usefixtures("t4")
@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ({"steps": 7}, [], replace(T4, steps=7)),
        ({"steps": 7, "batch_size": 8}, [], replace(T4, steps=7, batch_size=8, accumulation=1)),
        ({"steps": 7, "precision": "fp32"}, [], FinetuneConfig(steps=7)),
        ({"steps": 7}, ["--preset", "8gb"], replace(FinetuneConfig.from_dict(PRESETS["8gb"]), steps=7)),
        ({"steps": 7}, ["--device", "cpu"], FinetuneConfig(steps=7)),
        (None, ["--steps", "7"], replace(T4, steps=7)),
        (None, ["--steps", "7", "--precision", "fp32"], replace(T4, steps=7, precision="fp32")),
    ],
    ids=[
        "file",
        "batch in the file",
        "precision in the file",
        "preset named",
        "on a CPU",
        "no file",
        "precision named",
    ],
)
def test_the_command_takes_the_same_way(
    begun: list[FinetuneConfig],
    tmp_path: Path,
    content: dict[str, Any] | None,
    options: list[str],
    expected: FinetuneConfig,
) -> None:
    words = [
        "finetune",
        "clips",
        "--model",
        "modelscope",
        "--reward",
        "hpsv2",
        "--out",
        str(tmp_path / "run"),
        *options,
    ]
    if content is not None:
        (tmp_path / "settings.json").write_text(json.dumps(content))
        words += ["--config", str(tmp_path / "settings.json")]
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2 and begun == [expected]


def test_a_run_goes_on_with_what_its_first_card_decided(
    begun: list[FinetuneConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Begun on a T4, continued on an H100; from Python without settings, and by the command."""
    put_in(monkeypatch, 79.1, 9)
    (tmp_path / "config.json").write_text(json.dumps({"finetune": T4.to_dict()}))
    caplog.set_level(logging.WARNING)
    start("modelscope", "clips", "hpsv2", tmp_path, resume=True)
    with pytest.raises(SystemExit):
        cli.main(["finetune", "clips", "--model", "modelscope", "--out", str(tmp_path), "--resume"])
    assert begun == [T4, T4] and caplog.messages == []
    start("modelscope", "clips", "hpsv2", tmp_path / "new", resume=True)
    assert begun[2] == FinetuneConfig.from_dict(PRESETS["h100"]) and "no preset is given: h100" in caplog.text
