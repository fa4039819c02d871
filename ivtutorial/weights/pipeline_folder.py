"""Folders in diffusers' pipeline layout: found, read without running any code, and written whole.

| function | what it does |
|---|---|
| `find_pipeline` | a local folder, or a download from the Hugging Face hub |
| `load_model` | one part of it; incomplete or foreign weights are an error instead of a random start |
| `write_pipeline` | all parts, in a form that stock `TextToVideoSDPipeline.from_pretrained` opens |
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ivtutorial.errors import InputError
from ivtutorial.weights.hub import hub_folder, is_hub_name

INDEX_FILE = "model_index.json"
_VARIANTS = ("*/*.fp16*", "*/*.bf16*", "*/*.non_ema*")


def find_pipeline(path_or_name: str | Path, variant: str | None = None, parts: Collection[str] | None = None) -> Path:
    """The folder of a pipeline; a hub model is downloaded, or found in the cache.

    Args:
        path_or_name: a folder that holds model_index.json, or "owner/model".
        variant: "fp16" for the `*.fp16.safetensors` files of a hub model, if it has such.
        parts: whose weights are downloaded; default all.

    Raises:
        InputError: neither a folder nor a model that the hub gave; the message says which and why.
    """
    folder = Path(path_or_name)
    if folder.exists():
        if not (folder / INDEX_FILE).is_file():
            raise InputError(f"{folder} is not a diffusers pipeline: it has no {INDEX_FILE}. Give its top folder.")
        return folder
    if not is_hub_name(path_or_name):
        raise InputError(f"No folder {path_or_name}. Give a diffusers folder, or a hub name like 'owner/model'.")
    return _download(str(path_or_name), variant, parts)


def find_index(path_or_name: str | Path) -> Path:
    """A folder with a pipeline's index and its scheduler's settings; of a hub model nothing else is downloaded.

    Raises:
        InputError: as for `find_pipeline`.
    """
    if Path(path_or_name).exists() or not is_hub_name(path_or_name):
        return find_pipeline(path_or_name)
    return hub_folder(str(path_or_name), [INDEX_FILE, "scheduler/*.json"])


def read_index(folder: Path) -> dict[str, Any]:
    """model_index.json: for each part that is there the library and class it is of, and `_class_name`, the pipeline's.

    Raises:
        InputError: it cannot be read.
    """
    try:
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        parts = {name: value for name, value in index.items() if isinstance(value, list) and value[1] is not None}
        return {"_class_name": str(index.get("_class_name", "pipeline")), **parts}
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise InputError(f"{folder / INDEX_FILE} is not the index of a pipeline ({error}). Copy it again.") from error


def check_kind(folder: Path, part: str, expected: str) -> None:
    """Reject the pipeline of another kind of model by what its index says.

    Args:
        folder: of the pipeline.
        part: "unet".
        expected: class of that part.

    Raises:
        InputError: the index is unreadable, or names no such part or another class.
    """
    index = read_index(folder)
    actual = index.get(part, [None, None])[1]
    if actual != expected:
        raise InputError(
            f"{folder} holds a {index['_class_name']} whose {part} is {actual or 'absent'}; expected "
            f"{expected}, as in ModelScope-1.7B or zeroscope: give a text-to-video model of that family."
        )


def _download(name: str, variant: str | None, wanted: Collection[str] | None) -> Path:
    """One set of weights for each part, the best that the hub has: see `_choices`."""
    folder = hub_folder(name, [INDEX_FILE, "*/*.json", "*/*.txt", "tokenizer/*.model"])
    parts = [path.parent.name for path in folder.glob("*/config.json")]
    parts = parts if wanted is None else [part for part in parts if part in wanted]
    for safe, kind in _choices(variant):
        lacking = [part for part in parts if not _weight_files(folder / part, variant)]
        if lacking:
            hub_folder(name, [f"{part}/{_pattern(safe, kind)}" for part in lacking], [] if kind else list(_VARIANTS))
    return folder


def _choices(variant: str | None) -> list[tuple[bool, str | None]]:
    """(safetensors?, variant) in the order of preference; PyTorch files are the last resort."""
    variants = [variant, None] if variant else [None]
    return [(safe, kind) for safe in (True, False) for kind in variants]


def _pattern(safe: bool, variant: str | None) -> str:
    return f"*{f'.{variant}*' if variant else ''}.{'safetensors' if safe else 'bin'}"


def _weight_files(folder: Path, variant: str | None) -> tuple[bool, str | None] | None:
    """Which of `_choices` the folder of a part holds; None if it holds no weights."""
    for safe, kind in _choices(variant):
        others = [] if kind else [path for pattern in _VARIANTS for path in folder.glob(pattern.split("/")[-1])]
        if any(path not in others for path in folder.glob(_pattern(safe, kind))):
            return safe, kind
    return None


def load_model(kind: Any, folder: Path, dtype: torch.dtype, variant: str | None = None) -> Any:
    """Open one model of a pipeline, or of any folder with a configuration and weights.

    Weights come from safetensors; where there are none, from a PyTorch file of which only tensors are read.

    Args:
        kind: a diffusers or transformers model class.
        folder: holds config.json and weights.
        dtype: of the weights in memory, whatever the file holds.
        variant: "fp16" to read `*.fp16.safetensors`, if there.

    Raises:
        InputError: missing or unreadable files, another kind of model, or weights that do not fill the
            configuration.
    """
    from safetensors import SafetensorError

    files = _weight_files(folder, variant)
    if files is None:
        raise InputError(
            f"{folder} holds no weights for {kind.__name__}: expected a .safetensors (or .bin) file beside its "
            "config.json. Copy the model again, with its weights."
        )
    options = {"use_safetensors": files[0], "variant": files[1], _dtype_argument(kind): dtype}
    try:
        model, info = kind.from_pretrained(folder, output_loading_info=True, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError, UnpicklingError) as error:
        raise InputError(f"Cannot open {folder} as {kind.__name__} ({error}).") from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise InputError(
            f"{folder} lacks {len(missing)} weights of its own configuration, e.g. {missing[0]}. "
            "The file belongs to another model or is incomplete: copy it again."
        )
    return model


def _dtype_argument(kind: Any) -> str:
    """transformers renamed the argument in version 5; diffusers, and transformers before, say torch_dtype."""
    import transformers

    renamed = kind.__module__.startswith("transformers.") and int(transformers.__version__.split(".")[0]) >= 5
    return "dtype" if renamed else "torch_dtype"


def write_pipeline(
    parts: Mapping[str, Any], folder: Path, dtype: torch.dtype | None = None, source: Path | None = None
) -> Path:
    """Write the parts of a text-to-video pipeline, each under its own name, and the index.

    Everything is written into a hidden folder first and moved when complete; the index comes last.

    Args:
        parts: "unet", "vae", "text_encoder", "tokenizer" and "scheduler"; a single one is written without an index.
        folder: made if absent.
        dtype: of the stored weights; default as in memory.
        source: folder of a pipeline whose index and other parts are copied.

    Raises:
        InputError: the folder cannot be written. What was in it is unchanged.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as temporary:
            _write_parts(parts, Path(temporary), dtype)
            if source is not None:
                _copy_others(source, Path(temporary), parts)
            # Sorting by depth puts the index, the one file at the top, last.
            files = sorted((p for p in Path(temporary).rglob("*") if p.is_file()), key=lambda p: -len(p.parts))
            for path in files:
                target = folder / path.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
    except (OSError, _safetensors_error()) as error:
        raise InputError(
            f"Cannot write the pipeline to {folder} ({error}). Free some space, or choose a folder you can write to."
        ) from error
    return folder


def _safetensors_error() -> type[Exception]:
    # Its writer reports a full disk as this, not as an OSError.
    from safetensors import SafetensorError

    return SafetensorError


def _write_parts(parts: Mapping[str, Any], folder: Path, dtype: torch.dtype | None) -> None:
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    index = {
        "_class_name": "TextToVideoSDPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", type(parts.get("tokenizer")).__name__],
        "unet": ["diffusers", "UNet3DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if parts.keys() == index.keys() - {"_class_name"}:
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    for path in folder.glob("*/config.json"):
        # Where the weights lay on this machine is nobody's business.
        config = {k: v for k, v in json.loads(path.read_text(encoding="utf-8")).items() if k != "_name_or_path"}
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for path in folder.glob("*/*.safetensors"):
        if dtype is not None:
            _store_as(path, dtype)
        # safetensors makes files that only their owner may read; these are meant to be shared.
        shutil.copymode(path.parent / "config.json", path)


def _copy_others(source: Path, folder: Path, parts: Mapping[str, Any]) -> None:
    """The index, and every part but the given ones."""
    shutil.copyfile(source / INDEX_FILE, folder / INDEX_FILE)
    for path in source.iterdir():
        if path.is_dir() and path.name not in parts and not path.name.startswith("."):
            shutil.copytree(path, folder / path.name)


def _store_as(path: Path, dtype: torch.dtype) -> None:
    """Rewrite a weight file in another precision; config.json keeps naming the precision to compute in."""
    from safetensors.torch import load_file, save_file

    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in load_file(path).items()}
    save_file(state, path, metadata={"format": "pt"})
