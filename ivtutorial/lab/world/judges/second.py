"""A network for a second judge: other layers, other seed. Where two readers of different making agree, neither is
fooled alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ivtutorial.lab.world.drawing.scenes import SCENES
from ivtutorial.lab.world.facts import FRAMES, MOVEMENTS
from ivtutorial.lab.world.judges.judge import COLOUR_NAMES, EVERY, FAULTS, SUBJECT_NAMES


class SecondNet(nn.Module):
    """Frames -> logits of what is shown, as `ivtutorial.lab.world.judges.judge.JudgeNet`.

    Residual blocks with max-pooling read each frame. What a frame shows is pooled by attention: each question looks
    where its answer is. The movement is read by convolutions over time.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w = width
        self.tower = nn.Sequential(
            nn.Conv2d(3, w, 3, padding=1), nn.MaxPool2d(2), _Residual(w),
            nn.Conv2d(w, 2 * w, 3, padding=1), nn.MaxPool2d(2), _Residual(2 * w),
            nn.Conv2d(2 * w, 4 * w, 3, padding=1), nn.MaxPool2d(2), _Residual(4 * w), _Residual(4 * w),
        )  # fmt: skip
        counts = {
            "subject": len(SUBJECT_NAMES),
            "colour": len(COLOUR_NAMES),
            "scene": len(SCENES),
            "faults": len(FAULTS),
        }
        self.where = nn.Conv2d(4 * w, len(counts), 1)
        self.place = nn.Parameter(torch.zeros(4 * w, 8, 8))
        self.heads = nn.ModuleDict(
            {k: nn.Sequential(nn.LayerNorm(4 * w), nn.Linear(4 * w, n)) for k, n in counts.items()}
        )
        self.squeeze = nn.Sequential(nn.Conv2d(4 * w, w, 1), nn.GELU(), nn.Flatten(), nn.Linear(w * 64, 96))
        self.motion = nn.Sequential(
            nn.Conv1d(96, 96, 3, padding=1), nn.GELU(), nn.Conv1d(96, 96, 3, padding=1), nn.GELU(), nn.Flatten(1),
            nn.Linear(96 * (FRAMES // EVERY), len(MOVEMENTS)),
        )  # fmt: skip

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """(B, 8, 3, 64, 64) in [0, 1] -> logits (B, classes) of subject, colour, scene, movement; faults (B, 5)."""
        b, f = frames.shape[:2]
        seen = self.tower(frames.flatten(0, 1) * 2 - 1) + self.place
        shares = self.where(seen).flatten(2).softmax(-1)
        pooled = torch.einsum("nqs,ncs->nqc", shares, seen.flatten(2))
        out = {
            name: head(pooled[:, k]).unflatten(0, (b, f)).mean(1) for k, (name, head) in enumerate(self.heads.items())
        }
        out["movement"] = self.motion(self.squeeze(seen).unflatten(0, (b, f)).transpose(1, 2))
        return out


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x + self.body(x)
