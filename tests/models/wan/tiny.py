"""The smallest Wan of the true classes: random weights, made from configurations, nothing downloaded."""

from __future__ import annotations

from typing import Any

import torch

from ivtutorial.models.wan import WanBackbone


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
    return WanBackbone(transformer, tiny_vae(), encoder, WordTokenizer()).freeze()
