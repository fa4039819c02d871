"""The text-to-video model as five parts, and the few things that the method does with them.

| name      | symbol                     | shape                                                         |
|-----------|----------------------------|---------------------------------------------------------------|
| frames    | x                          | (B, F, 3, H, W), or single ones (N, 3, H, W), float, in [0, 1] |
| latents   | z = scaling_factor * E(x)  | (B, C, F, h, w), or single ones (N, C, h, w), float32          |
| embeds    | text encoding of c         | (B, L, E)                                                     |
| predictor | e_u + g (e_c - e_u)        | (z, t) -> like z, float32                                     |

The parts are stock classes of diffusers and transformers (the UNet is `VideoUNet`). Opening and writing them as a
folder is the business of `ivtutorial.models.backbone_folder`.

Where it differs: prompt embeddings are the text encoder's last hidden state, as in diffusers' pipeline; the
authors' own code takes open_clip's penultimate layer with the final norm, the same thing where the text
encoder was converted without its last layer, as ModelScope's was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recomputed
from transformers import CLIPTextModel

from ivtutorial.checks import check_captions, check_frames, check_tensor
from ivtutorial.errors import InputError
from ivtutorial.method.video_reward import FrameByFrame
from ivtutorial.models.memory import Memory
from ivtutorial.models.unet import VideoUNet
from ivtutorial.weights.fingerprint import fingerprint

Predictor = Callable[[Tensor, "Tensor | float"], Tensor]

logger = logging.getLogger(__name__)

_MODELS = ("unet", "vae", "text_encoder")


@dataclass
class Backbone(FrameByFrame):
    """UNet, VAE, text encoder, tokenizer and noise schedule that belong together.

    `memory` trades time for memory; it holds the defaults of `decode` and `predictor`.

    Raises:
        InputError: on construction, where the widths of the parts do not fit each other.

    Example:
        >>> backbone = open_model("reduced")  # doctest: +SKIP
        >>> embeds, empty = backbone.embed(["a red fox running"]), backbone.embed([""])  # doctest: +SKIP
        >>> predict = backbone.predictor(embeds, empty, guidance=3.0)  # doctest: +SKIP
    """

    unet: VideoUNet
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: Any
    scheduler: DDIMScheduler
    memory: Memory = field(default_factory=Memory)
    _embeddings: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        unet, text_width = self.unet.config, self.text_encoder.config.hidden_size
        pairs = {
            "latent channels of VAE and UNet": (self.vae.config.latent_channels, unet.in_channels),
            "text width of text encoder and UNet": (text_width, unet.cross_attention_dim),
        }
        for what, (left, right) in pairs.items():
            if left != right:
                raise InputError(f"These parts do not belong together: {what} are {left} and {right}.")

    @property
    def device(self) -> torch.device:
        """Where the UNet is."""
        return next(self.unet.parameters()).device

    @property
    def vae_factor(self) -> int:
        """Pixels per latent cell along one side; 8 at full size."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def encoding(self) -> dict[str, Any]:
        """What latents depend on besides frames, for the cache of encoded clips: the VAE, its factor and precision."""
        factor = self.vae.config.scaling_factor
        return {"vae": fingerprint(self.vae), "scaling_factor": factor, "dtype": str(self.vae.dtype)}

    @property
    def text_key(self) -> str:
        """A short hash of the text encoder."""
        return fingerprint(self.text_encoder)

    @property
    def caption_limit(self) -> int:
        """Tokens of a caption that are read."""
        return int(self.tokenizer.model_max_length)

    @property
    def text_device(self) -> torch.device:
        """Where the text encoder is."""
        return self.text_encoder.device  # type: ignore[no-any-return]

    def move_text(self, device: torch.device | str) -> None:
        """Move the text encoder; embeddings that are known stay so."""
        self.text_encoder.to(device)

    def latent_shape(self, frames: int = 16, height: int | None = None, width: int | None = None) -> tuple[int, ...]:
        """Shape (C, F, h, w) of one clip's latents; height and width in pixels, default the model's own."""
        own = self.unet.config.sample_size
        if own is None and not (height and width):
            raise InputError("This model has no size of its own. Give height and width in pixels.")
        sides = [side // self.vae_factor if side else own for side in (height, width)]
        return (self.vae.config.latent_channels, frames, *sides)

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> Backbone:
        """Move all models (in place)."""
        target = {"device": device} | ({"dtype": dtype} if dtype else {})
        for name in _MODELS:
            getattr(self, name).to(**target)
        self._embeddings.clear()
        return self

    def freeze(self) -> Backbone:
        """Turn off all gradients to weights and put every model into eval mode (in place)."""
        for name in _MODELS:
            getattr(self, name).requires_grad_(False).eval()
        return self

    def embed(self, captions: Sequence[str]) -> Tensor:
        """Prompt embeddings (B, L, E) of B captions; "" is the unconditional one.

        A longer caption is cut to L tokens, with a warning. Each caption is encoded once and remembered while
        the text encoder is frozen.

        Raises:
            InputError: no caption, or one that is not text.
        """
        check_captions(captions)
        if not captions:
            raise InputError("The list of captions is empty. Give at least one caption.")
        if any(p.requires_grad for p in self.text_encoder.parameters()):
            return self._encode_text(list(captions)).to(self.device)
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._embeddings]
        if new:
            with torch.no_grad():
                self._embeddings.update(zip(new, self._encode_text(new).cpu(), strict=True))
        return torch.stack([self._embeddings[caption] for caption in captions]).to(self.device, non_blocking=True)

    def _encode_text(self, captions: list[str]) -> Tensor:
        length = self.tokenizer.model_max_length
        for caption, ids in zip(captions, self.tokenizer(captions, verbose=False).input_ids, strict=True):
            if len(ids) > length:
                logger.warning("Caption cut to %d tokens: %r", length, caption)
        tokens = self.tokenizer(
            captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        hidden: Tensor = self.text_encoder(tokens.to(self.text_encoder.device)).last_hidden_state
        return hidden

    def encode(self, frames: Tensor, generator: torch.Generator | None = None, chunk: int | None = None) -> Tensor:
        """Latents (B, C, F, h, w), times the scaling factor, of clips (B, F, 3, H, W) in [0, 1]; no gradient.

        Args:
            frames: H and W divisible by `vae_factor`.
            generator: draws a posterior sample, as the authors train; without one the posterior mean.
            chunk: frames encoded at a time; default `decode_chunk` of `memory`.

        Raises:
            InputError: wrong shape or range.
        """
        check_tensor(frames, "Clips")
        if frames.ndim != 5 or frames.shape[-1] % self.vae_factor or frames.shape[-2] % self.vae_factor:
            raise InputError(
                f"Clips must have shape (B, F, 3, H, W) with H and W divisible by {self.vae_factor}, "
                f"got {tuple(frames.shape)}."
            )
        check_frames(frames.flatten(0, 1))
        with torch.no_grad():
            chunks = frames.flatten(0, 1).split(chunk or self.memory.decode_chunk)
            parts = [self._encode_frames(part, generator) for part in chunks]
        return torch.cat(parts).unflatten(0, frames.shape[:2]).transpose(1, 2).contiguous()

    def _encode_frames(self, frames: Tensor, generator: torch.Generator | None) -> Tensor:
        posterior = self.vae.encode((frames * 2 - 1).to(self.vae.device, self.vae.dtype)).latent_dist
        z = posterior.mode() if generator is None else posterior.sample(generator)
        return z.float() * self.vae.config.scaling_factor

    def decode(self, latents: Tensor, chunk: int | None = None, recompute: bool | None = None) -> Tensor:
        """Frames (N, 3, H, W), float32, clamped to [0, 1], of latents (N, C, h, w); differentiable.

        As in the authors' code the clamp comes last, so a pixel that leaves [0, 1] has no gradient.

        Args:
            latents: times the scaling factor.
            chunk: frames decoded at a time; default as `memory` says.
            recompute: recompute each chunk in the backward pass, so that one chunk's activations are the
                peak; default as `memory` says.

        Raises:
            InputError: wrong shape.
        """
        channels = self.vae.config.latent_channels
        check_tensor(latents, "Latents")
        if latents.ndim != 4 or latents.shape[1] != channels:
            raise InputError(f"Latents of frames must have shape (N, {channels}, h, w), got {tuple(latents.shape)}.")
        again = self.memory.recompute_decode if recompute is None else recompute
        run = partial(recomputed, self._decode_frames, use_reentrant=False) if again else self._decode_frames
        return torch.cat([run(part) for part in latents.split(chunk or self.memory.decode_chunk)])

    def _decode_frames(self, latents: Tensor) -> Tensor:
        images = self.vae.decode((latents / self.vae.config.scaling_factor).to(self.vae.dtype)).sample
        return (images.float() * 0.5 + 0.5).clamp(0, 1)

    def decode_clips(self, latents: Tensor, chunk: int | None = None) -> Tensor:
        """Clips (B, F, 3, H, W) in [0, 1] of latents (B, C, F, h, w)."""
        return self.decode(latents.transpose(1, 2).flatten(0, 1), chunk).unflatten(0, (len(latents), -1))

    def predictor(
        self,
        embeds: Tensor,
        uncond_embeds: Tensor | None = None,
        guidance: float = 1.0,
        batched: bool | None = None,
    ) -> Predictor:
        """A closure (z, t) -> model output with classifier-free guidance, e_u + g (e_c - e_u).

        Guidance 1 is the conditional prediction, in one pass. Gradients flow through both predictions.

        Args:
            embeds: (B, L, E) of the captions.
            uncond_embeds: (B, L, E) or (1, L, E) of the empty caption; may be absent when guidance is 1.
            guidance: g. The paper trains and evaluates with 3, diffusers' pipeline defaults to 9.
            batched: both predictions in one pass of batch 2B; else two passes, which halves the peak memory. Default
                as `memory` says.

        Raises:
            InputError: guidance without uncond_embeds; when called, z of the wrong shape.
        """
        if guidance != 1 and uncond_embeds is None:
            raise InputError(f"Guidance {guidance} needs uncond_embeds. Pass backbone.embed(['']), or guidance 1.")

        together = self.memory.guidance_passes == 1 if batched is None else batched

        def predict(z: Tensor, t: Tensor | float) -> Tensor:
            clips, channels = len(embeds), self.unet.config.in_channels
            check_tensor(z, "Latents")
            if z.ndim != 5 or z.shape[:2] != (clips, channels):
                expected = f"({clips}, {channels}, F, h, w) for {clips} captions"
                raise InputError(f"Latents must have shape {expected}, got {tuple(z.shape)}.")
            if guidance == 1 or uncond_embeds is None:
                return self._run_unet(z, t, embeds)
            empty = uncond_embeds.expand_as(embeds)
            if together:
                t2 = torch.cat([t, t]) if isinstance(t, Tensor) and t.ndim else t
                e_u, e_c = self._run_unet(torch.cat([z, z]), t2, torch.cat([empty, embeds])).chunk(2)
            else:
                # The authors' order; it decides which dropout mask goes where.
                e_c = self._run_unet(z, t, embeds)
                e_u = self._run_unet(z, t, empty)
            return e_u + guidance * (e_c - e_u)

        return predict

    def _run_unet(self, z: Tensor, t: Tensor | float, embeds: Tensor) -> Tensor:
        dtype = self.unet.dtype
        if not isinstance(t, Tensor):  # as diffusers does, but filled on the device: a copy would wait for it
            t = torch.full((), t, dtype=torch.int64 if isinstance(t, int) else torch.float32, device=z.device)
        output: Tensor = self.unet(z.to(dtype), t, encoder_hidden_states=embeds.to(z.device, dtype)).sample
        return output.float()
