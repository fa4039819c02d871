"""A small network of our own whose features compare pictures: what a species looks like, not which pixel is how bright.

It reads species, colour, facing and where the subject is, from single frames of both qualities. Neither the judge nor
the reward is used for it: both must stay strangers to what they measure.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ivtutorial.lab.reduced_models.train_all.loop import StepLoss, TrainStep
from ivtutorial.lab.reduced_models.train_all.pool import Pool


class FeatureNet(nn.Module):
    """Frames (B, 3, 64, 64) in [-1, 1] -> features at four sizes, from 32 x 32 to 4 x 4."""

    def __init__(self, subjects: int, colours: int, width: int = 24) -> None:
        super().__init__()
        w = width
        self.stages = nn.ModuleList([_stage(3, w, 5), _stage(w, 2 * w), _stage(2 * w, 3 * w), _stage(3 * w, 4 * w)])
        self.look = nn.Sequential(nn.Flatten(), nn.Linear(4 * w * 16, 160), nn.GELU())
        self.subject, self.colour, self.facing = nn.Linear(160, subjects), nn.Linear(160, colours), nn.Linear(160, 2)
        self.mask = nn.Conv2d(2 * w, 1, 1)

    def features(self, pixels: Tensor) -> list[Tensor]:
        """Feature maps of the first three stages: 32 x 32, 16 x 16, 8 x 8."""
        found = []
        for stage in self.stages[:3]:
            pixels = stage(pixels)
            found.append(pixels)
        return found

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


class Labelled:
    """Frames of a pool with their classes."""

    def __init__(self, *pools: Pool) -> None:
        self.pools = pools

    def draw(self, step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        """This process's share: pixels in [-1, 1] and the targets of :class:`FeatureNet`."""
        share = step.batch // len(self.pools)
        rows: list[Tensor] = []
        masks, wanted = [], []
        for pool in self.pools:
            index, frame = step.rng.integers(len(pool), size=share), step.rng.integers(pool.config.frames, size=share)
            pixels, mask = pool.frames(index, frame)
            rows.append(pixels)
            masks.append(mask)
            wanted.append(pool.classes[index].astype(np.int64))
        device = step.group.device
        pixels, mask = step.own(torch.cat(rows)).to(device), step.own(torch.cat(masks)).to(device)
        labels = torch.from_numpy(step.own(np.concatenate(wanted))).to(device)
        return pixels.float() / 127.5 - 1.0, {
            "subject": labels[:, 0], "colour": labels[:, 1], "facing": labels[:, 2],
            "mask": F.avg_pool2d(mask[:, None].float(), 4)[:, 0],
        }  # fmt: skip


def feature_loss(net: FeatureNet, data: Labelled) -> StepLoss:
    """Cross entropies of everything the network reads."""

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        pixels, wanted = data.draw(step)
        out = net(pixels)
        total = F.binary_cross_entropy_with_logits(out["mask"].float(), wanted["mask"])
        numbers = {"mask": total.detach()}
        for name in ("subject", "colour", "facing"):
            total = total + F.cross_entropy(out[name].float(), wanted[name])
            numbers[name] = (out[name].argmax(-1) == wanted[name]).float().mean()
        return total, numbers

    return loss


def save(net: FeatureNet, folder: Path) -> None:
    """Write the weights, fp16."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in net.state_dict().items()}, folder / "features.safetensors")


def load(folder: Path, subjects: int, colours: int) -> FeatureNet:
    """Open what :func:`save` wrote, for use only."""
    net = FeatureNet(subjects, colours)
    net.load_state_dict({k: v.float() for k, v in load_file(folder / "features.safetensors").items()})
    return net.eval().requires_grad_(False)
