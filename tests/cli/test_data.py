"""`ivtutorial prepare` and what `finetune` does with it, as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ivtutorial import cli
from ivtutorial.cli.data import clip_size, encoder_dtype
from ivtutorial.data import preparation
from ivtutorial.errors import InputError
from ivtutorial.models.backbone_folder import save_backbone
from ivtutorial.video.writer import write_video
from tests.tiny_models import make_reward
from tests.toy import toy_backbone

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("prepare", ...)` in an empty folder gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def start(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return start


@pytest.fixture(scope="module")
def models(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_backbone(toy_backbone(tiny_tokenizer), folder / "toy")
    make_reward(folder / "reward", tiny_tokenizer)
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two good clips, one of three frames, in a list as WebVid's were shared."""
    for k, frames in enumerate((4, 4, 3)):
        pixels = torch.rand(frames, 3, 16, 16, generator=torch.Generator().manual_seed(k))
        write_video(tmp_path / "clips" / f"{k}.mp4", pixels)
    (tmp_path / "clips" / "list.txt").write_text("0.mp4|||a red fox\n1.mp4|||snow\n2.mp4|||a deer\n")
    return tmp_path / "clips" / "list.txt"


def test_a_list_is_prepared_and_trained_on(run: Run, models: Path, clips: Path) -> None:
    """The short clip is named; left out, two remain, are encoded, and a step is taken on them."""
    common = ["--model", models / "toy", "--processes", 1]
    code, out, err = run("prepare", clips, "--frames", 4, *common)
    assert code == 2 and out == "" and "Traceback" not in err
    assert "1 bad of 3" in err and "2.mp4: too few frames: 3 of the 4" in err
    assert "too short" in Path("runs/prepared/report.csv").read_text()
    code, out, _ = run("prepare", clips, "--frames", 4, "--skip-bad", "--json", *common)
    assert code == 0 and json.loads(out)["counts"] == {"ok": 2, "too short": 1}
    code, out, _ = run("prepare", clips, "--frames", 4, "--skip-bad", "--preset", "t4", *common)
    assert out.endswith(f"use them: ivtutorial finetune runs/prepared --model {models / 'toy'} --preset t4\n")
    tune = ["finetune", "--data", "runs/prepared", "--reward", models / "reward", *common, "--out", "runs/a", "--json"]
    code, out, _ = run(*tune, "--steps", 1, "-D", 2, "--batch-size", 1, "--set", "frames=4")
    assert code == 0 and json.loads(out)["steps"] == 1
    assert json.loads(Path("runs/a/config.json").read_text())["data"]["clips"] == 2


def test_a_set_from_prompts(run: Run, models: Path) -> None:
    """One caption of each of the 45 species by default; here one of one prompt file; twice gives the same files."""
    Path("p.txt").write_text("a red fox\nsnow\n")
    command = ["prepare", "--from-prompts", "--prompts", "p.txt", "--model", models / "toy", "--processes", 1]
    for _ in range(2):
        code, out, _ = run(*command, "-D", 2, "--frames", 4, "--out", "own", "--json")
        assert code == 0 and json.loads(out)["counts"] == {"ok": 2}
    assert len(list(Path("own/clips").glob("*.mp4"))) == 2


@pytest.mark.parametrize("command", [True, False], ids=["by the command", "by the function"])
def test_of_several_gpus_each_process_encodes_on_its_own(
    run: Run, clips: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch, command: bool
) -> None:
    """The second of two processes; what opens the encoder notes where, and opens a small one on the CPU."""
    where: list[torch.device] = []
    small = toy_backbone(tiny_tokenizer)

    def spy(model: Any, dtype: torch.dtype, device: torch.device) -> Any:
        where.append(torch.device(device))
        return small

    monkeypatch.setattr(preparation, "open_encoder", spy)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    if command:
        options = ["--skip-bad", "--frames", 4, "--preset", "t4"]
        assert run("prepare", clips, "--model", "modelscope", *options)[0] == 0
    else:
        preparation.prepare(clips, "prepared", "modelscope", frames=4, skip_bad=True, device="cuda")
    assert set(where) == {torch.device("cuda", 1)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare"], "either CLIPS, or --from-prompts"),
        (["prepare", "clips/list.txt", "--from-prompts"], "either CLIPS, or --from-prompts"),
        (["prepare", "clips/list.txt", "--prompts", "demo"], "either CLIPS, or --from-prompts"),
        (["prepare", "clips/list.txt", "--check-only", "--precision", "fp8"], "fp8"),
        (["prepare", "none.csv", "--check-only"], "none.csv"),
        (["prepare", "clips/list.txt", "--check-only", "--out", "clips/0.mp4/x"], "cannot write"),
        (["finetune", "clips/list.txt", "--data", "clips"], "given twice"),
        (["finetune", "clips/empty.csv", "--model", "{models}/toy", "--reward", "{models}/reward"], "no clips in it"),
        (["finetune", "clips/list.txt", "--out", "clips/0.mp4/x"], "cannot write"),
    ],
)
def test_bad_input_is_one_line(run: Run, models: Path, clips: Path, arguments: list[str], message: str) -> None:
    (clips.parent / "empty.csv").write_text("video,caption\n")
    code, out, err = run(*(word.format(models=models) for word in arguments), "--processes", 1)
    assert code == 2 and out == "" and "Traceback" not in err
    assert err.count("ivtutorial: error: ") == 1 and message in err


@pytest.mark.parametrize(
    ("model", "preset", "precision", "expected"),
    [
        ("modelscope", None, "auto", torch.float16),
        ("modelscope", "24gb", "auto", torch.bfloat16),
        ("modelscope", "24gb", "fp32", torch.float32),
        ("reduced", None, "auto", torch.float32),
    ],
    ids=["by the card", "by the preset", "as given", "the small model"],
)
def test_clips_are_encoded_in_the_precision_that_finetune_will_want(
    monkeypatch: pytest.MonkeyPatch, model: str, preset: str | None, precision: str, expected: torch.dtype
) -> None:
    """On a card of 15 GiB without bf16; on a CPU always fp32."""
    arguments = (model, preset, precision, None)
    assert encoder_dtype(model, preset, precision, "cpu") == torch.float32
    for module in ("system.device", "training.presets"):
        monkeypatch.setattr(f"ivtutorial.{module}.choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("ivtutorial.system.device.check_bf16", lambda precision, device: None)
    monkeypatch.setattr("ivtutorial.training.presets.preset_here", lambda model: "t4")
    assert encoder_dtype(*arguments) == expected
    with pytest.raises(InputError, match="expected auto, fp32, bf16, fp16"):
        encoder_dtype(model, preset, "fp8", None)


def test_clips_are_encoded_in_the_size_that_finetune_will_want(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a preset, if it has one; what is given stays; without a preset the card decides, if there is one."""
    assert clip_size("wan2.1-1.3b", "16gb", "cpu", None, None) == (256, 256)
    assert clip_size("wan2.1-1.3b", "16gb", "cpu", 480, None) == (480, 256)
    assert clip_size("modelscope", "t4", "cpu", None, None) == clip_size("wan2.1-1.3b", None, "cpu", None, None)
    monkeypatch.setattr("ivtutorial.training.presets.choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("ivtutorial.training.presets.preset_here", lambda model: "16gb")
    assert clip_size("wan2.1-1.3b", None, None, None, None) == (256, 256)
    assert clip_size("reduced", None, None, None, None) == (None, None)
