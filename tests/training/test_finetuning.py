"""The training loop: exact continuation after kill -9, processes that equal passes, guards, and the folder of a run."""

from __future__ import annotations

import copy
import errno
import json
import math
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ivtutorial.data.clips import Clip
from ivtutorial.data.dataset import LatentDataset, encode_clips, positions, slot_generator
from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.lora import LORA_FILE, has_lora, lora_parameters
from ivtutorial.sampling.generation import Sampling, generate
from ivtutorial.training import checkpoints as training_state
from ivtutorial.training.finetuning import (
    FinetuneConfig,
    FinetuneResult,
    export_merged,
    finetune,
    read_config,
    read_metrics,
)
from ivtutorial.video.reader import read_video
from ivtutorial.video.writer import write_video
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

METHOD = InstructVideo(tau=0.5, D=4, S=2)  # 2 steps, 4 UNet evaluations a clip with guidance
CONFIG = FinetuneConfig(METHOD, steps=6, lr=1e-2, frames=4, checkpoint_every=2, keep=2)
SHORT = Sampling(D=2, frames=2)
CAPTIONS = ["a red fox", "the deer running", "snow", "a deer", "the red snow"]


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    """A reward that likes red."""
    return frames[:, 0].mean(dim=(1, 2))


def far_from_noise(models: Any, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
    """A loss without any draw: the mean over the clips of a number that each clip has for itself."""
    output = models.predictor(batch.embeds)(batch.latents, 501)
    return output.square().mean(), {}


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture
def fresh_toy(toy: Backbone) -> Backbone:
    return copy.deepcopy(toy)


@pytest.fixture(scope="module")
def data() -> LatentDataset:
    latents = torch.randn(5, 4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return LatentDataset(latents, CAPTIONS)


@pytest.fixture(scope="module")
def unbroken(toy: Backbone, data: LatentDataset, tmp_path_factory: pytest.TempPathFactory) -> FinetuneResult:
    """Six steps, two rounds of samples and the one before the first step."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    config = replace(CONFIG, sample_every=3, sample_prompts=("a fox", "snow"))
    return finetune(toy, data, redness, out, config, progress=False)


def weights(result: FinetuneResult | Path) -> dict[str, Tensor]:
    folder = result.lora if isinstance(result, FinetuneResult) else result
    return load_file(folder / LORA_FILE)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """How far apart two runs have moved from the same start, relative to how far they went: up matrices start at 0.

    Not entry by entry: Adam divides each gradient by its own size, so one that is nothing but rounding moves as far as
    any other.
    """
    ups = [torch.cat([state[name].flatten() for name in sorted(state) if "lora_B" in name]) for state in (a, b)]
    return float((ups[0] - ups[1]).norm() / ups[1].norm())


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "elapsed")} for row in rows]


# --- a run ------------------------------------------------------------------------------------------------------------


def test_the_reward_rises(unbroken: FinetuneResult) -> None:
    """Sample clips of the same prompts and noise are redder after six steps than before the first."""
    rounds = [row["sample_reward"] for row in unbroken.metrics if "sample_reward" in row]
    assert len(rounds) == 3 and rounds[-1] > rounds[0]


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


# --- continuing -------------------------------------------------------------------------------------------------------


def _finetune_quietly(backbone: Backbone, data: LatentDataset, out: Path, config: FinetuneConfig) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    finetune(backbone, data, redness, out, config, resume=True, progress=False)


def _kill_after(process: Any, metrics: Path, lines: int, delay: float) -> bool:
    """kill -9 once the log has so many lines and a moment has passed; False if the run ended before."""
    while process.is_alive():
        if metrics.exists() and metrics.read_bytes().count(b"\n") >= lines:
            time.sleep(delay)
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            return bool(process.exitcode == -signal.SIGKILL)
        time.sleep(0.001)
    return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_kill_9_at_random_steps_then_resume_equals_an_unbroken_run(
    toy: Backbone, data: LatentDataset, tmp_path: Path
) -> None:
    """Killed three times, anywhere in a step or a checkpoint: the same adapter and log as without, bit for bit."""
    # fork saves importing everything anew; CUDA, where there is one, does not survive it.
    context = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    config = replace(CONFIG, method=replace(METHOD, train_mode=True, eta=0.5), steps=14, checkpoint_every=3)
    out, draw, kills = tmp_path / "broken", random.Random(5), 0
    for lines in (draw.randint(1, 3), draw.randint(5, 7), draw.randint(9, 11)):
        process = context.Process(target=_finetune_quietly, args=(toy, data, out, config))
        process.start()
        kills += _kill_after(process, out / "metrics.jsonl", lines, draw.uniform(0, 0.1))
    broken = finetune(toy, data, redness, out, config, resume=True, progress=False)
    whole = finetune(toy, data, redness, tmp_path / "whole", config, progress=False)
    assert kills >= 2
    assert same(weights(broken), weights(whole))
    assert timeless(broken.metrics) == timeless(whole.metrics)
    first, second = (
        training_state.read_optimizer(run / "checkpoints" / "step-000014")["optimizer"]["state"]
        for run in (broken.folder, whole.folder)
    )
    assert all(torch.equal(first[i][name], second[i][name]) for i in first for name in first[i])
    assert not list((out / "checkpoints").glob(".*"))


def test_a_finished_run_goes_on_with_more_steps(
    toy: Backbone, data: LatentDataset, unbroken: FinetuneResult, tmp_path: Path
) -> None:
    """Three steps, then six: what six steps give."""
    finetune(toy, data, redness, tmp_path / "run", replace(CONFIG, steps=3), progress=False)
    longer = finetune(toy, data, redness, tmp_path / "run", CONFIG, resume=True, progress=False)
    assert longer.steps == 6 and same(weights(longer), weights(unbroken))


def test_a_run_is_never_overwritten(toy: Backbone, data: LatentDataset, unbroken: FinetuneResult) -> None:
    before = weights(unbroken)
    with pytest.raises(InputError, match="holds a run already.*resume"):
        finetune(toy, data, redness, unbroken.folder, CONFIG, progress=False)
    assert same(weights(unbroken), before)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lr": 1e-3}, r"lr = 0.01, now 0.001"),
        ({"method": replace(METHOD, tau=0.75)}, r"method = .*0.75"),
        ({"lora_rank": 2}, r"lora_rank = 4, now 2"),
        ({"accumulation": 2}, r"processes \* accumulation = 1, now 2"),
    ],
)
def test_a_run_made_otherwise_is_not_continued(
    toy: Backbone, data: LatentDataset, unbroken: FinetuneResult, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        finetune(toy, data, redness, unbroken.folder, replace(CONFIG, **change), resume=True, progress=False)
    assert not has_lora(toy.unet)


def test_a_run_on_other_clips_or_another_model_is_not_continued(
    fresh_toy: Backbone, toy: Backbone, data: LatentDataset, unbroken: FinetuneResult
) -> None:
    other = LatentDataset(data.latents + 0.1, data.captions)
    with pytest.raises(InputError, match=r"\n  other clips or captions, .* \w+, now \w+$"):
        finetune(toy, other, redness, unbroken.folder, CONFIG, resume=True, progress=False)
    with torch.no_grad():
        fresh_toy.unet.conv_in.weight.mul_(1.1)
    with pytest.raises(InputError, match=r"\n  other weights of the model .* \w+, now \w+$"):
        finetune(fresh_toy, data, redness, unbroken.folder, CONFIG, resume=True, progress=False)


# --- processes --------------------------------------------------------------------------------------------------------


def test_two_processes_take_the_steps_of_one_with_two_passes(
    toy: Backbone, data: LatentDataset, tmp_path: Path
) -> None:
    """Slots, and with them clips and noise, are the same; only sums are rounded in another order."""
    config = replace(CONFIG, steps=3, sample_every=3, sample_prompts=("a fox", "snow", "a deer"))
    two = finetune(toy, data, redness, tmp_path / "two", config, processes=2, progress=False)
    config = replace(config, accumulation=2)
    one = finetune(toy, data, redness, tmp_path / "one", config, progress=False)
    assert distance(weights(two), weights(one)) < 0.01
    assert_close(timeless(two.metrics), timeless(one.metrics), n=3 * roundings(toy.unet, toy.vae, passes=12), size=1.0)


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


# --- guards -----------------------------------------------------------------------------------------------------------


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
    assert training_state.latest_checkpoint(tmp_path / "run") == tmp_path / "run" / "checkpoints" / "step-000002"
    assert not has_lora(toy.unet)


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
    real, calls = training_state._packed, []

    def full(content: Any) -> bytes:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(content)

    monkeypatch.setattr(training_state, "_packed", full)
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
    (out / "checkpoints" / "step-000001" / "optimizer.pt").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"optimizer\.pt cannot be read"):
        finetune(toy, data, redness, out, config, resume=True, progress=False)
    (out / "checkpoints" / "latest").write_text("step-000009\n")
    with pytest.raises(InputError, match="step-000009, which is not there"):
        finetune(toy, data, redness, out, config, resume=True, progress=False)


def test_early_stopping_returns_the_best_adapter(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    """A loss that makes clips less red: the first round, before any step, stays the best, and two more end the run."""

    def against(models: Any, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        value = METHOD.video_reward(redness)
        z0 = models.predictor(batch.embeds)(batch.latents, 1)
        return value(models.decode, z0, batch.captions, generator).reward.mean(), {}

    config = replace(CONFIG, steps=9, sample_every=1, sample_prompts=("a fox",), patience=2, warmup=0)
    result = finetune(toy, data, redness, tmp_path / "run", config, loss_fn=against, progress=False)
    rewards = [row["sample_reward"] for row in result.metrics]
    assert result.stopped_early and result.steps < 9 and max(rewards) == rewards[-3]
    assert same(weights(result), weights(result.folder / "best"))
    resumed = finetune(toy, data, redness, tmp_path / "run", config, resume=True, loss_fn=against, progress=False)
    assert resumed.steps == result.steps and same(weights(resumed), weights(result))


def test_a_reward_without_gradient(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="differentiable"):
        finetune(
            toy, data, lambda frames, captions: redness(frames, captions).detach(), tmp_path / "run",
            CONFIG, progress=False,
        )  # fmt: skip


def test_frames_that_segments_do_not_divide(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    config = replace(CONFIG, frames=8, method=replace(METHOD, S=8))
    with pytest.raises(InputError, match="S = 8 does not divide the 4 frames"):
        finetune(toy, data, redness, tmp_path / "run", config, progress=False)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_survive_json() -> None:
    config = replace(CONFIG, sample_every=2, sample_prompts=("a fox",), patience=3, betas=(0.8, 0.9))
    assert FinetuneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert FinetuneConfig.from_dict({"method": {"tau": 0.3}, "lr": 1e-4}).method.tau == 0.3


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"learning_rate": 1}, "unknown setting 'learning_rate'"),
        ({"step": 1}, "did you mean 'steps'"),
        ({"method": {"lambda": 1}}, "unknown setting 'lambda' of InstructVideo.*'lambda_tar'"),
        ({"method": {"name": "DPO"}}, "unknown method 'DPO'"),
        ({"method": {"tau": 0}}, "tau = 0"),
        ({"method": {"tau": "a"}}, "wrong type"),
        ({"method": {"S": 3}}, "S = 3"),
        ({"lr": 0}, "lr = 0"),
        ({"lr": "fast"}, "wrong type"),
        ({"lr": math.nan}, "lr = nan"),
        ({"steps": 0}, "steps = 0"),
        ({"steps": 1.5}, "steps = 1.5"),
        ({"batch_size": True}, "batch_size = True"),
        ({"betas": [0.9]}, "two numbers"),
        ({"betas": [0.9, 1.0]}, "two numbers"),
        ({"grad_clip": 0}, "grad_clip = 0"),
        ({"precision": "fp8"}, "fp8"),
        ({"patience": 2}, "sample_every"),
        ({"sample_prompts": "a fox"}, "list"),
        ({"sample_prompts": [""]}, "empty"),
        ({"weight_decay": -1}, "weight_decay"),
    ],
)
def test_bad_settings(values: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        FinetuneConfig.from_dict(values)


def test_learning_rate() -> None:
    """Linear to lr over the warm-up, then flat; the first step is not lost."""
    config = FinetuneConfig(lr=1.0, warmup=4)
    assert [config.lr_at(step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert FinetuneConfig(lr=1.0, warmup=0).lr_at(0) == 1.0


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("clips", "batch_size", "slots"), [(7, 2, 1), (5, 4, 2), (3, 8, 1)])
def test_every_clip_comes_once_before_any_comes_again(clips: int, batch_size: int, slots: int) -> None:
    """Batches of all slots in a row are permutations in a row, also where N is no multiple of the batch."""
    steps = math.ceil(4 * clips / (batch_size * slots))
    stream = [
        place for n in range(steps) for s in range(slots) for place in positions(clips, batch_size, n, s, slots, seed=3)
    ]
    epochs = [stream[k * clips : (k + 1) * clips] for k in range(4)]
    assert all(sorted(epoch) == list(range(clips)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1 or clips < 4
    assert positions(50, 8, 0, 0, 1, seed=3) != positions(50, 8, 0, 0, 1, seed=4)


def test_slots_draw_independently() -> None:
    """Seed, step and slot each change the draws; nothing else does."""
    with torch.random.fork_rng(devices=[]):
        keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
        draws = {tuple(torch.randn(3, generator=slot_generator(*key)).tolist()) for key in keys}
        slot_generator(0, 0, 0)
        dropout = torch.rand(3)
        slot_generator(0, 0, 0)
        assert len(draws) == 4 and torch.equal(torch.rand(3), dropout)


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    made = []
    for number, caption in enumerate(CAPTIONS[:3]):
        path = tmp_path / f"{number}.mp4"
        write_video(path, torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(number)))
        made.append(Clip(path, caption))
    return made


def test_clips_are_encoded_once(fresh_toy: Backbone, clips: list[Clip], tmp_path: Path) -> None:
    """Latents are the VAE's; a second call reads them; other contents or settings are encoded anew."""
    seen: list[int] = []
    first = encode_clips(fresh_toy, clips, tmp_path / "cache", frames=4, advance=seen.append)
    pixels = torch.from_numpy(read_video(clips[1].path, 4, 8, (16, 16))).permute(0, 3, 1, 2)[None].float() / 255
    assert_close(first.latents[1:2], fresh_toy.encode(pixels), n=roundings(fresh_toy.vae))
    second = encode_clips(fresh_toy, clips, tmp_path / "cache", frames=4)
    assert torch.equal(first.latents, second.latents) and sum(seen) == 3
    encode_clips(fresh_toy, clips, tmp_path / "cache", frames=2)
    write_video(clips[0].path, torch.zeros(4, 3, 16, 16))
    assert not torch.equal(encode_clips(fresh_toy, clips, tmp_path / "cache", frames=4).latents, first.latents)
    # Two settings; with four frames three clips, and one more since the first has changed.
    four, two = sorted((tmp_path / "cache").glob("*"), key=lambda folder: -len(list(folder.iterdir())))
    assert (len(list(four.glob("*.safetensors"))), len(list(two.glob("*.safetensors")))) == (4, 3)


def test_every_bad_clip_is_named(toy: Backbone, clips: list[Clip], tmp_path: Path) -> None:
    clips[0].path.write_bytes(b"not a video")
    write_video(clips[2].path, torch.zeros(2, 3, 16, 16))
    with pytest.raises(InputError, match=r"2 bad of 3:\n.*0\.mp4.*\n.*2\.mp4"):
        encode_clips(toy, clips, tmp_path / "cache", frames=4)


def test_a_damaged_cache_is_named(toy: Backbone, clips: list[Clip], tmp_path: Path) -> None:
    encode_clips(toy, clips, tmp_path / "cache", frames=4)
    file = next((tmp_path / "cache").glob("*/*.safetensors"))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="damaged.*Delete it"):
        encode_clips(toy, clips, tmp_path / "cache", frames=4)


def test_finetuning_from_video_files(toy: Backbone, clips: list[Clip], tmp_path: Path) -> None:
    result = finetune(toy, clips, redness, tmp_path / "run", replace(CONFIG, steps=1), progress=False)
    assert len(read_metrics(result.folder)) == 1 and len(lora_parameters(toy.unet)) == 0
    with pytest.raises(InputError, match="no clips"):
        finetune(toy, [], redness, tmp_path / "other", CONFIG, progress=False)
