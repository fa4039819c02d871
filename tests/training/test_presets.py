"""Presets are valid settings, and each can be changed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ivtutorial.cli.training import merge_settings
from ivtutorial.errors import InputError
from ivtutorial.models.memory import Memory
from ivtutorial.rivals.quick_edit import QuickEdit
from ivtutorial.training.config import FinetuneConfig, read_config
from ivtutorial.training.presets import DIT_PRESETS, PRESETS, preset, preset_here, rate_line


@pytest.mark.parametrize("name", PRESETS | DIT_PRESETS)
def test_a_preset_is_valid_and_keeps_the_papers_eight_clips_a_step(name: str) -> None:
    chosen = preset(name)
    assert chosen["batch_size"] * chosen["accumulation"] == 8
    dtypes = Memory(**chosen["memory"]).dtypes(chosen["precision"])
    assert set(dtypes.values()) <= {torch.float16, torch.bfloat16}, "no part in float32"


def test_smaller_cards_save_more() -> None:
    """Every switch that a larger card's preset has on is on in the smaller one's, too."""
    switches = [
        {k for k, v in PRESETS[n]["memory"].items() if v in (True, 2)} for n in ("8gb", "t4", "24gb", "a100", "h100")
    ]
    assert all(large <= small for small, large in zip(switches, switches[1:]))
    assert len(switches[0]) != len(switches[-1])


def test_a_preset_cannot_be_changed_by_accident() -> None:
    preset("t4")["memory"]["offload_text"] = False
    assert preset("t4")["memory"]["offload_text"] is True
    with pytest.raises(InputError, match="there are t4, 8gb, 24gb, a100, h100"):
        preset("b200")


def test_a_preset_on_the_command_line_can_be_changed_setting_by_setting(tmp_path: Path) -> None:
    config = merge_settings(None, {"batch_size": 2}, {}, ["memory.decode_chunk=4"], False, "8gb")
    assert (config.batch_size, config.accumulation, config.precision) == (2, 8, "fp16")
    assert config.memory == Memory(**{**PRESETS["8gb"]["memory"], "decode_chunk": 4})
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    assert read_config(tmp_path) == config, "and it is stored with the run"
    with pytest.raises(InputError, match="unknown setting 'recompute_unit' of Memory: did you mean"):
        merge_settings(None, {}, {}, ["memory.recompute_unit=true"], False)


@pytest.mark.parametrize("name", [None, *PRESETS, *DIT_PRESETS])
def test_the_learning_rate_follows_the_method_with_every_preset(name: str | None) -> None:
    """The paper's is 1e-5, QuickEdit's two fifths and Direct-Align's a quarter; a rate that is given stays."""
    rates = {
        method: merge_settings(None, {}, {"name": method}, [], False, name).lr
        for method in ("instructvideo", "draft", "quickedit", "DirectAlign")
    }
    assert rates == {"instructvideo": 1e-5, "draft": 1e-5, "quickedit": 4e-6, "DirectAlign": 2.5e-6}
    quick = {"name": "quickedit"}
    assert merge_settings(None, {"lr": 5e-5}, quick, [], False, name).lr == 5e-5
    assert merge_settings(None, {}, quick, ["lr=5e-5"], False, name).lr == 5e-5


def test_a_file_that_gives_a_part_leaves_the_rest_to_method_and_model(tmp_path: Path) -> None:
    """Also with another method on the command line; a whole one, as a run stores it, gives everything."""
    path = tmp_path / "settings.json"
    path.write_text('{"steps": 7, "method": {"name": "quickedit"}}')
    part = merge_settings(path, {}, {}, [], False)
    assert (part.steps, part.method, part.lr) == (7, QuickEdit(), 4e-6)
    assert merge_settings(path, {}, {"name": "instructvideo"}, [], False).lr == 1e-5
    path.write_text(json.dumps(part.to_dict()))
    assert merge_settings(path, {}, {"name": "instructvideo"}, [], False).lr == 4e-6
    path.write_text('{"lr": 0.001, "method": {"name": "quickedit"}}')
    assert merge_settings(path, {}, {}, [], False).lr == 1e-3


def test_the_learning_rate_is_reported_where_it_is_not_that_of_the_paper() -> None:
    assert rate_line(FinetuneConfig()) is None and rate_line(FinetuneConfig(lr=1e-3)) is None
    own, given = (rate_line(FinetuneConfig(QuickEdit(), lr=lr)) for lr in (None, 2e-4))  # type: ignore[arg-type]
    assert own is not None and "4e-06" in own and "0.4 of InstructVideo's 1e-05" in own
    assert given is not None and "0.0002, as given" in given


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [("steps=1e3", "steps", 1000), ("steps=1_000", "steps", 1000), ("lr=.001", "lr", 0.001), ("lr=+1e-3", "lr", 0.001),
     ("grad_clip=None", "grad_clip", None), ("deterministic=True", "deterministic", True),
     ("deterministic=false", "deterministic", False), ("trackers=[]", "trackers", ())],
)  # fmt: skip
def test_an_option_takes_values_as_json_and_as_python_write_them(assignment: str, name: str, value: object) -> None:
    given = getattr(merge_settings(None, {}, {}, [assignment], False), name)
    assert given == value and type(given) is type(value)


@pytest.mark.parametrize(
    ("assignments", "method", "official", "message"),
    [
        (["method.train_mode=off"], {}, False, "train_mode = 'off': expected true or false"),
        (["steps=nan"], {}, False, "steps = nan: expected a whole number"),
        (["K=2"], {}, False, "did you mean 'method.K'"),
        (["method.name=draft"], {}, False, "--set method.name=draft: the method is chosen by --method draft"),
        ([], {"name": "draft"}, True, "--official belongs to instructvideo: leave it out with the method draft"),
    ],
)
def test_options_that_cannot_be_meant(
    assignments: list[str], method: dict[str, str], official: bool, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        merge_settings(None, {}, method, assignments, official)


@pytest.mark.parametrize("wrong", [{"method": "draft"}, {"memory": 1}, {"guards": [1]}])
def test_a_value_in_place_of_a_group_is_one_clear_error(wrong: dict[str, object], tmp_path: Path) -> None:
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(InputError, match=f"{name} = .*: expected a group of settings"):
        merge_settings(None, {}, {}, [f"{name}={json.dumps(value)}"], False)
    (tmp_path / "settings.json").write_text(json.dumps(wrong))
    with pytest.raises(InputError, match=f"{name} = .*: expected a group of settings"):
        merge_settings(tmp_path / "settings.json", {}, {}, [], False)


@pytest.mark.parametrize(
    ("memory", "major", "expected"),
    [
        (7.8, 8, "8gb"),
        (14.7, 7, "t4"),
        (15.8, 8, "t4"),
        (31.7, 7, "t4"),
        (22.0, 8, "24gb"),
        (39.4, 8, "a100"),
        (79.1, 9, "h100"),
    ],
    ids=["8 GB", "T4", "16 GB", "V100", "L4", "A100", "H100"],
)
def test_without_a_preset_the_card_decides(
    monkeypatch: pytest.MonkeyPatch, memory: float, major: int, expected: str
) -> None:
    """Of two cards the smaller one decides."""
    cards = [SimpleNamespace(total_memory=memory * 2**30, major=major), SimpleNamespace(total_memory=2**38, major=9)]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: cards[index])
    assert preset_here() == expected


@pytest.mark.parametrize(
    ("memory", "major", "expected"),
    [
        (7.8, 8, "16gb"),
        (15.8, 8, "16gb"),
        (22.0, 8, "16gb"),
        (39.4, 8, "16gb"),
        (79.1, 9, "80gb"),
        (14.7, 7, "16gb-fp16"),
    ],
)
def test_a_video_transformer_has_presets_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, memory: float, major: int, expected: str
) -> None:
    """By the model's index and its scheduler's settings alone."""
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text('{"flow_shift": 3.0}')
    (tmp_path / "model_index.json").write_text('{"transformer": ["diffusers", "WanTransformer3DModel"]}')
    card = SimpleNamespace(total_memory=memory * 2**30, major=major)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: card)
    assert preset_here(tmp_path) == expected
