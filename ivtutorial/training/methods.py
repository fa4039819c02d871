"""Every method behind one call: (models, batch, generator) -> the losses of one training step, one after another.

A method with a gradient through the reward (InstructVideo, DRaFT) and supervised tuning yield one loss. A round of RWR
or DDPO samples once and yields one loss for each of its `updates`; the training loop updates the adapter between two
of them, and a step of the loop, as a checkpoint sees it, is the whole round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ivtutorial.method import instructvideo
from ivtutorial.method.batch import Batch
from ivtutorial.rewards.base import ImageReward
from ivtutorial.rivals import ddpo, draft, rwr, supervised
from ivtutorial.training.guards import Guards, guard_terms

Method = instructvideo.InstructVideo | draft.Draft | rwr.RWR | ddpo.DDPO | supervised.Supervised
METHODS: tuple[type[Method], ...] = (
    instructvideo.InstructVideo,
    draft.Draft,
    rwr.RWR,
    ddpo.DDPO,
    supervised.Supervised,
)
Losses = Iterator[tuple[Tensor, dict[str, float]]]
StepLosses = Callable[[Any, Batch, torch.Generator], Losses]


def once(loss_fn: Callable[[Any, Batch, torch.Generator], tuple[Tensor, dict[str, float]]]) -> StepLosses:
    """A function with one loss as one with a single update."""

    def losses(models: Any, batch: Batch, generator: torch.Generator) -> Losses:
        yield loss_fn(models, batch, generator)

    return losses


def step_losses(method: Method, reward: ImageReward, guards: Guards | None = None) -> StepLosses:
    """The losses of a training step of a method, guards included.

    Args:
        method: settings, whose type says which method it is.
        reward: image reward; SegVR and TAR are put around it as the settings say.
        guards: further terms of the loss.

    Returns:
        (models, batch, generator) -> iterator over `method.updates` pairs of a loss and what to log.

    Example:
        >>> for loss, numbers in step_losses(Draft(), reward)(backbone, batch, generator):  # doctest: +SKIP
        ...     loss.backward()
        ...     optimizer.step()
    """
    call = partial(_method_losses, method, method.video_reward(reward))
    return call if guards in (None, Guards()) else partial(_guarded, call, method, guards)


def _method_losses(method: Method, video_reward: Any, models: Any, batch: Batch, generator: torch.Generator) -> Losses:
    if isinstance(method, rwr.RWR):
        yield from rwr.losses(models, batch, video_reward, method, generator)
    elif isinstance(method, ddpo.DDPO):
        yield from ddpo.losses(models, batch, video_reward, method, generator)
    elif isinstance(method, draft.Draft):
        yield draft.loss(models, batch, video_reward, method, generator)
    elif isinstance(method, supervised.Supervised):
        yield supervised.loss(models, batch, video_reward, method, generator)
    else:
        yield instructvideo.loss(models, batch, video_reward, method, generator)


def _guarded(
    call: StepLosses, method: Method, guards: Guards, models: Any, batch: Batch, generator: torch.Generator
) -> Losses:
    for value, numbers in call(models, batch, generator):
        extra, metrics = guard_terms(models, batch, guards, method.D, method.guidance, generator)
        yield value + extra, {**numbers, **metrics}
