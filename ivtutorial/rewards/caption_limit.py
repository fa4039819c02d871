"""How much of a caption a reward reads, and a warning where that is not all of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

logger = logging.getLogger(__name__)


class CaptionLimit:
    """Warns of captions that are longer than what a reward reads: two that differ only beyond it score the same.

    Args:
        reward: its name, for the warning.
        tokens: how many it reads.
    """

    def __init__(self, reward: str, tokens: int) -> None:
        self.reward, self.tokens = reward, tokens
        self.cut: dict[str, int] = {}
        self._next = 1

    def check(self, captions: Sequence[str], lengths: Sequence[int]) -> None:
        """Logs a warning at the first captions that are cut, and again when there are twice as many.

        Args:
            captions: N texts.
            lengths: N numbers of tokens, with those for beginning and end.
        """
        new = {text: n for text, n in zip(captions, lengths, strict=True) if n > self.tokens and text not in self.cut}
        self.cut |= new
        if new and len(self.cut) >= self._next:
            self._next = 2 * len(self.cut)
            text, n = next(iter(new.items()))
            which = "1 caption is" if len(self.cut) == 1 else f"{len(self.cut)} captions so far are"
            start = text if len(text) <= 60 else text[:60] + "…"
            logger.warning(
                "%s longer than the %d tokens that %s reads, and cut there: %r has %d",
                which, self.tokens, self.reward, start, n,
            )  # fmt: skip


def count_tokens(tokenizer: Any, caption: str) -> int:
    """Tokens of a caption, with those for beginning and end; 0 for a tokenizer that cannot say, as it cuts first.

    Args:
        tokenizer: open_clip's own, or open_clip's around one of transformers.
        caption: text.
    """
    if hasattr(tokenizer, "tokenizer"):
        return len(tokenizer.tokenizer(caption, verbose=False).input_ids)
    return len(tokenizer.encode(caption)) + 2 if hasattr(tokenizer, "encode") else 0
