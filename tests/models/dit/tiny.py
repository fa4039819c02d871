"""The smallest models of the true classes: random weights, made from configurations, nothing downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ivtutorial.models.dit import CogVideoXBackbone, LTXBackbone, WanBackbone


class WordTokenizer:
    """Stands in for UMT5's tokenizer: a number for each word, then the end, zeros as padding."""

    def __call__(self, texts: list[str], max_length: int, **_: Any) -> Any:
        from transformers import BatchEncoding

        rows = [[2 + sum(map(ord, word)) % 60 for word in text.split()][: max_length - 1] + [1] for text in texts]
        ids = [row + [0] * (max_length - len(row)) for row in rows]
        mask = [[1] * len(row) + [0] * (max_length - len(row)) for row in rows]
        return BatchEncoding({"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)})


def tiny_vae(seed: int = 0) -> Any:
    """Latents of 16 channels, 8x8 pixels and 4 frames each."""
    from diffusers import AutoencoderKLWan

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        )
    return vae.requires_grad_(False).eval()


def tiny_wan() -> WanBackbone:
    """Frozen, in eval mode; clips of 16x16 pixels are 2x2 latents."""
    from diffusers import WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    text = UMT5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, dropout_rate=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
            text_dim=32, freq_dim=256, ffn_dim=32, num_layers=2, rope_max_seq_len=32,
        )  # fmt: skip
        encoder = UMT5EncoderModel(text)
    return WanBackbone(transformer, tiny_vae(), text_encoder=encoder, tokenizer=WordTokenizer()).freeze()


def tiny_tokenizer() -> Any:
    """A tokenizer of transformers that knows a few words and ends each text, as UMT5's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "</s>", "<unk>", "a", "red", "fox", "bear", "running", "by", "the", "river"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def tiny_wan_folder(folder: Path, shift: float = 3.0) -> Path:
    """A folder that the stock pipeline wrote."""
    from diffusers import UniPCMultistepScheduler, WanPipeline

    wan = tiny_wan()
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    parts = {"transformer": wan.transformer, "vae": wan.vae, "text_encoder": wan.text_encoder}
    WanPipeline(tokenizer=tiny_tokenizer(), scheduler=scheduler, **parts).save_pretrained(folder)
    return folder


def tiny_cogvideox_folder(folder: Path) -> Path:
    """A folder that the stock pipeline wrote."""
    from diffusers import CogVideoXDDIMScheduler, CogVideoXPipeline

    cog = tiny_cogvideox()
    scheduler = CogVideoXDDIMScheduler(
        prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, snr_shift_scale=3.0
    )
    CogVideoXPipeline(cog.tokenizer, cog.text_encoder, cog.vae, cog.transformer, scheduler).save_pretrained(folder)
    return folder


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    """A reward that likes red."""
    return frames[:, 0].mean(dim=(1, 2))


def tiny_cogvideox() -> CogVideoXBackbone:
    """Frozen, in eval mode; clips of 16x16 pixels are 2x2 latents of 4 channels."""
    from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
    from transformers import T5Config, T5EncoderModel

    text = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, dropout_rate=0.0)
    blocks = {"down_block_types": ("CogVideoXDownBlock3D",) * 4, "up_block_types": ("CogVideoXUpBlock3D",) * 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = CogVideoXTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, time_embed_dim=2,
            text_embed_dim=32, num_layers=2, sample_width=2, sample_height=2, sample_frames=9, patch_size=2,
            temporal_compression_ratio=4, max_text_seq_length=226,
        )  # fmt: skip
        vae = AutoencoderKLCogVideoX(
            block_out_channels=(8,) * 4, latent_channels=4, layers_per_block=1, norm_num_groups=2,
            temporal_compression_ratio=4, **blocks,
        )  # fmt: skip
        encoder = T5EncoderModel(text)
    tokenizer = tiny_tokenizer()
    return CogVideoXBackbone(transformer, vae, text_encoder=encoder, tokenizer=tokenizer).freeze()


def tiny_ltx(**vae_config: Any) -> LTXBackbone:
    """Frozen, in eval mode; clips of 64x64 pixels are 2x2 latents of 8 channels; their statistics are random."""
    from diffusers import AutoencoderKLLTXVideo, LTXVideoTransformer3DModel
    from transformers import T5Config, T5EncoderModel

    text = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4, dropout_rate=0.0)
    sizes = {"block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4, "latent_channels": 8}
    layers = {"layers_per_block": (1,) * 5, "decoder_layers_per_block": (1,) * 5}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=12, cross_attention_dim=24,
            num_layers=2, caption_channels=32,
        )  # fmt: skip
        vae = AutoencoderKLLTXVideo(**sizes, **layers, scaling_factor=1.5, **vae_config)
        vae.latents_mean.normal_()
        vae.latents_std.uniform_(0.5, 2.0)
        encoder = T5EncoderModel(text)
    return LTXBackbone(transformer, vae, text_encoder=encoder, tokenizer=tiny_tokenizer()).freeze()


def tiny_ltx_folder(folder: Path) -> Path:
    """A folder that the stock pipeline wrote, with the scheduler of LTX-Video."""
    from diffusers import FlowMatchEulerDiscreteScheduler, LTXPipeline

    ltx = tiny_ltx()
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024, max_image_seq_len=4096,
        shift_terminal=0.1,
    )  # fmt: skip
    LTXPipeline(scheduler, ltx.vae, ltx.text_encoder, ltx.tokenizer, ltx.transformer).save_pretrained(folder)
    return folder
