"""Stage 1 of the text-to-video model: a stock ``UNet2DConditionModel`` on single frames.

It predicts v from latents of unit variance, at noise levels that :mod:`.noise_levels` draws. Two thirds of the training
see frames whose only fault is a watermark: shapes are learnt from pictures that show them. The rest sees web quality.
Cells that show the subject weigh more until the last third, which trains the true expectation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel

from ivtutorial.lab.reduced_models.train_all.encoded import Encoded
from ivtutorial.lab.reduced_models.train_all.loop import StepLoss, TrainStep, to_device
from ivtutorial.lab.reduced_models.train_all.parts.noise_levels import NoiseLevels
from ivtutorial.lab.reduced_models.train_all.pool import WORDINGS
from ivtutorial.lab.reduced_models.video_model import v_pair
from ivtutorial.method.chain import sample
from ivtutorial.models.scheduler import make_scheduler

ATTENTION_WIDTH = 16


@dataclass(frozen=True)
class ImageConfig:
    """Stage 1.

    Attributes:
        widths: channels of the UNet's two levels.
        levels: distribution of noise levels.
        cover: how much more a cell full of the subject weighs; until ``cover_until`` of the budget.
        web_from: share of the budget after which most frames have web quality; ``web_share`` of them.
        dropout: share of captions that are dropped, for guidance.
        lr: peak learning rate.
    """

    widths: tuple[int, ...] = (80, 160)
    levels: NoiseLevels = field(default_factory=NoiseLevels)
    cover: float = 2.0
    cover_until: float = 0.7
    web_from: float = 0.65
    web_share: float = 0.75
    dropout: float = 0.1
    lr: float = 1e-3


def new_image_unet(channels: int, text_width: int, widths: tuple[int, ...] = (64, 128)) -> UNet2DConditionModel:
    """Stage 1's network. ``attention_head_dim`` means the number of heads in this class."""
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=channels, out_channels=channels, block_out_channels=widths,
        down_block_types=("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2, layers_per_block=1,
        cross_attention_dim=text_width, attention_head_dim=tuple(c // ATTENTION_WIDTH for c in widths),
        norm_num_groups=8, use_linear_projection=True,
    )  # fmt: skip
    return unet


class HalfGroupNorm(nn.GroupNorm):
    """A group norm whose input and output are of autocast's type, on a GPU as on a CPU; its sums are float32 anyway.

    A GPU's autocast would make both float32: twice the bytes, where these small networks spend most of their time.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) -> the same shape."""
        device = input.device.type
        if not torch.is_autocast_enabled(device):
            return super().forward(input)
        dtype = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            return F.group_norm(
                input.to(dtype), self.num_groups, self.weight.to(dtype), self.bias.to(dtype), self.eps
            )  # fmt: skip


def on_device(model: Any, device: torch.device) -> Any:
    """Move a network to a device, in the form that trains fastest there; what it computes and saves stays the same.

    On a CPU attention becomes two matrix products: with so few and so narrow heads the fused kernel's backward pass
    takes longer than everything else together in bfloat16 (57 % of a step). On a GPU convolutions want their channels
    last, and group norms are :class:`HalfGroupNorm`.
    """
    if device.type == "cpu":
        if hasattr(model, "set_attn_processor"):
            model.set_attn_processor(AttnProcessor())
        return model
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
        elif type(module) is nn.GroupNorm:
            module.__class__ = HalfGroupNorm
    return model.to(device)


class Texts(nn.Module):
    """The frozen text encoder, and the tokens of the empty caption."""

    empty: Tensor

    def __init__(self, encoder: CLIPTextModel, empty: Tensor) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.register_buffer("empty", empty)

    @torch.no_grad()
    def forward(self, ids: Tensor, dropped: Tensor | None = None) -> Tensor:
        """States (B, 24, width) of token numbers, with the empty caption where ``dropped``."""
        if dropped is not None:
            ids = torch.where(dropped[:, None], self.empty, ids)
        states: Tensor = self.encoder(ids).last_hidden_state
        return states


class VLoss:
    """The loss of a diffusion model that predicts v = sqrt(abar) eps - sqrt(1 - abar) z."""

    def __init__(self, levels: NoiseLevels, device: torch.device) -> None:
        self.levels = levels
        self.scheduler = make_scheduler("v_prediction")
        self.alphas_bar = self.scheduler.alphas_cumprod.double().numpy()
        self.scheduler.alphas_cumprod = self.scheduler.alphas_cumprod.to(device)

    def timesteps(self, step: TrainStep, count: int) -> Tensor:
        """This process's share of ``count`` stratified timesteps."""
        drawn = self.levels.draw(self.alphas_bar, count, step.rng)
        return to_device(step.own(drawn), step.group.device)

    def __call__(
        self, unet: Callable[..., Any], z: Tensor, t: Tensor, noise: Tensor, text: Tensor, weights: Tensor
    ) -> Tensor:
        """Weighted mean squared error for each sample, (B,).

        Args:
            unet: the network.
            z: latents (B, C, ..., 8, 8).
            noise: of the same shape.
            t: timesteps (B,).
            text: states (B, 24, width).
            weights: (B, 1, ..., 8, 8), of mean 1 in each sample.
        """
        noisy, v = v_pair(self.scheduler, z, noise, t)
        error = (unet(noisy, t, text).sample.float() - v).square()
        return (weights * error).flatten(1).mean(1)


def cover_weights(cover: Tensor, strength: float) -> Tensor:
    """1 + strength x cover, over its mean in each sample."""
    weights = 1.0 + strength * cover
    return weights / weights.flatten(1).mean(1).view(-1, *[1] * (cover.ndim - 1))


def draw_frames(step: TrainStep, frames: Encoded, clips: Encoded, count: int, web_share: float) -> tuple[Tensor, ...]:
    """This process's share of ``count`` single frames: latents, covers and token numbers."""
    from_clips = round(count * web_share)
    z, cover, ids = [], [], []
    for store, share in ((frames, count - from_clips), (clips, from_clips)):
        index = step.rng.integers(len(store), size=share)
        frame = step.rng.integers(store.latents.shape[1], size=share)
        wording = step.rng.integers(WORDINGS, size=share)
        index, frame, wording = step.own(index), step.own(frame), step.own(wording)
        if len(index):
            drawn = store.frames(index, frame)
            z.append(drawn[0])
            cover.append(drawn[1])
            ids.append(store.texts(index, wording))
    return torch.cat(z), torch.cat(cover), torch.cat(ids)


def image_loss(
    unet: nn.Module, texts: Texts, frames: Encoded, clips: Encoded, config: ImageConfig, device: torch.device
) -> StepLoss:
    """The loss of stage 1 for :func:`~ivtutorial.lab.reduced_models.train_all.loop.fit_part`."""
    v_loss = VLoss(config.levels, device)

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        web_share = config.web_share if step.progress >= config.web_from else 0.0
        z, cover, ids = draw_frames(step, frames, clips, step.batch, web_share)
        strength = config.cover if step.progress < config.cover_until else 0.0
        t = v_loss.timesteps(step, step.batch)
        text = texts(ids, step.uniform(len(z)) < config.dropout)
        each = v_loss(unet, z, t, step.normal(z), text, cover_weights(cover, strength))
        return each.mean(), {}

    return loss


def adamw(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Fused AdamW over everything that is trained."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.99), weight_decay=0.0, fused=True)]


@torch.no_grad()
def sample_latents(
    unet: nn.Module, text: Tensor, empty: Tensor, shape: tuple[int, ...], seed: int = 0, steps: int = 20,
    guidance: float = 3.0, bf16: bool = True,
) -> Tensor:  # fmt: skip
    """DDIM with classifier-free guidance.

    Args:
        unet: predicts v.
        text: states of the captions, (B, 24, width).
        empty: states of the empty caption, (1, 24, width).
        shape: of one sample's latents: (C, 8, 8) or (C, F, 8, 8).
        seed: of the noise.
        steps: of the sampler.
        guidance: its scale.
        bf16: compute in bfloat16.

    Returns:
        Latents (B, *shape), float32.
    """
    noise = torch.randn((len(text), *shape), generator=torch.Generator().manual_seed(seed)).to(text.device)
    clips = noise if noise.ndim == 5 else noise[:, :, None]
    predict = guided(unet, text, empty, guidance, frames=noise.ndim == 4)
    with torch.autocast(text.device.type, torch.bfloat16, enabled=bf16):
        z = sample(predict, clips, make_scheduler("v_prediction"), steps)
    return z.view_as(noise)


def guided(
    unet: nn.Module, text: Tensor, empty: Tensor, guidance: float, frames: bool
) -> Callable[[Tensor, float], Tensor]:
    """A closure (z, t) -> v with classifier-free guidance for :func:`ivtutorial.method.chain.denoise`, (B, C, F, 8, 8).

    Args:
        unet: predicts v.
        text: states of the captions, (B, 24, width).
        empty: states of the empty caption, (1, 24, width).
        guidance: scale.
        frames: the network takes single frames (B, C, 8, 8): clips have one.
    """
    both = torch.cat([empty.expand(len(text), -1, -1), text])

    def predict(z: Tensor, t: float) -> Tensor:
        twice = torch.cat([z, z])
        step = torch.full((), int(t), device=z.device)
        v = unet(twice[:, :, 0] if frames else twice, step, both).sample.float()
        plain, conditional = v.view_as(twice).chunk(2)
        return plain + guidance * (conditional - plain)

    return predict
