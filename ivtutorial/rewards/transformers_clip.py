"""CLIP models in transformers' format, dressed as open_clip's: PickScore, and the plain CLIP score.

| reward | weights | scores lie |
|---|---|---|
| PickScore | yuvalkirstain/PickScore_v1, a ViT-H/14 tuned on choices of a web site's users | near 20 |
| CLIP score | openai/clip-vit-large-patch14, or any other CLIP | near 0.2 to 0.3 |

PickScore multiplies the cosine by CLIP's logit scale, the CLIP score does not.

Captions are cut into tokens by open_clip's own tokenizer, which has the vocabulary of every CLIP of this kind; what it
pads with does not matter, since no token sees what comes after it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.rewards.preprocess import CLIP_MEAN, CLIP_STD
from ivtutorial.weights.hub import hub_folder, is_hub_name
from ivtutorial.weights.pipeline_folder import load_model

CLIP_NAME = "openai/clip-vit-large-patch14"
PICKSCORE_NAME = "yuvalkirstain/PickScore_v1"
_FILES = ("config.json", "model.safetensors")


class ImageTower(nn.Module):
    """CLIP's image half: images (N, 3, S, S), normalised, -> features (N, E)."""

    image_mean, image_std = CLIP_MEAN, CLIP_STD

    def __init__(self, model: Any) -> None:
        """Take the image half out of a `CLIPModel`."""
        super().__init__()
        self.network, self.projection = model.vision_model, model.visual_projection
        self.image_size: int = self.network.config.image_size

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, E), not normalised."""
        features: Tensor = self.projection(self.network(pixel_values=images).pooler_output)
        return features


class HfClip(nn.Module):
    """A `CLIPModel` of transformers with the methods of an open_clip model."""

    def __init__(self, model: Any) -> None:
        """Keep the two towers of `model` apart, so that they can be moved apart."""
        super().__init__()
        self.visual = ImageTower(model)
        self.text, self.text_projection = model.text_model, model.text_projection

    def encode_image(self, images: Tensor) -> Tensor:
        """Images (N, 3, S, S), normalised -> features (N, E)."""
        features: Tensor = self.visual(images)
        return features

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Token ids (N, L) -> features (N, E)."""
        features: Tensor = self.text_projection(self.text(input_ids=tokens).pooler_output)
        return features


def load_clip_score(path: str | Path | None = None, dtype: torch.dtype = torch.float32) -> ClipReward:
    """The CLIP score, on the CPU: the plain cosine of frame and caption.

    Args:
        path: a folder with config.json and weights of a transformers CLIP, a hub name, or None for OpenAI's ViT-L/14.
        dtype: of the weights in memory.

    Raises:
        InputError: no such model, or another kind of model.
    """
    return ClipReward(HfClip(_open(path or CLIP_NAME, dtype)), _tokenizer(), {}, "clip")


def load_pickscore(path: str | Path | None = None, dtype: torch.dtype = torch.float32) -> ClipReward:
    """PickScore, on the CPU: exp(logit scale) * cosine.

    Args:
        path: a folder with the model, a hub name, or None for `yuvalkirstain/PickScore_v1`.
        dtype: of the weights in memory.

    Raises:
        InputError: no such model, or another kind of model.
    """
    model = _open(path or PICKSCORE_NAME, dtype)
    return ClipReward(HfClip(model), _tokenizer(), {}, "clip", scale=model.logit_scale.float().exp().item())


def load_image_tower(path: str | Path | None = None, dtype: torch.dtype = torch.float32) -> ImageTower:
    """Only the image half of a CLIP, on the CPU; arguments and errors as `load_clip_score`."""
    return ImageTower(_open(path or CLIP_NAME, dtype))


def _open(path: str | Path, dtype: torch.dtype) -> Any:
    from transformers import CLIPModel

    folder = Path(path)
    if not folder.exists():
        if not is_hub_name(path):
            raise InputError(f"No folder {path}. Give the folder of a CLIP model, or a hub name like 'owner/model'.")
        folder = hub_folder(str(path), _FILES)
        if not (folder / _FILES[1]).is_file():
            folder = hub_folder(str(path), ("pytorch_model.bin",))
    return load_model(CLIPModel, folder, dtype)


def _tokenizer() -> Callable[[list[str]], Tensor]:
    from open_clip import SimpleTokenizer

    return SimpleTokenizer()
