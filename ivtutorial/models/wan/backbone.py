"""Wan 2.1 as three parts and a schedule.

| name      | symbol                    | shape                                        |
|-----------|---------------------------|----------------------------------------------|
| frames    | x                         | (B, F, 3, H, W), in [0, 1], F = 1 + 4 (f - 1) |
| latents   | z = (E(x) - mean) / std   | (B, 16, f, H / 8, W / 8), float32            |
| embeds    | text encoding of c        | (B, 512, E)                                  |
| predictor | v_u + g (v_c - v_u)       | (z, t) -> like z, float32; t = 1000 s        |

The parts are stock classes of diffusers and transformers. The grid is `FlowSchedule`'s, not the folder's scheduler's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from ivtutorial.checks import check_frames
from ivtutorial.errors import InputError
from ivtutorial.method.flow import FlowSchedule
from ivtutorial.models.memory import Memory
from ivtutorial.models.wan.decoding import FRAMES_PER_LATENT, decode_chosen, frame_count, from_vae
from ivtutorial.models.wan.prompts import encode_prompts, pad_prompts


@dataclass
class WanBackbone:
    """Transformer, autoencoder, text encoder and schedule of Wan 2.1.

    Attributes:
        transformer: the network that is fine-tuned.
        vae: the causal autoencoder.
        text_encoder: UMT5; None once every caption is encoded.
        tokenizer: the text encoder's.
        scheduler: levels and grid.
        memory: what `decode_frames` and `predictor` do to save memory.

    Raises:
        InputError: on construction, where the widths of the parts do not fit each other.
    """

    transformer: WanTransformer3DModel
    vae: AutoencoderKLWan
    text_encoder: Any = None
    tokenizer: Any = None
    scheduler: FlowSchedule = field(default_factory=FlowSchedule)
    memory: Memory = field(default_factory=Memory)
    _embeddings: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pairs = {
            "latent channels of autoencoder and transformer": (
                self.vae.config["z_dim"],
                self.transformer.config["in_channels"],
            )
        }
        if self.text_encoder is not None:
            widths = (self.text_encoder.config.d_model, self.transformer.config["text_dim"])
            pairs["text width of text encoder and transformer"] = widths
        for what, (left, right) in pairs.items():
            if left != right:
                raise InputError(f"These parts do not belong together: {what} are {left} and {right}.")

    @property
    def unet(self) -> WanTransformer3DModel:
        """The network that is fine-tuned, under the name that losses know."""
        return self.transformer

    @property
    def device(self) -> torch.device:
        """Where the transformer is."""
        return next(self.transformer.parameters()).device

    def freeze(self) -> WanBackbone:
        """Turn off all gradients to weights and put every part into eval mode (in place)."""
        for part in (self.transformer, self.vae, self.text_encoder):
            if part is not None:
                part.requires_grad_(False).eval()
        return self

    def embed(self, captions: Sequence[str]) -> Tensor:
        """Prompt embeddings (B, 512, E); "" is the unconditional one. Each caption is encoded once.

        Raises:
            InputError: new captions when the text encoder is gone.
        """
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._embeddings]
        if new and self.text_encoder is None:
            raise InputError(
                f"The text encoder is not loaded, and {new[0]!r} is not encoded. Encode every caption first."
            )
        if new or not captions:
            self._embeddings.update(zip(new, encode_prompts(self.text_encoder, self.tokenizer, new), strict=True))
        return pad_prompts([self._embeddings[caption] for caption in captions]).to(self.device)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Normalised latents (B, C, f, h, w) of clips (B, F, 3, H, W) in [0, 1], F = 1 + 4 k; no gradient.

        Raises:
            InputError: wrong shape, size or range.
        """
        side = 8 * self.transformer.config["patch_size"][-1]
        if (
            frames.ndim != 5
            or frames.shape[1] % FRAMES_PER_LATENT != 1
            or frames.shape[-1] % side
            or frames.shape[-2] % side
        ):
            raise InputError(
                f"Clips must have shape (B, F, 3, H, W) with F = 4 k + 1 (17, say) and H and W divisible by {side}, "
                f"got {tuple(frames.shape)}."
            )
        check_frames(frames.flatten(0, 1))
        x = (frames.transpose(1, 2) * 2 - 1).to(self.vae.device, self.vae.dtype)
        # One clip at a time: the peak is one clip's.
        return from_vae(self.vae, torch.cat([self.vae.encode(clip).latent_dist.mode().float() for clip in x.split(1)]))

    def frame_count(self, f: int) -> int:
        """F = 1 + 4 (f - 1)."""
        return frame_count(f)

    def decode_frames(self, latents: Tensor, clips: Tensor, frames: Tensor) -> Tensor:
        """Chosen frames (N, 3, H, W), see :func:`ivtutorial.models.wan.decoding.decode_chosen`."""
        return decode_chosen(self.vae, latents, clips, frames, self.memory.recompute_decode)

    @torch.no_grad()
    def decode_clips(self, latents: Tensor) -> Tensor:
        """All frames, (B, F, 3, H, W) in [0, 1]; no gradient."""
        B, F = len(latents), frame_count(latents.shape[2])
        clips, frames = torch.arange(B).repeat_interleave(F), torch.arange(F).repeat(B)
        return decode_chosen(self.vae, latents, clips, frames).unflatten(0, (B, F))

    def predictor(
        self, embeds: Tensor, uncond_embeds: Tensor | None = None, guidance: float = 1.0
    ) -> Callable[[Tensor, Tensor | float], Tensor]:
        """A closure (z, t) -> velocity with classifier-free guidance, v_u + g (v_c - v_u).

        Args:
            embeds: (B, 512, E) of the captions.
            uncond_embeds: (B, 512, E) or (1, 512, E) of the empty caption; may be absent when guidance is 1.
            guidance: g; the authors sample the 1.3B model with 6.

        Raises:
            InputError: guidance without uncond_embeds; when called, z of the wrong shape.
        """
        if guidance != 1 and uncond_embeds is None:
            raise InputError(f"Guidance {guidance} needs uncond_embeds. Pass backbone.embed(['']), or guidance 1.")

        def predict(z: Tensor, t: Tensor | float) -> Tensor:
            channels = self.transformer.config["in_channels"]
            if z.ndim != 5 or z.shape[:2] != (len(embeds), channels):
                raise InputError(
                    f"Latents must have shape ({len(embeds)}, {channels}, f, h, w) for {len(embeds)} captions, "
                    f"got {tuple(z.shape)}."
                )
            if guidance == 1 or uncond_embeds is None:
                return self._velocity(z, t, embeds)
            empty = uncond_embeds.expand_as(embeds)
            if self.memory.guidance_passes == 1:
                times = torch.as_tensor(t).expand(len(z)).repeat(2)
                v_u, v_c = self._velocity(torch.cat([z, z]), times, torch.cat([empty, embeds])).chunk(2)
            else:
                v_c, v_u = self._velocity(z, t, embeds), self._velocity(z, t, empty)
            return v_u + guidance * (v_c - v_u)

        return predict

    def _velocity(self, z: Tensor, t: Tensor | float, embeds: Tensor) -> Tensor:
        dtype = self.transformer.dtype
        times = torch.as_tensor(t, dtype=torch.float32, device=z.device).expand(len(z))
        output: Tensor = self.transformer(
            hidden_states=z.to(dtype), timestep=times, encoder_hidden_states=embeds.to(z.device, dtype)
        ).sample
        return output.float()
