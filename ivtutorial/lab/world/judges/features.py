"""A small network of our own whose features compare pictures: what a species looks like, not which pixel is how bright.

It reads species, colour, facing and where the subject is, from single frames of both qualities. Neither the judge nor
the reward is used for it: both must stay strangers to what they measure.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.lab.world.drawing.subject import COLOURS
from ivtutorial.lab.world.drawing.subjects import ALL

WEIGHTS = "features.safetensors"


class FeatureNet(nn.Module):
    """Frames (B, 3, 64, 64) in [-1, 1] -> features at four sizes, from 32 x 32 to 4 x 4."""

    def __init__(self, subjects: int = len(ALL), colours: int = len(COLOURS), width: int = 24) -> None:
        super().__init__()
        w = width
        self.stages = nn.ModuleList([_stage(3, w, 5), _stage(w, 2 * w), _stage(2 * w, 3 * w), _stage(3 * w, 4 * w)])
        self.look = nn.Sequential(nn.Flatten(), nn.Linear(4 * w * 16, 160), nn.GELU())
        self.subject, self.colour, self.facing = nn.Linear(160, subjects), nn.Linear(160, colours), nn.Linear(160, 2)
        self.mask = nn.Conv2d(2 * w, 1, 1)

    @classmethod
    def load(cls, folder: str | Path) -> FeatureNet:
        """Open what :meth:`save` wrote, for use only.

        Raises:
            InputError: there is no such file.
        """
        path = Path(folder) / WEIGHTS
        if not path.exists():
            raise InputError(f"no {WEIGHTS} in {folder}; 'ivtutorial zoo train-all' makes it")
        net = cls()
        net.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        return net.eval().requires_grad_(False)

    def save(self, folder: str | Path) -> None:
        """Write the weights, fp16."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        save_file({k: v.half().contiguous() for k, v in self.state_dict().items()}, Path(folder) / WEIGHTS)

    def features(self, pixels: Tensor) -> list[Tensor]:
        """Feature maps of the first three stages: 32 x 32, 16 x 16, 8 x 8."""
        maps = []
        for stage in self.stages[:3]:
            pixels = stage(pixels)
            maps.append(pixels)
        return maps

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Logits of subject, colour and facing, (B, n), and of the 16 x 16 mask, (B, 16, 16)."""
        maps = self.features(pixels)
        look = self.look(self.stages[3](maps[-1]))
        return {
            "subject": self.subject(look), "colour": self.colour(look), "facing": self.facing(look),
            "mask": self.mask(maps[1])[:, 0],
        }  # fmt: skip


def _stage(a: int, b: int, kernel: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(a, b, kernel, stride=2, padding=kernel // 2), nn.GroupNorm(8, b), nn.SiLU())
