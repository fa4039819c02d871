"""What a judge learns from: fresh clips of both qualities, some of them encoded and decoded as samples are."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from ivtutorial.lab.reduced_models.judge import reading_loss
from ivtutorial.lab.reduced_models.train_all.loop import StepLoss, TrainStep
from ivtutorial.lab.world import samples as frames
from ivtutorial.lab.world.facts import FRAMES
from ivtutorial.lab.world.judges.judge import EVERY

DECODED = 3  # every third clip has been through the autoencoder


def judge_loss(net: nn.Module, vae: AutoencoderKL | None, seed: int) -> StepLoss:
    """`ivtutorial.lab.reduced_models.judge.reading_loss` on fresh clips.

    Args:
        net: a network such as `ivtutorial.lab.world.judges.judge.JudgeNet`.
        vae: of the model whose samples will be judged; None judges renders alone.
        seed: of the clips: clip k of step n depends on (seed, n, k).
    """

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        numbers = step.own(np.arange(step.batch))
        samples = [_clip(np.random.default_rng((seed, step.number, int(k)))) for k in numbers]
        pixels = frames.stack(samples).to(step.group.device)
        if vae is not None:
            decoded = torch.from_numpy(numbers % DECODED == 0).to(pixels.device)
            if decoded.any():
                pixels[decoded] = through(vae, pixels[decoded])
        return reading_loss(net(pixels), samples)

    return loss


def _clip(rng: np.random.Generator) -> frames.Sample:
    return frames.draw_sample(rng, web_share=0.6, frames=range(0, FRAMES, EVERY), held_out=None)


@torch.no_grad()
def through(vae: AutoencoderKL, clips: Tensor) -> Tensor:
    """Clips (N, F, 3, H, W) in [0, 1], encoded and decoded."""
    latents = vae.encode(clips.flatten(0, 1) * 2 - 1).latent_dist.mean
    return (vae.decode(latents).sample.float() / 2 + 0.5).clamp(0, 1).unflatten(0, clips.shape[:2]).to(clips.dtype)
