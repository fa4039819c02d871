"""Exact continuation, after kill -9 too; and what may not be continued."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.models.lora import has_lora
from ivtutorial.models.memory import Memory
from ivtutorial.training import checkpoints, run_folder
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.run_folder import FinetuneResult

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

from tests.toy import toy_backbone
from tests.training.runs import CONFIG, METHOD, redness, same, timeless, weights


def finetune_quietly(backbone: Backbone, data: LatentDataset, out: Path, config: FinetuneConfig) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    finetune(backbone, data, redness, out, config, resume=True, progress=False)


def kill_after(process: Any, metrics: Path, lines: int, delay: float) -> bool:
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
        process = context.Process(target=finetune_quietly, args=(toy, data, out, config))
        process.start()
        kills += kill_after(process, out / "metrics.jsonl", lines, draw.uniform(0, 0.1))
    broken = finetune(toy, data, redness, out, config, resume=True, progress=False)
    whole = finetune(toy, data, redness, tmp_path / "whole", config, progress=False)
    assert kills >= 2
    assert same(weights(broken), weights(whole))
    assert timeless(broken.metrics) == timeless(whole.metrics)
    first, second = (
        checkpoints.read_optimizer(run / "checkpoints" / "step-000014")["optimizer"]["state"]
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


def test_a_run_is_never_overwritten(
    toy: Backbone, data: LatentDataset, unbroken: FinetuneResult, tmp_path: Path
) -> None:
    before = weights(unbroken)
    with pytest.raises(InputError, match="holds a run already.*resume"):
        finetune(toy, data, redness, unbroken.folder, CONFIG, progress=False)
    assert same(weights(unbroken), before)
    shutil.copytree(unbroken.folder / "checkpoints", tmp_path / "checkpoints")  # config.json alone is lost
    with pytest.raises(InputError, match="holds a run already.*resume"):
        finetune(toy, data, redness, tmp_path, CONFIG, progress=False)


def test_without_the_pointer_the_checkpoint_of_most_steps_is_continued(
    toy: Backbone, data: LatentDataset, unbroken: FinetuneResult, tmp_path: Path
) -> None:
    """`latest` is lost, a copy of a checkpoint and one without its state lie beside: nothing is done again or lost."""
    run = Path(shutil.copytree(unbroken.folder, tmp_path / "run"))
    shutil.copytree(run / "checkpoints" / "step-000006", run / "checkpoints" / "step-000006 copy")
    (run / "checkpoints" / "step-000008").mkdir()
    (run / "checkpoints" / "latest").unlink()
    before = (run / "metrics.jsonl").read_text()
    assert checkpoints.latest_checkpoint(run) == run / "checkpoints" / "step-000006"
    again = finetune(toy, data, redness, run, replace(CONFIG, steps=7), resume=True, progress=False)
    assert (run / "metrics.jsonl").read_text().startswith(before) and again.steps == 7
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "latest", "step-000006", "step-000006 copy", "step-000007"
    ]  # fmt: skip


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"[1]\n", b'{"step": 7, "lo'])
def test_a_damaged_end_of_the_log_is_left_out(unbroken: FinetuneResult, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes((unbroken.folder / "metrics.jsonl").read_bytes() + damage)
    assert run_folder.read_metrics(tmp_path) == unbroken.metrics


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"step-9\n", r"names step-9, which is not there\. Write"), (b"\xff", r"cannot be read .*Write the name")],
)
def test_a_damaged_pointer_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "latest").write_bytes(content)
    with pytest.raises(InputError, match=message):
        checkpoints.latest_checkpoint(tmp_path)


def test_a_result_without_checkpoints_is_not_replaced_by_a_run_from_the_start(
    toy: Backbone, data: LatentDataset, unbroken: FinetuneResult, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(unbroken.folder, tmp_path / "run"))
    shutil.rmtree(run / "checkpoints")
    kept = {name: (run / name).read_bytes() for name in ("metrics.jsonl", "config.json")}
    with pytest.raises(InputError, match=r"a result and no checkpoint.*remove .*lora to begin again"):
        finetune(toy, data, redness, run, replace(CONFIG, steps=7), resume=True, progress=False)
    assert {name: (run / name).read_bytes() for name in kept} == kept
    assert same(weights(run / "lora"), weights(unbroken)) and not has_lora(toy.unet)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 1e-3}, r"lr = 0.01, now 0.001"),
        ({"method": replace(METHOD, tau=0.75)}, r"\n  method.tau = 0.5, now 0.75$"),
        ({"lora_rank": 2}, r"lora_rank = 4, now 2"),
        ({"accumulation": 2}, r"processes \* accumulation = 2, now 4"),
    ],
)
def test_a_run_made_otherwise_is_not_continued(
    toy: Backbone, data: LatentDataset, unbroken: FinetuneResult, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
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
    with pytest.raises(InputError, match=r"\n  other weights of the model .*: \w+, now \w+$"):
        finetune(fresh_toy, data, redness, unbroken.folder, CONFIG, resume=True, progress=False)


def test_in_half_precision_too_a_resumed_run_is_the_unbroken_one(
    tiny_tokenizer: Any, data: LatentDataset, tmp_path: Path
) -> None:
    """All weights in bf16, as on a GPU; 2 + 2 steps, none of them skipped, against 4, bit for bit."""
    backbone = toy_backbone(tiny_tokenizer).to("cpu", torch.bfloat16)
    config = replace(CONFIG, steps=4, precision="bf16")
    whole = finetune(backbone, data, redness, tmp_path / "whole", config, progress=False)
    finetune(backbone, data, redness, tmp_path / "cut", replace(config, steps=2), progress=False)
    again = finetune(backbone, data, redness, tmp_path / "cut", config, resume=True, progress=False)
    assert whole.skipped == again.skipped == 0 and timeless(again.metrics) == timeless(whole.metrics)
    assert same(weights(again), weights(whole))
    moved = [tensor for name, tensor in weights(whole).items() if "lora_A" in name]
    assert any((tensor != tensor.bfloat16().float()).any() for tensor in moved), "else bf16 would have sufficed"


class Weighted:
    """A reward with a network: redness times its only weight."""

    def __init__(self, weight: float) -> None:
        self.model = torch.nn.Linear(1, 1, bias=False).requires_grad_(False)
        self.model.weight.fill_(weight)

    def __call__(self, frames: torch.Tensor, captions: list[str]) -> torch.Tensor:
        return redness(frames, captions) * self.model.weight[0, 0]


def test_a_reward_is_known_by_its_weights_wherever_its_folder_lies(
    toy: Backbone, data: LatentDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, shorter = tmp_path / "run", replace(CONFIG, steps=1)
    finetune(toy, data, Weighted(1.0), out, shorter, progress=False)
    monkeypatch.setattr("ivtutorial.training.finetuning.describe", lambda model: "/moved/elsewhere")
    with pytest.raises(InputError, match=r"another reward: .*Weighted.* \w{16}, now /moved/elsewhere \w{16}$"):
        finetune(toy, data, Weighted(2.0), out, CONFIG, resume=True, progress=False)
    assert finetune(toy, data, Weighted(1.0), out, CONFIG, resume=True, progress=False).steps == CONFIG.steps
    with pytest.raises(InputError, match=r"another reward: /moved/elsewhere \w{16}, now /moved/elsewhere$"):
        finetune(toy, data, redness, out, CONFIG, resume=True, progress=False)


def test_a_reward_is_known_by_its_weights_where_memory_is_short_too(
    toy: Backbone, data: LatentDataset, tmp_path: Path
) -> None:
    """Presets of small GPUs compute the reward twice, inside another object, which has no weights of its own."""
    config = replace(CONFIG, steps=1, memory=Memory(recompute_reward=True))
    finetune(toy, data, Weighted(1.0), tmp_path, config, progress=False)
    with pytest.raises(InputError, match=r"another reward: .*Weighted.* \w{16}, now .* \w{16}$"):
        finetune(toy, data, Weighted(2.0), tmp_path, replace(config, steps=2), resume=True, progress=False)
