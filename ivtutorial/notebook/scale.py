"""The models and sizes that a chapter runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.system.device import choose_device
from ivtutorial.system.quiet import no_warnings

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone
    from ivtutorial.rewards.base import ImageReward


@dataclass(frozen=True)
class Scale:
    """The models and sizes of one scale; every chapter runs on whatever it is given.

    Attributes:
        name: "reduced" or "modelscope".
        backbone: the text-to-video model, frozen.
        reward: the image reward.
        size: (H, W) of the frames in pixels.
        device: where models and clips are.
        preset: for this GPU; empty for the small models.
    """

    name: str
    backbone: AnyBackbone
    reward: ImageReward
    size: tuple[int, int]
    device: str
    preset: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """What a run on these models needs, `FinetuneConfig(**scale.settings, ...)`: the preset's precision and memory.

        Nothing for the small models.
        """
        from ivtutorial.models.memory import Memory
        from ivtutorial.training.presets import preset

        chosen = preset(self.preset) if self.preset else {}
        return {"precision": chosen["precision"], "memory": Memory(**chosen["memory"])} if chosen else {}

    def clips(self, *names: str) -> tuple[Tensor, list[str]]:
        """Clips of the fine-tuning set that ships with the package, and their captions.

        Args:
            *names: species and number, such as "fox/13".

        Returns:
            Frames (N, F, 3, H, W), float32 in [0, 1], on the scale's device; and N captions.

        Raises:
            InputError: the set has no such clip.
        """
        from ivtutorial.data.clips import load_frames, read_clips
        from ivtutorial.system.files import data_path

        known = {f"{clip.path.parent.name}/{clip.path.stem}": clip for clip in read_clips(data_path("clips"))}
        missing = [name for name in names if name not in known]
        if missing:
            raise InputError(f"no clip {', '.join(missing)} in the set; names look like {next(iter(known))}.")
        chosen = [known[name] for name in names]
        return load_frames(chosen, size=self.size).to(self.device), [clip.caption for clip in chosen]


def open_scale(name: str = "reduced", reward: str | Path | None = None) -> Scale:
    """Open the models of a scale, full size with what the preset for this GPU saves: its precision, and what is
    computed again in the backward pass instead of stored.

    Args:
        name: "reduced" (small models on the CPU) or "modelscope" (ModelScopeT2V and HPSv2.0, on a GPU).
        reward: folder or checkpoint of another image reward, where HPSv2 is already on the disk for example.

    Returns:
        Models, frame size and device.

    Raises:
        InputError: an unknown scale, no GPU for "modelscope", or a model that cannot be opened.
    """
    from ivtutorial.models.memory import Memory
    from ivtutorial.models.named import open_model
    from ivtutorial.rewards.named import open_reward
    from ivtutorial.training.presets import preset, preset_here

    if name not in ("reduced", "modelscope"):
        raise InputError(f"IVTUTORIAL_SCALE = {name!r}: expected 'reduced' or 'modelscope'.")
    small = name == "reduced"
    if not small and choose_device().type != "cuda":
        raise InputError("The scale 'modelscope' needs a CUDA GPU, and there is none. Use 'reduced'.")
    device, card, memory, dtypes = "cpu", "", Memory(), Memory().dtypes()
    if not small:
        card = preset_here()
        settings = preset(card)
        # A chapter brings new captions all the time, so the text towers stay.
        device, memory = "cuda", Memory(**{**settings["memory"], "offload_text": False})
        dtypes = memory.dtypes(settings["precision"])
    with _quiet():
        backbone = open_model(name, dtypes, device)
        image_reward = open_reward(reward or ("reduced" if small else "hpsv2"), device, dtypes["reward"])
    backbone.memory = memory
    if memory.recompute_unet:
        backbone.unet.enable_gradient_checkpointing()
    side = backbone.vae_factor * backbone.unet.config.sample_size
    return Scale(name, backbone, image_reward, (side, side), device, card)


def seeded(seed: int) -> torch.Generator:
    """A source of random numbers on the CPU: the same seed gives the same numbers on every device."""
    return torch.Generator().manual_seed(seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back progress bars and open_clip's warning that weights come later, which a page would show."""
    import diffusers
    import transformers

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
    try:
        with no_warnings():
            yield
    finally:
        for library in (diffusers.utils.logging, transformers.utils.logging):
            library.enable_progress_bar()
