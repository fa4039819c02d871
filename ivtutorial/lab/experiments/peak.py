"""Memory of a training step, counted: the bytes of all tensors that are alive at a time, at most.

A process's resident memory never falls, and depends on the allocator and on what ran before; counting what torch makes
and frees gives the same number on every machine, and on a GPU what its allocator would hand out, but for rounding.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ivtutorial.method.batch import Batch
from ivtutorial.method.settings import RewardMethod
from ivtutorial.models.lora import attach_lora
from ivtutorial.models.modes import network_mode

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone
    from ivtutorial.rewards.base import ImageReward


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are made in it and still alive: now, and at most.

    Args:
        known: tensors that were there before; views of them are no new memory.

    Attributes:
        now: bytes alive. peak: the most so far.

    Example:
        >>> with LiveBytes() as live:
        ...     x = torch.zeros(1000)
        ...     x = x + 1
        >>> live.now, live.peak
        (4000, 8000)
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known = {tensor.untyped_storage()._cdata for tensor in known}
        self.storages: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation of torch and take note of what it made."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.storages and storage._cdata not in self.known:
                    self.storages[storage._cdata] = storage.nbytes()
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._freed, storage._cdata)
        self.peak = max(self.peak, self.now)
        return result

    def _freed(self, key: int) -> None:
        self.now -= self.storages.pop(key, 0)


def peak_of_step(backbone: Backbone, reward: ImageReward, method: RewardMethod, captions: Sequence[str]) -> float:
    """Peak of the losses of one step and their backward passes, beside the models, in 2^20 bytes.

    Args:
        backbone: its UNet is copied, and the copy gets an adapter.
        reward: image reward.
        method: its settings.
        captions: of the clips of a step, whose latents are noise here: memory does not depend on them.
    """
    unet = copy.deepcopy(backbone.unet)
    attach_lora(unet)
    tuned = copy.copy(backbone)
    tuned.unet = unet
    generator = torch.Generator().manual_seed(0)
    z = torch.randn((len(captions), *backbone.latent_shape()), generator=generator)
    batch = Batch(z, backbone.embed(list(captions)), backbone.embed([""]), list(captions)).to(backbone.device)
    modules = [unet, backbone.vae, *([reward] if isinstance(reward, torch.nn.Module) else [])]
    weights = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    with network_mode(unet, method.train_mode), LiveBytes(weights) as live:
        for loss, _ in method.losses(tuned, batch, reward, generator):
            loss.backward()
    return live.peak / 2**20
