"""Pools as the diffusion models see them: latents, and where the subject is.

| file | content |
|---|---|
| `latents.bin` | float16 (N, F, C, 8, 8) |
| `cover.bin` | uint8 (N, F, 8, 8): how much of each cell the subject covers, 255 all |
| `encoded.bin` | uint8 (blocks,): which blocks are encoded |
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.train_all.loop import to_device
from ivtutorial.lab.reduced_models.train_all.pool import BLOCK, Pool, open_bytes

AT_ONCE = 1024  # frames that a GPU encodes at a time


class Encoded:
    """A pool's latents, covers and tokens as tensors that share memory with the files; see the module's docstring.

    Attributes:
        latents: float16 (N, F, C, 8, 8). cover: uint8 (N, F, 8, 8). tokens: int16 (N, W, 24), of the pool.
    """

    def __init__(self, folder: Path, pool: Pool, channels: int) -> None:
        self.folder, self.pool = folder / pool.config.name, pool
        self.folder.mkdir(parents=True, exist_ok=True)
        n, f = len(pool), pool.config.frames
        latents = open_bytes(self.folder / "latents.bin", (n, f, channels, 8, 8 * 2))
        self.latents = torch.from_numpy(latents).view(torch.float16)
        self.cover = torch.from_numpy(open_bytes(self.folder / "cover.bin", (n, f, 8, 8)))
        self.tokens = torch.from_numpy(pool.tokens)
        self.is_encoded = open_bytes(self.folder / "encoded.bin", (-(-n // BLOCK),))

    def __len__(self) -> int:
        return len(self.latents)

    def fill(self, vae: AutoencoderKL, rank: int = 0, size: int = 1, bf16: bool = True) -> None:
        """Encode what is missing of this process's share; the autoencoder's device does the work, and a GPU as many
        blocks at a time as hold :data:`AT_ONCE` frames."""
        device = next(vae.parameters()).device
        many = 1 if device.type == "cpu" else max(1, AT_ONCE // (BLOCK * self.pool.config.frames))
        missing = [block for block in range(rank, len(self.is_encoded), size) if not self.is_encoded[block]]
        for first in range(0, len(missing), many):
            blocks = missing[first : first + many]
            rows = np.concatenate([np.arange(b * BLOCK, min((b + 1) * BLOCK, len(self))) for b in blocks])
            pixels = to_device(torch.from_numpy(self.pool.pixels[rows]), device)
            self.latents[rows] = encode_pixels(vae, pixels, bf16).cpu()
            masks = to_device(np.unpackbits(self.pool.masks[rows], axis=2).reshape(-1, 1, 64, 64), device)
            cover = F.avg_pool2d(masks.float(), 8)[:, 0] * 255
            self.cover[rows] = cover.round().to(torch.uint8).unflatten(0, (len(rows), -1)).cpu()
            self.is_encoded[blocks] = 1

    def to(self, device: torch.device) -> Encoded:
        """With everything on a device; on the CPU the files stay mapped."""
        if device.type != "cpu":
            self.latents, self.cover, self.tokens = (x.to(device) for x in (self.latents, self.cover, self.tokens))
        return self

    def frames(self, index: NDArray[np.int64], frame: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Single frames: latents float32 (B, C, 8, 8) and covers in [0, 1], (B, 1, 8, 8)."""
        i, f = self._on(index), self._on(frame)
        return self.latents[i, f].float(), self.cover[i, f].float()[:, None] / 255

    def windows(self, index: NDArray[np.int64], start: NDArray[np.int64], length: int) -> tuple[Tensor, Tensor]:
        """Consecutive frames of clips: latents float32 (B, C, F, 8, 8) and covers (B, 1, F, 8, 8)."""
        i = self._on(index)[:, None]
        f = self._on(start)[:, None] + torch.arange(length, device=i.device)
        return self.latents[i, f].float().transpose(1, 2), self.cover[i, f].float()[:, None] / 255

    def texts(self, index: NDArray[np.int64], wording: NDArray[np.int64]) -> Tensor:
        """Token numbers, int64 (B, 24)."""
        return self.tokens[self._on(index), self._on(wording)].long()

    def _on(self, index: NDArray[np.int64]) -> Tensor:
        return to_device(index, self.latents.device)


@torch.no_grad()
def encode_pixels(vae: AutoencoderKL, pixels: Tensor, bf16: bool = True, batch: int = 256) -> Tensor:
    """Latents of uint8 clips (N, F, 64, 64, 3): float16 (N, F, C, 8, 8), on the autoencoder's device."""
    n, f = pixels.shape[:2]
    parts = []
    device = next(vae.parameters()).device
    for part in pixels.flatten(0, 1).split(batch):
        x = part.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            # In float32 from the last convolution on: bfloat16 would round latents to 1 part in 256.
            hidden = vae.encoder(x)
        z = vae.quant_conv(hidden.float())[:, : vae.config.latent_channels]
        parts.append(z.half())
    latents = torch.cat(parts)
    if not torch.isfinite(latents).all():
        raise InputError("the autoencoder gives latents that are not finite")
    return latents.unflatten(0, (n, f))
