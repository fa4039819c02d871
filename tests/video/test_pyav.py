"""A machine without PyAV: one clear error before the work, and nothing is blamed on the files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ivtutorial import cli
from ivtutorial.data.clips import Clip, load_frames
from ivtutorial.data.preparation import prepare
from ivtutorial.errors import InputError
from ivtutorial.evaluation.scoring import score_files
from ivtutorial.video.pyav import need_pyav
from ivtutorial.video.reader import read_video, video_facts
from ivtutorial.video.writer import encode_video, write_video

ADVICE = r"Writing and reading clips needs PyAV \(.*av.*\): install it \(pip install av\)"


@pytest.fixture
def two_clips(tmp_path: Path) -> list[Clip]:
    """Written while PyAV is still there."""
    for k in range(2):
        write_video(tmp_path / f"{k}.mp4", np.zeros((4, 16, 16, 3), np.uint8))
        (tmp_path / f"{k}.txt").write_text("grey")
    return [Clip(tmp_path / f"{k}.mp4", "grey") for k in range(2)]


@pytest.fixture
def without_pyav(two_clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    monkeypatch.setitem(sys.modules, "av", None)
    return two_clips


@pytest.mark.parametrize(
    "work",
    [
        lambda clips: encode_video(np.zeros((1, 16, 16, 3), np.uint8)),
        lambda clips: read_video(clips[0].path, frames=4),
        lambda clips: video_facts(clips[0].path),
        lambda clips: load_frames(clips, frames=4),
        lambda clips: score_files(clips, "no such reward", frames=4),
        lambda clips: prepare(clips[0].path.parent, clips[0].path.parent / "out", "no such model"),
    ],
    ids=["encode", "read", "facts", "load", "score", "prepare"],
)
def test_one_error_says_what_to_install(without_pyav: list[Clip], work: Callable[[list[Clip]], object]) -> None:
    """Before a model is opened, and not once a file."""
    with pytest.raises(InputError, match=ADVICE) as raised:
        work(without_pyav)
    assert "bad of" not in str(raised.value)


def test_another_way_out_is_named(without_pyav: list[Clip]) -> None:
    with pytest.raises(InputError, match=ADVICE + ", or do without."):
        need_pyav("do without")


@pytest.mark.usefixtures("without_pyav")
def test_generate_ends_before_it_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    monkeypatch.setattr("ivtutorial.sampling.clip_files.open_to_sample", lambda *given: opened.append(given))
    with pytest.raises(SystemExit) as ended:
        cli.main(["generate", "a fox", "--out", str(tmp_path / "out"), "--processes", "1"])
    assert ended.value.code == 2 and opened == []
    message = capsys.readouterr().err
    assert message.startswith("ivtutorial: error: Writing and reading clips needs PyAV") and "Traceback" not in message
