"""Models by name: the only place that knows what "reduced" or "modelscope" stands for.

| name         | model                            |
|--------------|----------------------------------|
| `reduced`    | `data/models/reduced`            |
| `modelscope` | damo-vilab/text-to-video-ms-1.7b |
| `zeroscope`  | cerspense/zeroscope_v2_576w      |
| `wan2.1-1.3b` | Wan-AI/Wan2.1-T2V-1.3B-Diffusers |
| `cogvideox-2b` | zai-org/CogVideoX-2b             |

Anything else is a folder or a hub name. Objects pass through unchanged, so every function that takes a model takes
either form. Rewards have their names in `ivtutorial.rewards.named`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ivtutorial.method.flow import LevelSchedule
from ivtutorial.models.precision import text_precision
from ivtutorial.system.files import data_path
from ivtutorial.system.out_of_memory import OPENING_OPTIONS, explain_out_of_memory
from ivtutorial.weights.pipeline_folder import find_index, find_pipeline, read_index

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone
    from ivtutorial.models.dit.backbone import DitBackbone

    AnyBackbone = Backbone | DitBackbone  # what a name may stand for: the paper's kind of model, or a transformer

HUB_NAMES = {
    "modelscope": "damo-vilab/text-to-video-ms-1.7b",
    "zeroscope": "cerspense/zeroscope_v2_576w",
    "wan2.1-1.3b": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    "cogvideox-2b": "zai-org/CogVideoX-2b",
}
PAPERS = ("reduced", "modelscope", "zeroscope")  # of the paper's kind: a frame a latent, a table of alphas


@dataclass(frozen=True)
class Clocks:
    """What is usual for the clips of a model, and its levels if it has its own.

    Attributes:
        frames: F. fps: frames a second.
        schedule: levels and grid; None with a table of alphas, as the paper's model has.
        guidance: scale of the guidance: the paper's 3, and for transformers that of their authors' pipelines.
    """

    frames: int = 16
    fps: float = 8.0
    schedule: LevelSchedule | None = None
    guidance: float = 3.0


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
    model: AnyBackbone | str | Path,
    dtype: torch.dtype | Mapping[str, torch.dtype] | None = None,
    device: str | torch.device = "cpu",
) -> AnyBackbone:
    """A text-to-video model by name, folder or hub name; a backbone is returned as it is, where it is.

    Of a video transformer it is a `DitBackbone`, else a `Backbone`; what every part of this package calls, both have.

    Args:
        model: "reduced", "modelscope", "wan2.1-1.3b", a folder, a hub name, or a backbone.
        dtype: of the weights in memory, for all parts or by part ("unet", "vae", "text_encoder"); float32 by default.
            With a UNet in half precision the hub's half-precision files are fetched, where it has such.
        device: where to put the models.

    Raises:
        InputError: see `ivtutorial.models.backbone_folder.load_backbone`; or the GPU's memory is too small.
    """
    if not isinstance(model, (str, Path)):
        return model
    chosen = dtype or torch.float32
    unet = chosen if isinstance(chosen, torch.dtype) else chosen.get("unet", torch.float32)
    variant = None if unet == torch.float32 else "fp16"
    with explain_out_of_memory(OPENING_OPTIONS):
        folder = find_pipeline(model_location(model), variant)
        if "transformer" in read_index(folder):
            from ivtutorial.models.dit.dit_folder import load_dit

            return load_dit(folder, chosen, device, variant)
        from ivtutorial.models.backbone_folder import load_backbone

        return load_backbone(folder, chosen, device, variant)


def clocks(model: AnyBackbone | str | Path) -> Clocks:
    """Frames, rate, levels and guidance that are usual for a model; its weights are not read.

    Raises:
        InputError: no such model, or one of an unknown family.

    Example:
        >>> clocks("reduced")
        Clocks(frames=16, fps=8.0, schedule=None, guidance=3.0)
    """
    if str(model) in PAPERS:
        return Clocks()
    family: Any
    if isinstance(model, (str, Path)):
        from ivtutorial.models.dit.dit_folder import family_in, schedule_in

        folder = find_index(model_location(model))
        family, schedule = family_in(folder), schedule_in(folder)
    else:
        family = model if model.frame_count(2) > 2 else None  # the paper's model has a frame a latent
        schedule = model.scheduler if isinstance(model.scheduler, LevelSchedule) else None
    return Clocks(schedule=schedule) if family is None else Clocks(17, family.fps, schedule, family.guidance)


def open_encoder(
    model: AnyBackbone | str | Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> AnyBackbone:
    """What encodes clips of a model: its autoencoder without the weights of UNet and text encoder; or a backbone.

    Args:
        model: as for `open_model`.
        dtype: of the autoencoder's weights; in half precision the hub's half-precision files are fetched. The large
            text encoder of a video transformer is held in half precision on a GPU in any case.
        device: where to put it.

    Raises:
        InputError: see `open_model`.
    """
    if not isinstance(model, (str, Path)):
        return model
    from ivtutorial.models.backbone_folder import load_encoder

    if "transformer" in read_index(find_index(model_location(model))):
        # It needs the text encoder, too, for captions that are kept.
        dtypes = {"unet": dtype, "vae": dtype, "text_encoder": text_precision(dtype, device)}
        return open_model(model, dtypes, device)
    with explain_out_of_memory(OPENING_OPTIONS):
        return load_encoder(model_location(model), dtype, device, None if dtype == torch.float32 else "fp16")
