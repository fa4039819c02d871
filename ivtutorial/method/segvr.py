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
3. Models with a causal autoencoder make F = 4 k + 1 frames: one, then k chunks of four, each from one latent. There S
   may divide F - 1 instead. Frame 0 then belongs to no segment, so that with S = k a segment is a chunk.
4. 'attenuated' is TAR as a distribution, not the paper's. The expectation of Eq. 6-8 over the draws is

       E[R] = (1/F) sum_g f_g r_g = w sum_g p_g r_g,      w = (1/F) sum_g f_g,      p_g = f_g / sum_h f_h.

   So frames may be drawn in proportion to f_g and all weigh w. Segments then have equal mass in place of equal length:
   with C_g = p_0 + ... + p_g and u uniform in [(i-1)/S, i/S), g(i) is the first frame with C_g > u, so that

       P(g(i) = g) = S |[C_{g-1}, C_g) and [(i-1)/S, i/S) overlap|,      E[R] = w sum_g p_g r_g again.

   With f_g = 1 that is Eq. 6. R no longer jumps with the weights that were drawn: where all scores are equal its
   variance is 0, while Eq. 6-7 have a standard deviation of 73 % of the mean (F = 16, S = 4, lambda_tar = 1). For
   scores of 0.6 +- 0.05 two such segments have a three-hundredth of the variance of the paper's four. Scores whose
   spread exceeds their mean gain nothing; the same holds for gradients of frames that point in different directions.
   The B draws of a segment are joint: each clip has a B-th part of the segment for itself, in random order. One clip's
   draw is the same as alone, but the batch covers the segment evenly. Neighbouring segments may share a frame.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.tar import temporal_attenuation
from ivtutorial.system.step_draws import own_rows, randint_rows

Selection = Literal["random", "first", "middle", "dense", "attenuated"]
SELECTIONS: tuple[str, ...] = get_args(Selection)


def choose_frames(
    F: int,
    S: int,
    batch: int,
    generator: torch.Generator | None = None,
    selection: Selection = "random",
    lambda_tar: float = 1.0,
) -> Tensor:
    """One frame of each of S equal segments, g(i) ~ U{(i-1) F/S, ..., i F/S - 1} (Eq. 6).

    Args:
        F: frames of a clip.
        S: segments; must divide F, with S = F every frame is chosen once; or, where F = 4 k + 1, F - 1: then frame 0
            is left out.
        batch: clips B; each clip has its own draw.
        generator: seeded source of 'random' and 'attenuated'.
        selection: 'random' is SegVR; 'first' the first frame of each segment (the paper's evaluation);
            'middle' the frame at half the segment; 'dense' every frame (ablation of Fig. 7; S plays no part);
            'attenuated' a frame of each segment of equal TAR mass, see the module.
        lambda_tar: steepness of TAR (Eq. 7), used only with 'attenuated'.

    Returns:
        Frame numbers from 0, int64 (B, S), ascending along S; (B, F) if dense. On the generator's device. Only with
        'attenuated' may a clip have the same frame twice.

    Raises:
        InputError: S does not fit F, an unknown selection, or a negative lambda_tar.

    Example:
        >>> choose_frames(16, 4, batch=1, selection="first")
        tensor([[ 0,  4,  8, 12]])
        >>> choose_frames(17, 4, batch=1, selection="first")
        tensor([[ 1,  5,  9, 13]])
    """
    check_segments(F, S, selection)
    if selection == "dense":
        return torch.arange(F).repeat(batch, 1)
    if selection == "attenuated":
        return own_rows(generator, batch, lambda n: attenuated_frames(F, S, n, generator, lambda_tar))
    length, first = F // S, F % S  # F % S is 0, or 1 where frame 0 is left out
    offsets = torch.full((batch, S), length // 2 if selection == "middle" else 0)
    if selection == "random":
        offsets = randint_rows(length, (batch, S), generator)
    return first + offsets + length * torch.arange(S, device=offsets.device)


def check_segments(F: int, S: int, selection: Selection) -> None:
    """Refuse segments that do not divide the frames, and unknown selections; see :func:`choose_frames`."""
    if selection not in SELECTIONS:
        raise InputError(f"selection = {selection!r}: expected one of {', '.join(SELECTIONS)}.")
    fitting = [d for d in range(1, F + 1) if F % d == 0 or (F % 4 == 1 and (F - 1) % d == 0)]
    if selection != "dense" and S not in fitting:
        raise InputError(f"S = {S} segments do not divide F = {F} frames: use one of {', '.join(map(str, fitting))}.")


def attenuated_frames(
    F: int, S: int, batch: int, generator: torch.Generator | None = None, lambda_tar: float = 1.0
) -> Tensor:
    """One frame of each of S segments of equal TAR mass, g(i) = min{g: C_g > u}, u ~ U[(i-1)/S, i/S).

    Args:
        F: frames of a clip.
        S: segments, >= 1.
        batch: clips B, drawn jointly, see the module.
        generator: seeded source, on whose device the result lies.
        lambda_tar: steepness of TAR.

    Returns:
        Frame numbers from 0, int64 (B, S), ascending along S, some of them possibly equal.
    """
    device = generator.device if generator is not None else None
    order, within = (torch.rand(batch, S, generator=generator, device=device, dtype=torch.float64) for _ in range(2))
    u = (torch.arange(S, device=device) + (order.argsort(dim=0) + within) / batch) / S
    f = temporal_attenuation(torch.arange(F, device=device), F, lambda_tar).double()
    return torch.searchsorted(f.cumsum(0) / f.sum(), u.contiguous(), right=True).clamp(max=F - 1)
