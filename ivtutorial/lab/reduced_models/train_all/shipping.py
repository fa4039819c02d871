"""Gather the trained parts into the pipeline that is shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, TextToVideoSDPipeline, UNet3DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.system.files import atomic_write_text

LARGEST_FILE = (
    "15MB"  # of a file of weights; larger ones are split, with an index, as diffusers and transformers read them
)


def ship(work: Path, out: Path, stages: dict[str, Any]) -> DiffusionPipeline:
    """Write a stock ``TextToVideoSDPipeline`` in half precision.

    Args:
        work: folder of the training, with tokenizer, text_encoder, unet and vae_tuned (or vae).
        out: folder to write.
        stages: what each stage took, for `training.json`.
    """
    vae = work / "vae_tuned" if (work / "vae_tuned").is_dir() else work / "vae"
    pipeline = TextToVideoSDPipeline(
        vae=AutoencoderKL.from_pretrained(vae, torch_dtype=torch.float16),
        text_encoder=CLIPTextModel.from_pretrained(work / "text_encoder", torch_dtype=torch.float16),
        tokenizer=CLIPTokenizer.from_pretrained(work / "tokenizer"),
        unet=UNet3DConditionModel.from_pretrained(work / "unet", torch_dtype=torch.float16),
        scheduler=make_scheduler("v_prediction"),
    )
    pipeline.save_pretrained(out, safe_serialization=True, max_shard_size=LARGEST_FILE)
    for part in ("vae", "unet", "text_encoder"):  # whose configurations name the folder that they were read from
        path = out / part / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)
        atomic_write_text(path, json.dumps(config, indent=2) + "\n")
    atomic_write_text(out / "training.json", json.dumps(stages, indent=1) + "\n")
    return pipeline
