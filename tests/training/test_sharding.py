"""Spreading the frozen weights over processes changes no number, and what cannot work with it is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
import yaml

from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora
from ivtutorial.sampling.generation import make_jobs
from ivtutorial.system.processes import launch
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.samples import own_jobs
from ivtutorial.training.sharding import check_sharding, is_sharded, shard_frozen
from ivtutorial.training.start import make_accelerator
from tests.toy import toy_backbone

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "accelerate"


def gradients(backbone: Backbone, shard: bool) -> tuple[list[torch.Tensor], int]:
    """Gradients of the adapter after two guided steps, the second recorded; and numbers held in this process."""
    parameters = attach_lora(backbone.unet, 2)
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.01)  # B is zero at the start, which would hide A
    backbone.unet.enable_gradient_checkpointing()
    if shard:
        shard_frozen(backbone.unet, "cpu")
    z = torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(torch.distributed.get_rank()))
    predict = backbone.predictor(backbone.embed(["a fox"]), backbone.embed([""]), 3.0)
    with torch.no_grad():
        z = predict(z, 501)
    predict(z, 1).square().mean().backward()
    held = sum(p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in backbone.unet.parameters())
    return [p.grad for p in parameters if p.grad is not None], held


def compared(plain: Backbone, spread: Backbone) -> tuple[float, float, int, int]:
    """Largest difference, largest gradient, and numbers held without and with spreading."""
    first, whole = gradients(plain, False)
    second, part = gradients(spread, True)
    differences = [(a - b).abs().max().item() for a, b in zip(first, second, strict=True)]
    return max(differences), max(a.abs().max().item() for a in first), whole, part


@pytest.mark.skipif(torch.__version__ < "2.7", reason="fully_shard with ignored parameters needs torch 2.7")
def test_gradients_are_those_of_the_whole_model(tiny_tokenizer: Any) -> None:
    """Each of two processes, on a clip of its own, finds the gradient that it finds alone, and holds about half."""
    models = toy_backbone(tiny_tokenizer), toy_backbone(tiny_tokenizer)
    for difference, largest, whole, part in launch(compared, 2, *models):
        assert largest > 1e-3 and difference < 1e-5 * largest + 1e-7
        assert 0.45 * whole < part < 0.65 * whole


def accelerator(kind: str, rank: int = 0, world: int = 1) -> Any:
    return SimpleNamespace(distributed_type=SimpleNamespace(value=kind), process_index=rank, num_processes=world)


def test_what_cannot_be_spread_is_refused() -> None:
    random = FinetuneConfig(InstructVideo(K="uniform"))
    check_sharding(accelerator("MULTI_GPU"), random)
    check_sharding(accelerator("FSDP"), FinetuneConfig())
    with pytest.raises(InputError, match="K = 'uniform'"):
        check_sharding(accelerator("FSDP"), random)
    with pytest.raises(InputError, match=r"DeepSpeed.*fsdp\.yaml"):
        check_sharding(accelerator("DEEPSPEED"), FinetuneConfig())
    with pytest.raises(InputError, match="several processes"):
        shard_frozen(SimpleNamespace(), "cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, r"DeepSpeed.*fsdp\.yaml.*unset ACCELERATE_USE_DEEPSPEED"),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, r"cannot do .*unset .*\(ACCELERATE_USE_MEGATRON_LM\)"),
        ({"LOCAL_RANK": "abc"}, r"'abc'.*unset .*\(LOCAL_RANK\)"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, r"MASTER_ADDR.*unset .*\(RANK, WORLD_SIZE\), or start with torchrun"),
    ],
)
def test_what_another_job_left_in_the_environment_is_named(tmp_path: Path, left: dict[str, str], message: str) -> None:
    """One error that says what to unset, before anything is computed; without it the same call starts a run."""
    plain = {name: value for name, value in os.environ.items() if not re.match("ACCELERATE_|(LOCAL_)?RANK|WORLD", name)}
    config = FinetuneConfig(trackers=())
    # accelerate writes into the environment when it starts, too: patch.dict takes that back
    with patch.dict(os.environ, plain | left, clear=True):
        with pytest.raises(InputError, match=message):
            make_accelerator(config, torch.device("cpu"), tmp_path)
        assert dict(os.environ) == plain | left
    with patch.dict(os.environ, plain, clear=True):
        assert make_accelerator(config, torch.device("cpu"), tmp_path).num_processes == 1


def test_processes_that_share_the_model_sample_equally_often() -> None:
    """Three prompts on two processes: 2 + 1 clips, but 2 + 2 where each call needs both."""
    jobs = make_jobs(["a", "b", "c"])
    for kind, second in (("MULTI_GPU", [jobs[1]]), ("FSDP", [jobs[1], jobs[0]])):
        second_of_two = accelerator(kind, 1, 2)
        assert own_jobs(second_of_two, jobs) == second
        assert is_sharded(second_of_two) == (kind == "FSDP")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_configuration_files_are_read_by_accelerate(path: Path) -> None:
    """Every key is one that accelerate knows, and the run's own precision is left alone."""
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.mixed_precision == "no" and config.num_processes == 2
    kinds = {"multi_gpu": "MULTI_GPU", "multi_node": "MULTI_GPU", "fsdp": "FSDP"}
    assert str(getattr(config.distributed_type, "value", config.distributed_type)) == kinds[path.stem]
    machines = yaml.safe_load(path.read_text())["num_machines"]
    assert machines == (2 if path.stem == "multi_node" else 1)
