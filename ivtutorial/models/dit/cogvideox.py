"""CogVideoX-2B: a transformer that predicts the velocity of the circle, with a causal autoencoder.

| name      | symbol                       | shape                                             |
|-----------|------------------------------|---------------------------------------------------|
| frames    | x                            | (B, F, 3, H, W), in [0, 1], F = 1 + 8 k           |
| latents   | z = scaling_factor * E(x)    | (B, 16, f, H / 8, W / 8), float32, f = 1 + 2 k    |
| embeds    | text encoding of c           | (B, 226, E)                                       |
| predictor | v_u + g (v_c - v_u)          | (z, t) -> like z, float32; t = 0 .. 999           |

The autoencoder decodes two latents at a time, the first three together, so that F - 1 is a multiple of 8. The text
encoder (T5) reads the padding, too, and all of its 226 embeddings count: they are kept whole.

The levels, `ZeroSnrSchedule`: the paper's alphas with less signal at every step (`snr_shift`), moved so that the last
one is pure noise, and a grid that begins there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ivtutorial.checks import positive
from ivtutorial.errors import InputError
from ivtutorial.method.flow import Level, LevelSchedule
from ivtutorial.method.schedule import ddim_timesteps
from ivtutorial.models.dit.backbone import DitBackbone
from ivtutorial.models.dit.choosing import decode_chosen
from ivtutorial.system.step_draws import randint_rows
from ivtutorial.weights.fingerprint import fingerprint

T = 1000


@dataclass(frozen=True)
class ZeroSnrSchedule(LevelSchedule):
    """Levels and grid of CogVideoX: a^2 + b^2 = 1, a = 0 at the last timestep and 1 at the end of the chain.

    With abar of the paper's schedule and the shift k,

        abar' = abar / (k + (1 - k) abar),   a_t = (sqrt(abar'_t) - sqrt(abar'_T)) c,   c so that a_0 stays;
        timesteps: round(T - i T / D) - 1 for i = 0 .. D - 1.

    Attributes:
        snr_shift: k, 3 for the 2B model.

    Raises:
        InputError: snr_shift is not a positive number.

    Example:
        >>> ZeroSnrSchedule().timesteps(4), ZeroSnrSchedule().level(999)
        ((999, 749, 499, 249), (0.0, 1.0))
    """

    snr_shift: float = 3.0
    config = MappingProxyType({"prediction_type": "v_prediction", "num_train_timesteps": T})

    def __post_init__(self) -> None:
        positive(self, "snr_shift")

    @cached_property
    def table(self) -> Tensor:
        """a_t for t = 0 .. 999, float64."""
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, T, dtype=torch.float64) ** 2
        abar = (1 - betas).cumprod(0)
        a = (abar / (self.snr_shift + (1 - self.snr_shift) * abar)).sqrt()
        return (a - a[-1]) * a[0] / (a[0] - a[-1])

    def level(self, t: float | Tensor) -> Level:
        """Shares (a, sqrt(1 - a^2))."""
        if isinstance(t, Tensor):
            a = self.table.to(t.device)[t.long()]
            dtype = t.dtype if t.is_floating_point() else torch.float32
            return a.to(dtype), (1 - a**2).sqrt().to(dtype)
        share = 1.0 if t < 0 else float(self.table[int(t)])
        return share, float(1 - share**2) ** 0.5

    def timesteps(self, D: int) -> tuple[float, ...]:
        """999, ..., T / D - 1, rounded."""
        ddim_timesteps(D)
        return tuple(round(T - i * T / D) - 1 for i in range(D))

    def draw_timesteps(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform timesteps 0 .. 999."""
        return randint_rows(T, (count,), generator)


@dataclass
class CogVideoXBackbone(DitBackbone):
    """Transformer, autoencoder, text encoder (T5) and schedule of CogVideoX-2B, see `DitBackbone`.

    Raises:
        InputError: on construction, with a transformer of CogVideoX-5B or 1.5, whose positions are encoded otherwise.
    """

    family, tokens, size = "CogVideoX", 226, (480, 720)
    fps, guidance = 8.0, 6.0
    chunk, reads_padding, keeps_padding = 8, True, True
    scheduler: LevelSchedule = field(default_factory=ZeroSnrSchedule)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.config.get("use_rotary_positional_embeddings") or self.config.get("patch_size_t") is not None:
            raise InputError("This transformer has rotary positions or patches in time: give CogVideoX-2B.")

    @staticmethod
    def schedule_from(config: Mapping[str, Any]) -> ZeroSnrSchedule:
        """Only the shift of the levels is read."""
        return ZeroSnrSchedule(float(config.get("snr_shift_scale", 3.0)))

    @property
    def channels(self) -> int:
        """16."""
        return int(self.vae.config["latent_channels"])

    @property
    def text_width(self) -> int:
        """4096."""
        return int(self.config["text_embed_dim"])

    @property
    def encoding(self) -> dict[str, Any]:
        """Weights, factor and precision of the autoencoder."""
        factor = float(self.vae.config["scaling_factor"])
        return {"vae": fingerprint(self.vae), "scaling_factor": factor, "dtype": str(self.vae.dtype)}

    def decode_frames(self, latents: Tensor, clips: Tensor, frames: Tensor) -> Tensor:
        """Chosen frames (N, 3, H, W), see :func:`ivtutorial.models.dit.choosing.decode_chosen`."""
        return decode_chosen(CogVideoXDecoder(self.vae), latents, clips, frames, self.memory.recompute_decode)

    def _encode(self, frames: Tensor) -> Tensor:
        z: Tensor = self.vae.encode(frames).latent_dist.mode()
        return z.float() * self.vae.config["scaling_factor"]

    def _run(self, z: Tensor, t: Tensor, embeds: Tensor) -> Tensor:
        frames_first = z.transpose(1, 2).to(self.unet.dtype)
        output: Tensor = self.unet(frames_first, embeds, t.long()).sample
        return output.transpose(1, 2).float()


@dataclass(frozen=True)
class CogVideoXDecoder:
    """Its autoencoder two latents at a time; the cache is passed in and returned, by names."""

    vae: Any

    @property
    def channels(self) -> int:
        """16."""
        return int(self.vae.config["latent_channels"])

    def chunks(self, f: int) -> Sequence[int]:
        """Two latents each, and one more in the first."""
        if f % 2 == 0:
            raise InputError(f"{f} latents: clips of CogVideoX have an odd number, from 8 k + 1 frames.")
        return [f] if f <= 3 else [3, *[2] * ((f - 3) // 2)]

    def decode_chunk(self, z: Tensor, cache: Mapping[str, Any] | None) -> tuple[Tensor, Any]:
        """1 + 4 (n - 1) frames of the first n latents, four of each later one."""
        x = (z / self.vae.config["scaling_factor"]).to(self.vae.dtype)
        if self.vae.post_quant_conv is not None:
            x = self.vae.post_quant_conv(x)
        frames, after = self.vae.decoder(x, conv_cache=cache)
        return (frames.float() * 0.5 + 0.5).clamp(0, 1), _without_graph(after)


def _without_graph(cache: Any) -> Any:
    if isinstance(cache, Mapping):
        return {name: _without_graph(entry) for name, entry in cache.items()}
    return cache.detach() if isinstance(cache, Tensor) else cache
