"""The tokenizer of the reduced models: a stock ``CLIPTokenizer`` with a vocabulary learnt from the zoo's captions.

Byte-level byte-pair encoding as in CLIP: every word of the zoo is one token, and anything else a user types, emoji
included, falls apart into bytes instead of failing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE
from torch import Tensor
from transformers import CLIPTokenizer

from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.subjects import ALL, subject

MAX_LENGTH = 24
START, END = "<|startoftext|>", "<|endoftext|>"
_WORDS = Regex(r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""")


def make_tokenizer(
    vocabulary: int = 1400, captions: int = 20_000, seed: int = 0, texts: Iterable[str] | None = None
) -> CLIPTokenizer:
    """Learn the merges and return a ``CLIPTokenizer`` with 24 positions.

    Args:
        vocabulary: number of tokens.
        captions: how many captions of random clips to learn from.
        seed: of these clips.
        texts: learn from these instead.
    """
    plain = Tokenizer(BPE(end_of_word_suffix="</w>", unk_token=END))
    plain.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    plain.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORDS, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bytes_ = pre_tokenizers.ByteLevel.alphabet()
    # A byte may also end a word: both forms must exist, or rare symbols at a word's end become unknown.
    alphabet = sorted(bytes_)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 2 - len(alphabet), initial_alphabet=alphabet, end_of_word_suffix="</w>",
        show_progress=False, min_frequency=2,
    )  # fmt: skip
    plain.train_from_iterator(_captions(captions, seed) if texts is None else texts, trainer)
    learnt = plain.get_vocab()
    pieces = sorted(learnt, key=learnt.__getitem__)
    pieces += [b + "</w>" for b in alphabet if b + "</w>" not in learnt]
    # The end token must have the highest number: open_clip finds a text's end by the largest token.
    vocab = {piece: i for i, piece in enumerate([*pieces, START, END])}
    merges = [tuple(m) if not isinstance(m, str) else tuple(m.split(" ")) for m in _merges(plain)]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_LENGTH)


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the tokenizer in both forms: ``tokenizer.json``, and ``vocab.json`` + ``merges.txt`` for older readers."""
    tokenizer.save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    lines = [" ".join(pair) if not isinstance(pair, str) else pair for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8")


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token numbers of texts, int64 (N, 24)."""
    out = tokenizer(texts, padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    ids: Tensor = out.input_ids
    return ids


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    merges: list[list[str]] = json.loads(tokenizer.to_str())["model"]["merges"]
    return merges


def _captions(count: int, seed: int) -> Iterator[str]:
    for i in range(count):
        facts = world.draw_facts(np.random.default_rng((seed, i)), ALL, held_out=None)
        yield world.caption_of(facts, subject(facts.subject), i)
