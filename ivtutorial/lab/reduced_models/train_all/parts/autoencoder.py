"""The autoencoder, a stock ``AutoencoderKL``: 64 x 64 frames <-> 8 x 8 latents, trained from scratch.

Four things make small latents crisp where it matters:

1. The subject, a fifth of the pixels, weighs five times as much as the rest; all three channels' edges count.
2. Noise of a bounded share of each channel's own spread is added to the latents. So every channel is worth using, and
   the decoder is used to latents that are not exact, as those of a diffusion model never are. The log-variance is
   constant: nothing is drawn from it.
3. Nested channels: for some samples the last channels are zero, so that the first ones carry the most and the number
   of channels can be chosen afterwards, by what the diffusion model makes of them (:mod:`.latent_space`).
4. Features of a small network of our own (:mod:`.perceptual`) are compared beside the pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from ivtutorial.evaluation.looks import YUV
from ivtutorial.lab.reduced_models.train_all.loop import StepLoss, TrainStep, to_device
from ivtutorial.lab.reduced_models.train_all.parts.latent_space import LOG_VARIANCE
from ivtutorial.lab.reduced_models.train_all.resident import AnyPool

CHANNEL_WEIGHTS = torch.tensor([1.0, 1.5, 1.5])  # colour counts more than brightness
Features = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True)
class AutoencoderConfig:
    """The autoencoder and its loss.

    Attributes:
        widths: channels of each level; a level halves the picture.
        latents: latent channels. nested: smaller numbers of them that must do, each for a share ``nested_share`` of
            the samples.
        layers: residual blocks a level.
        noise: greatest strength of the noise on latents, as a share of each channel's spread.
        subject: how much more a pixel of the subject weighs. edges, perceptual: weights of these terms.
        perceptual_from: share of the budget after which features are compared too.
        penalty: weight of the mean square of the latents, which only keeps them from growing.
        lr: peak learning rate.
    """

    widths: tuple[int, ...] = (32, 32, 64, 128)
    latents: int = 32
    nested: tuple[int, ...] = (16, 24)
    nested_share: float = 0.2
    layers: int = 1
    noise: float = 0.2
    subject: float = 4.0
    edges: float = 0.5
    perceptual: float = 0.2
    perceptual_from: float = 0.5
    penalty: float = 1e-4
    lr: float = 1.5e-3


def make_autoencoder(config: AutoencoderConfig = AutoencoderConfig()) -> AutoencoderKL:
    """A small autoencoder with a constant log-variance."""
    levels = len(config.widths)
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, block_out_channels=config.widths, latent_channels=config.latents,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=config.layers, norm_num_groups=8, sample_size=64, scaling_factor=1.0,
    )  # fmt: skip
    with torch.no_grad():
        vae.quant_conv.weight[config.latents :] = 0.0
        vae.quant_conv.bias[config.latents :] = LOG_VARIANCE
        # Without this bias the first channels alone can be cut out exactly, at the picture's border too.
        vae.post_quant_conv.bias.zero_()
    vae.post_quant_conv.bias.requires_grad_(False)
    return vae


class NoisyAutoencoder(nn.Module):
    """What is trained: the autoencoder, with noise on its latents whose scale follows their spread."""

    spread: Tensor

    def __init__(self, vae: AutoencoderKL, config: AutoencoderConfig) -> None:
        super().__init__()
        self.vae, self.config = vae, config
        self.register_buffer("spread", torch.ones(config.latents))

    def forward(self, pixels: Tensor, step: TrainStep) -> tuple[Tensor, Tensor]:
        """Encode, disturb and decode.

        Args:
            pixels: (B, 3, 64, 64) in [-1, 1].
            step: draws the noise and the number of channels kept.

        Returns:
            The output, (B, 3, 64, 64), and the undisturbed latents, (B, C, 8, 8), both float32.
        """
        z = self.vae.encode(pixels).latent_dist.mean.float()
        with torch.no_grad():
            now = step.group.mean(z.detach().var(dim=(0, 2, 3))).sqrt()
            self.spread.lerp_(now, max(0.01, 1 / (1 + step.number)))
        strength = self.config.noise * step.uniform(len(z))[:, None, None, None]
        disturbed = z + strength * self.spread[:, None, None] * step.normal(z)
        return self.vae.decode(disturbed * self._kept(step, len(z))).sample.float(), z

    def _kept(self, step: TrainStep, count: int) -> Tensor:
        """Ones for the channels that a sample keeps, (B, C, 1, 1)."""
        c, draw = self.config, step.uniform(count)
        kept = torch.full((count,), c.latents, device=draw.device)
        for k, fewer in enumerate(c.nested):
            inside = (draw >= k * c.nested_share) & (draw < (k + 1) * c.nested_share)
            kept = torch.where(inside, fewer, kept)
        channel = torch.arange(c.latents, device=draw.device)
        return (channel < kept[:, None]).float()[:, :, None, None]


def pixel_weights(mask: Tensor, subject: float) -> Tensor:
    """1 + subject inside the mask widened by two pixels, 1 outside, over its mean.

    Args:
        mask: bool (B, H, W).
        subject: how much more a pixel of the subject weighs.

    Returns:
        float32 (B, 1, H, W), of mean 1 for each picture.
    """
    wide = F.max_pool2d(mask[:, None].float(), 5, stride=1, padding=2)
    weights = 1.0 + subject * wide
    return weights / weights.mean(dim=(1, 2, 3), keepdim=True)


def picture_loss(output: Tensor, target: Tensor, weights: Tensor, edges: float = 0.5) -> Tensor:
    """Weighted absolute and squared error in YUV, colour counting 1.5 times, and the error of all channels' edges at
    full and at half size.

    Args:
        output: (B, 3, H, W) in [-1, 1].
        target: the same.
        weights: (B, 1, H, W).
        edges: weight of the edges' error.
    """
    difference = torch.einsum("ck,nkhw->nchw", to_device(YUV, output.device), output - target)
    difference = difference * to_device(CHANNEL_WEIGHTS, output.device)[:, None, None]
    size = (weights * (difference.abs() + 2.0 * difference.square())).mean(dim=(0, 2, 3)).sum()
    for _ in range(2):
        size = size + edges * _edge_error(difference, weights)
        difference, weights = F.avg_pool2d(difference, 2), F.avg_pool2d(weights, 2)
    return size


def _edge_error(difference: Tensor, weights: Tensor) -> Tensor:
    down = (weights[:, :, 1:] * (difference[:, :, 1:] - difference[:, :, :-1]).abs()).mean()
    right = (weights[..., 1:] * (difference[..., 1:] - difference[..., :-1]).abs()).mean()
    return down + right


class PoolPairs:
    """Batches for the autoencoder: half single frames, clean but for a watermark, half frames of clips of web
    quality."""

    def __init__(self, frames: AnyPool, clips: AnyPool) -> None:
        self.pools = (frames, clips)

    def draw(self, step: TrainStep) -> tuple[Tensor, Tensor]:
        """This process's share of the batch: pixels in [-1, 1], (B, 3, 64, 64), and masks, bool (B, 64, 64)."""
        half = step.batch // 2
        pixels, masks = [], []
        for pool, count in zip(self.pools, (step.batch - half, half)):
            index = step.rng.integers(pool.ready, size=count)
            frame = step.rng.integers(pool.config.frames, size=count)
            picture, mask = pool.frames(index, frame)
            pixels.append(picture)
            masks.append(mask)
        own, own_mask = (to_device(step.own(torch.cat(rows)), step.group.device) for rows in (pixels, masks))
        return own.float() / 127.5 - 1.0, own_mask


def autoencoder_loss(model: NoisyAutoencoder, pairs: PoolPairs, features: Features | None = None) -> StepLoss:
    """The loss for :func:`.loop.fit_part`; ``features`` maps pictures to a list of feature maps."""
    c = model.config

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        pixels, mask = pairs.draw(step)
        output, z = model(pixels, step)
        weights = pixel_weights(mask, c.subject)
        with torch.autocast(pixels.device.type, enabled=False):
            total = picture_loss(output, pixels, weights, c.edges) + c.penalty * z.square().mean()
        error = (output.detach() - pixels).square().mean(1) / 4
        inside = (error * mask).sum() / mask.sum()
        numbers = {"db": -10 * error.mean().log10(), "db_subject": -10 * inside.log10()}
        if features is not None and step.progress >= c.perceptual_from:
            far = feature_distance(features(output), features(pixels))
            total, numbers = total + c.perceptual * far, {**numbers, "perceptual": far.detach()}
        return total, numbers

    return loss


def feature_distance(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """Mean absolute difference of feature maps, each scaled to unit length at every place; the mean over maps.

    The scaled maps are multiplied by the root of their number of channels, so that maps of every width count alike.
    """
    total = torch.zeros((), device=first[0].device)
    for a, b in zip(first, second):
        a, b = F.normalize(a.float(), dim=1), F.normalize(b.float(), dim=1)
        total = total + (a - b).abs().mean() * a.shape[1] ** 0.5
    return total / len(first)
