"""Artefacts that nobody named: how far a clip lies from every picture of what it should show.

The judge reads the faults that it was taught. A model that is optimised too far invents others: a grid in the sky, a
hole in a horse. So every patch of a clip is compared with the patches of fresh renders of the same facts, clean and of
web quality, and the distance to the nearest of them is how strange it is (as in PatchCore, Roth et al., CVPR 2022,
arXiv 2106.08265). Blur, watermark and the other known faults have near neighbours among the renders and count little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ivtutorial.lab.world import facts as world, web_faults as web
from ivtutorial.lab.world.drawing.subjects import subject
from ivtutorial.lab.world.judges.features import FeatureNet
from ivtutorial.system.files import data_path

LOOKED_AT = (1, 5, 9, 13)
RENDERS = 12  # other clips of the same facts
STRANGEST = 0.1  # of a frame's patches count: an artefact is small
_SEED = 910_000  # of renders that nothing else uses


class Artefacts:
    """Measures clips; see the module's docstring."""

    def __init__(self, net: FeatureNet) -> None:
        self.net = net.eval().requires_grad_(False)

    def __call__(self, clips: Tensor, facts: Sequence[Mapping[str, Any]]) -> Tensor:
        """Strangeness of clips, 0 for what is drawn exactly so elsewhere; fresh renders have about 0.4.

        Args:
            clips: float (N, 16, 3, 64, 64) in [0, 1].
            facts: fields of `ivtutorial.lab.world.facts.ClipFacts`, N of them.

        Returns:
            (N,), at most 2: mean over four frames of the mean distance of the strangest tenth of 64 patches.
        """
        rows = []
        references: dict[world.ClipFacts, Tensor] = {}  # samples of one prompt share them
        for clip, fields in zip(clips, facts, strict=True):
            prompted = world.ClipFacts(**fields)
            if prompted not in references:
                references[prompted] = self.patches(reference_frames(prompted)).flatten(0, 1)
            known = references[prompted]
            seen = self.patches(clip[list(LOOKED_AT)].float())
            nearest = torch.cdist(seen.flatten(0, 1), known).amin(1).unflatten(0, seen.shape[:2])
            rows.append(nearest.topk(round(STRANGEST * seen.shape[1]), dim=1).values.mean())
        return torch.stack(rows)

    @torch.no_grad()
    def patches(self, frames: Tensor) -> Tensor:
        """Features of the 8 x 8 patches of frames (N, 3, 64, 64): (N, 64, D), each of length 1."""
        _, fine, coarse = self.net.features(frames * 2 - 1)
        parts = [F.normalize(m.flatten(2).transpose(1, 2), dim=-1) for m in (F.avg_pool2d(fine, 2), coarse)]
        return torch.cat(parts, dim=-1) / 2**0.5


def reference_frames(facts: world.ClipFacts) -> Tensor:
    """Frames of other clips of the same facts, clean and with the faults of web video: (96, 3, 64, 64) in [0, 1]."""
    pictures = []
    for k in range(RENDERS):
        clean = world.render(replace(facts, seed=_SEED + k), subject(facts.subject), frames=LOOKED_AT)
        faults = web.draw_faults(np.random.default_rng((_SEED, k)))
        pictures += [clean, web.degrade(clean, faults, np.asarray(LOOKED_AT))]
    return torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2)


def open_artefacts(folder: str | Path = "reduced") -> Artefacts:
    """With the shipped features ("reduced"), or those in a folder.

    Raises:
        InputError: no features there.
    """
    return Artefacts(FeatureNet.load(data_path("models", "features") if str(folder) == "reduced" else folder))
