"""Names of models and rewards: the only place that knows what "reduced" or "modelscope" stands for.

| name         | model                                | reward                                  | judge              |
|--------------|--------------------------------------|-----------------------------------------|--------------------|
| `reduced`    | `data/models/reduced`                | `data/models/reward`                    | `data/models/judge`|
| `modelscope` | damo-vilab/text-to-video-ms-1.7b     | -                                       | -                  |
| `hpsv2`      | -                                    | an HPSv2 checkpoint file, given by path | -                  |

Anything else is a folder, a file or a hub name. Objects pass through unchanged, so every function that takes a model
takes either form.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivtutorial.errors import InputError
from ivtutorial.files import data_path

if TYPE_CHECKING:
    import torch

    from ivtutorial.backbone import Backbone
    from ivtutorial.rewards.base import ImageReward
    from ivtutorial.zoo.judge import Judge

HUB_NAMES = {"modelscope": "damo-vilab/text-to-video-ms-1.7b"}
CHECKPOINT_SUFFIXES = (".pt", ".pth", ".bin")


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


def reward_location(name: str | Path) -> str:
    """Folder or checkpoint file of an image reward.

    Raises:
        InputError: "reduced", and the shipped data is not there; or a reward that must be given by its file.
    """
    if str(name) == "reduced":
        return str(data_path("models", "reward"))
    if str(name) == "hpsv2":
        raise InputError(
            "The reward 'hpsv2' needs its weights: download HPS_v2_compressed.pt from xswu/HPSv2 on the Hugging Face "
            "hub and give the path of the file."
        )
    return str(name)


def open_model(
    model: Backbone | str | Path, dtype: torch.dtype | None = None, device: str | torch.device = "cpu"
) -> Backbone:
    """A text-to-video model by name, folder or hub name; a `Backbone` is returned as it is, where it is.

    Args:
        model: "reduced", "modelscope", a folder, a hub name, or a `Backbone`.
        dtype: of the weights in memory; float32 by default.
        device: where to put the models.

    Raises:
        InputError: see `ivtutorial.backbone.load_backbone`.
    """
    if not isinstance(model, (str, Path)):
        return model
    import torch

    from ivtutorial.backbone import load_backbone

    return load_backbone(model_location(model), dtype or torch.float32, device)


def open_reward(reward: ImageReward | str | Path, device: str | torch.device = "cpu") -> ImageReward:
    """An image reward by name, folder or HPSv2 checkpoint file; an object is returned as it is.

    Raises:
        InputError: nothing usable there, or an object that cannot be called.
    """
    if not isinstance(reward, (str, Path)):
        if not callable(reward):
            raise InputError(f"A reward is a function (frames, captions) -> scores, got {reward!r}.")
        return reward
    from ivtutorial.rewards.clip import ClipReward, load_hpsv2

    place = reward_location(reward)
    if place.endswith(CHECKPOINT_SUFFIXES):
        return load_hpsv2(place).to(device)
    return ClipReward.from_folder(place, device)


def open_judge(judge: Judge | str | Path) -> Judge:
    """The judge of the reduced world by name ("reduced") or folder; an object is returned as it is.

    Raises:
        InputError: no judge there.
    """
    if not isinstance(judge, (str, Path)):
        return judge
    from ivtutorial.zoo.judge import Judge

    return Judge.load(data_path("models", "judge") if str(judge) == "reduced" else judge)


def describe(thing: Any) -> str:
    """How a model or reward is named in a run's `config.json`: its name as given, or its class."""
    return (
        str(thing) if isinstance(thing, (str, Path)) else f"object of {type(thing).__module__}.{type(thing).__name__}"
    )
