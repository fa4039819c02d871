"""A network of a pipeline's folder that is loaded when it is first needed.

The text encoder of a video transformer is larger than the transformer (Wan 2.1: 11.4 GB against 2.8 GB in half
precision). So neither is loaded when a model is opened, and never both at a time, if every caption is encoded first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ivtutorial.errors import InputError
from ivtutorial.system.out_of_memory import OPENING_OPTIONS, explain_out_of_memory
from ivtutorial.weights.fingerprint import fingerprint_files
from ivtutorial.weights.pipeline_folder import load_model


class _Config(dict[str, Any]):
    """Settings by name, and the file that they come from."""

    path: Path

    def __missing__(self, name: str) -> Any:
        raise InputError(f"{self.path} has no {name!r}: it was cut, or is that of another network. Copy it again.")


@dataclass(frozen=True)
class Part:
    """Where a network lies, and how it is to be loaded.

    Attributes:
        kind: its class, of diffusers or transformers.
        folder: holds config.json and weights.
        dtype: of the weights in memory.
        device: where to put it.
        variant: "fp16" to read `*.fp16.safetensors`, if there.
    """

    kind: Any
    folder: Path
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"
    variant: str | None = None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The network's configuration, read without its weights; a setting that it lacks is an `InputError`, too.

        Raises:
            InputError: it is not there, damaged, or that of a network of another class.
        """
        path, name = self.folder / "config.json", self.kind.__name__
        try:
            config = _Config(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path} is not the configuration of a network ({error}). Copy it again.") from error
        if config.get("_class_name", name) != name:
            raise InputError(f"{path} is that of a {config['_class_name']}, where {name} belongs. Copy it again.")
        config.path = path
        return config

    @cached_property
    def key(self) -> str:
        """A short hash of its weights, read without loading them."""
        return fingerprint_files(self.folder)

    def load(self) -> Any:
        """The network, frozen and in eval mode.

        Raises:
            InputError: as for `ivtutorial.weights.pipeline_folder.load_model`; or the GPU's memory is too small.
        """
        with explain_out_of_memory(OPENING_OPTIONS):
            network = load_model(self.kind, self.folder, self.dtype, self.variant)
            return network.to(self.device).requires_grad_(False).eval()


def config_of(part: Any) -> Mapping[str, Any]:
    """The configuration of a network, or of one that is not loaded yet."""
    config = part.config
    return config if isinstance(config, Mapping) else config.to_dict()  # transformers' are objects
