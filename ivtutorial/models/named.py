"""Models by name: the only place that knows what "reduced" or "modelscope" stands for.

| name         | model                            |
|--------------|----------------------------------|
| `reduced`    | `data/models/reduced`            |
| `modelscope` | damo-vilab/text-to-video-ms-1.7b |
| `zeroscope`  | cerspense/zeroscope_v2_576w      |

Anything else is a folder or a hub name. Objects pass through unchanged, so every function that takes a model takes
either form. Rewards have their names in `ivtutorial.rewards.named`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ivtutorial.system.files import data_path
from ivtutorial.system.out_of_memory import OPENING_KNOBS, explain_out_of_memory

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

HUB_NAMES = {"modelscope": "damo-vilab/text-to-video-ms-1.7b", "zeroscope": "cerspense/zeroscope_v2_576w"}


def model_location(name: str | Path) -> str:
    """Folder or hub name of a model.

    Raises:
        InputError: "reduced", and the shipped data is not there.

    Example:
        >>> model_location("modelscope")
        'damo-vilab/text-to-video-ms-1.7b'
    """
    if str(name) == "reduced":
        return str(data_path("models", "reduced"))
    return HUB_NAMES.get(str(name), str(name))


def open_model(
    model: Backbone | str | Path,
    dtype: torch.dtype | Mapping[str, torch.dtype] | None = None,
    device: str | torch.device = "cpu",
) -> Backbone:
    """A text-to-video model by name, folder or hub name; a `Backbone` is returned as it is, where it is.

    Args:
        model: "reduced", "modelscope", a folder, a hub name, or a `Backbone`.
        dtype: of the weights in memory, for all parts or by part ("unet", "vae", "text_encoder"); float32 by default.
            With a UNet in half precision the hub's half-precision files are fetched, where it has such.
        device: where to put the models.

    Raises:
        InputError: see `ivtutorial.models.backbone_folder.load_backbone`; or the GPU's memory is too small.
    """
    if not isinstance(model, (str, Path)):
        return model
    from ivtutorial.models.backbone_folder import load_backbone

    chosen = dtype or torch.float32
    unet = chosen if isinstance(chosen, torch.dtype) else chosen.get("unet", torch.float32)
    with explain_out_of_memory(OPENING_KNOBS):
        return load_backbone(model_location(model), chosen, device, None if unet == torch.float32 else "fp16")
