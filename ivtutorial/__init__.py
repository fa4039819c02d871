"""InstructVideo (CVPR 2024) in small, tested parts: reward fine-tuning of text-to-video diffusion models as editing.

``import ivtutorial`` loads nothing heavy; each public name below is imported from its module when it is first used.
The six jobs share the names of their modules: ``from ivtutorial.generate import generate``, and so prepare, finetune,
score, evaluate and compare.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_HOME = {
    "InputError": "errors",
    "open_model": "scales", "open_reward": "scales", "open_judge": "scales",
    "Backbone": "backbone", "load_backbone": "backbone_folder", "save_backbone": "backbone_folder",
    "ddim_timestep": "schedule", "ddim_timesteps": "schedule", "noising_timestep": "schedule", "partial_steps": "schedule",
    "make_scheduler": "schedule",
    "corrupt": "editing", "edit": "editing", "denoise": "chain", "sample": "chain",
    "choose_frames": "video_reward", "temporal_attenuation": "video_reward", "VideoReward": "video_reward",
    "attach_lora": "lora", "load_lora": "lora", "merge_lora": "lora", "save_lora": "lora", "set_lora_scale": "lora",
    "ImageReward": "rewards.base", "ClipReward": "rewards.clip", "load_hpsv2": "rewards.hpsv2", "WeightedSum": "rewards.combine",
    "InstructVideo": "methods.instructvideo", "Draft": "methods.draft", "RWR": "methods.rwr", "DDPO": "methods.ddpo",
    "Supervised": "methods.supervised",
    "Clip": "clips", "read_clips": "clips", "write_clips": "clips", "load_frames": "clips", "read_prompts": "prompts",
    "sample_clips": "sampled_clips",
    "FinetuneConfig": "finetune_config", "read_config": "finetune_config", "Memory": "memory", "preset": "presets",
    "FinetuneResult": "run_folder", "read_metrics": "run_folder", "export_merged": "finetune",
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
