"""Train the reduced autoencoder: 64 x 64 frames <-> 8 x 8 latents with 16 channels, the stock ``AutoencoderKL``.

Two traps of small autoencoders: with the usual initialisation the posterior starts so noisy that the decoder learns to
ignore it and loses colour first, so the log-variance starts at -6; and a plain pixel loss cares little for hue, so the
two chroma channels are weighed up. The 4 channels that serve 256 x 256 photographs at the same factor of 8 are too few
here, where a subject's legs and stripes are as fine as the grid. Trained half on clean and half on web-quality frames:
it must be able to show both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from ivtutorial.evaluation.looks import YUV
from ivtutorial.lab.reduced_models import loop as training
from ivtutorial.lab.world import samples as frames
from ivtutorial.system.device import choose_device


def make_vae(channels: tuple[int, ...] = (16, 32, 64, 128), latent_channels: int = 16) -> AutoencoderKL:
    """A small autoencoder that halves the picture len(channels) - 1 times."""
    levels = len(channels)
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, block_out_channels=channels, latent_channels=latent_channels,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1, norm_num_groups=8, sample_size=64,
    )  # fmt: skip
    with torch.no_grad():
        vae.quant_conv.bias[latent_channels:] = -6.0
        vae.quant_conv.weight[latent_channels:] *= 0.1
    return vae


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error in YUV, colour weighed up, plus the error of the edges. Both (N, 3, H, W) in [-1, 1]."""
    difference = torch.einsum("ck,nkhw->nchw", YUV.to(output), output - target)
    size = (difference.abs() + 2.0 * difference.square()).mean(dim=(0, 2, 3))
    edges = (difference[:, :1, 1:] - difference[:, :1, :-1]).abs().mean()
    edges = edges + (difference[:, :1, :, 1:] - difference[:, :1, :, :-1]).abs().mean()
    return size[0] + 1.5 * (size[1] + size[2]) + 0.5 * edges


def widen(vae: AutoencoderKL, narrow: AutoencoderKL) -> AutoencoderKL:
    """Start from an autoencoder with fewer latent channels: what both have is copied, new channels start unread.

    The result encodes and decodes exactly as the narrow one; the decoder's first layer ignores the new channels as yet.
    """
    old, new = narrow.config.latent_channels, vae.config.latent_channels
    # Where the narrow latents lie in the wide ones; in tensors that hold means and log-variances, in each half.
    single, double = list(range(old)), [*range(old), *range(new, new + old)]
    with torch.no_grad():
        for target, source in zip(vae.state_dict().values(), narrow.state_dict().values()):
            rows = _places(target.shape[0], source.shape[0], single, double)
            if target.ndim == 1:
                target[rows] = source
                continue
            block = torch.zeros_like(target[rows])
            block[:, _places(target.shape[1], source.shape[1], single, double)] = source
            target[rows] = block
    return vae


def _places(wide: int, narrow: int, single: list[int], double: list[int]) -> list[int]:
    """Indices that a dimension of the narrow autoencoder takes in the wide one."""
    return list(range(wide)) if wide == narrow else double if narrow == len(double) else single


def train_vae(
    folder: Path, config: training.TrainConfig, kl_weight: float = 2e-5, init: Path | None = None
) -> AutoencoderKL:
    """Train and save to ``folder/vae``, with the latents' scale measured and written into the configuration.

    Args:
        folder: gets ``vae``.
        config: see :class:`~ivtutorial.lab.reduced_models.loop.TrainConfig`.
        kl_weight: weight of the KL term per latent number.
        init: folder of an autoencoder with as many or fewer latent channels to start from; from scratch by default.
    """
    torch.manual_seed(config.seed)
    device = choose_device()
    vae = make_vae()
    if init is not None:
        widen(vae, AutoencoderKL.from_pretrained(init, torch_dtype=torch.float32))
    vae = vae.to(device, memory_format=torch.channels_last)

    def loss(step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = frames.stack(frames.single_frames(rng, config.batch, web_share=0.5, held_out=None))[:, 0]
        pixels = batch.to(device, memory_format=torch.channels_last) * 2 - 1
        posterior = vae.encode(pixels).latent_dist
        output = vae.decode(posterior.sample()).sample
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        error = F.mse_loss(output.detach() / 2, pixels / 2)
        return reconstruction_loss(output, pixels) + kl_weight * kl, {
            "psnr": float(-10 * torch.log10(error)),
            "kl": float(kl.detach()),
        }

    training.train(vae, loss, config, folder, "vae")
    vae.eval()
    if training.process()[0] == 0:
        scale = 1.0 / _latent_std(vae, device, config.seed)
        vae.register_to_config(scaling_factor=round(scale, 5))
        vae.to(torch.float16).save_pretrained(folder / "vae", safe_serialization=True)
        vae.float()
        training.record(folder / "vae" / "training.json", "vae", config, init, kl_weight=kl_weight)
    return vae


@torch.no_grad()
def _latent_std(vae: AutoencoderKL, device: torch.device, seed: int) -> float:
    """Standard deviation of the latents of fresh web-quality frames: one over it is the scaling factor."""
    rng = np.random.default_rng((seed, 10**6))
    batch = frames.stack(frames.single_frames(rng, 256, web_share=1.0))[:, 0].to(device)
    return float(vae.encode(batch * 2 - 1).latent_dist.mean.std())
