"""The model of `ivtutorial.models.backbone` on disk: opened from a folder or the hub, and written as a folder.

| function | what it does |
|---|---|
| `load_backbone` | a diffusers text-to-video folder or hub model becomes a `Backbone`, frozen |
| `load_encoder` | the same for encoding clips alone: the autoencoder has weights, the other networks have none |
| `save_backbone` | the other way: a folder that stock `TextToVideoSDPipeline.from_pretrained` opens, too |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel

from ivtutorial.errors import InputError
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import has_lora
from ivtutorial.models.unet import VideoUNet
from ivtutorial.weights.pipeline_folder import check_kind, find_pipeline, load_model, write_pipeline

_MODELS: dict[str, Any] = {"unet": VideoUNet, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}


def load_backbone(
    path_or_name: str | Path,
    dtype: torch.dtype | Mapping[str, torch.dtype] = torch.float32,
    device: str | torch.device = "cpu",
    variant: str | None = None,
    unet: VideoUNet | None = None,
) -> Backbone:
    """Open a diffusers text-to-video folder, or a model of the Hugging Face hub, frozen and in eval mode.

    Weights are read in whatever precision they are stored in: from safetensors, or where there are none from PyTorch
    files, of which only tensors are read.

    Args:
        path_or_name: a folder with model_index.json, or a hub name such as
            "damo-vilab/text-to-video-ms-1.7b".
        dtype: of the weights in memory, for all parts or by part ("unet", "vae", "text_encoder").
        device: where to put the models.
        variant: "fp16" to download or read the `*.fp16.safetensors` files, if there are such.
        unet: use this one instead of the folder's.

    Raises:
        InputError: no such folder or hub model, the hub is out of reach, another kind of pipeline, or files that
            cannot be used.
    """
    folder = find_pipeline(path_or_name, variant)
    check_kind(folder, "unet", "UNet3DConditionModel")
    models: dict[str, Any] = {} if unet is None else {"unet": unet}
    for name in _MODELS.keys() - models.keys():
        precision = dtype if isinstance(dtype, torch.dtype) else dtype.get(name, torch.float32)
        models[name] = load_model(_MODELS[name], folder / name, precision, variant)
    return _assembled(folder, models).to(device).freeze()


def load_encoder(
    path_or_name: str | Path,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    variant: str | None = None,
) -> Backbone:
    """Open what encodes clips: of the weights only the autoencoder's are downloaded, read and moved.

    UNet and text encoder are there as shapes, on torch's device "meta", so that the model's size and its captions'
    length are known; they cannot compute.

    Args:
        path_or_name: see `load_backbone`; so are variant and errors.
        dtype: of the autoencoder's weights.
        device: where to put it.
        variant: see path_or_name.

    Raises:
        InputError: see `load_backbone`.
    """
    folder = find_pipeline(path_or_name, variant, ("vae",))
    check_kind(folder, "unet", "UNet3DConditionModel")
    vae = load_model(AutoencoderKL, folder / "vae", dtype, variant).to(device)
    try:
        with torch.device("meta"):
            unet = VideoUNet.from_config(VideoUNet.load_config(folder / "unet"))
            text_encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"Cannot read how the networks in {folder} are built ({error}). Copy it again.") from error
    return _assembled(folder, {"unet": unet, "vae": vae, "text_encoder": text_encoder}).freeze()


def _assembled(folder: Path, models: dict[str, Any]) -> Backbone:
    """With the folder's tokenizer and noise schedule."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
        config = DDIMScheduler.load_config(folder / "scheduler")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"Cannot open the tokenizer or scheduler in {folder} ({error}). Copy it again.") from error
    # Latents are not pixels: clipping them to [-1, 1], DDIMScheduler's own default, would destroy them.
    scheduler = DDIMScheduler.from_config({"clip_sample": False, **config})
    return Backbone(tokenizer=tokenizer, scheduler=scheduler, **models)


def save_backbone(backbone: Backbone, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write a folder that `load_backbone` and stock `TextToVideoSDPipeline.from_pretrained` open.

    Args:
        backbone: without an attached adapter: merge it, or save it apart with `save_lora`.
        folder: made if absent; files of the same name are replaced, once all new ones are complete.
        dtype: of the stored weights, e.g. torch.float16; default as in memory. Loaders convert back to
            float32.

    Returns:
        The folder.

    Raises:
        InputError: an adapter is attached, or the folder cannot be written.
    """
    if has_lora(backbone.unet):
        raise InputError("The UNet has an adapter. Call merge_lora(unet) first, or save the adapter with save_lora.")
    parts = {name: getattr(backbone, name) for name in (*_MODELS, "tokenizer", "scheduler")}
    return write_pipeline(parts, Path(folder), dtype)
