"""Begin from the judge and the reward of an earlier training: what they know of pictures need not be learnt again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from ivtutorial.errors import InputError
from ivtutorial.rewards.clip import WEIGHTS_FILE

EMBEDDING = "token_embedding.weight"


def start_reward(model: Any, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Give a new reward the weights of an earlier one, whose tokenizer may differ.

    A token that both vocabularies have keeps its embedding; a new token gets the mean of the earlier tokens that spell
    it.

    Args:
        model: open_clip's CLIP, changed in place.
        tokenizer: of its captions.
        folder: of the earlier reward: weights and tokenizer.

    Raises:
        InputError: no reward there, or one of other shapes.
    """
    if not (folder / WEIGHTS_FILE).is_file():
        raise InputError(f"no {WEIGHTS_FILE} in {folder}: expected the folder of a trained reward to start from.")
    weights = {k: v.float() for k, v in load_file(folder / WEIGHTS_FILE).items()}
    known, vocabulary = CLIPTokenizer.from_pretrained(folder), tokenizer.get_vocab()
    ids = known.get_vocab()
    embedding = torch.empty(len(vocabulary), weights[EMBEDDING].shape[1])
    for token, number in vocabulary.items():
        rows = [ids[token]] if token in ids else known(token.removesuffix("</w>"), add_special_tokens=False).input_ids
        embedding[number] = weights[EMBEDDING][rows].mean(0)
    weights[EMBEDDING] = embedding
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    other = sorted(k for k, v in weights.items() if shapes.get(k) != v.shape)
    if other:
        raise InputError(f"the reward in {folder} has other shapes than the new one ({', '.join(other[:3])}).")
    model.load_state_dict(weights, strict=False)
