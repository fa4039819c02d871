"""What `ivtutorial.lab.world.judges.features.FeatureNet` learns from: labelled frames of both qualities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ivtutorial.lab.reduced_models.train_all.loop import StepLoss, TrainStep, to_device
from ivtutorial.lab.reduced_models.train_all.resident import AnyPool
from ivtutorial.lab.world.judges.features import FeatureNet


class Labelled:
    """Frames of a pool with their classes."""

    def __init__(self, *pools: AnyPool) -> None:
        self.pools = pools

    def draw(self, step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        """This process's share: pixels in [-1, 1] and the targets of :class:`FeatureNet`."""
        share = step.batch // len(self.pools)
        rows: list[Tensor] = []
        masks, wanted = [], []
        for pool in self.pools:
            index, frame = step.rng.integers(pool.ready, size=share), step.rng.integers(pool.config.frames, size=share)
            pixels, mask = pool.frames(index, frame)
            rows.append(pixels)
            masks.append(mask)
            wanted.append(pool.labels(index))
        own = (step.own(torch.cat(column)) for column in (rows, masks, wanted))
        pixels, mask, labels = (to_device(column, step.group.device) for column in own)
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
