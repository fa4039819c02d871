"""Prompt embeddings of Wan: kept without padding, padded with zeros to 512 tokens where the transformer reads them.

The transformer attends to the padding, too (no mask), so that its length is part of the conditioning: 512 always, as in
Wan's own code and in `WanPipeline.__call__`; `WanPipeline.encode_prompt` alone would take 226.
"""

from __future__ import annotations

import html
import importlib.util
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ivtutorial.checks import check_captions
from ivtutorial.errors import InputError

PROMPT_TOKENS = 512


def clean_prompt(caption: str) -> str:
    """The caption as the pipeline of diffusers cleans it: entities and blanks; with ftfy, wrong characters.

    Example:
        >>> clean_prompt(" a  fox &amp; a bear ")
        'a fox & a bear'
    """
    if importlib.util.find_spec("ftfy"):
        import ftfy

        caption = ftfy.fix_text(caption)
    return re.sub(r"\s+", " ", html.unescape(html.unescape(caption))).strip()


@torch.no_grad()
def encode_prompts(
    text_encoder: nn.Module,
    tokenizer: Any,
    captions: Sequence[str],
    length: int = PROMPT_TOKENS,
    reads_padding: bool = False,
    keeps_padding: bool = False,
) -> list[Tensor]:
    """Embeddings of captions, (L_i, E) each, on the CPU; without padding, unless it is kept.

    Args:
        text_encoder: UMT5 or T5.
        tokenizer: its tokenizer.
        captions: "" is the unconditional one.
        length: tokens at most; longer captions are cut.
        reads_padding: the encoder attends to the padding, and captions are not cleaned, as in `CogVideoXPipeline` and
            `LTXPipeline`.
        keeps_padding: all `length` embeddings are returned, for a transformer that reads them, as CogVideoX does.

    Raises:
        InputError: no caption, or one that is not text.
    """
    check_captions(captions)
    if not captions:
        raise InputError("The list of captions is empty. Give at least one caption.")
    tokens = tokenizer(
        [caption if reads_padding else clean_prompt(caption) for caption in captions],
        padding="max_length", max_length=length, truncation=True, return_attention_mask=True, return_tensors="pt",
    )  # fmt: skip
    device = next(text_encoder.parameters()).device
    mask = tokens.attention_mask.to(device)
    hidden = text_encoder(tokens.input_ids.to(device), None if reads_padding else mask).last_hidden_state
    counts = [length] * len(captions) if keeps_padding else mask.sum(dim=1).tolist()
    return [row[:count].cpu() for row, count in zip(hidden, counts, strict=True)]


def pad_prompts(embeddings: Sequence[Tensor], length: int = PROMPT_TOKENS) -> Tensor:
    """Embeddings (L_i, E) as one tensor (B, length, E), zeros behind each caption.

    Raises:
        InputError: one is longer, or they have different widths.
    """
    shapes = [tuple(embedding.shape) for embedding in embeddings]
    if any(len(shape) != 2 or shape[0] > length for shape in shapes) or len({shape[-1] for shape in shapes}) != 1:
        raise InputError(f"prompt embeddings of shapes {shapes}: expected (L, E) each, L <= {length}, of one encoder.")
    return torch.stack([nn.functional.pad(e, (0, 0, 0, length - len(e))) for e in embeddings])
