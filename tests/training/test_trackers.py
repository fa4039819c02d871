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
from accelerate.utils import LoggerType
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.start import make_accelerator
from ivtutorial.training.trackers import gif, log_numbers, tracking
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
    folder = str(run / "trackers" / "ivtutorial")
    return accumulator.EventAccumulator(folder, size_guidance={"scalars": 0, "images": 0}).Reload()


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
        assert [item.step for item in scalars] == [1, 2, 3, 4]
        assert [item.value for item in scalars] == pytest.approx([row[name] for row in rows], rel=1e-5)
    samples = shown.Images("samples/000 a red fox")
    assert [item.step for item in samples] == [0, 2, 4]
    picture = Image.open(io.BytesIO(samples[-1].encoded_image_string))
    assert picture.format == "GIF" and picture.size == (16, 16)
    assert [item.step for item in shown.Scalars("sample_reward")] == [0, 2, 4]


def test_a_clip_as_gif_plays_for_ever_at_its_rate() -> None:
    """8 frames a second are 125 ms each, which GIF rounds to 120."""
    clip = (torch.arange(4, dtype=torch.uint8) * 60)[:, None, None, None].expand(4, 6, 8, 3)
    picture = Image.open(io.BytesIO(gif(clip, 8)))
    assert picture.n_frames == 4 and picture.info["loop"] == 0
    assert picture.info["duration"] == pytest.approx(125, abs=5)
    picture.seek(3)
    assert np.asarray(picture.convert("RGB")).mean() == pytest.approx(180, abs=1)


class FakeWandb(types.ModuleType):
    """Remembers what W&B would get."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.inits: list[dict[str, Any]] = []
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0
        self.config = types.SimpleNamespace(update=lambda values, **_: self.settings.update(values))
        self.settings: dict[str, Any] = {}

    def init(self, **settings: Any) -> FakeWandb:
        self.inits.append(settings)
        return self

    def log(self, row: dict[str, Any], step: int) -> None:
        self.rows.append((step, row))

    def finish(self) -> None:
        self.finished += 1

    @staticmethod
    def Video(file: Any, caption: str, format: str) -> tuple[str, str]:
        return caption, format


def test_wandb_gets_the_same_and_a_restart_goes_on_with_its_run(
    toy: Backbone, data: LatentDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", lambda: [LoggerType.WANDB])
    for steps, resume in ((2, False), (4, True)):
        config = replace(CONFIG, steps=steps, trackers=("wandb",))
        result = finetune(toy, data, redness, tmp_path / "run", config, resume=resume, progress=False)
    first, second = fake.inits
    assert first["id"] == second["id"] and first["project"] == "ivtutorial" and first["name"] == "run"
    assert second["resume"] == "allow" and fake.finished == 2
    assert fake.settings["steps"] == 4 and fake.settings["method.D"] == 4
    assert [step for step, row in fake.rows if "loss" in row] == [1, 2, 3, 4]
    losses = [row["loss"] for row in result.metrics if "loss" in row]
    assert [row["loss"] for _, row in fake.rows if "loss" in row] == losses
    assert [(step, row["samples"]) for step, row in fake.rows if "samples" in row] == [
        (step, [("a red fox", "gif")]) for step in (0, 2, 4)
    ]
    assert not (tmp_path / "run" / "trackers").exists()


def accelerator(run: Path, *trackers: str) -> Any:
    return make_accelerator(FinetuneConfig(trackers=trackers), torch.device("cpu"), run)


@pytest.mark.parametrize(("name", "package"), [("wandb", "wandb"), ("comet_ml", "comet-ml"), ("trackio", "trackio")])
@pytest.mark.filterwarnings("ignore:.log_with=")
def test_a_tracker_that_is_not_installed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", lambda: [LoggerType.TENSORBOARD])
    with pytest.raises(InputError, match=f"pip install {package}"):
        accelerator(tmp_path, name)


@pytest.mark.filterwarnings("ignore:.log_with=")
def test_without_tensorboard_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", list)
    alone = accelerator(tmp_path, "tensorboard")
    with tracking(alone, ("tensorboard",), tmp_path, 0, {}):
        log_numbers(alone, tmp_path, {"step": 1, "loss": 0.5})
    assert "metrics.jsonl" in caplog.text and not list(tmp_path.iterdir())


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the end of the tracker, which cannot be written either, does not hide it."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    alone = accelerator(tmp_path, "tensorboard")
    message = r"cannot write the trackers' files in .*: No space left on device\. The last checkpoint is whole"
    with pytest.raises(InputError, match=message), tracking(alone, ("tensorboard",), tmp_path, 0, {}):
        monkeypatch.setattr(SummaryWriter, "add_scalar", full)
        monkeypatch.setattr(SummaryWriter, "close", full)
        log_numbers(alone, tmp_path, {"step": 1, "loss": 0.5})


def test_only_the_main_process_tracks(tmp_path: Path) -> None:
    other: Any = types.SimpleNamespace(is_main_process=False, trackers=[])
    with tracking(other, ("tensorboard",), tmp_path, 0, {}):
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", ["tensorboard", ["visdom"]])
def test_unknown_trackers(names: Any) -> None:
    with pytest.raises(InputError, match="expected a list of tensorboard, wandb, trackio"):
        FinetuneConfig(trackers=names)
