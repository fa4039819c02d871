"""Choose, then decode, for a causal autoencoder: a frame needs all latents before it.

| name      | shape           | meaning                                                                        |
|-----------|-----------------|--------------------------------------------------------------------------------|
| latents   | (B, C, f, h, w) | z, as the network sees them                                                    |
| frames    | (B, F, 3, H, W) | F = 1 + n (f - 1): latent 0 holds frame 0, each later one n: four (LTX: eight) |
| chunk     | -               | latents that are decoded together: one (Wan), two (CogVideoX), all (LTX)       |
| `numbers` | (N,)            | of the chosen frames, 0 .. F - 1                                               |
| cache     | of its family   | what each causal convolution remembers of the latents so far                   |

Chunks before a chosen one are decoded without gradient, the chosen one with, chunks after the last one not at all. So
the values are those of the full decode, and the memory is that of the chosen chunks; with recomputing, of one. The
gradient is the full one's part that passes through the frame's own chunk: what earlier latents contribute by way of the
cache is left out.

With recomputing, a chunk runs again in the backward pass from the same cache, since none is ever changed: decoding a
chunk returns a new one. (Wan's autoencoder changes its own, the reason why it does not support gradient checkpointing.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recomputed

from ivtutorial.checks import check_latents
from ivtutorial.errors import InputError

FRAMES_PER_LATENT = 4  # but of the first; usual, not of every family


class ChunkDecoder(Protocol):
    """A causal autoencoder, chunk by chunk."""

    @property
    def channels(self) -> int:
        """C, of the latents."""

    def chunks(self, f: int) -> Sequence[int]:
        """How many latents each chunk of a clip of f latents has."""

    def decode_chunk(self, z: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Frames (1, 3, n, H, W) in [0, 1] of one clip's next latents; the cache (None at the start) for those after.

        The cache that is returned has no graph, and the one that is given stays as it is.
        """


def frame_count(f: int, per_latent: int = FRAMES_PER_LATENT) -> int:
    """Frames of f latents.

    Example:
        >>> frame_count(1), frame_count(5), frame_count(3, per_latent=8)
        (1, 17, 17)
    """
    return 1 + per_latent * (f - 1)


def decode_chosen(
    decoder: ChunkDecoder,
    latents: Tensor,
    clips: Tensor,
    numbers: Tensor,
    recompute: bool = False,
    per_latent: int = FRAMES_PER_LATENT,
) -> Tensor:
    """Chosen frames of some clips, with gradient to the latents of their chunks.

    Args:
        decoder: of the latents' family.
        latents: as the network sees them, (B, C, f, h, w).
        clips: clips that the chosen frames belong to, 0 .. B - 1, (N,), on the CPU; so are numbers.
        numbers: of the frames, 0 .. F - 1, (N,), in any order.
        recompute: run a chosen chunk again in the backward pass instead of storing its activations.
        per_latent: frames of a latent, but of the first.

    Returns:
        Frames (N, 3, H, W), float32, in [0, 1].

    Raises:
        InputError: wrong latents, or frames that the clips do not have.
    """
    check_latents(latents, decoder.channels)
    F = frame_count(latents.shape[2], per_latent)
    if not len(numbers) or numbers.shape != clips.shape or numbers.min() < 0 or numbers.max() >= F:
        raise InputError(
            f"frames {numbers.tolist()} of clips {clips.tolist()}: expected as many of both, frames from 0 to {F - 1} "
            f"({latents.shape[2]} latents are {F} frames)."
        )
    rows, places = [], []
    for clip, z in enumerate(latents.split(1)):
        where = (clips == clip).nonzero().flatten().tolist()
        if where:
            rows.append(_decode_clip(decoder, z, numbers[where].tolist(), recompute, per_latent))
            places += where
    return torch.cat(rows)[torch.tensor(places).argsort().to(latents.device, non_blocking=True)]


def _decode_clip(decoder: ChunkDecoder, z: Tensor, chosen: list[int], recompute: bool, n: int) -> Tensor:
    """Frames (S, 3, H, W) of one clip, (1, C, f, h, w), n frames a latent."""
    recording, cache = torch.is_grad_enabled(), None
    frames: dict[int, Tensor] = {}
    sizes = decoder.chunks(z.shape[2])
    for part, end in zip(z.split(list(sizes), dim=2), accumulate(sizes), strict=True):
        before = end - part.shape[2]
        numbers = range(frame_count(before, n) if before else 0, frame_count(end, n))
        wanted = not set(numbers).isdisjoint(chosen)
        with torch.set_grad_enabled(recording and wanted):
            again = recompute and torch.is_grad_enabled()
            run = decoder.decode_chunk
            decoded, cache = recomputed(run, part, cache, use_reentrant=False) if again else run(part, cache)
        frames |= {number: decoded[0, :, i] for i, number in enumerate(numbers) if number in chosen}
        if numbers.stop > max(chosen):
            break
    return torch.stack([frames[number] for number in chosen])
