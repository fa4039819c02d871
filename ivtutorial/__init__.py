"""InstructVideo (CVPR 2024) in small, tested parts: reward fine-tuning of text-to-video diffusion models as editing.

``import ivtutorial`` loads nothing heavy; each public name below is imported from its module when it is first used.
The five jobs share the names of their modules: ``from ivtutorial.generate import generate``, and so finetune, score,
evaluate and compare.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_HOME = {
    "InputError": "errors",
    "Backbone": "backbone", "load_backbone": "backbone", "save_backbone": "backbone",
    "ddim_timestep": "schedule", "ddim_timesteps": "schedule", "noising_timestep": "schedule", "partial_steps": "schedule",
    "make_scheduler": "schedule",
    "corrupt": "editing", "edit": "editing", "denoise": "chain", "sample": "chain",
    "choose_frames": "video_reward", "temporal_attenuation": "video_reward", "VideoReward": "video_reward",
    "attach_lora": "lora", "load_lora": "lora", "merge_lora": "lora", "save_lora": "lora", "set_lora_scale": "lora",
    "ClipReward": "rewards.clip", "InstructVideo": "methods.instructvideo",
    "Clip": "clips", "read_clips": "clips", "write_clips": "clips", "load_frames": "clips",
    "FinetuneConfig": "finetune_config",
    "read_video": "media", "write_video": "media", "contact_sheet": "media", "html_video": "media",
}  # fmt: skip

__all__ = ["__version__", *sorted(_HOME)]

try:
    __version__ = version("ivtutorial")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
