"""TAR, temporally attenuated reward: frames far from the middle of a clip count less (Sec. 3.2.2, Eq. 7).

| name         | symbol     | shape  | equation                                              |
|--------------|------------|--------|-------------------------------------------------------|
| `indices`    | g(i)       | (B, S) | Eq. 6: the chosen frames                              |
| `lambda_tar` | lambda_tar | float  | Eq. 7: 1 in the paper; 0 switches the attenuation off |
| weights      | f_i        | (B, S) | Eq. 7: exp(-lambda_tar abs(g(i) - F/2))               |

Where this differs from the authors' code: optionally the weights of a clip are scaled to mean 1 (`normalise`). As
published, their mean over the segments is 0.135 for F = 16, S = 4 and varies from 0.017 to 0.348 with the draw alone,
so R mostly says which frames were drawn: log the scores beside it. Frames that were drawn in proportion to their weight
(`drawn`, the selection 'attenuated' of :mod:`ivtutorial.method.segvr`) all weigh the mean over the F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ivtutorial.errors import InputError


def temporal_attenuation(
    indices: Tensor, F: int, lambda_tar: float = 1.0, normalise: bool = False, drawn: bool = False
) -> Tensor:
    """Weight of each chosen frame, f_i = exp(-lambda_tar |g(i) - F // 2|) (Eq. 7).

    With F = 16 frame 8 has weight 1, frame 0 e^-8 and frame 15 e^-7: the middle counts, not symmetrically.

    Args:
        indices: frame numbers from 0, int64 (B, S).
        F: frames of a clip.
        lambda_tar: steepness, >= 0; 0 gives every frame weight 1.
        normalise: scale the weights of each clip so that their mean over S is 1. The paper does not.
        drawn: the frames were drawn in proportion to f_g: each weighs (1/F) sum_g f_g, or 1 with `normalise`.

    Returns:
        Weights, float32 (B, S).

    Raises:
        InputError: a negative lambda_tar.

    Example:
        >>> import torch
        >>> temporal_attenuation(torch.tensor([[7, 8]]), F=16)
        tensor([[0.3679, 1.0000]])
    """
    if not lambda_tar >= 0:
        raise InputError(f"lambda_tar = {lambda_tar}: expected a number >= 0; the paper uses 1.")
    if drawn:
        mean = 1.0 if normalise else temporal_attenuation(torch.arange(F), F, lambda_tar).mean().item()
        return torch.full(indices.shape, mean, device=indices.device)
    exponent = -lambda_tar * (indices - F // 2).abs().float()
    if normalise:  # softmax cannot divide 0 by 0 where every exp would underflow
        return exponent.softmax(dim=1) * indices.shape[1]
    return exponent.exp()
