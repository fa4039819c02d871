"""Settings: stored and read back, and refused where they are out of range."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.training.config import FinetuneConfig

if TYPE_CHECKING:
    pass

from tests.training.runs import CONFIG


def test_settings_survive_json() -> None:
    config = replace(CONFIG, sample_every=2, sample_prompts=("a fox",), patience=3, betas=(0.8, 0.9))
    assert FinetuneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert FinetuneConfig.from_dict({"method": {"tau": 0.3}, "lr": 1e-4}).method.tau == 0.3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 1}, "unknown setting 'learning_rate'"),
        ({"step": 1}, "did you mean 'steps'"),
        ({"method": {"lambda": 1}}, "unknown setting 'lambda' of InstructVideo.*'lambda_tar'"),
        ({"method": {"name": "DPO"}}, "unknown method 'DPO'"),
        ({"method": {"tau": 0}}, "tau = 0"),
        ({"method": {"tau": "a"}}, "wrong type"),
        ({"method": {"S": 3}}, "S = 3"),
        ({"lr": 0}, "lr = 0"),
        ({"lr": "fast"}, "positive number"),
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
        ({"seed": 2**64}, "expected a whole number below"),
        ({"deterministic": "False"}, "deterministic = 'False': expected true or false"),
        ({"method": {"train_mode": "false"}}, "train_mode = 'false': expected true or false"),
        ({"method": {"normalise": 1}}, "normalise = 1: expected true or false"),
        ({"method": {"name": "draft", "two_phase": None}}, "two_phase = None: expected true or false"),
        ({"memory": {"compile": "no"}}, "compile = 'no': expected true or false"),
        ({"betas": 0.9}, r"betas = 0.9: expected a list of two numbers"),
        ({"betas": ["a", "b"]}, "two numbers"),
        ({"trackers": None}, "trackers = None: expected a list of tensorboard"),
        ({"sample_prompts": None}, "sample_prompts = None: expected a list of texts"),
        ({"decoder": 5}, "decoder = 5: expected the path of a file"),
        ({"tau": 0.5}, "did you mean 'method.tau'"),
        ({"method": {"name": "draft"}, "stop_gradient": True}, "did you mean 'method.stop_gradient'"),
    ],
)
def test_bad_settings(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FinetuneConfig.from_dict(values)


def test_learning_rate() -> None:
    """Linear to lr over the warm-up, then flat; the first step is not lost."""
    config = FinetuneConfig(lr=1.0, warmup=4)
    assert [config.lr_at(step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert FinetuneConfig(lr=1.0, warmup=0).lr_at(0) == 1.0


def test_a_group_of_another_kind_is_refused_when_it_is_made() -> None:
    with pytest.raises(InputError, match=r"memory = \{'compile': True\}: expected Memory\(...\)"):
        FinetuneConfig(memory={"compile": True})  # type: ignore[arg-type]


def test_settings_of_a_notebook_are_stored() -> None:
    """A path, and whole numbers of numpy: JSON knows neither, and a run stores its settings after it has opened all."""
    config = FinetuneConfig(decoder=Path("decoder.safetensors"), steps=np.int64(3))  # type: ignore[arg-type]
    assert FinetuneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert (config.decoder, config.steps) == ("decoder.safetensors", 3)
