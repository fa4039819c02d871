"""The methods by name, and the losses of one training step: the method's own, and what the guards add.

A new method is a class in `ivtutorial.rivals` and a row in `ivtutorial.rivals.named`.

A method with a gradient through the reward (InstructVideo, DRaFT, Direct-Align) and supervised tuning yield one loss. A
round of RWR, DDPO or KeptPrefix samples once and yields one loss for each of its `updates`; the training loop updates
the adapter between two of them, and a step of the loop, as a checkpoint sees it, is the whole round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ivtutorial.method.batch import Batch
from ivtutorial.method.settings import Losses, RewardMethod
from ivtutorial.rewards.base import ImageReward
from ivtutorial.rivals.named import METHOD_MODULES
from ivtutorial.training.guards import Guards, guard_terms

METHODS: dict[str, type[RewardMethod]] = {
    name: getattr(import_module(module), name) for name, module in METHOD_MODULES.items()
}
StepLosses = Callable[[Any, Batch, torch.Generator], Losses]


def once(loss_fn: Callable[[Any, Batch, torch.Generator], tuple[Tensor, Mapping[str, float | Tensor]]]) -> StepLosses:
    """A function with one loss as one with a single update."""

    def losses(backbone: Any, batch: Batch, generator: torch.Generator) -> Losses:
        loss, numbers = loss_fn(backbone, batch, generator)
        yield loss, dict(numbers)

    return losses


def step_losses(method: RewardMethod, reward: ImageReward, guards: Guards | None = None) -> StepLosses:
    """The losses of a training step of a method, guards included.

    Args:
        method: settings, whose `losses` are called.
        reward: image reward; SegVR and TAR are put around it as the settings say.
        guards: further terms of the loss; their draws come after the method's own.

    Returns:
        (backbone, batch, generator) -> iterator over `method.updates` pairs of a loss and what to log.

    Example:
        >>> for loss, numbers in step_losses(Draft(), reward)(backbone, batch, generator):  # doctest: +SKIP
        ...     loss.backward()
        ...     optimizer.step()
    """

    def losses(backbone: Any, batch: Batch, generator: torch.Generator) -> Losses:
        for loss, numbers in method.losses(backbone, batch, reward, generator):
            extra, metrics = guard_terms(backbone, batch, guards or Guards(), method.D, method.guidance, generator)
            yield loss + extra, {**numbers, **metrics}

    return losses
