"""Wan 2.1: a flow-matching transformer with a causal autoencoder.

| name      | symbol                    | shape                                         |
|-----------|---------------------------|-----------------------------------------------|
| frames    | x                         | (B, F, 3, H, W), in [0, 1], F = 1 + 4 (f - 1) |
| latents   | z = (E(x) - mean) / std   | (B, 16, f, H / 8, W / 8), float32             |
| embeds    | text encoding of c        | (B, 512, E)                                   |
| predictor | v_u + g (v_c - v_u)       | (z, t) -> like z, float32; t = 1000 s         |

The grid is `FlowSchedule`'s, not the folder's scheduler's; of that only the shift is read.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.flow import FlowSchedule
from ivtutorial.models.dit.backbone import DitBackbone
from ivtutorial.models.dit.choosing import decode_chosen
from ivtutorial.models.dit.prompts import PROMPT_TOKENS
from ivtutorial.models.dit.tiny_decoder import TinyDecoder
from ivtutorial.weights.fingerprint import fingerprint


@dataclass
class WanBackbone(DitBackbone):
    """Transformer, autoencoder, text encoder (UMT5) and schedule of Wan 2.1, see `DitBackbone`.

    Attributes:
        tiny_decoder: decodes frames that have a gradient, if given; all others go through the autoencoder.

    Raises:
        InputError: on construction, with other numbers of means and deviations than channels.
    """

    family, tokens, size = "Wan 2.1", PROMPT_TOKENS, (480, 832)
    fps, guidance = 16.0, 5.0
    scheduler: FlowSchedule = field(default_factory=FlowSchedule)
    tiny_decoder: TinyDecoder | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        lengths = [len(self.vae.config[name]) for name in ("latents_mean", "latents_std")]
        if lengths != [self.channels] * 2:
            raise InputError(
                f"This autoencoder has {lengths[0]} means and {lengths[1]} deviations for {self.channels} channels: "
                "its config.json was changed. Copy it again."
            )

    @staticmethod
    def schedule_from(config: Mapping[str, Any]) -> FlowSchedule:
        """Only the shift is read, not the grid."""
        return FlowSchedule(float(config.get("flow_shift", config.get("shift", 3.0))))

    @property
    def channels(self) -> int:
        """16."""
        return int(self.vae.config["z_dim"])

    @property
    def text_width(self) -> int:
        """4096."""
        return int(self.config["text_dim"])

    @property
    def encoding(self) -> dict[str, Any]:
        """Weights, statistics and precision of the autoencoder."""
        names = ("latents_mean", "latents_std")
        statistics = {name: list(self.vae.config[name]) for name in names}
        return {"vae": fingerprint(self.vae), **statistics, "dtype": str(self.vae.dtype)}

    def decode_frames(self, latents: Tensor, clips: Tensor, frames: Tensor) -> Tensor:
        """Chosen frames (N, 3, H, W), see :func:`ivtutorial.models.dit.choosing.decode_chosen`."""
        has_gradient = torch.is_grad_enabled() and latents.requires_grad
        decoder = self.tiny_decoder if self.tiny_decoder is not None and has_gradient else WanDecoder(self.vae)
        return decode_chosen(decoder, latents, clips, frames, self.memory.recompute_decode)

    def _encode(self, frames: Tensor) -> Tensor:
        return from_vae(self.vae, self.vae.encode(frames).latent_dist.mode().float())

    def _run(self, z: Tensor, t: Tensor, embeds: Tensor) -> Tensor:
        output: Tensor = self.unet(z.to(self.unet.dtype), t, embeds).sample
        return output.float()


@dataclass(frozen=True)
class WanDecoder:
    """Its autoencoder latent by latent, see :class:`ivtutorial.models.dit.choosing.ChunkDecoder`.

    The cache is a list with one entry for each causal convolution; there are more than the decoder reads, as in
    diffusers.

    Raises:
        InputError: on construction, with an autoencoder of Wan 2.2, which works on patches.
    """

    vae: AutoencoderKLWan

    def __post_init__(self) -> None:
        if self.vae.config.get("patch_size") is not None:
            raise InputError("This autoencoder works on patches, as Wan 2.2's. Give one of Wan 2.1.")

    @property
    def channels(self) -> int:
        """16."""
        return int(self.vae.config["z_dim"])

    def chunks(self, f: int) -> Sequence[int]:
        """One latent each."""
        return [1] * f

    def decode_chunk(self, z: Tensor, cache: list[Any] | None) -> tuple[Tensor, list[Any]]:
        """The first latent gives one frame, each later one four."""
        first, named = cache is None, {}
        if first and "first_chunk" in inspect.signature(self.vae.decoder.forward).parameters:
            named = {"first_chunk": True}
        convolution = type(self.vae.post_quant_conv)
        count = sum(isinstance(part, convolution) for part in self.vae.decoder.modules())
        own = [None] * count if cache is None else list(cache)
        x = self.vae.post_quant_conv(to_vae(self.vae, z).to(self.vae.dtype))
        frames: Tensor = self.vae.decoder(x, feat_cache=own, feat_idx=[0], **named)
        after = [entry.detach() if isinstance(entry, Tensor) else entry for entry in own]
        return frames.float().clamp(-1, 1) * 0.5 + 0.5, after


def to_vae(vae: AutoencoderKLWan, z: Tensor) -> Tensor:
    """Normalised latents as the autoencoder takes them: z std + mean."""
    mean, std = _statistics(vae, z)
    return z * std + mean


def from_vae(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """Latents of the autoencoder, normalised: (latents - mean) / std."""
    mean, std = _statistics(vae, latents)
    return (latents - mean) / std


def _statistics(vae: AutoencoderKLWan, like: Tensor) -> tuple[Tensor, Tensor]:
    kept = (vae.config[name] for name in ("latents_mean", "latents_std"))
    mean, std = (torch.tensor(values, dtype=like.dtype).to(like.device, non_blocking=True) for values in kept)
    return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)
