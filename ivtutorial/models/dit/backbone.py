"""What the families of video transformers have in common: text, guidance, and parts that are loaded when needed.

| name      | symbol              | shape                                                   |
|-----------|---------------------|---------------------------------------------------------|
| frames    | x                   | (B, F, 3, H, W), in [0, 1], F = 1 + n (f - 1), n = 4 or 8 |
| latents   | z                   | (B, C, f, H / cell, W / cell), float32, as the network sees them |
| embeds    | text encoding of c  | (B, L, E), padded with zeros to the family's L          |
| predictor | o_u + g (o_c - o_u) | (z, t) -> like z, float32                               |

A family (`ivtutorial.models.dit.wan`) adds its autoencoder and the call of its network. The parts are stock classes of
diffusers and transformers. The transformer is loaded when something asks for it; the text encoder, which is larger, is
dropped before, and loaded again for a caption that nobody had encoded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ivtutorial.checks import check_frames, check_tensor
from ivtutorial.errors import InputError
from ivtutorial.method.flow import LevelSchedule
from ivtutorial.models.dit.choosing import FRAMES_PER_LATENT, frame_count
from ivtutorial.models.dit.parts import Part, config_of
from ivtutorial.models.dit.prompt_side import PromptSide
from ivtutorial.models.memory import Memory


@dataclass
class DitBackbone(PromptSide, ABC):
    """Transformer, autoencoder, text encoder and schedule that belong together.

    Attributes:
        transformer: the network that is fine-tuned, or where it lies.
        vae: the causal autoencoder.
        text_encoder: a network, where it lies, or None: then only captions that are known can be embedded.
        tokenizer: the text encoder's.
        scheduler: levels and grid.
        memory: what `decode_frames` and `predictor` do to save memory.
        source: the pipeline's folder, if it was opened from one.

    Raises:
        InputError: on construction, where the widths of the parts do not fit each other.
    """

    size: ClassVar[tuple[int, int]]  # height and width in pixels that the family was trained for
    fps: ClassVar[float]  # frames a second, likewise
    guidance: ClassVar[float]  # scale of the guidance in its authors' pipeline
    cell: ClassVar[int] = 8  # pixels of a latent cell along a side
    frames_per_latent: ClassVar[int] = FRAMES_PER_LATENT  # of every latent but the first
    chunk: ClassVar[int] = FRAMES_PER_LATENT  # F - 1 is a multiple of it

    transformer: Any
    vae: Any
    scheduler: LevelSchedule
    text_encoder: Any = None
    tokenizer: Any = None
    memory: Memory = field(default_factory=Memory)
    source: Path | None = None
    _embeddings: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pairs = {"latent channels of autoencoder and transformer": (self.channels, self.config["in_channels"])}
        if self.text_encoder is not None:
            width = config_of(self.text_encoder)["d_model"]
            pairs["text width of text encoder and transformer"] = (width, self.text_width)
        for what, (left, right) in pairs.items():
            if left != right:
                raise InputError(f"These parts do not belong together: {what} are {left} and {right}.")

    # What a family says

    @staticmethod
    @abstractmethod
    def schedule_from(config: Mapping[str, Any]) -> LevelSchedule:
        """Levels and grid, from the settings of a folder's scheduler."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """C, channels of the autoencoder's latents."""

    @property
    @abstractmethod
    def encoding(self) -> dict[str, Any]:
        """What latents depend on besides frames, for the cache of encoded clips."""

    @abstractmethod
    def decode_frames(self, latents: Tensor, clips: Tensor, frames: Tensor) -> Tensor:
        """Chosen frames (N, 3, H, W), see :class:`ivtutorial.method.video_reward.FrameDecoder`."""

    @abstractmethod
    def _encode(self, frames: Tensor) -> Tensor:
        """Latents (1, C, f, h, w) of one clip (1, 3, F, H, W) in [-1, 1]."""

    @abstractmethod
    def _run(self, z: Tensor, t: Tensor, embeds: Tensor) -> Tensor:
        """The transformer's output, float32, shaped like z, for timesteps (B,)."""

    # The parts

    @property
    def config(self) -> Mapping[str, Any]:
        """Of the transformer."""
        return config_of(self.transformer)

    @property
    def unet(self) -> Any:
        """The transformer, under the name that losses know; the text encoder goes before it comes."""
        if isinstance(self.transformer, Part):
            self.move_text("cpu")
            self.transformer = self.transformer.load()
        return self.transformer

    @property
    def device(self) -> torch.device:
        """Where the autoencoder is, and the transformer, too."""
        return next(self.vae.parameters()).device  # type: ignore[no-any-return]

    @property
    def vae_factor(self) -> int:
        """Pixels per latent cell along one side."""
        return self.cell

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> DitBackbone:
        """Move all parts (in place), those that are not loaded when they come."""
        target: dict[str, Any] = {"device": device} | ({"dtype": dtype} if dtype else {})
        self.vae.to(**target)
        for name in ("transformer", "text_encoder"):
            part = getattr(self, name)
            if isinstance(part, Part):
                setattr(self, name, replace(part, **target))
            elif part is not None:
                part.to(**target)
        return self

    def freeze(self) -> DitBackbone:
        """Turn off all gradients to weights and put every part into eval mode (in place)."""
        for part in (self.transformer, self.vae, self.text_encoder):
            if isinstance(part, nn.Module):
                part.requires_grad_(False).eval()
        return self

    # Frames and latents

    def frame_count(self, f: int) -> int:
        """F = 1 + `frames_per_latent` (f - 1)."""
        return frame_count(f, self.frames_per_latent)

    def latent_shape(self, frames: int = 17, height: int | None = None, width: int | None = None) -> tuple[int, ...]:
        """Shape (C, f, h, w) of one clip's latents; height and width in pixels, default the family's own.

        Raises:
            InputError: another number of frames than 4 k + 1 (8 k + 1), or sides that do not divide.
        """
        if frames % self.chunk != 1:
            low = max(frames - 1, 0) // self.chunk * self.chunk + 1
            raise InputError(
                f"frames = {frames}: clips of {self.family} have {self.chunk} k + 1 frames: use {low} or "
                f"{low + self.chunk}."
            )
        sides, step = (height or self.size[0], width or self.size[1]), self.cell * self._patch()
        if any(side % step for side in sides):
            raise InputError(
                f"{sides[0]}x{sides[1]} pixels: height and width of {self.family} are multiples of {step}."
            )
        f = (frames - 1) // self.frames_per_latent + 1
        return (self.channels, f, sides[0] // self.cell, sides[1] // self.cell)

    def _patch(self) -> int:
        size = self.config["patch_size"]
        return int(size if isinstance(size, int) else size[-1])

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents (B, C, f, h, w) of clips (B, F, 3, H, W) in [0, 1]; no gradient.

        Raises:
            InputError: wrong shape, size or range.
        """
        check_tensor(frames, "Clips")
        if frames.ndim != 5:
            raise InputError(f"Clips must have shape (B, F, 3, H, W), got {tuple(frames.shape)}.")
        self.latent_shape(frames.shape[1], *frames.shape[-2:])
        check_frames(frames.flatten(0, 1))
        x = (frames.transpose(1, 2) * 2 - 1).to(self.device, self.vae.dtype)
        return torch.cat([self._encode(clip) for clip in x.split(1)])  # the peak is one clip's

    @torch.no_grad()
    def decode_clips(self, latents: Tensor) -> Tensor:
        """All frames, (B, F, 3, H, W) in [0, 1]; no gradient."""
        B, F = len(latents), self.frame_count(latents.shape[2])
        clips, frames = torch.arange(B).repeat_interleave(F), torch.arange(F).repeat(B)
        return self.decode_frames(latents, clips, frames).unflatten(0, (B, F))

    # Guidance

    def predictor(
        self, embeds: Tensor, uncond_embeds: Tensor | None = None, guidance: float = 1.0
    ) -> Callable[[Tensor, Tensor | float], Tensor]:
        """A closure (z, t) -> output with classifier-free guidance, o_u + g (o_c - o_u).

        Args:
            embeds: (B, L, E) of the captions.
            uncond_embeds: (B, L, E) or (1, L, E) of the empty caption; may be absent when guidance is 1.
            guidance: g; the authors of Wan 2.1 sample the 1.3B model with 6.

        Raises:
            InputError: guidance without uncond_embeds; when called, z of the wrong shape.
        """
        if guidance != 1 and uncond_embeds is None:
            raise InputError(f"Guidance {guidance} needs uncond_embeds. Pass backbone.embed(['']), or guidance 1.")

        def run(z: Tensor, t: Tensor | float, texts: Tensor) -> Tensor:
            # A number is filled in where it is needed: a copy would wait for a GPU.
            times = t if isinstance(t, Tensor) else torch.full((), t, device=z.device)
            times = times.to(z.device, torch.float32, non_blocking=True).expand(len(z))
            return self._run(z, times, texts.to(z.device, self.unet.dtype))

        def predict(z: Tensor, t: Tensor | float) -> Tensor:
            check_tensor(z, "Latents")
            if z.ndim != 5 or z.shape[:2] != (len(embeds), self.channels):
                raise InputError(
                    f"Latents must have shape ({len(embeds)}, {self.channels}, f, h, w) for {len(embeds)} captions, "
                    f"got {tuple(z.shape)}."
                )
            if guidance == 1 or uncond_embeds is None:
                return run(z, t, embeds)
            empty = uncond_embeds.expand_as(embeds)
            if self.memory.guidance_passes == 1:
                times = torch.cat([t, t]) if isinstance(t, Tensor) and t.ndim else t
                o_u, o_c = run(torch.cat([z, z]), times, torch.cat([empty, embeds])).chunk(2)
            else:
                o_c, o_u = run(z, t, embeds), run(z, t, empty)
            return o_u + guidance * (o_c - o_u)

        return predict
