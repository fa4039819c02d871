"""The decoder, trained once more for what it will be given: latents that a diffusion model made.

Encoder and diffusion model stay as they are. Half of the inputs are encoded frames with noise; the other half are
encoded frames that were noised much more and brought back by the image model in a few steps, so that their errors are
those of samples while the true pixels are known. A small discriminator of patches rewards edges as sharp as those of
frames; its weight is small, since it also likes specks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ivtutorial.lab.reduced_models.train_all.loop import StepLoss, TrainStep
from ivtutorial.lab.reduced_models.train_all.parts.autoencoder import (
    feature_distance,
    picture_loss,
    pixel_weights,
)
from ivtutorial.lab.reduced_models.train_all.parts.image_model import guided
from ivtutorial.method.chain import denoise
from ivtutorial.method.noise import corrupt
from ivtutorial.models.scheduler import make_scheduler


@dataclass(frozen=True)
class DecoderConfig:
    """Training the decoder once more.

    Attributes:
        noise: greatest standard deviation of the noise on encoded frames (latents have unit variance).
        steps: fewest and most DDIM steps that bring noised latents back. t: between these timesteps they start.
        guidance: of these steps.
        adversarial: weight of the discriminator's verdict, after ``adversarial_from`` of the budget.
        subject, edges, perceptual: as for the autoencoder.
        lr, discriminator_lr: peak learning rates.
    """

    noise: float = 0.3
    steps: tuple[int, int] = (3, 5)
    t: tuple[int, int] = (100, 400)
    guidance: float = 2.0
    adversarial: float = 0.05
    adversarial_from: float = 0.1
    subject: float = 4.0
    edges: float = 0.5
    perceptual: float = 0.2
    lr: float = 3e-4
    discriminator_lr: float = 2e-4


class Patches(nn.Module):
    """Tells frames from reconstructions, patch by patch: (B, 3, 64, 64) in [-1, 1] -> (B, 1, 8, 8)."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in zip((3, *widths), widths):
            layers += [spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))

    def forward(self, pixels: Tensor) -> Tensor:
        """High for frames, low for reconstructions."""
        scores: Tensor = self.layers(pixels)
        return scores


class DecoderAndCritic(nn.Module):
    """What is trained: the decoder's half of an autoencoder, and the discriminator."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        vae.requires_grad_(False)
        self.vae, self.critic = vae, Patches()
        vae.decoder.requires_grad_(True)
        vae.post_quant_conv.requires_grad_(True)


def decoder_optimizers(model: DecoderAndCritic, config: DecoderConfig) -> list[torch.optim.Optimizer]:
    """Fused AdamW with a rate for each side."""
    ours = [p for p in model.vae.parameters() if p.requires_grad]
    groups = [
        {"params": ours, "lr": config.lr},
        {"params": [*model.critic.parameters()], "lr": config.discriminator_lr},
    ]
    return [torch.optim.AdamW(groups, lr=config.lr, betas=(0.5, 0.99), weight_decay=0.0, fused=True)]


@torch.no_grad()
def noised_and_back(
    unet: nn.Module, z: Tensor, noise: Tensor, text: Tensor, empty: Tensor, start: int, steps: int, guidance: float
) -> Tensor:
    """Latents as the image model would have made them.

    Args:
        unet: predicts v.
        z: true latents, (B, C, 8, 8).
        noise: standard normal, of the same shape.
        text: states of the captions, (B, 24, width).
        empty: states of the empty caption, (1, 24, width).
        start: timestep that they are noised to.
        steps: DDIM steps back to 0.
        guidance: scale.
    """
    scheduler, times = make_scheduler("v_prediction"), [round(start * k / steps) for k in range(steps, 0, -1)]
    noisy = corrupt(z[:, :, None], start, scheduler, noise[:, :, None])
    return denoise(guided(unet, text, empty, guidance, frames=True), noisy, times, scheduler)[:, :, 0]


DecoderDraw = Callable[[TrainStep], tuple[Tensor, Tensor, Tensor, Tensor]]


def decoder_loss(
    model: DecoderAndCritic,
    unet: nn.Module,
    empty: Tensor,
    draw: DecoderDraw,
    config: DecoderConfig,
    features: Any = None,
) -> StepLoss:
    """The loss for :func:`.loop.fit_part`.

    Args:
        model: decoder and discriminator.
        unet: the image model, frozen.
        empty: states of the empty caption, (1, 24, width).
        draw: gives pixels in [-1, 1], masks, their latents and the states of their captions.
        config: see :class:`DecoderConfig`.
        features: as for the autoencoder.
    """

    def inputs(step: TrainStep, z: Tensor, text: Tensor) -> Tensor:
        half = len(z) // 2
        strength = config.noise * step.uniform(len(z))[:, None, None, None]
        noise = step.normal(z)
        start, steps = int(step.rng.integers(*config.t)), int(step.rng.integers(config.steps[0], config.steps[1] + 1))
        back = noised_and_back(unet, z[half:], noise[half:], text[half:], empty, start, steps, config.guidance)
        return torch.cat([(z + strength * noise)[:half], back])

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        pixels, mask, z, text = draw(step)
        output = model.vae.decode(inputs(step, z, text)).sample.float()
        with torch.autocast(pixels.device.type, enabled=False):
            weights = pixel_weights(mask, config.subject)
            total = picture_loss(output, pixels, weights, config.edges)
        if features is not None:
            total = total + config.perceptual * feature_distance(features(output), features(pixels))
        error = (output.detach() - pixels).square().mean(1) / 4
        numbers = {"db": -10 * error.mean().log10(), "db_subject": -10 * ((error * mask).sum() / mask.sum()).log10()}
        # In float32: a spectral norm multiplies its vectors with a weight that autocast would make bfloat16 on a GPU.
        with torch.autocast(pixels.device.type, enabled=False):
            # The verdict on the output must move the decoder only, the discriminator learns from its own loss below.
            model.critic.requires_grad_(False)
            verdict = -model.critic(output).mean()
            model.critic.requires_grad_(True)
            real, made = model.critic(pixels), model.critic(output.detach())
        critic = F.relu(1 - real).mean() + F.relu(1 + made).mean()
        weight = config.adversarial if step.progress >= config.adversarial_from else 0.0
        numbers |= {"critic": critic.detach(), "verdict": verdict.detach()}
        return total + weight * verdict + critic, numbers

    return loss
