"""What tests of runs share: a small run, a reward, and how the results of two runs are compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ivtutorial.method.batch import Batch
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.lora import LORA_FILE
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.run_folder import FinetuneResult

if TYPE_CHECKING:
    pass

METHOD = InstructVideo(tau=0.5, D=4, S=2)  # 2 steps, 4 UNet evaluations a clip with guidance


CONFIG = FinetuneConfig(METHOD, steps=6, lr=1e-2, frames=4, checkpoint_every=2, keep=2)


CAPTIONS = ["a red fox", "the deer running", "snow", "a deer", "the red snow"]


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    """A reward that likes red."""
    return frames[:, 0].mean(dim=(1, 2))


def far_from_noise(models: Any, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
    """A loss without any draw: the mean over the clips of a number that each clip has for itself."""
    output = models.predictor(batch.embeds)(batch.latents, 501)
    return output.square().mean(), {}


def weights(result: FinetuneResult | Path) -> dict[str, Tensor]:
    folder = result.lora if isinstance(result, FinetuneResult) else result
    return load_file(folder / LORA_FILE)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """How far apart two runs have moved from the same start, relative to how far they went: up matrices start at 0.

    Not entry by entry: Adam divides each gradient by its own size, so one that is nothing but rounding moves as far as
    any other.
    """
    ups = [torch.cat([state[name].flatten() for name in sorted(state) if "lora_B" in name]) for state in (a, b)]
    return float((ups[0] - ups[1]).norm() / ups[1].norm())


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "elapsed")} for row in rows]
