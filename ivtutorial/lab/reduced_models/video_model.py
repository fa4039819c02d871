"""Train the reduced text-to-video model as ModelScopeT2V came about: an image model first, then time is added.

Stage 1 (:func:`train_image`) trains a stock ``UNet2DConditionModel`` on single frames. Stage 2 (:func:`train_video`)
copies it into a stock ``UNet3DConditionModel``, whose temporal layers start as identity, and trains everything on
clips. What is shown is learnt from many cheap images; only how it moves needs clips. Both stages learn from *web
quality* alone, so the model has the faults of its data.

The model predicts v = sqrt(abar) eps - sqrt(1 - abar) z (Salimans and Ho 2022), not eps: near pure noise a small error
in eps becomes an error in z up to 15 times larger (1/sqrt(abar_T) = 14.6), and guidance multiplies it again. A large
model learns to be that exact, a small one does not. The method itself reads the prediction type from the scheduler and
works with either.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel, UNet3DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ivtutorial.lab.reduced_models import loop as training
from ivtutorial.lab.reduced_models.latent_store import LatentStore
from ivtutorial.lab.reduced_models.tokenizer import MAX_LENGTH
from ivtutorial.method.noise import corrupt, level, target
from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.system.device import choose_device

CHANNELS = (64, 128)
HEAD_WIDTH = 16
CAPTION_DROPOUT = 0.1
# Parts of the names of the layers that only a video model has.
TEMPORAL = ("temp_convs", "temp_attentions", "transformer_in")


def make_image_unet(latent_channels: int, text_width: int) -> UNet2DConditionModel:
    """Stage 1's network. ``attention_head_dim`` means the number of heads in this class."""
    return UNet2DConditionModel(
        sample_size=8, in_channels=latent_channels, out_channels=latent_channels, block_out_channels=CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2, layers_per_block=1,
        cross_attention_dim=text_width, attention_head_dim=tuple(c // HEAD_WIDTH for c in CHANNELS),
        norm_num_groups=8, use_linear_projection=True,
    )  # fmt: skip


def make_video_unet(latent_channels: int, text_width: int) -> UNet3DConditionModel:
    """Stage 2's network. ``attention_head_dim`` means the width of a head in this class."""
    return UNet3DConditionModel(
        sample_size=8, in_channels=latent_channels, out_channels=latent_channels, block_out_channels=CHANNELS,
        down_block_types=("CrossAttnDownBlock3D",) * 2, up_block_types=("CrossAttnUpBlock3D",) * 2, layers_per_block=1,
        cross_attention_dim=text_width, attention_head_dim=HEAD_WIDTH, norm_num_groups=8,
    )  # fmt: skip


def inflate(image: UNet2DConditionModel, video: UNet3DConditionModel) -> UNet3DConditionModel:
    """Copy an image model into a video model and make the layers that see time start as identity.

    Raises:
        ValueError: a layer that both have differs, or one of the image model has no place.
    """
    image_state, spatial = image.state_dict(), spatial_state(video)
    alone = image_state.keys() ^ spatial.keys()
    strange = [k for k in {**image_state, **spatial} if k in alone or image_state[k].shape != spatial[k].shape]
    if strange:
        raise ValueError(f"the image and the video model do not correspond at {strange[:5]}")
    video.load_state_dict(image_state, strict=False)
    for name, module in video.named_modules():
        # Temporal convolutions end in zeros already; the temporal transformers add proj_out(...) to their input.
        if name.endswith("proj_out") and is_temporal(name):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return video


def spatial_state(video: UNet3DConditionModel) -> dict[str, Tensor]:
    """The weights of a video model that an image model has too, under the same names."""
    return {k: v for k, v in video.state_dict().items() if not is_temporal(k)}


def is_temporal(name: str) -> bool:
    """Whether a layer or weight of this name is one that only a video model has."""
    return any(t in name for t in TEMPORAL)


def _weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a UNet's folder, in float32."""
    return {k: v.float() for k, v in load_file(folder / "diffusion_pytorch_model.safetensors").items()}


class Captions(nn.Module):
    """The frozen text encoder: captions -> (B, 24, width), some replaced by the empty caption for guidance."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        super().__init__()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32)
        self.encoder.to(device).eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, captions: list[str], rng: np.random.Generator) -> Tensor:
        """Last hidden states (B, 24, width); ``rng`` decides which captions are dropped."""
        kept = ["" if rng.random() < CAPTION_DROPOUT else c for c in captions]
        ids = self.tokenizer(kept, padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        states: Tensor = self.encoder(ids.input_ids.to(self.encoder.device)).last_hidden_state
        return states


def v_pair(scheduler: DDIMScheduler, latents: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy latents and the velocity to predict from them, each shaped like the latents.

    Args:
        scheduler: holds the cumulative alphas.
        latents: of clips (B, C, F, h, w) or of single frames (B, C, h, w), which are clips of one frame.
        noise: epsilon, shaped like the latents.
        t: timesteps, int64 (B,).
    """
    z, epsilon = (x if x.ndim == 5 else x[:, :, None] for x in (latents, noise))
    noisy, v = corrupt(z, t, scheduler, epsilon), target(z, epsilon, level(scheduler, t, like=z), "v_prediction")
    return noisy.view_as(latents), v.view_as(latents)


def v_loss(unet: nn.Module, scheduler: DDIMScheduler, latents: Tensor, text: Tensor) -> Tensor:
    """Mean squared error of the predicted v at uniformly drawn timesteps. latents (B, C, ..., h, w)."""
    noise = torch.randn_like(latents)
    t = torch.randint(0, scheduler.config.num_train_timesteps, (len(latents),), device=latents.device)
    noisy, v = v_pair(scheduler, latents, noise, t)
    return (unet(noisy, t, text).sample - v).square().mean()


def train_image(
    folder: Path, config: training.TrainConfig, store: str = "store", init: Path | None = None
) -> UNet2DConditionModel:
    """Stage 1: train on single frames of the store and save to ``folder/image_unet``.

    Args:
        folder: holds ``tokenizer``, ``text_encoder`` and the store.
        config: see :class:`~ivtutorial.lab.reduced_models.loop.TrainConfig`.
        store: name of the store of latents in ``folder``.
        init: folder of an image or video UNet whose spatial weights to start from; from scratch by default.
    """
    torch.manual_seed(config.seed)
    device = choose_device()
    data, captions, scheduler = LatentStore(folder / store), Captions(folder, device), make_scheduler("v_prediction")
    unet = make_image_unet(data.latents.shape[1], captions.encoder.config.hidden_size)
    if init is not None:
        unet.load_state_dict({k: v for k, v in _weights(init).items() if not is_temporal(k)})
    unet = unet.to(device)

    def loss(step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        index = rng.integers(len(data), size=config.batch)
        latents = data.single_frames(index, rng.integers(data.latents.shape[2], size=config.batch)).to(device)
        return v_loss(unet, scheduler, latents, captions(data.captions(index, rng), rng)), {}

    training.train(unet, loss, config, folder, "image")
    if training.process()[0] == 0:
        unet.save_pretrained(folder / "image_unet", safe_serialization=True)
        training.record(folder / "image_unet" / "training.json", "image", config, init, clips=len(data))
    return unet


def train_video(
    folder: Path, config: training.TrainConfig, store: str = "store", init: Path | None = None
) -> UNet3DConditionModel:
    """Stage 2: inflate ``folder/image_unet``, train on clips and save to ``folder/unet``.

    Args:
        folder: holds ``tokenizer``, ``text_encoder``, ``image_unet`` and the store.
        config: see :class:`~ivtutorial.lab.reduced_models.loop.TrainConfig`.
        store: name of the store of latents in ``folder``.
        init: folder of a video UNet whose temporal layers to start from; they start as identity by default.
    """
    torch.manual_seed(config.seed)
    device = choose_device()
    data, captions, scheduler = LatentStore(folder / store), Captions(folder, device), make_scheduler("v_prediction")
    image = UNet2DConditionModel.from_pretrained(folder / "image_unet")
    unet = inflate(image, make_video_unet(data.latents.shape[1], captions.encoder.config.hidden_size))
    if init is not None:
        unet.load_state_dict({k: v for k, v in _weights(init).items() if is_temporal(k)}, strict=False)
    unet = unet.to(device)

    def loss(step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        index = rng.integers(len(data), size=config.batch)
        return v_loss(unet, scheduler, data.clips(index).to(device), captions(data.captions(index, rng), rng)), {}

    training.train(unet, loss, config, folder, "video")
    if training.process()[0] == 0:
        unet.half().save_pretrained(folder / "unet", safe_serialization=True)
        unet.float()
        training.record(folder / "unet" / "training.json", "video", config, init, clips=len(data))
    return unet
