"""The smallest text-to-video model of the real classes: a tenth of `tiny_backbone`'s time, for tests of many steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone


def toy_backbone(tokenizer: Any) -> Backbone:
    """Random, frozen, in eval mode: one block a side, 8x8 latents of 4 channels, frames of 16x16, eps-prediction."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    from ivtutorial.method.schedule import make_scheduler
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
