"""Gather what the training commands wrote into the folders that are shipped: `reduced`, `reward` and
`judge`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from ivtutorial.errors import InputError
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.backbone_folder import save_backbone
from ivtutorial.system.files import atomic_write_text
from ivtutorial.weights.pipeline_folder import load_model

_PARTS = ("text_encoder", "vae", "unet")


def export_models(work: str | Path, models: str | Path) -> list[Path]:
    """Write ``models/reduced`` (a diffusers pipeline, fp16), ``models/reward`` and ``models/judge``.

    Args:
        work: folder of the training commands, holding tokenizer, text_encoder, vae, unet, reward and judge.
        models: folder to write into.

    Returns:
        The folders written; reward and judge are left out where they are not trained yet.

    Raises:
        InputError: a part of the text-to-video model is missing, or the folder cannot be written.
    """
    work, models = Path(work), Path(models)
    written = [save_backbone(_assemble(work), models / "reduced", torch.float16)]
    recipe = {part: _recipe(work / part) for part in (*_PARTS, "image_unet") if (work / part).is_dir()}
    atomic_write_text(models / "reduced" / "training.json", json.dumps(recipe, indent=1) + "\n")
    for name in ("reward", "judge"):
        if (work / name).is_dir():
            shutil.copytree(work / name, models / name, dirs_exist_ok=True)
            for path in (models / name).glob("*.safetensors"):
                path.chmod(0o644)  # safetensors makes files that only their owner may read; these are to be shared
            written.append(models / name)
    return written


def _assemble(work: Path) -> Backbone:
    from diffusers import AutoencoderKL
    from transformers import CLIPTextModel, CLIPTokenizer

    from ivtutorial.models.scheduler import make_scheduler
    from ivtutorial.models.unet import VideoUNet

    missing = [part for part in ("tokenizer", *_PARTS) if not (work / part).is_dir()]
    if missing:
        raise InputError(f"{work} has no {', '.join(missing)}: run 'ivtutorial zoo train' for each, with this --out")
    text, vae, unet = (
        load_model(kind, work / part, torch.float32)
        for kind, part in zip((CLIPTextModel, AutoencoderKL, VideoUNet), _PARTS, strict=True)
    )
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    return Backbone(unet, vae, text, tokenizer, make_scheduler("v_prediction"))


def _recipe(folder: Path) -> dict[str, object]:
    path = folder / "training.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
