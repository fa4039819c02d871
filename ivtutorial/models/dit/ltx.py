"""LTX-Video: a flow-matching transformer on few, large latents; its decoder sees the whole clip at once.

| name      | symbol                         | shape                                             |
|-----------|--------------------------------|---------------------------------------------------|
| frames    | x                              | (B, F, 3, H, W), in [0, 1], F = 1 + 8 (f - 1)     |
| latents   | z = (E(x) - mean) factor / std | (B, 128, f, H / 32, W / 32), float32              |
| embeds    | text encoding of c             | (B, 128, E), rows of zeros behind each caption    |
| predictor | v_u + g (v_c - v_u)            | (z, t) -> like z, float32; t = 1000 s             |

The text encoder (T5) reads the padding, the transformer does not: its mask is where `embeds` has rows of zeros. Its
positions are in pixels and seconds, and taken at 25 frames a second, whatever the rate of the clips.

The autoencoder's encoder is causal, its decoder is not: a frame depends on later latents, too, so that a clip is one
chunk, and a chosen frame costs as much memory as all of them. A decoder that is conditioned on a noise level decodes at
level 0, as the stock pipeline does by default.

The grid, `LTXSchedule`, is tested against the stock scheduler, and all of this on small random models only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, prod
from typing import Any

from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.flow import FlowSchedule, flow_levels
from ivtutorial.models.dit.backbone import DitBackbone
from ivtutorial.models.dit.choosing import decode_chosen
from ivtutorial.weights.fingerprint import fingerprint


def ltx_shift(latents: int, ends: Sequence[float] = (1024, 0.95, 4096, 2.05)) -> float:
    """The shift of a clip's grid: more latents, more steps at high noise.

        shift = e^mu,  mu on the line through (n_0, mu_0) and (n_1, mu_1)

    Args:
        latents: n = f h w of the clip.
        ends: n_0, mu_0, n_1, mu_1.

    Example:
        >>> round(ltx_shift(1024), 3), round(ltx_shift(4096), 3)  # e^0.95, e^2.05
        (2.586, 7.768)
    """
    n_0, mu_0, n_1, mu_1 = ends
    return exp(mu_0 + (mu_1 - mu_0) * (latents - n_0) / (n_1 - n_0))


@dataclass(frozen=True)
class LTXSchedule(FlowSchedule):
    """The levels of `FlowSchedule` on a grid that is stretched, so that its last step starts at a given level.

        s'_i = 1 - (1 - s_i) (1 - terminal) / (1 - s_1),   i = D .. 1; one step alone starts at pure noise

    Attributes:
        shift: of clips of one size, see :func:`ltx_shift`; by default 17 frames of 512x704.
        terminal: s'_1, the level at which the last step starts; 0 for no stretch.

    Raises:
        InputError: shift is not a positive number, or terminal not in [0, 1).

    Example:
        >>> [round(t) for t in LTXSchedule(shift=3.0).timesteps(4)]
        [1000, 820, 550, 100]
    """

    shift: float = ltx_shift(3 * 16 * 22)
    terminal: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.terminal < 1:
            raise InputError(f"terminal = {self.terminal}: expected a noise level in [0, 1), e.g. 0.1.")

    def timesteps(self, D: int) -> tuple[float, ...]:
        """1000 s'_i for i = D .. 1."""
        levels = flow_levels(D, self.shift)
        stretch = (1 - self.terminal) / (1 - levels[-1]) if self.terminal and D > 1 else 1.0
        return tuple(1000 * (1 - (1 - s) * stretch) for s in levels)


@dataclass
class LTXBackbone(DitBackbone):
    """Transformer, autoencoder, text encoder (T5) and schedule of LTX-Video, see `DitBackbone`.

    The stock pipeline's shift follows the size of each clip. Here a backbone has one grid: give
    `LTXSchedule(ltx_shift(f * h * w))` as `scheduler` for clips of another size than 17 frames of 512x704, or write
    that shift into `scheduler/scheduler_config.json` of the folder, `"use_dynamic_shifting": false, "shift": ...`. No
    command has an option for it, for any family: a model that is tuned on one grid and sampled on another is not the
    same model, and the folder is what all commands share.

    Raises:
        InputError: on construction, with an autoencoder of another compression, or one that adds noise as it decodes.
    """

    family, tokens, size = "LTX-Video", 128, (512, 704)
    fps, guidance = 25.0, 3.0
    cell, frames_per_latent, chunk = 32, 8, 8
    reads_padding = True
    scheduler: LTXSchedule = field(default_factory=LTXSchedule)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.vae.spatial_compression_ratio, self.vae.temporal_compression_ratio
        if given != (self.cell, self.frames_per_latent):
            raise InputError(
                f"This autoencoder compresses {given[0]} pixels and {given[1]} frames into a latent: that of LTX-Video "
                f"does {self.cell} and {self.frames_per_latent}. Give that one."
            )
        if any(self.vae.config["decoder_inject_noise"]):
            raise InputError(
                "This autoencoder adds noise as it decodes, as 0.9.1's, so that a frame is another one each time. Give "
                "LTX-Video 0.9.0."
            )

    @classmethod
    def schedule_from(cls, config: Mapping[str, Any]) -> LTXSchedule:
        """Ends of the shift's line, or a fixed shift, and the terminal level are read, not the grid."""
        shift = float(config.get("shift", 1.0))
        if config.get("use_dynamic_shifting"):
            names = ("base_image_seq_len", "base_shift", "max_image_seq_len", "max_shift")
            ends = [float(config.get(name, usual)) for name, usual in zip(names, (256, 0.5, 4096, 1.15), strict=True)]
            shift = ltx_shift(3 * prod(side // cls.cell for side in cls.size), ends)
        return LTXSchedule(shift, float(config.get("shift_terminal") or 0.0))

    @property
    def channels(self) -> int:
        """128."""
        return int(self.vae.config["latent_channels"])

    @property
    def text_width(self) -> int:
        """4096."""
        return int(self.config["caption_channels"])

    @property
    def encoding(self) -> dict[str, Any]:
        """Weights with statistics, factor and precision of the autoencoder."""
        factor = float(self.vae.config["scaling_factor"])
        return {"vae": fingerprint(self.vae), "scaling_factor": factor, "dtype": str(self.vae.dtype)}

    def decode_frames(self, latents: Tensor, clips: Tensor, frames: Tensor) -> Tensor:
        """Chosen frames (N, 3, H, W), see :func:`ivtutorial.models.dit.choosing.decode_chosen`."""
        decoder, recompute = LTXDecoder(self.vae), self.memory.recompute_decode
        return decode_chosen(decoder, latents, clips, frames, recompute, self.frames_per_latent)

    def _encode(self, frames: Tensor) -> Tensor:
        z: Tensor = self.vae.encode(frames).latent_dist.mode().float()
        mean, std = _statistics(self.vae)
        return (z - mean) * self.vae.config["scaling_factor"] / std

    def _run(self, z: Tensor, t: Tensor, embeds: Tensor) -> Tensor:
        f, h, w = z.shape[2:]
        rows = z.flatten(2).transpose(1, 2).to(self.unet.dtype)  # (B, f h w, C)
        mask = (embeds != 0).any(dim=-1).to(embeds.dtype)
        scale = (self.frames_per_latent / self.fps, self.cell, self.cell)  # seconds and pixels of a latent
        output: Tensor = self.unet(rows, embeds, t, mask, f, h, w, rope_interpolation_scale=scale).sample
        return output.transpose(1, 2).unflatten(2, (f, h, w)).float()


@dataclass(frozen=True)
class LTXDecoder:
    """Its autoencoder, a whole clip at a time; there is no cache."""

    vae: Any

    @property
    def channels(self) -> int:
        """128."""
        return int(self.vae.config["latent_channels"])

    def chunks(self, f: int) -> Sequence[int]:
        """All of them."""
        return [f]

    def decode_chunk(self, z: Tensor, cache: None = None) -> tuple[Tensor, None]:
        """1 + 8 (f - 1) frames."""
        mean, std = _statistics(self.vae)
        x = (z * std / self.vae.config["scaling_factor"] + mean).to(self.vae.dtype)
        level = x.new_zeros(len(x)) if self.vae.config["timestep_conditioning"] else None
        frames: Tensor = self.vae.decoder(x, level)
        return frames.float().clamp(-1, 1) * 0.5 + 0.5, None


def _statistics(vae: Any) -> tuple[Tensor, Tensor]:
    mean, std = vae.latents_mean.float(), vae.latents_std.float()
    return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)
