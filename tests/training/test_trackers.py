"""What is shown of a run: every number and sample in TensorBoard, once a step also after a restart; W&B on request."""

from __future__ import annotations

import errno
import io
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.training.finetuning import FinetuneConfig, finetune
from ivtutorial.training.trackers import gif, tracking
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

CONFIG = FinetuneConfig(
    InstructVideo(tau=0.5, D=4, S=2), steps=4, lr=1e-2, frames=4, batch_size=1, checkpoint_every=2, sample_every=2,
    sample_prompts=("a red fox",),
)  # fmt: skip


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture(scope="module")
def data() -> LatentDataset:
    latents = torch.randn(3, 4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return LatentDataset(latents, ["a red fox", "snow", "a deer"])


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames[:, 0].mean(dim=(1, 2))


def events(run: Path) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    return found.Reload()


def test_tensorboard_shows_the_log_once_also_after_a_restart(
    toy: Backbone, data: LatentDataset, tmp_path: Path
) -> None:
    """Steps 1 to 4, the last two in a second start; rounds of samples at 0, 2 and 4."""
    finetune(toy, data, redness, tmp_path / "run", replace(CONFIG, steps=3), progress=False)
    (tmp_path / "run" / "checkpoints" / "latest").write_text("step-000002\n")
    result = finetune(toy, data, redness, tmp_path / "run", CONFIG, resume=True, progress=False)
    shown = events(tmp_path / "run")
    rows = [row for row in result.metrics if "frame_reward" in row]
    for name in ("frame_reward", "loss", "grad_norm", "lr", "motion"):
        scalars = shown.Scalars(name)
        assert [one.step for one in scalars] == [1, 2, 3, 4]
        assert [one.value for one in scalars] == pytest.approx([row[name] for row in rows], rel=1e-5)
    samples = shown.Images("samples/000 a red fox")
    assert [one.step for one in samples] == [0, 2, 4]
    picture = Image.open(io.BytesIO(samples[-1].encoded_image_string))
    assert picture.format == "GIF" and picture.size == (16, 16)
    assert [one.step for one in shown.Scalars("sample_reward")] == [0, 2, 4]


def test_a_clip_as_gif_plays_for_ever_at_its_rate() -> None:
    """8 frames a second are 125 ms each, which GIF rounds to 120."""
    clip = (torch.arange(4, dtype=torch.uint8) * 60)[:, None, None, None].expand(4, 6, 8, 3)
    picture = Image.open(io.BytesIO(gif(clip, 8)))
    assert picture.n_frames == 4 and picture.info["loop"] == 0
    assert picture.info["duration"] == pytest.approx(125, abs=5)
    picture.seek(3)
    assert np.asarray(picture.convert("RGB")).mean() == pytest.approx(180, abs=1)


class FakeRun:
    """Remembers what W&B would be told."""

    def __init__(self, **settings: Any) -> None:
        self.settings, self.rows, self.id, self.finished = settings, [], settings["id"] or "abc", False

    def log(self, row: dict[str, Any], step: int) -> None:
        self.rows.append((step, row))

    def finish(self) -> None:
        self.finished = True


def test_wandb_is_told_the_same_and_a_restart_goes_on_with_its_run(
    toy: Backbone, data: LatentDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[FakeRun] = []

    def init(**settings: Any) -> FakeRun:
        runs.append(FakeRun(**settings))
        return runs[-1]

    fake = types.SimpleNamespace(init=init, Video=lambda file, caption, format: (caption, format))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for steps, resume in ((2, False), (4, True)):
        config = replace(CONFIG, steps=steps, trackers=("wandb",))
        result = finetune(toy, data, redness, tmp_path / "run", config, resume=resume, progress=False)
    assert [run.settings["id"] for run in runs] == [None, "abc"] and all(run.finished for run in runs)
    rows = [(step, row) for run in runs for step, row in run.rows]
    assert [step for step, row in rows if "loss" in row] == [1, 2, 3, 4]
    assert [row["loss"] for _, row in rows if "loss" in row] == [row["loss"] for row in result.metrics if "loss" in row]
    assert [(step, row["samples"]) for step, row in rows if "samples" in row] == [
        (step, [("a red fox", "gif")]) for step in (0, 2, 4)
    ]
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_wandb_that_is_not_installed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match="pip install wandb"), tracking(("wandb",), tmp_path, 0, {}):
        pass


def test_without_tensorboard_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with tracking(("tensorboard",), tmp_path, 0, {}) as trackers:
        assert trackers == []
    assert "metrics.jsonl" in caplog.text


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the end of the tracker, which cannot be written either, does not hide it."""

    class Full:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            pass

        def add_scalar(self, name: str, value: float, step: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Full))
    told = r"cannot write .*tensorboard: No space left on device\. Checkpoints are whole"
    with pytest.raises(InputError, match=told), tracking(("tensorboard",), tmp_path, 0, {}) as trackers:
        trackers[0].log(1, {"loss": 0.5})


def test_only_the_main_process_tracks(tmp_path: Path) -> None:
    with tracking(("tensorboard",), tmp_path, 0, {}, main=False) as trackers:
        assert trackers == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", ["tensorboard", ["mlflow"]])
def test_unknown_trackers(names: Any) -> None:
    with pytest.raises(InputError, match="expected a list of tensorboard, wandb"):
        FinetuneConfig(trackers=names)
