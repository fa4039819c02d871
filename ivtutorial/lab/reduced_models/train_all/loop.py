"""The training loop of every stage: one process or several, CPU or GPU, and killed at any moment without loss.

Step n draws its global batch from (seed, n) alone, and each process works on its share of that batch. So a run that
was killed takes the steps that an unbroken one takes, and with another number of processes it takes them too, up to
rounding. Nothing in the loop waits for a GPU but the log, every :attr:`Settings.log_every` steps: what a step hands to
the GPU goes through :func:`to_device`.

The state of a stage, `NAME.state.pt`, holds tensors and plain numbers only and replaces the last one atomically.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.train_all.budget import Budget, Schedule
from ivtutorial.lab.reduced_models.train_all.states import FORMAT, read_carried, read_stage_state, write_carried
from ivtutorial.system.files import atomic_write
from ivtutorial.system.share import average_gradients, rank_and_world, wait_for_all


@dataclass(frozen=True)
class Settings:
    """How a stage trains.

    Attributes:
        batch: samples a step, of all processes together.
        schedule: learning rate over its peak; the peaks are the optimisers' own.
        ema: decay of the averaged weights, which are what a stage ends with.
        clip: bound on the gradient's norm. seed: of everything random.
        bf16: compute in bfloat16 where autocast does; weights, averages and losses stay float32.
        log_every: steps between log lines. save_minutes, check_minutes: between states, and between checks.
    """

    batch: int
    schedule: Schedule = field(default_factory=Schedule)
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    bf16: bool = True
    log_every: int = 50
    save_minutes: float = 2.0
    check_minutes: float = 10.0

    def lasting(self) -> dict[str, Any]:
        """What must not change when a training goes on."""
        return {"batch": self.batch, "ema": self.ema, "clip": self.clip, "seed": self.seed, "bf16": self.bf16}


@dataclass(frozen=True)
class Group:
    """The processes that train together. `rank` of `size`, computing on `device`."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @classmethod
    def current(cls, device: torch.device) -> Group:
        """The group that this process has joined, or a group of one."""
        return cls(*rank_and_world(), device)

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes, the same in each."""
        if self.size == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.size

    def wait(self) -> None:
        """Until all are here."""
        wait_for_all()


def to_device(values: np.ndarray[Any, Any] | Tensor, device: torch.device) -> Tensor:
    """Numbers as a tensor on a device; handing them to a GPU does not wait for what it still computes."""
    tensor = torch.from_numpy(np.ascontiguousarray(values)) if isinstance(values, np.ndarray) else values
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class TrainStep:
    """One step's number, progress and randomness; draws are made for the global batch, and each process keeps its
    rows."""

    def __init__(self, number: int, progress: float, settings: Settings, group: Group) -> None:
        self.number, self.progress, self.group = number, progress, group
        self.batch = settings.batch
        self.rng = np.random.default_rng((settings.seed, number))
        self.generator = torch.Generator(group.device).manual_seed(int(self.rng.integers(2**62)))

    def own(self, rows: Any) -> Any:
        """This process's rows of something drawn for the whole batch (first axis)."""
        return rows[self.group.rank :: self.group.size]

    def integers(self, high: int, count: int | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Uniform whole numbers below ``high``, this process's share of ``count`` (default: the batch)."""
        drawn: np.ndarray[Any, np.dtype[np.int64]] = self.own(self.rng.integers(high, size=count or self.batch))
        return drawn

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape of this process's ``like``, float32."""
        whole = (len(like) * self.group.size, *like.shape[1:])
        drawn: Tensor = self.own(torch.randn(whole, generator=self.generator, device=self.group.device))
        return drawn

    def uniform(self, count: int) -> Tensor:
        """Uniform numbers in [0, 1), ``count`` for this process, float32."""
        drawn = torch.rand(count * self.group.size, generator=self.generator, device=self.group.device)
        own: Tensor = self.own(drawn)
        return own


StepLoss = Callable[[TrainStep], tuple[Tensor, dict[str, Tensor]]]
Check = Callable[[], dict[str, float]]


def fit_part(
    model: nn.Module,
    loss: StepLoss,
    optimizers: Sequence[torch.optim.Optimizer],
    settings: Settings,
    budget: Budget,
    folder: Path,
    name: str,
    group: Group = Group(),
    check: Check | None = None,
    saved: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Train until the budget is used up, from the last state if there is one.

    Args:
        model: its parameters with ``requires_grad`` are trained in place; its buffers are part of the state.
        loss: given a :class:`TrainStep`, returns this process's mean loss and scalar tensors to log.
        optimizers: made with the peak learning rates; together they hold every trained parameter once.
        settings: how.
        budget: how long.
        folder: gets `NAME.state.pt`, `NAME.plateau.pt` (where the decay began) and `NAME.log.jsonl`.
        name: of the stage.
        group: the processes that share each batch.
        check: measures the model with averaged weights now and then; its numbers are logged.
        saved: called after each state, beside which `NAME.carried.safetensors` lies then.

    Returns:
        The last check's numbers, none where there is no check. The model holds the averages.

    Raises:
        InputError: the batch cannot be shared among the processes; a state of other settings or another
            architecture; the loss is no longer finite; the state cannot be written.
    """
    if settings.batch % group.size:
        raise InputError(f"a batch of {settings.batch} cannot be shared among {group.size} processes")
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(model, optimizers, settings, folder, name, group)
    run.restore(budget)
    last_save = last_check = time.monotonic()
    while (progress := budget.progress(run.step, run.core_seconds, run.seconds)) < 1.0:
        if settings.schedule.decays(progress) and not run.decaying:
            run.decaying = True
            run.save(run.plateau)
        factor = settings.schedule.factor(run.step - run.first, progress)
        run.take(loss, TrainStep(run.step, progress, settings, group), factor)
        if run.step % settings.log_every == 0:
            run.report(progress, factor)
        if time.monotonic() > last_save + 60 * settings.save_minutes:
            run.keep(saved)
            last_save = time.monotonic()
        if check and group.rank == 0 and time.monotonic() > last_check + 60 * settings.check_minutes:
            run.log({"step": run.step, **run.checked(check)})
            last_check = time.monotonic()
    run.keep(saved)
    numbers = run.checked(check) if check and group.rank == 0 else {}
    if check:
        run.log({"step": run.step, **numbers})
    group.wait()
    run.average.copy_to(run.parameters)
    return numbers


class _Run:
    """What changes while a stage trains."""

    def __init__(
        self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], settings: Settings, folder: Path,
        name: str, group: Group,
    ) -> None:  # fmt: skip
        self.model, self.optimizers, self.settings, self.group, self.name = model, optimizers, settings, group, name
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        held = sum(len(g["params"]) for o in optimizers for g in o.param_groups)
        assert held == len(self.parameters), f"{held} parameters in optimisers, {len(self.parameters)} in the model"
        self.average = EMAModel(self.parameters, decay=settings.ema, foreach=True)
        self.peaks = [[g["lr"] for g in o.param_groups] for o in optimizers]
        self.state, self.plateau = folder / f"{name}.state.pt", folder / f"{name}.plateau.pt"
        self.carried, self.log_file = folder / f"{name}.carried.safetensors", folder / f"{name}.log.jsonl"
        self.step, self.seconds, self.core_seconds, self.decaying = 0, 0.0, 0.0, False
        self.first = 0  # the step at which the optimisers were fresh
        self.recent: list[dict[str, Tensor]] = []
        self.reported = (0, 0.0)
        self._clock = (time.monotonic(), time.process_time())

    def take(self, loss: StepLoss, step: TrainStep, factor: float) -> None:
        """One optimiser step."""
        for optimizer, peaks in zip(self.optimizers, self.peaks):
            for param_group, peak in zip(optimizer.param_groups, peaks):
                param_group["lr"] = peak * factor
        device = self.group.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.settings.bf16):
            value, numbers = loss(step)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        self._share()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.step(self.parameters)
        self.step += 1
        self.recent.append({"loss": value.detach(), "grad_norm": norm.detach(), **numbers})

    def _share(self) -> None:
        """Average the gradients over the processes, and agree on the time that is used up."""
        now = (time.monotonic(), time.process_time())
        used = [b - a for a, b in zip(self._clock, now)]
        self._clock = now
        if self.group.size > 1:
            average_gradients(self.parameters)
            used = self.group.mean(torch.tensor(used, device=self.group.device)).tolist()
        self.seconds += used[0]
        self.core_seconds += used[1] * self.group.size

    def report(self, progress: float, factor: float) -> None:
        """Log the means over the steps since the last report."""
        names = {k for row in self.recent for k in row}
        line: dict[str, float] = {}
        for key in sorted(names):
            values = torch.stack([row[key].float() for row in self.recent if key in row]).mean()
            line[key] = round(float(self.group.mean(values)), 5)
        if not np.isfinite(line["loss"]):
            raise InputError(f"{self.name}: the loss is no longer finite at step {self.step}; lower the learning rate")
        steps, seconds = self.step - self.reported[0], self.core_seconds - self.reported[1]
        line["samples_per_core_second"] = round(steps * self.settings.batch / max(seconds, 1e-9), 2)
        self.recent, self.reported = [], (self.step, self.core_seconds)
        self.log({
            "step": self.step, "progress": round(progress, 4), "lr_factor": round(factor, 4),
            "core_seconds": round(self.core_seconds, 1), "seconds": round(self.seconds, 1), **line,
        })  # fmt: skip

    def log(self, line: dict[str, Any]) -> None:
        """Write a line to the log and the screen."""
        if self.group.rank == 0:
            with open(self.log_file, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(self.name, "  ".join(f"{k} {v}" for k, v in line.items()), flush=True)

    def checked(self, check: Check) -> dict[str, float]:
        """Measure with averaged weights; the time it takes counts on the clock."""
        self.average.store(self.parameters)
        self.average.copy_to(self.parameters)
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                return check()
        finally:
            self.model.train(training)
            self.average.restore(self.parameters)

    def save(self, path: Path) -> None:
        """Write the state, atomically."""
        if self.group.rank != 0:
            return
        content = {
            "format": FORMAT, **self.facts(),
            "model": self.model.state_dict(), "average": self.average.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
        }  # fmt: skip
        with atomic_write(path) as file:
            torch.save(content, file)

    def facts(self) -> dict[str, Any]:
        """What a state says beside its tensors."""
        return {
            "settings": json.dumps(self.settings.lasting()), "step": self.step, "seconds": self.seconds,
            "core_seconds": self.core_seconds, "decaying": self.decaying, "first": self.first,
        }  # fmt: skip

    def keep(self, saved: Callable[[], None] | None) -> None:
        """Write the state, and where somebody waits for it what is carried to another machine."""
        self.save(self.state)
        if saved is not None and self.group.rank == 0:
            write_carried(self.carried, self.model, self.average.shadow_params, self.facts())
            saved()

    def restore(self, budget: Budget) -> None:
        """Go on from the state, or from the plateau where the budget has grown past the decay, or from what was
        carried here."""
        if not self.state.exists():
            if self.carried.exists():
                self.restore_carried()
            return
        content = read_stage_state(self.state)
        progress = budget.progress(content["step"], content["core_seconds"], content["seconds"])
        if content["decaying"] and not self.settings.schedule.decays(progress):
            content = read_stage_state(self.plateau)
            content["decaying"] = False
        self.fits(self.state, content["model"], content)
        self.model.load_state_dict(content["model"])
        self.average.load_state_dict(content["average"])
        self.average.to(self.group.device)
        for optimizer, saved in zip(self.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.go_on(content)
        self.first = content.get("first", 0)

    def restore_carried(self) -> None:
        """Go on from averages, with fresh optimisers."""
        tensors, facts = read_carried(self.carried)
        self.fits(self.carried, tensors, facts)
        self.model.load_state_dict(tensors)
        self.average.shadow_params = [p.detach().clone() for p in self.parameters]
        self.average.optimization_step = facts["step"]
        self.go_on(facts)
        self.first, self.decaying = self.step, False

    def fits(self, path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Refuse a state of other settings, or of another architecture."""
        if json.loads(facts["settings"]) != self.settings.lasting():
            raise InputError(
                f"{path} was begun with other settings ({facts['settings']}, not "
                f"{json.dumps(self.settings.lasting())}); restore them, or move the file away to train anew"
            )
        shapes = {k: tuple(v.shape) for k, v in self.model.state_dict().items()}
        if {k: tuple(v.shape) for k, v in tensors.items()} != shapes:
            raise InputError(f"{path} holds another architecture; move it away to train anew")

    def go_on(self, facts: dict[str, Any]) -> None:
        """Take over a state's step and times."""
        self.step, self.decaying = facts["step"], facts["decaying"]
        self.seconds, self.core_seconds = facts["seconds"], facts["core_seconds"]
        self.reported = (self.step, self.core_seconds)
