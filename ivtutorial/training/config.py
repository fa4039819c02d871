"""The settings of a fine-tuning run: checked when made, stored with the run, read back exactly.

| setting                    | paper            | authors' code      | default here |
|----------------------------|------------------|--------------------|--------------|
| `lr`                       | 1e-5             | 1e-5, flat         | 1e-5, flat   |
| `warmup`                   | -                | 10, first step 0   | 10           |
| `weight_decay`             | -                | 0                  | 0            |
| `grad_clip`            | -                | none               | none         |
| clips a step               | 8 on 4 GPUs      | 2 a GPU            | `batch_size` 2 a process |
| `steps`                    | 20,000           | 20,000             | 20,000       |
| `lora_rank`                | 4                | 4                  | 4            |
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from ivtutorial.data.captions import check_caption
from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.video_reward import choose_frames
from ivtutorial.models.memory import Memory, Precision
from ivtutorial.training.guards import Guards
from ivtutorial.training.methods import METHODS, Method
from ivtutorial.training.trackers import check_trackers

# What may differ when a run is continued: it does not change the steps themselves.
FREE = (
    "steps",
    "checkpoint_every",
    "keep",
    "sample_every",
    "sample_prompts",
    "sample_seed",
    "patience",
    "min_rise",
    "max_skipped",
    "trackers",
)


@dataclass(frozen=True)
class FinetuneConfig:
    """How to fine-tune.

    Attributes:
        method: the method and its own settings, one of `ivtutorial.method`.
        steps: optimiser steps in all.
        lr: learning rate, constant after the warm-up.
        betas: of AdamW. weight_decay: of AdamW.
        warmup: steps over which the learning rate rises linearly; the first step already has lr / warmup.
        grad_clip: bound on the gradient's norm; None for none. With K = 1 gradients are tiny: look at
            `grad_norm` in the metrics before choosing one.
        batch_size: clips in one pass of one process.
        accumulation: passes a step; clips a step are batch_size * accumulation * processes.
        seed: of everything random.
        lora_rank: inner width of the adapter.
        frames: frames of a clip, F. fps: at which they are read. height, width: in pixels, None for the model's own.
        memory: what is recomputed, kept outside the GPU or held in half precision, see `ivtutorial.models.memory`.
        precision: that the networks compute in: "fp32", "bf16", or (on a GPU) "fp16" with loss scaling.
        max_skipped: so many steps in a row whose loss or gradient is not finite end the run.
        checkpoint_every: steps between checkpoints. keep: how many checkpoints to keep.
        sample_every: steps between rounds of sample clips, 0 for none.
        sample_prompts: what to sample; empty takes the first captions of the data. With `patience`, prompts that are
            held out.
        sample_seed: of the sample clips, the same in every round.
        patience: stop early after so many rounds of samples without a new best reward; None never. The best
            adapter is then the result.
        min_rise: how much better a round must be to count as a new best.
        trackers: where curves and samples are shown: "tensorboard", "wandb", both or none.
        data_weight: of the denoising loss on the training clips. kl_weight: of the distance from the base model; both
            see `ivtutorial.training.guards`, 0 leaves them out.

    Raises:
        InputError: a value out of range, or settings that contradict each other.

    Example:
        >>> FinetuneConfig(steps=100, lr=1e-3).lr_at(0)
        0.0001
    """

    method: Method = field(default_factory=InstructVideo)
    steps: int = 20_000
    lr: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup: int = 10
    grad_clip: float | None = None
    batch_size: int = 2
    accumulation: int = 1
    seed: int = 0
    lora_rank: int = 4
    frames: int = 16
    fps: float = 8.0
    height: int | None = None
    width: int | None = None
    memory: Memory = field(default_factory=Memory)
    precision: Precision = "fp32"
    max_skipped: int = 10
    checkpoint_every: int = 100
    keep: int = 2
    sample_every: int = 0
    sample_prompts: tuple[str, ...] = ()
    sample_seed: int = 0
    patience: int | None = None
    min_rise: float = 0.0
    trackers: tuple[str, ...] = ("tensorboard",)
    data_weight: float = 0.0
    kl_weight: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        if isinstance(self.sample_prompts, str):
            raise InputError(f"sample_prompts = {self.sample_prompts!r}: expected a list of texts.")
        check_trackers(self.trackers)
        object.__setattr__(self, "trackers", tuple(self.trackers))
        object.__setattr__(self, "sample_prompts", tuple(check_caption(text) for text in self.sample_prompts))
        if not isinstance(self.method, METHODS):
            raise InputError(f"method = {self.method!r}: expected one of {', '.join(m.__name__ for m in METHODS)}.")
        self._check_whole_numbers()
        self._check_numbers()
        _ = self.guards
        # Not 'random', which would draw from the global generator.
        choose_frames(self.frames, self.method.S, 1, selection="dense" if self.method.selection == "dense" else "first")
        if self.precision not in get_args(Precision):
            raise InputError(f"precision = {self.precision!r}: expected 'fp32', 'bf16' or 'fp16'.")
        if self.patience is not None and not self.sample_every:
            raise InputError(
                "patience counts rounds of samples: set sample_every, and sample_prompts that are held out."
            )

    def _check_whole_numbers(self) -> None:
        least = {"steps": 1, "warmup": 0, "batch_size": 1, "accumulation": 1, "seed": 0, "lora_rank": 1, "frames": 1}
        least |= {"max_skipped": 1, "checkpoint_every": 1, "keep": 1, "sample_every": 0, "sample_seed": 0}
        least |= {name: 1 for name in ("height", "width", "patience") if getattr(self, name) is not None}
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise InputError(f"{name} = {value!r}: expected a whole number of at least {low}.")

    def _check_numbers(self) -> None:
        for name in ("lr", "fps", "grad_clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} = {value!r}: expected a positive number.")
        if not self.weight_decay >= 0 or not self.min_rise >= 0:
            raise InputError(f"weight_decay = {self.weight_decay}, min_rise = {self.min_rise}: expected at least 0.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas = {self.betas!r}: expected two numbers from 0 up to, not including, 1.")

    @property
    def guards(self) -> Guards:
        """Further terms of the loss, checked when made."""
        return Guards(self.data_weight, self.kl_weight)

    def lr_at(self, step: int) -> float:
        """Learning rate of step 0, 1, ..."""
        return self.lr * min(1.0, (step + 1) / self.warmup) if self.warmup else self.lr

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back. The method's name is kept as `method["name"]`."""
        values = dataclasses.asdict(self)
        values["method"] = {"name": type(self.method).__name__, **values["method"]}
        return dict(json.loads(json.dumps(values)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FinetuneConfig:
        """Settings from plain values; what is absent keeps its default.

        Raises:
            InputError: an unknown name, with the nearest known one, or a value out of range.
        """
        given = dict(values)
        method = dict(given.pop("method", {}))
        kind = _method_named(method.pop("name", METHODS[0].__name__))
        memory = _build(Memory, dict(given.pop("memory", {})))
        return _build(cls, {**given, "method": _build(kind, method), "memory": memory})


def read_config(path: str | Path) -> FinetuneConfig:
    """Settings from a JSON file, or from a run's folder.

    Raises:
        InputError: no such file, not JSON, an unknown name or a value out of range.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as settings ({error}). Give a JSON file or a run's folder."
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected an object with settings, got {type(values).__name__}.")
    return FinetuneConfig.from_dict(values.get("finetune", values))


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Names of the settings that differ between two `to_dict` results and change the steps of a run."""
    names = [name for name in {**first, **second} if name not in FREE]
    return sorted(name for name in names if first.get(name) != second.get(name))


def _method_named(name: Any) -> Any:
    for kind in METHODS:
        if kind.__name__.lower() == str(name).lower():
            return kind
    raise InputError(f"unknown method {name!r}: there are {', '.join(kind.__name__ for kind in METHODS)}.")


def _build(kind: Any, values: Mapping[str, Any]) -> Any:
    known = [f.name for f in dataclasses.fields(kind)]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            raise InputError(f"unknown setting {name!r} of {kind.__name__}: {hint}")
    try:
        return kind(**{name: _hashable(value) for name, value in values.items()})
    except TypeError as error:
        raise InputError(f"a setting of {kind.__name__} has the wrong type ({error}).") from error


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
