"""Stand-ins for models: the smallest of the real classes, and networks whose answers can be written down.

| stand-in       | for                                                                                            |
|----------------|------------------------------------------------------------------------------------------------|
| `toy_backbone` | a `Backbone` of the real classes: a tenth of `tiny_backbone`'s time, for tests of many steps   |
| `GuidedToy`    | a guided prediction (z, t) -> output                                                           |
| `TextBackbone` | what a loss needs of a backbone, with text and dropout                                         |
| `Line`         | the same with one channel and a parameter for each timestep                                    |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ivtutorial.method.batch import Batch
from ivtutorial.method.video_reward import FrameByFrame
from ivtutorial.models.scheduler import make_scheduler

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone


def toy_backbone(tokenizer: Any) -> Backbone:
    """Random, frozen, in eval mode: one block a side, 8x8 latents of 4 channels, frames of 16x16, eps-prediction."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    from ivtutorial.models.backbone import Backbone
    from ivtutorial.models.unet import VideoUNet

    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=16, **ids,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = VideoUNet(
            sample_size=8, block_out_channels=(8,), down_block_types=("CrossAttnDownBlock3D",),
            up_block_types=("CrossAttnUpBlock3D",), layers_per_block=1, cross_attention_dim=8, attention_head_dim=4,
            norm_num_groups=4,
        )  # fmt: skip
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(4, 4), norm_num_groups=2, latent_channels=4, sample_size=16,
        )  # fmt: skip
        text_encoder = CLIPTextModel(text)
        for name, parameter in unet.named_parameters():
            if ".conv4." in name:  # zero at the start, which would hide time
                torch.nn.init.normal_(parameter, std=0.1)
    return Backbone(unet, vae, text_encoder, tokenizer, make_scheduler()).freeze()


# --- networks so small that their answers can be written down ---------------------------------------------------------


def seeded(seed: int) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def brightness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    """A reward that ignores the captions: the mean of each frame."""
    return frames.mean(dim=(1, 2, 3))


def latents(seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random latents of two clips of three frames, for `GuidedToy`."""
    return torch.randn((2, 4, 3, 5, 5), generator=seeded(seed), dtype=dtype)


class GuidedToy(nn.Module):
    """A smooth stand-in for the guided UNet, (z, t) -> output: it mixes space and time, and depends on t."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.conv = nn.Conv3d(4, 4, 3, padding=1, dtype=dtype)
        self.scale = nn.Parameter(torch.tensor(0.3, dtype=dtype))

    def forward(self, z: Tensor, t: int) -> Tensor:
        return torch.tanh(self.conv(z) + self.scale * t / 1000)


class TextToy(nn.Module):
    """A UNet in little, (z, t, embeds) -> output: mixes space and time, listens to t and the text, has dropout."""

    config = SimpleNamespace(in_channels=4)

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.conv, self.text = nn.Conv3d(4, 4, 3, padding=1), nn.Linear(6, 4)
        self.dropout = nn.Dropout(0.3)

    def forward(self, z: Tensor, t: Any, embeds: Tensor) -> Tensor:
        text = self.text(embeds).mean(dim=1)[:, :, None, None, None]
        time = t.view(-1, 1, 1, 1, 1) if isinstance(t, Tensor) and t.ndim else t
        return torch.tanh(self.conv(self.dropout(z)) + text + time / 1000)


@dataclass
class TextBackbone(FrameByFrame):
    """What a loss needs of a backbone, around `TextToy`; frames are three of the latents' channels."""

    unet: TextToy = field(default_factory=TextToy)
    scheduler: Any = field(default_factory=make_scheduler)

    def predictor(self, embeds: Tensor, uncond: Tensor, guidance: float) -> Callable[[Tensor, int], Tensor]:
        def predict(z: Tensor, t: int) -> Tensor:
            e_c, e_u = self.unet(z, t, embeds), self.unet(z, t, uncond.expand_as(embeds))
            return e_u + guidance * (e_c - e_u)

        return predict

    def decode(self, latents: Tensor) -> Tensor:
        return torch.sigmoid(latents[:, :3])


class Decoder(FrameByFrame):
    """A function of latents (N, C, h, w) as a decoder."""

    def __init__(self, decode: Callable[[Tensor], Tensor]) -> None:
        self.run = decode

    def decode(self, latents: Tensor) -> Tensor:
        return self.run(latents)


def text_backbone(prediction_type: str = "epsilon", dtype: torch.dtype = torch.float32) -> TextBackbone:
    """In eval mode."""
    backbone = TextBackbone(scheduler=make_scheduler(prediction_type))
    backbone.unet.to(dtype).eval()
    return backbone


def text_batch(dtype: torch.dtype = torch.float32) -> Batch:
    """Two clips of eight frames for `TextBackbone`."""
    z, c, u = (
        torch.randn(shape, generator=seeded(i)) for i, shape in enumerate([(2, 4, 8, 3, 3), (2, 5, 6), (1, 5, 6)])
    )
    return Batch(z.to(dtype), c.to(dtype), u.to(dtype), ("a red fox", "a bear by the river"))


class Affine(nn.Module):
    """Predicts a z + b + theta_t, one theta for each timestep: simple enough to solve by hand."""

    config = SimpleNamespace(in_channels=1)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.theta = nn.Parameter(torch.zeros(1000))

    def forward(self, z: Tensor, t: Any) -> Tensor:
        theta = self.theta[t]
        return self.a * z + self.b + (theta.view(-1, 1, 1, 1, 1) if theta.ndim else theta)


@dataclass
class Line(FrameByFrame):
    """A backbone around `Affine` whose "video" has one channel; frames show it squashed into [0, 1]."""

    unet: Affine = field(default_factory=Affine)
    scheduler: Any = field(default_factory=make_scheduler)
    calls: list[int] = field(default_factory=list)

    def predictor(self, embeds: Tensor, uncond: Tensor, guidance: float) -> Callable[..., Tensor]:
        def predict(z: Tensor, t: Any) -> Tensor:
            self.calls.append(len(z))
            return self.unet(z, t)

        return predict

    def decode(self, latents: Tensor) -> Tensor:
        return torch.sigmoid(latents).expand(-1, 3, -1, -1)


def line(prediction_type: str = "epsilon") -> Line:
    """In eval mode."""
    backbone = Line(scheduler=make_scheduler(prediction_type))
    backbone.unet.eval()
    return backbone


def clips(count: int = 2, shape: tuple[int, ...] = (1, 4, 2, 2), seed: int = 0) -> Batch:
    """Random clips for `Line`."""
    z = torch.randn((count, *shape), generator=seeded(seed))
    return Batch(z, torch.zeros(count, 3, 2), torch.zeros(1, 3, 2), [f"clip {i}" for i in range(count)])
