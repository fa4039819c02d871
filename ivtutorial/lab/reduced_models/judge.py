"""What a judge's answers cost: its loss on clips whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ivtutorial.lab.world import samples as frames, web_faults as web
from ivtutorial.lab.world.judges.judge import FAULTS, targets


def reading_loss(out: dict[str, Tensor], samples: Sequence[frames.Sample]) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross entropies of subject, colour, scene and movement, and half the squared error of the faults' strengths.

    Args:
        out: what a network such as `ivtutorial.lab.world.judges.judge.JudgeNet` returns for N clips.
        samples: what they are, N of them.

    Returns:
        The loss, and the share of right answers to each question.
    """
    device, wanted = out["faults"].device, [targets(s.facts) for s in samples]
    strengths = torch.tensor(
        [[getattr(s.faults, k) / web.STRONGEST[k] for k in FAULTS] for s in samples], device=device
    )
    total, right = 0.5 * F.mse_loss(out["faults"].float(), strengths), {}
    for name in ("subject", "colour", "scene", "movement"):
        classes = torch.tensor([w[name] for w in wanted], device=device)
        total = total + F.cross_entropy(out[name].float(), classes, label_smoothing=0.02)
        right[name] = (out[name].argmax(-1) == classes).float().mean()
    return total, right
