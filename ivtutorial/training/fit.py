"""A backbone and a reward fitted into memory, as `ivtutorial.models.memory.Memory` says, for the time of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from ivtutorial.models.memory import Memory
from ivtutorial.rewards.base import HasTextTower
from ivtutorial.rewards.combine import Recomputed
from ivtutorial.system.out_of_memory import explain_out_of_memory, is_out_of_memory

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone
    from ivtutorial.rewards.base import ImageReward

logger = logging.getLogger(__name__)


def warn_of_lost_gradients(dtype: torch.dtype, scaler: object) -> None:
    """Warns of a network in fp16 without loss scaling: with K = 1 most of its gradient is smaller than fp16's numbers.

    Args:
        dtype: of the network that is fine-tuned, such as a backbone that was opened before.
        scaler: accelerate's, None without loss scaling.
    """
    if dtype == torch.float16 and scaler is None:
        logger.warning("The network is in fp16 without loss scaling: small gradients become 0. Set precision = 'fp16'.")


@contextmanager
def fitted(backbone: AnyBackbone, reward: ImageReward, memory: Memory) -> Iterator[ImageReward]:
    """Works as `memory` says inside the block, and as before after it.

    Precision is not changed here: it is chosen where models are opened. Running out of the GPU's memory inside
    raises an error with advice, see `explain_out_of_memory`.

    Args:
        backbone: changed in place for a while.
        reward: any image reward.
        memory: the settings.

    Yields:
        The reward to use inside.
    """
    before, text_device, recomputed = backbone.memory, backbone.text_device, backbone.unet.is_gradient_checkpointing
    backbone.memory = memory
    _recompute(backbone, memory.recompute_unet)
    if memory.compile:
        backbone.unet.compile()
    try:
        with explain_out_of_memory():
            yield Recomputed(reward) if memory.recompute_reward else reward
    finally:
        backbone.memory = before
        _recompute(backbone, recomputed)
        if memory.compile:
            backbone.unet._compiled_call_impl = None  # there is no public way back from Module.compile
        _bring_back(backbone, reward, memory, text_device)


@contextmanager
def using(backbone: AnyBackbone, memory: Memory) -> Iterator[None]:
    """`memory` for a while, and advice where the GPU's memory ends; for encoding, before the network is needed."""
    before, backbone.memory = backbone.memory, memory
    try:
        with explain_out_of_memory():
            yield
    finally:
        backbone.memory = before


def _recompute(backbone: AnyBackbone, on: bool) -> None:
    if on:
        backbone.unet.enable_gradient_checkpointing()
    else:
        backbone.unet.disable_gradient_checkpointing()


def _bring_back(backbone: AnyBackbone, reward: ImageReward, memory: Memory, device: torch.device | str) -> None:
    """The text towers go back to the other parts of model and reward; on a full GPU they stay in main memory."""
    if not memory.offload_text:
        return
    try:
        backbone.move_text(device)
        if isinstance(reward, HasTextTower):
            reward.offload_text(backbone.device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        _to_main_memory(backbone, reward)


def _to_main_memory(backbone: AnyBackbone, reward: ImageReward) -> None:
    backbone.move_text("cpu")
    if isinstance(reward, HasTextTower):
        reward.offload_text("cpu")


def offload_text(backbone: AnyBackbone, reward: ImageReward) -> None:
    """Move the text towers to main memory if `backbone.memory.offload_text` is set; for when all captions are encoded.

    Args:
        backbone: its embeddings stay known, and appear on the UNet's device.
        reward: one that has a text tower of its own (`offload_text`), or any other.
    """
    if backbone.memory.offload_text:
        _to_main_memory(backbone, reward)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
