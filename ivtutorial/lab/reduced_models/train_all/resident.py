"""A pool whose pictures lie on the device that trains, while they are still being drawn.

On a GPU a batch is chosen where it is used: pictures go there once, as uint8, and only the numbers of those chosen
afterwards. A stage begins as soon as a part is drawn; what comes later joins once a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ivtutorial.lab.reduced_models.train_all.loop import to_device
from ivtutorial.lab.reduced_models.train_all.pool import Pool

LEAST = 1 / 16  # of a pool: that much is drawn before anything learns from it
PAUSE = 0.2  # seconds between looks at a pool that is not far enough


class ResidentPool:
    """Answers as :class:`.pool.Pool` does, from a device's memory; its beginning as far as it is drawn."""

    def __init__(self, pool: Pool, device: torch.device, check: Callable[[], None] = lambda: None) -> None:
        """Copies what is there.

        Args:
            pool: in files, perhaps still being drawn by other processes.
            device: where the pictures go.
            check: called while too little is drawn; raises when nobody draws any more.
        """
        self.pool, self.config, self.device, self.check = pool, pool.config, device, check
        arrays = (pool.pixels, pool.masks, pool.classes)
        self.pixels, self.masks, self.classes = (torch.empty(a.shape, dtype=torch.uint8, device=device) for a in arrays)
        self.bits = torch.arange(7, -1, -1, dtype=torch.uint8, device=device)
        self._ready, self._looked = 0, 0.0

    def __len__(self) -> int:
        return len(self.pool)

    @property
    def ready(self) -> int:
        """Number of clips to choose from; waits until that is a :data:`LEAST` part."""
        while self._ready < len(self) and (self._ready < LEAST * len(self) or time.monotonic() > self._looked + 1):
            self._copy(self.pool.beginning)
            if self._ready < LEAST * len(self):
                self.check()
                time.sleep(PAUSE)
        return self._ready

    def _copy(self, end: int) -> None:
        new = slice(self._ready, end)
        pairs = ((self.pixels, self.pool.pixels), (self.masks, self.pool.masks), (self.classes, self.pool.classes))
        for there, here in pairs:
            there[new].copy_(torch.from_numpy(here[new]))
        self._ready, self._looked = end, time.monotonic()

    def labels(self, index: NDArray[np.int64]) -> Tensor:
        """Numbers of subject, colour and facing, int64 (B, 3)."""
        return self.classes[to_device(index, self.device)].long()

    def frames(self, index: NDArray[np.int64], frame: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Single frames: uint8 (B, 3, 64, 64), and their masks, bool (B, 64, 64)."""
        i, f = to_device(index, self.device), to_device(frame, self.device)
        masks = (self.masks[i, f][..., None] >> self.bits & 1).bool()
        return self.pixels[i, f].permute(0, 3, 1, 2), masks.flatten(1).unflatten(1, self.pixels.shape[2:4])


AnyPool = Pool | ResidentPool
