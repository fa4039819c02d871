"""The state of a stage, on the disk: all of it, and what is carried from one machine to another.

`NAME.state.pt` holds everything, so that a training goes on as if nothing had happened: weights, their averages and the
optimisers' means, sixteen bytes a weight. `NAME.carried.safetensors` holds the averages alone, in half precision, two
bytes a weight: a training goes on from them with fresh optimisers, after a warm-up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.system.files import atomic_write

FORMAT = 3  # of state files: the generation of the small world


def read_stage_state(path: Path) -> dict[str, Any]:
    """A state file's content, on the CPU.

    Raises:
        InputError: it cannot be read, or an older program wrote it.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different kind for every way in which a file can be broken
        raise InputError(f"cannot read the state {path} ({error}); move it away to train the stage anew") from error
    if content.get("format") != FORMAT:
        raise InputError(
            f"{path} is the state of an older generation, which this command cannot continue; it is left as it is: "
            "give another folder, or move the file away"
        )
    return content


def averaged(path: Path, model: nn.Module) -> nn.Module:
    """Load the averaged weights of a state into a model of its architecture."""
    content = read_stage_state(path)
    model.load_state_dict(content["model"])
    parameters = [p for p in model.parameters() if p.requires_grad]
    for p, value in zip(parameters, content["average"]["shadow_params"], strict=True):
        p.data.copy_(value)
    return model


def write_carried(path: Path, model: nn.Module, averages: list[Tensor], facts: dict[str, Any]) -> None:
    """Write what is carried.

    Args:
        path: of the file.
        model: its trained parameters are replaced by the averages.
        averages: of the parameters with `requires_grad`, in order.
        facts: plain values, such as the step.
    """
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    state = {**model.state_dict(), **dict(zip(names, averages, strict=True))}
    halves = {name: half(value) for name, value in state.items()}
    with atomic_write(path) as file:
        file.write(safetensors_bytes(halves, metadata={"facts": json.dumps({"format": FORMAT, **facts})}))


def read_carried(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the facts, of what :func:`write_carried` wrote.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in sorted(file.keys())}, json.loads(file.metadata()["facts"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"cannot read the state {path} ({error}); move it away to train the stage anew") from error


def half(value: Tensor) -> Tensor:
    """On the CPU, contiguous, float32 as float16."""
    value = value.detach().to("cpu", torch.float16 if value.dtype == torch.float32 else value.dtype)
    return value.contiguous()
