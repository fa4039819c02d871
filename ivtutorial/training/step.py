"""One optimiser step of fine-tuning, for any method and any number of processes.

    for every slot (a pass of a process, see `ivtutorial.data.dataset`):
        batch -> next loss of losses(models, batch, generator) -> backward      a method turns a batch into losses
    average gradients over slots -> not finite? skip and count -> bound the norm -> AdamW on the adapter

A method that samples once and learns from the samples several times (RWR, DDPO) has several losses: the lines above are
then repeated `method.updates` times within the step.

The adapter's gradients are averaged by hand: it is small, so this is one message a step, and the model runs many times
without gradient and once with, which wrappers such as DistributedDataParallel are not made for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset, positions, slot_generator
from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch, Metrics
from ivtutorial.models.memory import DTYPES
from ivtutorial.models.modes import network_mode
from ivtutorial.system.moving_average import MovingAverage
from ivtutorial.system.share import average_gradients
from ivtutorial.training.checkpoints import Progress, latest_checkpoint
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.methods import StepLosses

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone
    from ivtutorial.rewards.base import ImageReward

LossFn = Callable[["AnyBackbone", Batch, torch.Generator], "tuple[Tensor, Mapping[str, float | Tensor]]"]
_SCALE_SEARCH = 16
COUNTED = ("unet_evaluations", "reward_calls")


@dataclass
class Evaluations:
    """How many clips the UNet has evaluated in this process; a hook to be called before each of its passes."""

    clips: int = 0

    def __call__(self, unet: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Count the clips of a pass."""
        self.clips += len(args[0] if args else kwargs["sample"])


@dataclass(frozen=True)
class Run:
    """What stays the same from step to step.

    Attributes:
        out: folder of the run.
        config: its settings.
        accelerator: accelerate's, knows processes, device and precision.
        backbone: the model with a trainable adapter.
        data: encoded clips.
        reward: image reward, for sample rounds.
        losses: the method.
        updates: losses, and so optimiser updates, that it has for a step.
        parameters: of the adapter.
        optimizer: AdamW on them, prepared by the accelerator.
        average: of the parameters along the run, empty without `ema`.
        made_of: what must be the same when the run is continued.
        evaluations: of the UNet, counted.
    """

    out: Path
    config: FinetuneConfig
    accelerator: Any
    backbone: AnyBackbone
    data: LatentDataset
    reward: ImageReward
    losses: StepLosses
    updates: int
    parameters: list[torch.nn.Parameter]
    optimizer: Any
    average: MovingAverage
    made_of: dict[str, Any]
    evaluations: Evaluations

    @property
    def slots(self) -> int:
        """Passes a step, over all processes."""
        return int(self.accelerator.num_processes) * self.config.accumulation

    def mixed_precision(self) -> AbstractContextManager[Any]:
        """Autocast where the UNet is held in another precision than is computed in; on a CPU the VAE, too.

        Where there is nothing to convert, autocast would only make the UNet compute its norms in float32, with three
        times the kernels. And on a GPU an autoencoder or reward that is held in float32 is meant to be computed in it:
        fp16 ends at 65504.
        """
        parts = [self.backbone.unet] + ([self.backbone.vae] if self.backbone.device.type == "cpu" else [])
        whole = all(part.dtype == DTYPES[self.config.precision] for part in parts)
        return nullcontext() if whole else self.accelerator.autocast()  # type: ignore[no-any-return]

    @property
    def main(self) -> bool:
        """Whether this process writes the files."""
        return bool(self.accelerator.is_main_process)


def take_step(run: Run, progress: Progress) -> dict[str, float]:
    """Take one step and count it in `progress`.

    Args:
        run: see `Run`.
        progress: where the run stands; changed in place.

    Returns:
        What is logged: step, the method's numbers (means over all slots and updates), grad_norm before it is bounded,
        lr, seconds of this step, elapsed seconds of all steps; so far: skipped, unet_evaluations, and reward_calls,
        the frames that the reward scored.

    Raises:
        InputError: the loss has no gradient.
    """
    began, lr = time.perf_counter(), run.config.lr_at(progress.step)
    slots = [_passes(run, progress.step, m) for m in range(run.config.accumulation)]
    updates = [_take_update(run, slots, lr) for _ in range(run.updates)]
    good = all(numbers.pop("good") for numbers in updates)
    sums = {name: round(sum(update.pop(name) for update in updates) * run.slots) for name in COUNTED}
    numbers = {name: sum(update[name] for update in updates) / len(updates) for name in updates[0]}
    seconds = time.perf_counter() - began
    _note(progress, good, seconds, sums)
    run.average.follow(progress.step)
    totals = {"skipped": progress.skipped, **{name: getattr(progress, name) for name in COUNTED}}
    return {"step": progress.step, **numbers, "lr": lr, "seconds": seconds, "elapsed": progress.seconds, **totals}


def end_if_diverged(run: Run, progress: Progress) -> None:
    """Give up after too many steps in a row that were not finite.

    Raises:
        InputError: as many as `max_skipped`.
    """
    # With fp16 some steps are skipped by design, while the loss scale is on its way down from 65536 = 2^16.
    limit = run.config.max_skipped + (0 if run.accelerator.scaler is None else _SCALE_SEARCH)
    if progress.skipped_in_row >= limit:
        last = latest_checkpoint(run.out)
        before = "No checkpoint had been written" if last is None else f"The last checkpoint, {last}, is from before"
        raise InputError(
            f"{progress.skipped_in_row} steps in a row, up to step {progress.step}, had a loss or gradient that is not "
            f"finite. {before}. Lower lr, set grad_clip, or use precision 'fp32' or 'bf16'."
        )


def _take_update(run: Run, slots: Sequence[Iterator[Metrics]], lr: float) -> dict[str, float]:
    """One optimiser update from the next loss of every slot."""
    run.optimizer.zero_grad(set_to_none=True)
    numbers = _mean_over_slots(run, [next(slot) for slot in slots])
    average_gradients(run.parameters)
    gradients = [p.grad for p in run.parameters if p.grad is not None]
    if run.accelerator.scaler is not None:
        if not math.isfinite(numbers["loss"]):
            for gradient in gradients:  # it may be finite all the same, and fp16's scaler looks at nothing else
                gradient.fill_(math.nan)
        run.accelerator.unscale_gradients(run.optimizer)
    numbers["grad_norm"] = torch.stack([g.double().square().sum() for g in gradients]).sum().sqrt().item()
    good = math.isfinite(numbers["loss"]) and math.isfinite(numbers["grad_norm"])
    _update(run, gradients, good, lr, numbers["grad_norm"])
    return {**numbers, "good": float(good)}


def _passes(run: Run, step: int, m: int) -> Iterator[Metrics]:
    """Forward and backward of one slot, once for each update; its gradient is added to what is there."""
    config, backbone = run.config, run.backbone
    slot = run.accelerator.process_index + run.accelerator.num_processes * m
    seed = config.seed if config.noise_seed is None else config.noise_seed
    generator = slot_generator(seed, step, slot, run.slots)
    indices = positions(len(run.data), config.batch_size, step, slot, run.slots, config.seed)
    losses = run.losses(backbone, run.data.batch(backbone, indices), generator)
    for _ in range(run.updates):
        slot_generator(seed, step, slot)  # dropout of a slot does not depend on what other slots drew
        before = run.evaluations.clips
        with network_mode(backbone.unet, config.method.train_mode):
            with run.mixed_precision():
                loss, numbers = next(losses)
            if not loss.requires_grad:
                raise InputError("the loss has no gradient: the reward must be differentiable in the frames.")
            evaluations = run.evaluations.clips - before
            run.accelerator.backward(loss / config.accumulation)
        yield {"reward_calls": 0.0, **numbers, "loss": loss.detach(), "unet_evaluations": evaluations}


def _mean_over_slots(run: Run, passes: list[Metrics]) -> dict[str, float]:
    """The first time in a step that the processor waits for a GPU: every backward pass has been handed over by then."""
    names = list(passes[0])
    table = torch.tensor([[float(row[name]) for name in names] for row in passes], dtype=torch.float64)
    means = run.accelerator.reduce(table.mean(0).to(run.backbone.device), "mean")
    return dict(zip(names, means.tolist(), strict=True))


def _update(run: Run, gradients: Sequence[Tensor], good: bool, lr: float, norm: float) -> None:
    bound = run.config.grad_clip
    if good and bound is not None and norm > bound:
        for gradient in gradients:
            gradient.mul_(bound / norm)
    scaler = run.accelerator.scaler
    if good or scaler is not None:  # fp16's scaler sees in the gradient that it must skip, and lowers its scale
        for group in run.optimizer.param_groups:
            group["lr"] = lr
        run.optimizer.step()


def _note(progress: Progress, good: bool, seconds: float, counted: dict[str, int]) -> None:
    progress.step += 1
    progress.skipped += not good
    progress.skipped_in_row = 0 if good else progress.skipped_in_row + 1
    progress.seconds += seconds
    progress.unet_evaluations += counted["unet_evaluations"]
    progress.reward_calls += counted["reward_calls"]
