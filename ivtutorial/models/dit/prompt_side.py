"""The text side of a video transformer: a large encoder that is used once, and embeddings that stay."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.models.dit.parts import Part
from ivtutorial.models.dit.prompts import encode_prompts, pad_prompts
from ivtutorial.weights.fingerprint import fingerprint


class PromptSide:
    """What a `DitBackbone` does with captions.

    Embeddings are kept without padding, on the CPU. The text encoder is loaded when a new caption comes; once the
    transformer is there, it goes again at once.
    """

    family: ClassVar[str]  # as errors name it
    tokens: ClassVar[int]  # length of padded embeddings, L
    reads_padding: ClassVar[bool] = False  # the text encoder attends to it, and captions are not cleaned
    keeps_padding: ClassVar[bool] = False  # the transformer reads its embeddings: all L of a caption are kept

    transformer: Any
    text_encoder: Any
    tokenizer: Any
    source: Path | None
    _embeddings: dict[str, Tensor]
    _text_part: Part | None = None

    @property
    @abstractmethod
    def text_width(self) -> int:
        """E, width of the embeddings that the transformer reads."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where embeddings go."""

    @property
    def text_key(self) -> str:
        """A short hash of the text encoder: embeddings with another one are another encoder's."""
        part = self._text()
        return part.key if isinstance(part, Part) else fingerprint(part)

    @property
    def caption_limit(self) -> int:
        """Tokens of a caption that are read."""
        return self.tokens

    @property
    def text_device(self) -> torch.device | str:
        """Where the text encoder is, or goes when it is loaded."""
        part = self.text_encoder
        if part is None or isinstance(part, Part):
            return "cpu" if part is None else part.device
        return next(part.parameters()).device  # type: ignore[no-any-return]

    def move_text(self, device: torch.device | str) -> None:
        """Drop the text encoder if it can be loaded again, else move it."""
        if isinstance(self.text_encoder, nn.Module):
            again = self._text_part
            self.text_encoder = self.text_encoder.to(device) if again is None else again

    def remember(self, caption: str, embedding: Tensor) -> None:
        """Take an embedding without padding, (L, E), that was made before.

        Raises:
            InputError: it is another encoder's, or too long.
        """
        if embedding.ndim != 2 or embedding.shape[1] != self.text_width or len(embedding) > self.tokens:
            raise InputError(
                f"An embedding of shape {tuple(embedding.shape)} for {caption!r}: {self.family} reads (L, "
                f"{self.text_width}) with L <= {self.tokens}. It was made by another text encoder: delete it."
            )
        self._embeddings[caption] = embedding

    def encode_text(self, captions: Sequence[str]) -> list[Tensor]:
        """Embeddings without padding, (L_i, E) each, on the CPU; loads the text encoder if it is not there."""
        part = self._text()
        if isinstance(part, Part):
            self._text_part = part
            self.text_encoder = part.load()
        return encode_prompts(
            self.text_encoder, self.tokenizer, captions, self.tokens, self.reads_padding, self.keeps_padding
        )

    def embed(self, captions: Sequence[str]) -> Tensor:
        """Prompt embeddings (B, L, E); "" is the unconditional one. Each caption is encoded once.

        Raises:
            InputError: a caption that is not known, and there is no text encoder.
        """
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._embeddings]
        if new or not captions:
            self._embeddings.update(zip(new, self.encode_text(new), strict=True))
            if isinstance(self.transformer, nn.Module):
                self.move_text(self.text_device)
        return pad_prompts([self._embeddings[caption] for caption in captions], self.tokens).to(self.device)

    def _text(self) -> Any:
        if self.text_encoder is None:
            raise InputError(
                f"This model has no text encoder{f' ({self.source})' if self.source else ''}, and its captions are not "
                "encoded yet. Copy the folder text_encoder of the model, too, or use clips that `ivtutorial prepare` "
                "has encoded with it."
            )
        if self.tokenizer is None:
            raise InputError(
                f"This model has a text encoder and no tokenizer{f' ({self.source})' if self.source else ''}. Copy the "
                "folder tokenizer of the model, too."
            )
        return self.text_encoder
