"""One name for each training, as functions that other processes can run, with time and hardware on record."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models import loop as training
from ivtutorial.rewards.clip import WEIGHTS_FILE

# name -> module and function in this folder, what must be there before (and the command that makes it)
STAGES: dict[str, tuple[str, dict[str, str]]] = {
    "text": ("text_encoder.train_text", {}),
    "vae": ("vae.train_vae", {}),
    "judge": ("judge.train_judge", {}),
    "reward": ("reward.train_reward", {"tokenizer": "train text"}),
    "image": ("video_model.train_image", {"text_encoder": "train text", "store": "latents"}),
    "video": ("video_model.train_video", {"image_unet": "train image", "store": "latents"}),
}

# Those that can start from the weights of an earlier run.
_WEIGHTS = {
    "vae": "diffusion_pytorch_model.safetensors",
    "image": "diffusion_pytorch_model.safetensors",
    "video": "diffusion_pytorch_model.safetensors",
    "reward": WEIGHTS_FILE,
}


def train_model(name: str, folder: Path, config: training.TrainConfig, init: Path | None = None) -> None:
    """Train one model of :data:`STAGES`, going on from its last checkpoint, and note time and hardware in
    training.json.

    Raises:
        InputError: as :func:`check_stage`.
    """
    check_stage(name, folder, init)
    module, function = STAGES[name][0].split(".")
    run: Callable[..., Any] = getattr(import_module(f"ivtutorial.lab.reduced_models.{module}"), function)
    run(folder, config, **({"init": init} if init is not None else {}))


def check_stage(name: str, folder: Path, init: Path | None = None) -> None:
    """Refuse a training that cannot start.

    Raises:
        InputError: an unknown name, an earlier stage is missing, or ``init`` holds no weights to start from.
    """
    if name not in STAGES:
        raise InputError(f"unknown model {name!r}: there are {', '.join(STAGES)}.")
    for part, command in STAGES[name][1].items():
        if not (folder / part).exists():
            raise InputError(f"{folder} has no {part}: run 'ivtutorial zoo {command} --out {folder}' first")
    if init is not None and name not in _WEIGHTS:
        raise InputError(f"{name} is trained from nothing: --init is for {', '.join(_WEIGHTS)}.")
    if init is not None and not (init / _WEIGHTS[name]).is_file():
        raise InputError(f"{init} holds no {_WEIGHTS[name]} to start from")


def build_latents(folder: Path, clips: int, seed: int) -> None:
    """Encode the clips of the store, see :func:`ivtutorial.lab.reduced_models.latent_store.build_store`.

    Raises:
        InputError: no autoencoder in the folder.
    """
    from ivtutorial.lab.reduced_models.latent_store import build_store

    if not (folder / "vae").exists():
        raise InputError(f"{folder} has no vae: run 'ivtutorial zoo train vae --out {folder}' first")
    build_store(folder / "store", folder / "vae", clips, seed)
