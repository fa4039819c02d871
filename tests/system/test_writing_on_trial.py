"""A folder that takes no file is refused before anything is opened, not after the work."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ivtutorial.cli import app
from ivtutorial.data.preparation import prepare
from ivtutorial.errors import InputError
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.lab.reduced_models.measuring.models import measure_models
from ivtutorial.models.official.checkpoint import convert_checkpoint
from ivtutorial.sampling.clip_files import generate_files
from ivtutorial.system.files import check_writable
from ivtutorial.training.finetuning import export_merged, finetune

MODEL = "no such model"


def listed(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("place", [".", "there", "new", "new/deeper", "new/../other", "new/../../beside"])
def test_the_trial_leaves_nothing_behind(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "there").mkdir(parents=True)
    before = listed(tmp_path)
    check_writable(folder / place)
    assert listed(tmp_path) == before


def test_a_relative_folder_is_one_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.chdir(tmp_path)
    check_writable("runs/a")
    with pytest.raises(InputError, match="cannot write file/a: .*file is no folder"):
        check_writable("file/a")


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_a_place_whose_permissions_promise_too_much(
    code: int, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /proc of Linux, which root may write and which takes no file; a full disk takes a folder and no byte."""

    def refuse(*arguments: Any, **named: Any) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(Path, call if call == "mkdir" else "write_bytes", refuse)
        with pytest.raises(InputError, match=rf"cannot write .*out: .* \({os.strerror(code)}\)\. Choose another"):
            check_writable(tmp_path / "out")
    assert not listed(tmp_path)


def test_a_name_that_no_folder_can_have(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"cannot write .*{os.strerror(errno.ENAMETOOLONG)}"):
        check_writable(tmp_path / ("long" * 200))


def test_a_link_to_nowhere_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="link is no folder"):
        check_writable(tmp_path / "link")


FUNCTIONS: dict[str, Callable[[Path, Path], object]] = {
    "evaluate": lambda out, source: evaluate(MODEL, ["a fox"], "no such reward", out),
    "generate_files": lambda out, source: generate_files(MODEL, ["a fox"], out),
    "prepare": lambda out, source: prepare(source, out, MODEL),
    "finetune": lambda out, source: finetune(MODEL, source, "no such reward", out),
    "export_merged": lambda out, source: export_merged(MODEL, source, out),
    "convert_checkpoint": lambda out, source: convert_checkpoint(source, out),
    "measure_models": lambda out, source: measure_models(source, out / "models.json"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_try_their_folder_before_they_open_anything(name: str, tmp_path: Path) -> None:
    """Everything else is wrong, too, and would be the error otherwise."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write .*file"):
        FUNCTIONS[name](tmp_path / "file" / "out", tmp_path / "absent")


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "a fox", "--judge", "absent", "--out", "file/out"],
        ["finetune", "absent", "--out", "run", "--merged", "file/out"],
        ["experiment", "fig8", "--out", "runs", "--results", "file/out"],
        ["experiment", "all", "--out", "file/out"],
        ["zoo", "train-all", "--out", "zoo", "--parcel", "file/out"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_commands_try_every_folder_that_they_write_at_the_end(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*command, "--processes", "1"])
    assert isinstance(result.exception, InputError) and "cannot write file/out" in str(result.exception)
    assert listed(tmp_path) == [tmp_path / "file"], "nothing was begun"
