"""What a judge is: it looks at clips and adds columns to the table. Fine-tuning never sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor


class ClipJudge(Protocol):
    """Any function of this form; it must be picklable where an evaluation uses several processes.

    Example:
        >>> def darkness(clips, facts):
        ...     return {"darkness": 1 - clips.mean(dim=(1, 2, 3, 4))}
    """

    def __call__(self, clips: Tensor, facts: Sequence[Mapping[str, Any]] | None, /) -> Mapping[str, Tensor]:
        """Judge N clips.

        Args:
            clips: (N, F, 3, H, W), float in [0, 1], on the CPU.
            facts: what each clip should show, as the prompts say; None where the prompts have no facts.

        Returns:
            Column -> (N,).
        """
        ...
