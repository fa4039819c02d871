"""The ordinary sampler beside the one of diffusers' own pipeline, from given noise."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import TextToVideoSDPipeline
from torch import Tensor

from ivtutorial.models.backbone import Backbone
from tests.tolerances import roundings

CAPTIONS = ["a red fox running", "the deer, in the snow"]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def generate(backbone: Backbone, z: Tensor, steps: int, guidance: float) -> Tensor:
    """The ordinary sampler, written with the backbone's own pieces."""
    predict = backbone.predictor(backbone.embed(CAPTIONS), backbone.embed([""]), guidance)
    backbone.scheduler.set_timesteps(steps)
    for t in backbone.scheduler.timesteps:
        z = backbone.scheduler.step(predict(z, t), t, z).prev_sample
    return backbone.decode_clips(z)


def stock_generate(folder: Path, z: Tensor, steps: int, guidance: float) -> Tensor:
    pipe = TextToVideoSDPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    frames: Tensor = pipe(
        CAPTIONS,
        num_frames=z.shape[2],
        num_inference_steps=steps,
        guidance_scale=guidance,
        latents=z,
        output_type="pt",
    ).frames
    return frames


def sampling_roundings(backbone: Backbone, steps: int) -> float:
    """For frames, which are of size 1, times the guidance."""
    return roundings(backbone.text_encoder) + roundings(backbone.unet, passes=steps) + roundings(backbone.vae)
