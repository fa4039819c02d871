"""SegVR, segmental video reward: a clip is judged by one frame of every segment (Sec. 3.2.2, Eq. 6).

| name      | symbol | shape  | equation                                     |
|-----------|--------|--------|----------------------------------------------|
| `F`, `S`  | F, S   | int    | frames of a clip (16), segments (4)          |
| `indices` | g(i)   | (B, S) | Eq. 6: one frame of every segment, uniformly |

    g(i) ~ U{(i - 1) F / S, ..., i F / S - 1}                                                      Eq. 6

Where this differs from the authors' code
-----------------------------------------
1. S must divide F. Theirs silently never looks at the last F - S (F // S) frames.
2. The draw comes from a generator of our own, not from the global state; the same seed gives the same draw.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ivtutorial.errors import InputError

Selection = Literal["random", "first", "middle", "dense"]
SELECTIONS: tuple[str, ...] = get_args(Selection)


def choose_frames(
    F: int,
    S: int,
    batch: int,
    generator: torch.Generator | None = None,
    selection: Selection = "random",
) -> Tensor:
    """One frame of each of S equal segments, g(i) ~ U{(i-1) F/S, ..., i F/S - 1} (Eq. 6).

    Args:
        F: frames of a clip.
        S: segments; must divide F. With S = F every frame is chosen once.
        batch: clips B; each clip has its own draw.
        generator: seeded source of 'random'.
        selection: 'random' is SegVR; 'first' the first frame of each segment (the paper's evaluation);
            'middle' the frame at half the segment; 'dense' every frame (ablation of Fig. 7; S plays no part).

    Returns:
        Frame numbers from 0, int64 (B, S), ascending along S; (B, F) if dense. On the generator's device.

    Raises:
        InputError: S does not divide F, or an unknown selection.

    Example:
        >>> choose_frames(16, 4, batch=1, selection="first")
        tensor([[ 0,  4,  8, 12]])
    """
    if selection not in SELECTIONS:
        raise InputError(f"selection = {selection!r}: expected one of {', '.join(SELECTIONS)}.")
    if selection == "dense":
        return torch.arange(F).repeat(batch, 1)
    if S < 1 or F % S:
        divisors = ", ".join(str(d) for d in range(1, F + 1) if F % d == 0)
        raise InputError(f"S = {S} segments do not divide F = {F} frames: use one of {divisors}.")
    length = F // S
    offsets = torch.full((batch, S), length // 2 if selection == "middle" else 0)
    if selection == "random":
        device = generator.device if generator is not None else None
        offsets = torch.randint(length, (batch, S), generator=generator, device=device)
    return offsets + length * torch.arange(S, device=offsets.device)
