"""Choose, then decode, for a causal autoencoder: a frame of a chunk needs all latents before it.

| name      | shape           | meaning                                                                   |
|-----------|-----------------|---------------------------------------------------------------------------|
| latents   | (B, C, f, h, w) | z, normalised: (E(x) - mean) / std for each channel                       |
| frames    | (B, F, 3, H, W) | F = 1 + 4 (f - 1): latent 0 holds frame 0, each later one a chunk of 4    |
| `numbers` | (N,)            | of the chosen frames, 0 .. F - 1                                          |
| cache     | a list          | what each causal convolution remembers of the latents so far              |

Chunks before a chosen one are decoded without gradient, the chosen one with, chunks after the last one not at all. So
the values are those of the full decode, and the memory is that of one chunk. The gradient is the full one's part that
passes through a frame's own latent: what earlier latents contribute by way of the cache is left out.

With recomputing, a chunk runs again in the backward pass from its own copy of the cache, which the autoencoder would
otherwise have changed meanwhile (the reason why it does not support gradient checkpointing itself).
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recomputed

from ivtutorial.checks import check_latents
from ivtutorial.errors import InputError

FRAMES_PER_LATENT = 4  # frames of a latent, but the first


def frame_count(f: int) -> int:
    """Frames of f latents.

    Example:
        >>> frame_count(1), frame_count(5)
        (1, 17)
    """
    return 1 + FRAMES_PER_LATENT * (f - 1)


def chunk_of(frame: int) -> int:
    """The latent that a frame belongs to.

    Example:
        >>> [chunk_of(frame) for frame in (0, 1, 4, 5)]
        [0, 1, 1, 2]
    """
    return -(-frame // FRAMES_PER_LATENT)


def to_vae(vae: AutoencoderKLWan, z: Tensor) -> Tensor:
    """Normalised latents as the autoencoder takes them: z std + mean."""
    mean, std = _statistics(vae, z)
    return z * std + mean


def from_vae(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """Latents of the autoencoder, normalised: (latents - mean) / std."""
    mean, std = _statistics(vae, latents)
    return (latents - mean) / std


def _statistics(vae: AutoencoderKLWan, like: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (like.new_tensor(vae.config[name]) for name in ("latents_mean", "latents_std"))
    return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)


def decode_chosen(
    vae: AutoencoderKLWan, latents: Tensor, clips: Tensor, numbers: Tensor, recompute: bool = False
) -> Tensor:
    """Chosen frames of some clips, with gradient to the latents of their chunks.

    Args:
        vae: of Wan 2.1.
        latents: normalised, (B, C, f, h, w).
        clips: clips that the chosen frames belong to, 0 .. B - 1, (N,).
        numbers: of the frames, 0 .. F - 1, (N,), in any order.
        recompute: run a chosen chunk again in the backward pass instead of storing its activations.

    Returns:
        Frames (N, 3, H, W), float32, in [0, 1].

    Raises:
        InputError: wrong latents, frames that the clip does not have, or an autoencoder of another family.
    """
    check_latents(latents, vae.config["z_dim"])
    if vae.config.get("patch_size") is not None:
        raise InputError("This autoencoder works on patches, as Wan 2.2's. Give one of Wan 2.1.")
    F = frame_count(latents.shape[2])
    if not len(numbers) or numbers.shape != clips.shape or numbers.min() < 0 or numbers.max() >= F:
        raise InputError(
            f"frames {numbers.tolist()} of clips {clips.tolist()}: expected as many of both, frames from 0 to {F - 1} "
            f"({latents.shape[2]} latents are {F} frames)."
        )
    rows, places = [], []
    for clip, z in enumerate(latents.split(1)):
        where = (clips == clip).nonzero().flatten().tolist()
        if where:
            rows.append(_decode_clip(vae, z, numbers[where].tolist(), recompute))
            places += where
    return torch.cat(rows)[torch.tensor(places).argsort()]


def _decode_clip(vae: AutoencoderKLWan, z: Tensor, chosen: list[int], recompute: bool) -> Tensor:
    """Frames (S, 3, H, W) of one clip, (1, C, f, h, w)."""
    recording, wanted = torch.is_grad_enabled(), {chunk_of(frame) for frame in chosen}
    cache = _empty_cache(vae)
    frames: dict[int, Tensor] = {}
    for j in range(max(wanted) + 1):
        with torch.set_grad_enabled(recording and j in wanted):
            again = recompute and torch.is_grad_enabled()
            after: list[Any] = []
            args = (vae, to_vae(vae, z[:, :, j : j + 1]), cache, after, j == 0)
            decoded = recomputed(_decode_chunk, *args, use_reentrant=False) if again else _decode_chunk(*args)
            first = 0 if j == 0 else 1 + FRAMES_PER_LATENT * (j - 1)
            frames |= {first + i: decoded[0, :, i] for i in range(decoded.shape[2]) if first + i in chosen}
        cache = after
    return torch.stack([frames[frame] for frame in chosen])


def _empty_cache(vae: AutoencoderKLWan) -> list[Any]:
    """One entry for each causal convolution; there are more entries than the decoder reads, as in diffusers."""
    convolution = type(vae.post_quant_conv)
    return [None] * sum(isinstance(part, convolution) for part in vae.decoder.modules())


def _decode_chunk(vae: AutoencoderKLWan, x: Tensor, cache: list[Any], after: list[Any], first: bool) -> Tensor:
    """Frames (1, 3, n, H, W) in [0, 1] of one latent; `after` receives the cache for the next one, without graph."""
    own = list(cache)
    named = (
        {"first_chunk": True} if first and "first_chunk" in inspect.signature(vae.decoder.forward).parameters else {}
    )
    frames: Tensor = vae.decoder(vae.post_quant_conv(x.to(vae.dtype)), feat_cache=own, feat_idx=[0], **named)
    after[:] = [entry.detach() if isinstance(entry, Tensor) else entry for entry in own]
    return frames.float().clamp(-1, 1) * 0.5 + 0.5
