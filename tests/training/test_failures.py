"""What goes wrong in a run: losses that are not finite, full disks, damaged checkpoints, unusable input."""

from __future__ import annotations

import errno
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from ivtutorial.data.clips import Clip
from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.models.lora import LORA_FILE, has_lora
from ivtutorial.system.device import allow_tf32
from ivtutorial.training import checkpoints, finetuning
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.run_folder import FinetuneResult
from ivtutorial.video.writer import write_video

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

from tests.training.runs import CONFIG, METHOD, far_from_noise, redness, same, weights


def sometimes_nan(bad: Callable[[int], bool]) -> Any:
    calls = []

    def loss(models: Any, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        calls.append(1)
        value, numbers = far_from_noise(models, batch, generator)
        return (value * math.nan if bad(len(calls)) else value), numbers

    return loss


def test_a_step_that_is_not_finite_is_skipped_and_counted(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    """Step 2 of 3 is NaN: the log says null and 1 skipped, the adapter is the one of step 1 there and stays finite."""
    config = replace(CONFIG, steps=3, checkpoint_every=1, keep=3)
    loss = sometimes_nan(lambda call: call == 2)
    result = finetune(toy, data, redness, tmp_path / "run", config, loss_fn=loss, progress=False)
    assert [row["skipped"] for row in result.metrics] == [0, 1, 1] and result.skipped == 1
    assert result.metrics[1]["loss"] is None and result.metrics[2]["loss"] is not None
    one, two, three = (weights(result.folder / "checkpoints" / f"step-{k:06d}") for k in (1, 2, 3))
    assert same(one, two) and not same(two, three)
    assert all(value.isfinite().all() for value in three.values())


def test_several_such_steps_in_a_row_end_the_run(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    """max_skipped = 2: steps 3 and 4 are NaN, the run ends at step 4, and checkpoint 2 is from before."""
    config = replace(CONFIG, max_skipped=2)
    loss = sometimes_nan(lambda call: call >= 3)
    with pytest.raises(InputError, match=r"2 steps in a row, up to step 4"):
        finetune(toy, data, redness, tmp_path / "run", config, loss_fn=loss, progress=False)
    assert checkpoints.latest_checkpoint(tmp_path / "run") == tmp_path / "run" / "checkpoints" / "step-000002"
    assert not has_lora(toy.unet)


def test_a_run_without_a_good_step_leaves_no_adapter(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    loss = sometimes_nan(lambda call: True)
    with pytest.raises(InputError, match="none of 2 steps had a finite loss"):
        finetune(toy, data, redness, tmp_path / "run", replace(CONFIG, steps=2), loss_fn=loss, progress=False)
    assert not (tmp_path / "run" / "lora").exists()


def test_a_bound_on_the_gradient(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    """Adam forgets a gradient's scale, but for its eps = 1e-8: bounded to 1e-10 a step moves less than lr / 100."""
    config = replace(CONFIG, steps=1, warmup=0)
    free, bound = (
        finetune(toy, data, redness, tmp_path / str(norm), replace(config, grad_clip=norm), progress=False)
        for norm in (None, 1e-10)
    )
    ups = [{k: v for k, v in weights(run).items() if "lora_B" in k} for run in (free, bound)]
    assert max(v.abs().max().item() for v in ups[0].values()) == pytest.approx(config.lr, rel=0.01)
    assert 0 < max(v.abs().max().item() for v in ups[1].values()) < config.lr / 100


def test_a_full_disk_costs_nothing_but_the_steps_since_the_last_checkpoint(
    toy: Backbone,
    data: LatentDataset,
    unbroken: FinetuneResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The disk is full at the second checkpoint: one error, the first is whole, and the run goes on from there."""
    real, calls = torch.save, []

    def full(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments)

    monkeypatch.setattr(torch, "save", full)
    out = tmp_path / "run"
    with pytest.raises(InputError, match=r"step-000004: No space left on device\. Older checkpoints are untouched"):
        finetune(toy, data, redness, out, CONFIG, progress=False)
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["latest", "step-000002"]
    again = finetune(toy, data, redness, out, CONFIG, resume=True, progress=False)
    assert same(weights(again), weights(unbroken))


def test_a_folder_that_cannot_be_written(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write .*run: .*file is no folder"):
        finetune(toy, data, redness, tmp_path / "file" / "run", CONFIG, progress=False)


def test_a_checkpoint_that_never_became_the_latest_does_not_outlive_the_next(
    toy: Backbone, data: LatentDataset, tmp_path: Path
) -> None:
    """Killed between renaming step-000004 and pointing to it: the run goes on from 2 and keeps its own step 3."""
    finetune(toy, data, redness, tmp_path / "run", replace(CONFIG, steps=4), progress=False)
    folder = tmp_path / "run" / "checkpoints"
    (folder / "latest").write_text("step-000002\n")
    config = replace(CONFIG, steps=3, checkpoint_every=1, keep=1)
    finetune(toy, data, redness, tmp_path / "run", config, resume=True, progress=False)
    assert sorted(path.name for path in folder.iterdir()) == ["latest", "step-000003"]


def test_a_damaged_checkpoint_is_named(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=1)
    out = finetune(toy, data, redness, tmp_path / "run", config, progress=False).folder
    last = out / "checkpoints" / "step-000001"
    (last / "optimizer.pt").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"optimizer\.pt cannot be read .*name of another checkpoint .* latest"):
        finetune(toy, data, redness, out, config, resume=True, progress=False)
    (last / LORA_FILE).write_bytes((last / LORA_FILE).read_bytes()[:-9])
    with pytest.raises(InputError, match=r"step-000001 is damaged.*name of another checkpoint .* latest"):
        finetune(toy, data, redness, out, config, resume=True, progress=False)
    (out / "checkpoints" / "latest").write_text("step-000009\n")
    with pytest.raises(InputError, match="step-000009, which is not there"):
        finetune(toy, data, redness, out, config, resume=True, progress=False)


def test_a_reward_without_gradient(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="differentiable"):
        finetune(
            toy, data, lambda frames, captions: redness(frames, captions).detach(), tmp_path / "run",
            CONFIG, progress=False,
        )  # fmt: skip


def test_frames_that_segments_do_not_divide(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    config = replace(CONFIG, frames=8, method=replace(METHOD, S=8))
    with pytest.raises(InputError, match="S = 8 segments do not divide F = 4 frames"):
        finetune(toy, data, redness, tmp_path / "run", config, progress=False)


def test_samples_without_pyav_are_refused_before_training(
    toy: Backbone, data: LatentDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training on encoded clips needs no video file: it goes on without; files that are not encoded yet do not."""
    write_video(tmp_path / "clip.mp4", torch.rand(4, 3, 16, 16))
    files = [Clip(tmp_path / "clip.mp4", "snow")]
    monkeypatch.setitem(sys.modules, "av", None)
    config = replace(CONFIG, steps=1)
    with pytest.raises(InputError, match="needs PyAV .*pip install av.*, or set sample_every to 0"):
        finetune(toy, data, redness, tmp_path / "a", replace(config, sample_every=20), progress=False)
    assert not (tmp_path / "a" / "config.json").exists()
    assert finetune(toy, data, redness, tmp_path / "b", config, progress=False).steps == 1
    with pytest.raises(InputError, match="^Writing and reading clips needs PyAV"):
        finetune(toy, files, redness, tmp_path / "c", config, progress=False)


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_run_in_float32_takes_tf32_unless_it_is_to_repeat(
    toy: Backbone, data: LatentDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    """On a GPU, which the model here says it is on."""
    found: list[str] = []

    def step(*_: object) -> None:
        found.append(torch.get_float32_matmul_precision())
        raise KeyError

    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(finetuning, "allow_tf32", lambda device, precision: allow_tf32("cuda", precision))
    monkeypatch.setattr(finetuning, "take_steps", step)
    for precision in ("fp32", "bf16"):
        config = replace(CONFIG, precision=precision, deterministic=deterministic)
        with pytest.raises(KeyError):
            finetune(toy, data, redness, tmp_path / precision, config, progress=False)
    assert found == [before if deterministic else "high", before] and torch.get_float32_matmul_precision() == before
