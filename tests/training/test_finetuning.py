"""A run of fine-tuning: it learns, logs, stops early, and its steps depend on nothing but settings and data."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ivtutorial.data.clips import Clip
from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.models.backbone_folder import save_backbone
from ivtutorial.models.lora import LORA_FILE, has_lora, lora_parameters
from ivtutorial.models.named import open_model
from ivtutorial.models.unet import VideoUNet
from ivtutorial.sampling.generation import Sampling, generate
from ivtutorial.training.config import FinetuneConfig, read_config
from ivtutorial.training.finetuning import export_merged, finetune
from ivtutorial.training.run_folder import FinetuneResult, read_metrics
from ivtutorial.training.start import make_accelerator
from ivtutorial.video.reader import read_video
from ivtutorial.video.writer import write_video
from tests.tolerances import assert_close, roundings, tolerance

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

from tests.training.runs import CONFIG, METHOD, distance, far_from_noise, redness, same, timeless, weights

SHORT = Sampling(D=2, frames=2)


def test_the_reward_rises(unbroken: FinetuneResult) -> None:
    """Sample clips of the same prompts and noise are redder after six steps than before the first."""
    rounds = [row["sample_reward"] for row in unbroken.metrics if "sample_reward" in row]
    assert len(rounds) == 3 and rounds[-1] > rounds[0]


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_gets_the_same_run(
    toy: Backbone, data: LatentDataset, tmp_path: Path, switched_off: Any
) -> None:
    """A notebook that has looked at clips may have gradients off for all cells that follow; it keeps its state."""
    config = replace(CONFIG, steps=1, trackers=())
    plain = finetune(toy, data, redness, tmp_path / "plain", config, progress=False)
    with switched_off():
        run = finetune(toy, data, redness, tmp_path / "run", config, progress=False)
        assert not torch.is_grad_enabled()
    assert same(weights(run), weights(plain)) and timeless(run.metrics) == timeless(plain.metrics)


def test_what_is_logged(unbroken: FinetuneResult) -> None:
    """Two clips a step, two DDIM steps each, two evaluations a step for guidance: 8 more UNet evaluations each time."""
    rows = [row for row in unbroken.metrics if row["step"] > 0]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["unet_evaluations"] for row in rows] == [8, 16, 24, 32, 40, 48]
    for row in rows:
        assert_close(row["loss"], -row["reward"])
        assert 0 < row["frame_reward"] < 1 and 0 < row["frame_weight"] <= 1
        assert row["grad_norm"] > 0 and row["motion"] > 0 and row["seconds"] > 0 and row["skipped"] == 0
    # warm-up of 10 steps to 1e-2
    assert [row["lr"] for row in rows] == pytest.approx([k * 1e-3 for k in range(1, 7)])


def test_the_folder_of_a_run(unbroken: FinetuneResult) -> None:
    run = unbroken.folder
    kept = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert kept == ["latest", "step-000004", "step-000006"]
    assert (run / "checkpoints" / "latest").read_text().strip() == "step-000006"
    assert same(weights(unbroken), weights(run / "checkpoints" / "step-000006"))
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["step-000000", "step-000003", "step-000006"]
    assert read_video(run / "samples" / "step-000006" / "001.mp4", 4, 8, (16, 16)).shape == (4, 16, 16, 3)
    assert (run / "samples" / "step-000006" / "sheet.png").stat().st_size > 0
    stored = json.loads((run / "config.json").read_text())
    assert stored["data"]["clips"] == 5 and stored["provenance"]["versions"]["torch"] == version("torch")
    assert read_config(run) == replace(CONFIG, sample_every=3, sample_prompts=("a fox", "snow"))


def test_the_model_is_left_as_it_was(toy: Backbone, unbroken: FinetuneResult) -> None:
    unet = toy.unet
    assert not has_lora(unet) and not any(p.requires_grad for p in unet.parameters())
    assert not unet._forward_pre_hooks and not unet.training
    assert (unbroken.folder / "lora" / LORA_FILE).is_file()


def test_the_merged_export_makes_the_clips_of_the_adapter(
    toy: Backbone, unbroken: FinetuneResult, tmp_path: Path
) -> None:
    folder = export_merged(toy, unbroken.lora, tmp_path / "merged")
    merged = generate(folder, ["a fox"], sampling=SHORT)
    attached, n = generate(toy, ["a fox"], sampling=SHORT, lora=unbroken.lora), roundings(toy.unet, toy.vae, passes=2)
    assert_close(merged, attached, n, size=3.0)
    assert (merged - generate(toy, ["a fox"], sampling=SHORT)).abs().max() > 1e-3


def test_sampling_and_checkpoints_do_not_touch_the_steps(
    toy: Backbone, data: LatentDataset, unbroken: FinetuneResult, tmp_path: Path
) -> None:
    """Without samples, with other checkpoints, and with the global generator elsewhere: the same adapter."""
    torch.manual_seed(99)
    expected = torch.rand(3)
    torch.manual_seed(99)
    config = replace(CONFIG, checkpoint_every=5, keep=1)
    again = finetune(toy, data, redness, tmp_path / "run", config, progress=False)
    assert same(weights(again), weights(unbroken))
    assert torch.equal(torch.rand(3), expected)


def test_a_seed_names_a_run_whatever_the_number_of_processes(
    toy: Backbone, data: LatentDataset, tmp_path: Path
) -> None:
    """Two processes, two passes, twice the batch: clips and noise are the same; sums are rounded in another order."""
    config = replace(CONFIG, steps=3, sample_every=3, sample_prompts=("a fox", "snow", "a deer"))
    two = finetune(toy, data, redness, tmp_path / "two", config, processes=2, progress=False)
    n = 3 * roundings(toy.unet, toy.vae, passes=12)
    for name, split in {"passes": {"accumulation": 2}, "batch": {"batch_size": 4}}.items():
        one = finetune(toy, data, redness, tmp_path / name, replace(config, **split), progress=False)
        assert distance(weights(two), weights(one)) < 0.01
        assert_close(timeless(two.metrics), timeless(one.metrics), n=n, size=1.0)


def test_another_noise_seed_is_a_twin_of_a_run(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    """Same start and same clips, other noise: an A/A pair; naming the run's own seed changes nothing."""
    seeds = {"itself": CONFIG.seed, "none": None, "other": CONFIG.seed + 1}
    runs = {
        name: finetune(toy, data, redness, tmp_path / name, replace(CONFIG, steps=2, noise_seed=seed), progress=False)
        for name, seed in seeds.items()
    }
    assert same(weights(runs["itself"]), weights(runs["none"])) and not same(
        weights(runs["other"]), weights(runs["none"])
    )


def test_gradients_of_two_passes_are_those_of_a_doubled_batch(
    toy: Backbone, data: LatentDataset, tmp_path: Path
) -> None:
    """mean over 4 clips = mean of the means over 2 and 2, where the loss of a clip is its own."""
    shapes = {"passes": {"batch_size": 2, "accumulation": 2}, "batch": {"batch_size": 4}}
    runs = [
        finetune(toy, data, redness, tmp_path / name, replace(CONFIG, steps=2, **shape),
                 loss_fn=far_from_noise, progress=False)
        for name, shape in shapes.items()
    ]  # fmt: skip
    n = 2 * roundings(toy.unet, passes=3)
    for name in ("grad_norm", "loss"):
        first, second = ([row[name] for row in run.metrics] for run in runs)
        assert_close(first, second, n)
    assert distance(*(weights(run) for run in runs)) < 0.01


def test_early_stopping_returns_the_best_adapter(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    """A loss that makes clips less red: the first round, before any step, stays the best, and two more end the run."""

    def against(models: Any, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        value = METHOD.video_reward(redness)
        z0 = models.predictor(batch.embeds)(batch.latents, 1)
        return value(models, z0, batch.captions, generator).reward.mean(), {}

    config = replace(CONFIG, steps=9, sample_every=1, sample_prompts=("a fox",), patience=2, warmup=0)
    result = finetune(toy, data, redness, tmp_path / "run", config, loss_fn=against, progress=False)
    rewards = [row["sample_reward"] for row in result.metrics]
    assert result.stopped_early and result.steps < 9 and max(rewards) == rewards[-3]
    assert same(weights(result), weights(result.folder / "best"))
    resumed = finetune(toy, data, redness, tmp_path / "run", config, resume=True, loss_fn=against, progress=False)
    assert resumed.steps == result.steps and same(weights(resumed), weights(result))


def test_finetuning_from_video_files(toy: Backbone, tmp_path: Path) -> None:
    write_video(tmp_path / "fox.mp4", torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    result = finetune(
        toy,
        [Clip(tmp_path / "fox.mp4", "a red fox")],
        redness,
        tmp_path / "run",
        replace(CONFIG, steps=1),
        progress=False,
    )
    assert len(read_metrics(result.folder)) == 1 and len(lora_parameters(toy.unet)) == 0
    with pytest.raises(InputError, match="no clips"):
        finetune(toy, [], redness, tmp_path / "other", CONFIG, progress=False)


def test_a_merged_export_by_name_opens_half_precision_once_and_in_one_process(
    toy: Backbone, unbroken: FinetuneResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At full size a copy of the UNet, or opening it in float32, needs more memory than a Colab machine has."""
    folder = save_backbone(toy, tmp_path / "base")
    opened: list[Any] = []

    def spy(model: Any, dtype: Any, device: Any) -> Backbone:
        opened.append(dtype)
        return open_model(model, dtype, device)

    def copied(*_: Any) -> None:
        raise AssertionError("a model that nobody else holds is not copied")

    monkeypatch.setattr("ivtutorial.training.finetuning.open_model", spy)
    monkeypatch.setattr(VideoUNet, "__deepcopy__", copied, raising=False)
    export_merged(folder, unbroken.lora, tmp_path / "merged", dtype=torch.float16, device="cpu")
    assert opened == [torch.float16]
    before, after = (load_file(next((tmp_path / name / "unet").glob("*.safetensors"))) for name in ("base", "merged"))
    adapter, changed = weights(unbroken), 0
    for key in (key for key in adapter if ".lora_A." in key):
        name = key.removeprefix("unet.").replace(".lora_A.", ".")
        wanted = before[name].half() + adapter[key.replace("lora_A", "lora_B")] @ adapter[key]  # in float32
        # A product that rounds elsewhere in float32 is now and then the neighbour in half precision.
        torch.testing.assert_close(after[name].float(), wanted, rtol=torch.finfo(torch.float16).eps, atol=tolerance())
        assert (after[name] == wanted.half()).float().mean() > 0.99
        changed += not torch.equal(after[name], before[name].half())
    assert changed > 0 and {tensor.dtype for tensor in after.values()} == {torch.float16}
    monkeypatch.setattr("ivtutorial.training.finetuning.rank_and_world", lambda: (1, 2))
    monkeypatch.setattr("ivtutorial.training.finetuning.wait_for_all", lambda: None)
    export_merged(folder, unbroken.lora, tmp_path / "second", dtype=torch.float16)
    assert not (tmp_path / "second").exists()


def test_a_run_that_repeats_itself_also_encodes_so(
    toy: Backbone, data: LatentDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the products' workspace is chosen at the first of them, which is one of the encoder's."""
    seen: list[bool] = []

    def load(*_: Any) -> LatentDataset:
        seen.append(torch.are_deterministic_algorithms_enabled())
        return data

    monkeypatch.setattr("ivtutorial.training.finetuning.load_data", load)
    config = replace(CONFIG, steps=1, deterministic=True)
    finetune(toy, data, redness, tmp_path / "run", config, progress=False)
    assert seen == [True] and not torch.are_deterministic_algorithms_enabled()


def test_the_accumulation_of_an_accelerate_config_changes_no_gradient(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`accelerate launch` hands it over in the environment; the passes of a step are averaged already."""
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    accelerator = make_accelerator(FinetuneConfig(trackers=()), torch.device("cpu"), tmp_path)
    weight = torch.ones(1, requires_grad=True)
    accelerator.backward(3 * weight.sum())
    assert weight.grad is not None and weight.grad.item() == 3
