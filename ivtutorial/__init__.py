"""InstructVideo (CVPR 2024) in small, tested parts: reward fine-tuning of text-to-video diffusion models as editing.

``import ivtutorial`` loads nothing heavy; each public name below is imported from its module when it is first used.
The six jobs share the names of their modules: ``from ivtutorial.sampling.generation import generate``, and so prepare, finetune,
score, evaluate and compare.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_HOME = {
    "InputError": "errors",
    "open_model": "models.named", "open_reward": "models.named", "open_judge": "models.named",
    "Backbone": "models.backbone", "load_backbone": "models.backbone_folder", "save_backbone": "models.backbone_folder",
    "ddim_timestep": "method.schedule", "ddim_timesteps": "method.schedule", "noising_timestep": "method.schedule", "partial_steps": "method.schedule",
    "make_scheduler": "method.schedule",
    "corrupt": "method.editing", "edit": "method.editing", "denoise": "method.chain", "sample": "method.chain",
    "choose_frames": "method.video_reward", "temporal_attenuation": "method.video_reward", "VideoReward": "method.video_reward",
    "attach_lora": "models.lora", "load_lora": "models.lora", "merge_lora": "models.lora", "save_lora": "models.lora", "set_lora_scale": "models.lora",
    "ImageReward": "rewards.base", "ClipReward": "rewards.clip", "load_hpsv2": "rewards.hpsv2", "WeightedSum": "rewards.combine",
    "InstructVideo": "method.instructvideo", "Draft": "rivals.draft", "RWR": "rivals.rwr", "DDPO": "rivals.ddpo",
    "Supervised": "rivals.supervised",
    "Clip": "data.clips", "read_clips": "data.clips", "write_clips": "data.clips", "load_frames": "data.clips", "read_prompts": "data.prompts",
    "sample_clips": "sampling.training_clips",
    "FinetuneConfig": "training.config", "read_config": "training.config", "Memory": "models.memory", "preset": "training.presets",
    "FinetuneResult": "training.run_folder", "read_metrics": "training.run_folder", "export_merged": "training.finetuning",
    "read_video": "video.reader", "write_video": "video.writer", "contact_sheet": "video.sheet", "html_video": "pages.embed",
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
