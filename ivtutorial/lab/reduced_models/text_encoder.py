"""The reduced text encoder, a stock ``CLIPTextModel``.

A text-to-video model takes its text encoder ready-made (ModelScopeT2V uses that of OpenCLIP ViT-H) and keeps it frozen.
Ours is trained from captions and facts alone and is frozen afterwards in the same way.
"""

from __future__ import annotations

from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ivtutorial.lab.reduced_models.tokenizer import MAX_LENGTH

WIDTH = 128


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A two-layer ``CLIPTextModel`` for this tokenizer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=MAX_LENGTH, projection_dim=WIDTH, hidden_act="gelu",
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
