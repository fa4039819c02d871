"""Video transformers on disk: opened from a folder of diffusers' layout, and written as one.

| function | what it does |
|---|---|
| `load_dit` | a folder becomes the backbone of its family; transformer and text encoder are loaded when needed |
| `family_in` | the family of a folder, from its index |
| `schedule_in` | the family's schedule, from two small files |
| `save_dit` | the same folder with another transformer, which the stock pipeline opens, too |

Of the folder's scheduler only the shift is read, not its grid (see `ivtutorial.method.flow`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ivtutorial.errors import InputError
from ivtutorial.method.flow import LevelSchedule
from ivtutorial.models.dit.backbone import DitBackbone
from ivtutorial.models.dit.cogvideox import CogVideoXBackbone
from ivtutorial.models.dit.ltx import LTXBackbone
from ivtutorial.models.dit.parts import Part
from ivtutorial.models.dit.wan import WanBackbone
from ivtutorial.models.lora import has_lora
from ivtutorial.weights.pipeline_folder import load_model, read_index, write_pipeline

FAMILIES: dict[str, tuple[type[DitBackbone], str, str]] = {  # transformer: family, autoencoder, usual text encoder
    "WanTransformer3DModel": (WanBackbone, "AutoencoderKLWan", "UMT5EncoderModel"),
    "CogVideoXTransformer3DModel": (CogVideoXBackbone, "AutoencoderKLCogVideoX", "T5EncoderModel"),
    "LTXVideoTransformer3DModel": (LTXBackbone, "AutoencoderKLLTXVideo", "T5EncoderModel"),
}
NAMES = ", ".join(family.family for family, *_ in FAMILIES.values())


def family_in(folder: Path) -> type[DitBackbone] | None:
    """The family of the model in a folder; None where it is a UNet.

    Raises:
        InputError: a transformer of an unknown family, or an index that cannot be read.
    """
    index = read_index(folder)
    kind = index.get("transformer", [None, None])[1]
    if kind is None:
        return None
    if kind not in FAMILIES:
        raise InputError(
            f"{folder} holds a {index['_class_name']} whose transformer is {kind}: known are UNets of "
            f"ModelScope's family and the transformers of {NAMES}. Give a model of one of them."
        )
    if "transformer_2" in index:
        raise InputError(
            f"{folder} has two transformers, as Wan 2.2 has, each for half of the noise levels; only models with one "
            "can be fine-tuned here: give Wan 2.1."
        )
    return FAMILIES[kind][0]


def schedule_in(folder: Path) -> LevelSchedule | None:
    """Levels and grid of the model in a folder; None where it is a UNet, whose table of alphas is its scheduler's.

    Raises:
        InputError: a transformer of an unknown family, or files that cannot be read.
    """
    family = family_in(folder)
    if family is None:
        return None
    try:
        config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
        return family.schedule_from(config)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"Cannot read the scheduler's settings in {folder} ({error}). Copy it again.") from error


def load_dit(
    folder: Path,
    dtype: torch.dtype | Mapping[str, torch.dtype] = torch.float32,
    device: str | torch.device = "cpu",
    variant: str | None = None,
) -> DitBackbone:
    """Open a folder; its autoencoder is loaded at once, the other networks when they are first needed.

    Args:
        folder: with model_index.json.
        dtype: of the weights in memory, for all parts or by part ("unet" is the transformer, "vae", "text_encoder").
        device: where to put them.
        variant: "fp16" to read the `*.fp16.safetensors` files, if there are such.

    Raises:
        InputError: another kind of pipeline, or files that cannot be used.
    """
    import diffusers
    import transformers

    schedule = schedule_in(folder)
    index = read_index(folder)
    if schedule is None:
        raise InputError(
            f"{folder} holds a {index['_class_name']} without a transformer: give a model of one of these: {NAMES}."
        )

    def precision(part: str) -> torch.dtype:
        return dtype if isinstance(dtype, torch.dtype) else dtype.get(part, torch.float32)

    kind = index["transformer"][1]
    family, autoencoder, encoder = FAMILIES[kind]
    text = None
    if (folder / "text_encoder" / "config.json").is_file():
        name = index.get("text_encoder", ["", encoder])[1]
        if not hasattr(transformers, name):
            raise InputError(f"{folder} names the text encoder {name!r}, which transformers does not have: {encoder}?")
        text = Part(getattr(transformers, name), folder / "text_encoder", precision("text_encoder"), device, variant)
    vae = load_model(getattr(diffusers, autoencoder), folder / "vae", precision("vae"), variant).to(device)
    transformer = Part(getattr(diffusers, kind), folder / "transformer", precision("unet"), device, variant)
    backbone = family(transformer, vae, schedule, text, _tokenizer(folder), source=folder)
    return backbone.freeze()


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not (folder / "tokenizer").is_dir():
        return None
    try:
        return AutoTokenizer.from_pretrained(folder / "tokenizer")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"Cannot open the tokenizer in {folder} ({error}). Copy it again.") from error


def save_dit(backbone: DitBackbone, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write a copy of the folder that the backbone was opened from, with its transformer as it is now.

    Args:
        backbone: without an attached adapter: merge it, or save it apart with `save_lora`.
        folder: made if absent; files of the same name are replaced, once all new ones are complete.
        dtype: of the stored transformer, e.g. torch.bfloat16; default as in memory.

    Returns:
        The folder, which `load_dit` and the family's stock pipeline open.

    Raises:
        InputError: an adapter is attached, the backbone was not opened from a folder, or the folder cannot be written.
    """
    if has_lora(backbone.unet):
        raise InputError("The transformer has an adapter. Call merge_lora first, or save the adapter with save_lora.")
    if backbone.source is None:
        raise InputError("This model was not opened from a folder, whose other parts would be copied. Open it by name.")
    return write_pipeline({"transformer": backbone.unet}, Path(folder), dtype, backbone.source)
