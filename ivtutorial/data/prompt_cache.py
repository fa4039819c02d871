"""Prompt embeddings on disk, for models whose text encoder is too large to stay beside the network.

CACHE/text-<encoder>/<caption>.safetensors     embedding (L, E) without padding, as the encoder computed it

<encoder> is a hash of the text encoder's weights, <caption> one of the text. Padding is added on use. What is stored is
not encoded again: with a set that `ivtutorial prepare` wrote, the text encoder is never loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.models.dit.prompt_side import PromptSide
from ivtutorial.system.files import atomic_write, key
from ivtutorial.system.out_of_memory import ENCODING_OPTIONS, explain_out_of_memory
from ivtutorial.system.share import own_share, wait_for_all

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone

TOGETHER = 8  # captions encoded at a time


def encode_captions(backbone: AnyBackbone, captions: Sequence[str], cache: str | Path) -> None:
    """Make the embeddings of captions known to a model, from disk where they are; each process encodes its share.

    A model with a small text encoder (`Backbone`) is left alone: it encodes captions when they are asked for.

    Args:
        backbone: where its text encoder is missing, the embeddings of another process or machine serve.
        captions: "" is always among them.
        cache: folder, shared with the encoded clips.

    Raises:
        InputError: a damaged file, one of another encoder, a missing text encoder, or a cache that cannot be written.
    """
    if not isinstance(backbone, PromptSide):
        return
    folder = _folder(backbone, Path(cache))
    texts = list(dict.fromkeys(["", *captions]))
    mine = own_share([text for text in texts if not _path(folder, text).is_file()])
    for first in range(0, len(mine), TOGETHER):
        some = mine[first : first + TOGETHER]
        with explain_out_of_memory(ENCODING_OPTIONS):
            embeddings = backbone.encode_text(some)
        for text, embedding in zip(some, embeddings, strict=True):
            _store(_path(folder, text), embedding)
    backbone.move_text("cpu")
    wait_for_all()
    for text in texts:
        backbone.remember(text, _read(_path(folder, text)))


def _folder(backbone: PromptSide, cache: Path) -> Path:
    if backbone.text_encoder is None:  # then there can be no doubt only if one encoder was used
        known = sorted(cache.glob("text-*"))
        if len(known) == 1:
            return known[0]
    return cache / f"text-{backbone.text_key}"


def _path(folder: Path, text: str) -> Path:
    return folder / f"{key(text)[:20]}.safetensors"


def _store(path: Path, embedding: Tensor) -> None:
    from safetensors.torch import save

    with atomic_write(path) as file:
        file.write(save({"embedding": embedding.contiguous()}))


def _read(path: Path) -> Tensor:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)["embedding"]
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"the prompt cache {path} is damaged ({error}). Delete it; it is made again.") from error
