"""One optimiser step of fine-tuning, for any method and any number of processes.

    for every slot (a pass of a process, see `ivtutorial.dataset`):
        batch -> loss_fn(models, batch, generator) -> backward         a method turns a batch into a loss
    average gradients over slots -> not finite? skip and count -> bound the norm -> AdamW on the adapter

The adapter's gradients are averaged by hand: it is small, so this is one message a step, and the model runs many times
without gradient and once with, which wrappers such as DistributedDataParallel are not made for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ivtutorial.chain import network_mode
from ivtutorial.dataset import LatentDataset, positions, slot_generator
from ivtutorial.errors import InputError
from ivtutorial.finetune_config import FinetuneConfig
from ivtutorial.methods.batch import Batch
from ivtutorial.training_state import Progress

if TYPE_CHECKING:
    from ivtutorial.backbone import Backbone
    from ivtutorial.rewards.base import ImageReward

LossFn = Callable[["Backbone", Batch, torch.Generator], "tuple[Tensor, dict[str, float]]"]
_SCALE_SEARCH = 16


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
        loss_fn: the method.
        parameters: of the adapter.
        optimizer: AdamW on them, prepared by the accelerator.
        made_of: what must be the same when the run is continued.
        counter: one number, the UNet's evaluations of single clips so far in this process.
    """

    out: Path
    config: FinetuneConfig
    accelerator: Any
    backbone: Backbone
    data: LatentDataset
    reward: ImageReward
    loss_fn: LossFn
    parameters: list[torch.nn.Parameter]
    optimizer: Any
    made_of: dict[str, Any]
    counter: list[int]

    @property
    def slots(self) -> int:
        """Passes a step, over all processes."""
        return int(self.accelerator.num_processes) * self.config.accumulation

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
        What is logged: step, the method's numbers (means over all slots), grad_norm before it is bounded, lr,
        seconds of this step, elapsed seconds of all steps, skipped and unet_evaluations so far.

    Raises:
        InputError: the loss has no gradient.
    """
    began, config = time.perf_counter(), run.config
    run.optimizer.zero_grad(set_to_none=True)
    passes = [_pass(run, progress.step, m) for m in range(config.accumulation)]
    numbers = _mean_over_slots(run, passes)
    _average_gradients(run)
    if run.accelerator.scaler is not None:
        run.accelerator.unscale_gradients(run.optimizer)
    numbers["grad_norm"] = _norm(run.parameters)
    good = math.isfinite(numbers["loss"]) and math.isfinite(numbers["grad_norm"])
    lr = config.lr_at(progress.step)
    _update(run, good, lr, numbers["grad_norm"])
    seconds = time.perf_counter() - began
    evaluations = round(numbers.pop("unet_evaluations") * run.slots)
    _note(progress, good, seconds, evaluations)
    totals = {"skipped": progress.skipped, "unet_evaluations": progress.unet_evaluations}
    return {"step": progress.step, **numbers, "lr": lr, "seconds": seconds, "elapsed": progress.seconds, **totals}


def end_if_diverged(run: Run, progress: Progress) -> None:
    """Give up after too many steps in a row that were not finite.

    Raises:
        InputError: as many as `max_skipped`.
    """
    # With fp16 some steps are skipped by design, while the loss scale is on its way down from 65536 = 2^16.
    limit = run.config.max_skipped + (0 if run.accelerator.scaler is None else _SCALE_SEARCH)
    if progress.skipped_in_row >= limit:
        raise InputError(
            f"{progress.skipped_in_row} steps in a row, up to step {progress.step}, had a loss or gradient that is not "
            f"finite. The last checkpoint in {run.out} is from before. Lower lr, set max_grad_norm, or use "
            "mixed_precision 'no' or 'bf16'."
        )


def _pass(run: Run, step: int, m: int) -> dict[str, float]:
    """Forward and backward of one slot; its gradient is added to what is there."""
    config, backbone = run.config, run.backbone
    slot = run.accelerator.process_index + run.accelerator.num_processes * m
    generator = slot_generator(config.seed, step, slot)
    places = positions(len(run.data), config.batch_size, step, slot, run.slots, config.seed)
    before = run.counter[0]
    with network_mode(backbone.unet, config.method.train_mode):
        with run.accelerator.autocast():
            loss, numbers = run.loss_fn(backbone, run.data.batch(backbone, places), generator)
        if not loss.requires_grad:
            raise InputError("the loss has no gradient: the reward must be differentiable in the frames.")
        evaluations = run.counter[0] - before
        run.accelerator.backward(loss / config.accumulation)
    return {"loss": loss.item(), **numbers, "unet_evaluations": evaluations}


def _mean_over_slots(run: Run, passes: list[dict[str, float]]) -> dict[str, float]:
    names = list(passes[0])
    table = torch.tensor([[one[name] for name in names] for one in passes], dtype=torch.float64)
    means = run.accelerator.reduce(table.mean(0).to(run.backbone.device), "mean")
    return dict(zip(names, means.tolist(), strict=True))


def _average_gradients(run: Run) -> None:
    for p in run.parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    if run.accelerator.num_processes == 1:
        return
    grads = _gradients(run.parameters)
    flat = run.accelerator.reduce(torch.cat([grad.flatten() for grad in grads]), "mean")
    for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
        grad.copy_(part.view_as(grad))


def _update(run: Run, good: bool, lr: float, norm: float) -> None:
    bound = run.config.max_grad_norm
    if good and bound is not None and norm > bound:
        for grad in _gradients(run.parameters):
            grad.mul_(bound / norm)
    scaler = run.accelerator.scaler
    if good or scaler is not None:  # fp16's scaler sees for itself that it must skip, and lowers its scale
        for group in run.optimizer.param_groups:
            group["lr"] = lr
        run.optimizer.step()


def _note(progress: Progress, good: bool, seconds: float, evaluations: int) -> None:
    progress.step += 1
    progress.skipped += not good
    progress.skipped_in_row = 0 if good else progress.skipped_in_row + 1
    progress.seconds += seconds
    progress.unet_evaluations += evaluations


def _gradients(parameters: Sequence[torch.nn.Parameter]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _norm(parameters: Sequence[torch.nn.Parameter]) -> float:
    return torch.stack([grad.double().square().sum() for grad in _gradients(parameters)]).sum().sqrt().item()
