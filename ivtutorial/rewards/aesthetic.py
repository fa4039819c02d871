"""The LAION aesthetic score: how much people like a picture, whatever its caption says.

    r(x) = h(f(x) / |f(x)|)        f CLIP's image tower (OpenAI's ViT-L/14), h five linear layers

The head was trained on ratings from 1 to 10, and real pictures score near 5. There is nothing between its layers, so it
is one affine function of the feature, and its gradient points the same way for every picture: it is easily
over-optimised, and belongs into a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ivtutorial.checks import check_frames
from ivtutorial.rewards.preprocess import fit, normalise
from ivtutorial.rewards.transformers_clip import ImageTower, load_image_tower
from ivtutorial.weights.files import fill, read_weights, tensors_of
from ivtutorial.weights.hub import hub_file

HUB_NAME, FILE = "trl-lib/ddpo-aesthetic-predictor", "aesthetic-model.pth"


def score_head(width: int) -> nn.Sequential:
    """Features (N, width) -> scores (N, 1); the head that LAION's aesthetic score and ImageReward share.

    The dropout layers do nothing here; they are in the published files' numbering.
    """
    sizes, dropout = (width, 1024, 128, 64, 16, 1), (0.2, 0.2, 0.1, None, None)
    layers: list[nn.Module] = []
    for wide, narrow, share in zip(sizes, sizes[1:], dropout):
        layers += [nn.Linear(wide, narrow)] + ([] if share is None else [nn.Dropout(share)])
    return nn.Sequential(*layers)


class AestheticReward(nn.Module):
    """Score frames by their looks; an `ImageReward` that does not read the captions."""

    def __init__(self, tower: ImageTower, head: nn.Sequential) -> None:
        """Freeze both.

        Args:
            tower: CLIP's image tower, features (N, E).
            head: features (N, E) -> (N, 1).
        """
        super().__init__()
        self.tower, self.head = tower.eval().requires_grad_(False), head.eval().requires_grad_(False).float()

    def forward(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
        """Aesthetic score of each frame; arguments and result as `ImageReward`."""
        check_frames(frames, captions)
        images = normalise(fit(frames, self.tower.image_size, "clip"))
        features = self.tower(images.to(self.tower.projection.weight.dtype))
        with torch.autocast(frames.device.type, enabled=False):  # it would compute the head in half precision
            scores: Tensor = self.head(F.normalize(features.float(), dim=-1)).squeeze(-1)
        return scores

    def train(self, mode: bool = True) -> AestheticReward:
        """Stay in eval mode, without dropout."""
        return super().train(False)


def load_aesthetic(
    path: str | Path | None = None, clip: str | Path | None = None, dtype: torch.dtype = torch.float32
) -> AestheticReward:
    """The LAION aesthetic score, on the CPU.

    Args:
        path: file of the head (.pth, e.g. sac+logos+ava1-l14-linearMSE.pth, or .safetensors); None downloads it.
        clip: folder or hub name of the CLIP that the head was trained on; None for OpenAI's ViT-L/14.
        dtype: of the image tower; the head stays float32.

    Raises:
        InputError: no such file or model, or a head for another width.
    """
    file = hub_file(HUB_NAME, FILE) if path is None else Path(path)
    state = tensors_of(read_weights(file, "aesthetic head"), file, "state_dict")
    tower = load_image_tower(clip, dtype)
    head = score_head(tower.projection.out_features)
    layers = {name.removeprefix("layers."): tensor.float() for name, tensor in state.items()}
    fill(head, layers, file, f"an aesthetic head for features of width {tower.projection.out_features}")
    return AestheticReward(tower, head)
