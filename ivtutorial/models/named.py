"""Names of models and rewards: the only place that knows what "reduced" or "modelscope" stands for.

| name         | model                            | reward               |
|--------------|----------------------------------|----------------------|
| `reduced`    | `data/models/reduced`            | `data/models/reward` |
| `modelscope` | damo-vilab/text-to-video-ms-1.7b | -                    |
| `zeroscope`  | cerspense/zeroscope_v2_576w      | -                    |

The other rewards (`hpsv2`, `pickscore`, ...) are named in `ivtutorial.rewards.named`. Anything else is a folder, a file
or a hub name. Objects pass through unchanged, so every function that takes a model takes either form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivtutorial.errors import InputError
from ivtutorial.system.files import data_path

if TYPE_CHECKING:
    import torch

    from ivtutorial.models.backbone import Backbone
    from ivtutorial.rewards.base import ImageReward

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
    import torch

    from ivtutorial.models.backbone_folder import load_backbone
    from ivtutorial.models.memory import OPENING_KNOBS, explain_out_of_memory

    chosen = dtype or torch.float32
    unet = chosen if isinstance(chosen, torch.dtype) else chosen.get("unet", torch.float32)
    with explain_out_of_memory(OPENING_KNOBS):
        return load_backbone(model_location(model), chosen, device, None if unet == torch.float32 else "fp16")


def open_reward(
    reward: ImageReward | str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> ImageReward:
    """An image reward by name, folder, HPSv2 checkpoint file, function or mixture; an object is returned as it is.

    Args:
        reward: "reduced", anything that `ivtutorial.rewards.named` knows, or an image reward.
        device: where to put it.
        dtype: of its weights; float32 by default.

    Raises:
        InputError: nothing usable there, an object that cannot be called, or the GPU's memory is too small.
    """
    if not isinstance(reward, (str, Path)):
        if not callable(reward):
            raise InputError(f"A reward is a function (frames, captions) -> scores, got {reward!r}.")
        return reward
    import torch

    from ivtutorial.models.memory import OPENING_KNOBS, explain_out_of_memory
    from ivtutorial.rewards.named import open_named

    places = {"reduced": data_path("models", "reward")} if "reduced" in str(reward) else {}
    with explain_out_of_memory(OPENING_KNOBS):
        return open_named(str(reward), device, dtype or torch.float32, places)


def describe(thing: Any) -> str:
    """How a model or reward is named in a run's `config.json`: its name as given, or its class."""
    return (
        str(thing) if isinstance(thing, (str, Path)) else f"object of {type(thing).__module__}.{type(thing).__name__}"
    )
