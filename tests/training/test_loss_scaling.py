"""fp16 in the real training loop: the loss scale finds its level, steps that overflow are skipped and counted.

The package computes in fp16 on a GPU only. Here a CPU does, with torch's own CPU autocast and `GradScaler`; everything
else is the code that runs on a GPU. The frozen weights are held in fp16, as there.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.lora import LORA_FILE
from ivtutorial.training.checkpoints import latest_checkpoint, read_optimizer
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.presets import preset
from ivtutorial.training.run_folder import FinetuneResult
from ivtutorial.training.start import make_accelerator
from tests.models.dit.tiny import tiny_wan
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

METHOD = InstructVideo(tau=0.5, D=2, S=2)
CONFIG = FinetuneConfig(
    METHOD, steps=6, lr=1e-3, frames=2, batch_size=1, trackers=(), checkpoint_every=1, precision="fp16"
)
START = 2.0**16


def fp16_on_cpu(config: FinetuneConfig, device: torch.device, out: Path) -> Any:
    """What accelerate sets up on a GPU and refuses on a CPU."""
    accelerator = make_accelerator(replace(config, precision="fp32"), device, out)
    accelerator.state._mixed_precision, accelerator.native_amp = "fp16", True
    accelerator.scaler = torch.amp.GradScaler("cpu")
    return accelerator


@pytest.fixture(scope="module")
def half(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer).to("cpu", torch.float16)


@pytest.fixture
def data() -> LatentDataset:
    latents = torch.randn(3, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    return LatentDataset(latents, ["a red fox", "snow", "a deer"])


@pytest.fixture
def tune(half: Backbone, data: LatentDataset, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FinetuneResult]:
    monkeypatch.setattr("ivtutorial.training.finetuning.make_accelerator", fp16_on_cpu)

    def run(out: Path, config: FinetuneConfig = CONFIG, **options: Any) -> FinetuneResult:
        return finetune(half, data, steep, out, config, progress=False, **options)

    return run


def steep(frames: Tensor, captions: Sequence[str]) -> Tensor:
    """Its slope is so large that 2^16 times the gradient ends beyond 65504."""
    return 1e4 * frames[:, 0].mean(dim=(1, 2))


def kept(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Adapter, and the loss scale with what belongs to it."""
    return load_file(checkpoint / LORA_FILE), read_optimizer(checkpoint)["scaler"]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_200_steps_on_random_weights_stay_finite(tune: Callable[..., FinetuneResult], tmp_path: Path) -> None:
    """Each skipped step halves the scale, and nothing else does: 2^16 / 2^skipped is what is left at the end.

    It grows only after 2000 good steps, so all skipped steps are its search for the level.
    """
    result = tune(tmp_path / "run", replace(CONFIG, steps=200, checkpoint_every=100))
    rows = result.metrics
    weights, scaler = kept(latest_checkpoint(result.folder) or tmp_path)
    assert all(value.isfinite().all() for value in weights.values())
    assert 0 < result.skipped <= 16 and scaler["scale"] == START / 2**result.skipped
    bad = [row["step"] for row in rows if row["loss"] is None or row["grad_norm"] is None]
    assert len(bad) == result.skipped == rows[-1]["skipped"]
    assert [row["skipped"] for row in rows] == [sum(step <= row["step"] for step in bad) for row in rows]
    assert any(weights[name].any() for name in weights if "lora_B" in name), "and it has learnt something"


def test_a_video_transformer_learns_in_fp16(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the preset 16gb-fp16 has it: all frozen parts in fp16, the adapter in float32."""
    monkeypatch.setattr("ivtutorial.training.finetuning.make_accelerator", fp16_on_cpu)
    backbone = tiny_wan().to("cpu", torch.float16)
    shape = backbone.latent_shape(5, 16, 16)
    data = LatentDataset(torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)), ["a fox", "snow"])
    changes = {"steps": 30, "frames": 5, "height": 16, "width": 16, "batch_size": 1, "accumulation": 1, "lr": 1e-3}
    memory = {**preset("16gb-fp16")["memory"], "offload_text": False}
    config = FinetuneConfig.from_dict({**preset("16gb-fp16"), **changes, "memory": memory, "trackers": ()})
    method = InstructVideo(tau=0.5, D=2, S=1, selection="first")
    result = finetune(backbone, data, steep, tmp_path / "run", replace(config, method=method), progress=False)
    weights, scaler = kept(latest_checkpoint(result.folder) or tmp_path)
    assert 0 < result.skipped <= 16 and scaler["scale"] == START / 2**result.skipped
    assert all(weight.isfinite().all() and weight.dtype == torch.float32 for weight in weights.values())
    assert any(weights[name].any() for name in weights if "lora_B" in name)


def test_a_resumed_run_takes_up_the_loss_scale(tune: Callable[..., FinetuneResult], tmp_path: Path) -> None:
    """Cut off in the middle of the search, after 2 of 6 steps."""
    whole = tune(tmp_path / "whole", replace(CONFIG, keep=6))
    tune(tmp_path / "cut", replace(CONFIG, steps=2))
    scale = kept(tmp_path / "cut" / "checkpoints" / "step-000002")[1]["scale"]
    assert scale < START and scale != kept(whole.folder / "checkpoints" / "step-000006")[1]["scale"]
    again = tune(tmp_path / "cut", resume=True)
    for run in (again.folder, whole.folder):
        assert latest_checkpoint(run) == run / "checkpoints" / "step-000006"
    first, second = (kept(run / "checkpoints" / "step-000006") for run in (again.folder, whole.folder))
    assert same(first[0], second[0]) and first[1] == second[1] and again.skipped == whole.skipped


@pytest.mark.parametrize("spoil", [lambda loss: loss + math.inf, lambda loss: loss * math.inf], ids=["sum", "product"])
def test_an_infinite_loss_is_skipped_counted_and_halves_the_scale(
    tune: Callable[..., FinetuneResult], tmp_path: Path, spoil: Callable[[Tensor], Tensor]
) -> None:
    """Step 2 of 3. The gradient of loss + inf is finite; the step must be skipped all the same."""
    calls: list[int] = []

    def loss_fn(models: Any, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        calls.append(1)
        loss = models.predictor(batch.embeds)(batch.latents, 501).square().mean()
        return (spoil(loss) if len(calls) == 2 else loss), {}

    result = tune(tmp_path / "run", replace(CONFIG, steps=3, keep=3), loss_fn=loss_fn)
    assert [row["skipped"] for row in result.metrics] == [0, 1, 1] and result.metrics[1]["loss"] is None
    one, two, three = (kept(result.folder / "checkpoints" / f"step-{k:06d}") for k in (1, 2, 3))
    assert same(one[0], two[0]) and not same(two[0], three[0])
    assert [results[1]["scale"] for results in (one, two, three)] == [START, START / 2, START / 2]


def test_on_a_cpu_fp16_is_refused(half: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="precision = 'fp16' needs a GPU"):
        finetune(half, data, steep, tmp_path / "run", CONFIG, progress=False)


@pytest.mark.parametrize("scaled", [True, False])
def test_fp16_without_loss_scaling_is_reported(
    half: Backbone, data: LatentDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, scaled: bool,
) -> None:  # fmt: skip
    """A model that was opened in fp16, and settings that say nothing of it: nothing would be learnt, silently."""
    if scaled:
        monkeypatch.setattr("ivtutorial.training.finetuning.make_accelerator", fp16_on_cpu)
    config = replace(CONFIG, steps=1, precision="fp16" if scaled else "fp32")
    with caplog.at_level(logging.WARNING):
        finetune(half, data, steep, tmp_path / "run", config, progress=False)
    assert ("small gradients become 0. Set precision = 'fp16'" in caplog.text) != scaled
