"""One training loop for every reduced model: resumable at the step, averaged weights, the same on CPU and GPU.

The batch and all randomness of step n depend only on (seed, n, rank), so a run that is killed and resumed takes the
very steps an unbroken run takes, with no generator states to save. With several processes (``torchrun``) gradients are
averaged; on a CPU two single-threaded processes are much faster than one with two threads.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.system.device import choose_device
from ivtutorial.system.files import atomic_write, atomic_write_text
from ivtutorial.system.provenance import provenance
from ivtutorial.system.share import average_gradients

Loss = Callable[[int, np.random.Generator], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train.

    Attributes:
        steps: optimiser steps in all. batch: samples a step and process.
        lr: peak learning rate; it warms up over ``warmup`` steps and falls along a cosine to ``lr * floor``.
        ema: decay of the averaged weights, which are what is saved at the end. grad_clip: bound on the gradient norm.
        every: steps between checkpoints and log lines. seed: of everything random.
    """

    steps: int
    batch: int
    lr: float
    warmup: int = 50
    floor: float = 0.02
    ema: float = 0.998
    grad_clip: float = 1.0
    weight_decay: float = 0.0
    every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.lr <= 0:
            raise InputError(f"steps, batch and lr must be positive, got {self.steps}, {self.batch}, {self.lr}")

    def lr_at(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then half a cosine."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        part = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(part, 1.0))))


def process() -> tuple[int, int]:
    """Rank and number of processes; joins the group that ``torchrun`` describes, if any."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if choose_device().type == "cuda" else "gloo")
    return (dist.get_rank(), world) if world > 1 else (0, 1)


class Averaged:
    """Exponential moving average of parameters, kept in float32."""

    def __init__(self, parameters: list[Tensor], decay: float) -> None:
        self.decay = decay
        self.values = [p.detach().clone().float() for p in parameters]

    def update(self, parameters: list[Tensor], step: int) -> None:
        """Move towards the parameters; early steps count more, so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for value, p in zip(self.values, parameters):
            value.lerp_(p.detach().float(), 1 - decay)


def train(model: nn.Module, loss: Loss, config: TrainConfig, folder: Path, name: str) -> list[Tensor]:
    """Train a model's parameters that want gradients, from the last checkpoint if there is one.

    Args:
        model: its parameters with ``requires_grad`` are trained in place.
        loss: given the step and its random generator, returns the loss and numbers to log.
        config: see :class:`TrainConfig`.
        folder: gets ``NAME.state.pt`` (checkpoint, replaced atomically) and ``NAME.log.jsonl``.
        name: what is trained.

    Returns:
        The averaged parameters; the model holds them too.
    """
    rank, world = process()
    folder.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, betas=(0.9, 0.99), weight_decay=config.weight_decay)
    average = Averaged(list(parameters), config.ema)
    state_file = folder / f"{name}.state.pt"
    start, spent = 0, 0.0
    if state_file.exists():
        start, spent = _restore(state_file, parameters, optimizer, average)
    clock, log = time.time(), []
    for step in range(start, config.steps):
        rng = np.random.default_rng((config.seed, step, rank))
        torch.manual_seed(int(rng.integers(2**31)))
        for group in optimizer.param_groups:
            group["lr"] = config.lr_at(step)
        value, numbers = loss(step, rng)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        if world > 1:
            average_gradients(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, config.grad_clip)
        if torch.isfinite(norm):
            optimizer.step()
        average.update(list(parameters), step)
        log.append({"loss": float(value.detach()), "grad_norm": float(norm), **numbers})
        if rank == 0 and ((step + 1) % config.every == 0 or step + 1 == config.steps):
            seconds = spent + time.time() - clock
            _report(folder / f"{name}.log.jsonl", name, step + 1, config, log, seconds)
            log = []
            if (step + 1) % (10 * config.every) == 0 or step + 1 == config.steps:
                _save(state_file, parameters, optimizer, average, step + 1, seconds)
    for p, value in zip(parameters, average.values):
        p.data.copy_(value)
    return average.values


def record(path: Path, name: str, config: TrainConfig, init: Path | None = None, **more: Any) -> None:
    """Write how a model was trained: configuration, processes, seconds over all of its runs, provenance.

    Where it started from the weights in ``init``, their own record goes into ``history`` and its seconds are added.
    """
    log = path.parent.parent / f"{name}.log.jsonl"
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    facts = {
        "config": asdict(config), "processes": process()[1], "seconds": last["seconds"], "last": last,
        **_before(init), **more, **provenance(config.seed),
    }  # fmt: skip
    atomic_write_text(path, json.dumps(facts, indent=1) + "\n")


def _before(init: Path | None) -> dict[str, Any]:
    """What the record of the weights that a training started from adds to its own."""
    if init is None:
        return {}
    # A shipped pipeline keeps the records of its parts in one file beside them.
    own, shared = init / "training.json", init.parent / "training.json"
    source = own if own.is_file() else shared
    old = json.loads(source.read_text(encoding="utf-8")) if source.is_file() else {}
    old = old if source == own else old.get(init.name)
    if not old:
        return {"history": [f"started from the weights in {init.name}, of unknown training"]}
    c, samples = old["config"], old["config"]["batch"] * old.get("processes", 1)
    line = f"{c['steps']} steps of {samples} samples, peak lr {c['lr']:g} ({old['date']}, {old['hardware']})"
    return {
        "history": [*old.get("history", []), line],
        "seconds_before": round(old["seconds"] + old.get("seconds_before", 0.0), 1),
    }


def _report(path: Path, name: str, step: int, config: TrainConfig, log: list[dict[str, float]], seconds: float) -> None:
    line: dict[str, float] = {"step": step, "lr": config.lr_at(step - 1), "seconds": round(seconds, 1)}
    for key in log[-1]:
        line[key] = round(float(np.mean([row[key] for row in log if key in row])), 5)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    rest = seconds / step * (config.steps - step)
    numbers = "  ".join(f"{k} {v:.4g}" for k, v in line.items() if k not in ("step", "seconds"))
    print(f"{name} {step}/{config.steps}  {numbers}  {rest / 60:.1f} min left", flush=True)


def _save(
    path: Path,
    parameters: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    average: Averaged,
    step: int,
    seconds: float,
) -> None:
    state = {
        "step": step, "seconds": seconds, "parameters": [p.detach().cpu() for p in parameters],
        "average": [v.cpu() for v in average.values], "optimizer": optimizer.state_dict(),
    }  # fmt: skip
    with atomic_write(path) as file:
        torch.save(state, file)


def _restore(
    path: Path, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, average: Averaged
) -> tuple[int, float]:
    state = torch.load(path, map_location="cpu", weights_only=True)
    shapes = [tuple(p.shape) for p in parameters]
    if [tuple(v.shape) for v in state["parameters"]] != shapes:
        raise InputError(f"{path} holds another architecture; move it away to train anew, or restore the old settings")
    for p, value in zip(parameters, state["parameters"]):
        p.data.copy_(value)
    for value, saved in zip(average.values, state["average"]):
        value.copy_(saved)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"]), float(state["seconds"])
