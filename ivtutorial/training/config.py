"""The settings of a fine-tuning run: checked when made, stored with the run, read back exactly.

| setting                    | paper            | authors' code      | default here |
|----------------------------|------------------|--------------------|--------------|
| `lr`                       | 1e-5             | 1e-5, flat         | 1e-5, flat, times the method's `lr_share` |
| `warmup`                   | -                | 10, first step 0   | 10           |
| `weight_decay`             | -                | 0                  | 0            |
| `grad_clip`                | -                | none               | none         |
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

from ivtutorial.checks import is_share, not_negative, one_of, positive, share, switches, whole
from ivtutorial.data.captions import check_caption
from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.segvr import check_segments
from ivtutorial.method.settings import RewardMethod
from ivtutorial.models.memory import Memory, Precision
from ivtutorial.training.guards import Guards
from ivtutorial.training.methods import METHODS
from ivtutorial.training.trackers import check_trackers

PAPER_LR = 1e-5

# Groups of settings within a run's, beside those of the method.
_NESTED: dict[str, Any] = {"memory": Memory, "guards": Guards}


@dataclass(frozen=True)
class FinetuneConfig:
    """How to fine-tune.

    Attributes:
        method: the method and its own settings, one of `ivtutorial.training.methods.METHODS`.
        steps: optimiser steps in all.
        lr: learning rate, constant after the warm-up; None takes the method's share (`lr_share`) of the paper's.
        betas: of AdamW. weight_decay: of AdamW.
        warmup: steps over which the learning rate rises linearly; the first step already has lr / warmup.
        grad_clip: bound on the gradient's norm; None for none. With K = 1 gradients are tiny: look at
            `grad_norm` in the metrics before choosing one.
        batch_size: clips in one pass of one process.
        accumulation: passes a step; clips a step are batch_size * accumulation * processes.
        seed: of everything random. It names a run: the steps do not depend on how many processes and passes share them.
        noise_seed: of the noise and all else that a step draws, in place of `seed`, which still decides the adapter's
            start and the order of the clips; None takes `seed`. Two runs that differ in it differ by chance alone.
        lora_rank: inner width of the adapter.
        frames: frames of a clip, F. fps: at which they are read. height, width: in pixels, None for the model's own.
        memory: what is recomputed, kept outside the GPU or held in half precision, see `ivtutorial.models.memory`.
        decoder: file of a tiny decoder that the reward's gradient goes through, see
            `ivtutorial.models.dit.tiny_decoder`; Wan 2.1 only. Samples come from the full decoder all the same.
        precision: that the networks compute in: "fp32" (on a GPU, unless `deterministic`, with products in TF32, see
            `ivtutorial.system.device`), "bf16", or (on a GPU) "fp16" with loss scaling.
        deterministic: let a GPU repeat its results bit for bit, see `ivtutorial.system.repeatable`; some speed less.
        max_skipped: the run ends after this number of steps in a row whose loss or gradient is not finite.
        checkpoint_every: steps between checkpoints. keep: how many checkpoints to keep.
        sample_every: steps between rounds of sample clips, 0 for none.
        sample_prompts: what to sample; empty takes the first captions of the data. With `patience`, prompts that are
            held out.
        sample_seed: of the sample clips, the same in every round.
        patience: rounds of samples without a new best reward after which the run stops; None never stops early.
            The best adapter is then the result.
        min_rise: how much better a round must be to count as a new best.
        trackers: where curves and samples are shown, some of `ivtutorial.training.trackers.TRACKERS` or none.
        ema: decay of a moving average of the adapter, such as 0.95, which samples and the result then are; 0 for none,
            as in the paper. See `ivtutorial.system.moving_average`.
        guards: further terms of the loss against over-optimisation, see `ivtutorial.training.guards`.

    Raises:
        InputError: a value out of range, or settings that contradict each other.

    Example:
        >>> FinetuneConfig(steps=100, lr=1e-3).lr_at(0), FinetuneConfig().lr
        (0.0001, 1e-05)
    """

    method: RewardMethod = field(default_factory=InstructVideo)
    steps: int = 20_000
    lr: float = None  # type: ignore[assignment]  # a number once it is made
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup: int = 10
    grad_clip: float | None = None
    batch_size: int = 2
    accumulation: int = 1
    seed: int = 0
    noise_seed: int | None = None
    lora_rank: int = 4
    frames: int = 16
    fps: float = 8.0
    height: int | None = None
    width: int | None = None
    memory: Memory = field(default_factory=Memory)
    decoder: str | None = None
    precision: Precision = "fp32"
    deterministic: bool = False
    max_skipped: int = 10
    checkpoint_every: int = 100
    keep: int = 2
    sample_every: int = 0
    sample_prompts: tuple[str, ...] = ()
    sample_seed: int = 0
    patience: int | None = None
    min_rise: float = 0.0
    trackers: tuple[str, ...] = ("tensorboard",)
    ema: float = 0.0
    guards: Guards = field(default_factory=Guards)

    def __post_init__(self) -> None:
        self._check_groups()
        object.__setattr__(self, "betas", tuple(self.betas))
        check_trackers(self.trackers)
        object.__setattr__(self, "trackers", tuple(self.trackers))
        object.__setattr__(self, "sample_prompts", tuple(check_caption(text) for text in self.sample_prompts))
        if METHODS.get(type(self.method).__name__) is not type(self.method):
            raise InputError(f"method = {self.method!r}: expected one of {', '.join(METHODS)}.")
        if self.lr is None:
            object.__setattr__(self, "lr", round(self.method.lr_share * PAPER_LR, 12))  # 4e-6, not 4.000000000000001e-6
        self._check_numbers()
        check_segments(self.frames, self.method.S, self.method.selection)
        one_of(self, precision=get_args(Precision))
        if self.precision == "fp16" and getattr(self.method, "two_phase", False):
            raise InputError(
                "two_phase with precision 'fp16': the reward's gradient is taken before the loss is scaled and may "
                "become zero. Use 'bf16' or 'fp32', or recompute in place of two_phase."
            )
        if self.patience is not None and not self.sample_every:
            raise InputError(
                "patience counts rounds of samples: set sample_every, and sample_prompts that are held out."
            )

    def _check_groups(self) -> None:
        """Lists, groups and the decoder's path hold what their names say; a path is kept as text, as in JSON."""
        for name, items in (("betas", "two numbers"), ("sample_prompts", "texts")):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)):
                raise InputError(f"{name} = {value!r}: expected a list of {items}.")
        for name, part in _NESTED.items():
            if not isinstance(getattr(self, name), part):
                raise InputError(f"{name} = {getattr(self, name)!r}: expected {part.__name__}(...).")
        if isinstance(self.decoder, Path):
            object.__setattr__(self, "decoder", str(self.decoder))
        if not isinstance(self.decoder, (str, type(None))):
            raise InputError(f"decoder = {self.decoder!r}: expected the path of a file, or None.")
        for settings in (self, self.method):
            switches(settings)

    def _check_numbers(self) -> None:
        whole(self, steps=1, warmup=0, batch_size=1, accumulation=1, seed=0, lora_rank=1, frames=1)
        whole(self, max_skipped=1, checkpoint_every=1, keep=1, sample_every=0, sample_seed=0)
        whole(self, **{name: 1 for name in ("height", "width", "patience") if getattr(self, name) is not None})
        if self.seed >= 2**64:
            raise InputError(f"seed = {self.seed}: expected a whole number below 2**64.")
        if self.noise_seed is not None:
            whole(self, noise_seed=0)
        positive(self, "lr", "fps", *(["grad_clip"] if self.grad_clip is not None else []))
        not_negative(self, "weight_decay", "min_rise")
        share(self, "ema")
        if len(self.betas) != 2 or not all(is_share(beta) for beta in self.betas):
            raise InputError(f"betas = {self.betas!r}: expected two numbers from 0 up to, not including, 1.")

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
        rest = dict(values)
        method = settings_group(rest.pop("method", {}), "method")
        kind = _method_named(method.pop("name", InstructVideo.__name__))
        parts = {name: _build(part, settings_group(rest.pop(name, {}), name)) for name, part in _NESTED.items()}
        return _build(cls, {**rest, **parts, "method": _build(kind, method)})


def read_config(path: str | Path) -> FinetuneConfig:
    """Settings from a JSON file, or from a run's folder.

    Raises:
        InputError: no such file, not JSON, an unknown name or a value out of range.
    """
    return FinetuneConfig.from_dict(read_settings(path))


def read_settings(path: str | Path) -> dict[str, Any]:
    """What stands in a JSON file or in a run's folder, as plain values; what is absent stays absent.

    Raises:
        InputError: no such file, or not an object in JSON.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as settings ({error}). Give a JSON file or a run's folder."
        ) from error
    values = values.get("finetune", values) if isinstance(values, dict) else values
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected an object with settings, got {type(values).__name__}.")
    return values


def settings_group(values: Any, name: str) -> dict[str, Any]:
    """A copy of one group of plain settings, such as those of "memory".

    Raises:
        InputError: it is no group.
    """
    if not isinstance(values, Mapping):
        hint = (
            'In a file {"name": "draft"}, as an option --method draft'
            if name == "method"
            else f"--set {name}.NAME=VALUE"
        )
        raise InputError(f"{name} = {values!r}: expected a group of settings. {hint} sets one.")
    return dict(values)


def method_settings(name: str) -> set[str]:
    """The names of a method's own settings, those of `ivtutorial.method.settings` included.

    Raises:
        InputError: an unknown method.
    """
    return {item.name for item in dataclasses.fields(_method_named(name))}


def _method_named(name: Any) -> type[RewardMethod]:
    for known, kind in METHODS.items():
        if known.lower() == str(name).lower():
            return kind
    near = difflib.get_close_matches(str(name).lower(), [known.lower() for known in METHODS], n=1)
    hint = f"did you mean {near[0]!r}? There" if near else "there"
    raise InputError(f"unknown method {name!r}: {hint} are {', '.join(METHODS)}.")


def _build(kind: Any, values: Mapping[str, Any]) -> Any:
    known = [f.name for f in dataclasses.fields(kind)]
    groups = {**_NESTED, "method": type(values.get("method", InstructVideo()))}
    nested = [f"{name}.{f.name}" for name, part in groups.items() if name in known for f in dataclasses.fields(part)]
    for name in values:
        if name not in known:
            same = [item for item in nested if item.partition(".")[2] == name]
            near = same or difflib.get_close_matches(name, [*known, *nested], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            raise InputError(f"unknown setting {name!r} of {kind.__name__}: {hint}")
    try:
        return kind(**{name: _hashable(value) for name, value in values.items()})
    except TypeError as error:
        raise InputError(f"a setting of {kind.__name__} has the wrong type ({error}).") from error


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
