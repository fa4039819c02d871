"""What a training needs to go on on another machine, in a few small files.

A machine that is lent for minutes often gives back little: so many files of so many bytes. A parcel holds the finished
parts and what is carried of the stage under way, in half precision, in files of about :data:`LARGEST_PART` bytes:

| file                   | content                                                                           |
|------------------------|-----------------------------------------------------------------------------------|
| `parcel.json`          | plan, stages, tokenizer, configurations and logs, as text; names of all tensors    |
| `weights-N.safetensors`| tensors, named "path of their file:their name"                                     |

Pools and latents are not in it: they are drawn and encoded anew, alike.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.train_all.states import half
from ivtutorial.system.files import atomic_write, atomic_write_text

LARGEST_PART = 9 * 2**20 - 2**17  # bytes of a file, without the names of its tensors
MOST_FILES, MOST_BYTES = 7, 53 * 2**20  # a kill while it is written leaves one file more: 8 and 62 MiB
CONTENTS = "parcel.json"
FOLDERS = ("tokenizer", "text_encoder", "features", "vae", "image_unet", "unet", "vae_tuned")
LEFT_BEHIND = ("draw", "encode", "export")  # stages whose results are not in a parcel


def pack(folder: Path, parcel: Path) -> None:
    """Write what there is of a training, over an older parcel.

    Args:
        folder: of the training.
        parcel: folder to write.

    Raises:
        InputError: it is larger than :data:`MOST_BYTES`, or cannot be written; the older parcel is left.
    """
    stages = json.loads(text) if (text := _text(folder / "stages.json")) else {}
    under_way = [path for path in sorted(folder.glob("*.carried.safetensors")) if path.name.split(".")[0] not in stages]
    inside = [path for name in FOLDERS for path in sorted((folder / name).rglob("*")) if path.is_file()]
    weights = [path for path in inside if path.suffix == ".safetensors"] + under_way
    texts = [path for path in inside if path.suffix != ".safetensors"] + sorted(folder.glob("*.log.jsonl"))
    texts += [folder / name for name in ("plan.json", "stages.json") if (folder / name).exists()]
    tensors: dict[str, Tensor] = {}
    facts: dict[str, dict[str, str]] = {}
    for path in weights:
        with safe_open(path, framework="pt") as file:
            name = path.relative_to(folder).as_posix()
            facts[name] = file.metadata() or {}
            tensors |= {f"{name}:{key}": half(file.get_tensor(key)) for key in sorted(file.keys())}
    content = {"texts": {path.relative_to(folder).as_posix(): _text(path) for path in texts}, "facts": facts}
    _write(parcel, tensors, json.dumps({**content, "tensors": sorted(tensors)}))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _write(parcel: Path, tensors: dict[str, Tensor], content: str) -> None:
    files = bins({name: tensor.nbytes for name, tensor in tensors.items()}, LARGEST_PART)
    total = sum(tensor.nbytes for tensor in tensors.values()) + len(content.encode())
    if total > MOST_BYTES or len(files) + 1 > MOST_FILES or len(content.encode()) > LARGEST_PART:
        raise InputError(
            f"what is to be kept in {parcel} has {total / 2**20:.0f} MiB in {len(files) + 1} files; at most "
            f"{MOST_BYTES / 2**20:.0f} MiB in {MOST_FILES} are allowed: train narrower networks"
        )
    for number, names in enumerate(files, 1):
        with atomic_write(parcel / f"weights-{number}.safetensors") as file:
            file.write(safetensors_bytes({name: tensors[name] for name in names}))
    atomic_write_text(parcel / CONTENTS, content)
    for path in parcel.glob("weights-*.safetensors"):
        if int(path.stem.split("-")[1]) > len(files):
            path.unlink()


def bins(sizes: dict[str, int], largest: int) -> list[list[str]]:
    """Names in order, cut into runs whose sizes add up to at most ``largest``.

    Raises:
        InputError: one alone is larger.
    """
    runs: list[list[str]] = []
    room = 0
    for name, size in sizes.items():
        if size > largest:
            raise InputError(f"{name} alone has {size} bytes, at most {largest} go into a file")
        if size > room or not runs:
            runs.append([])
            room = largest
        runs[-1].append(name)
        room -= size
    return runs


def unpack(parcel: Path, folder: Path) -> bool:
    """Put a parcel's content where a training goes on from it.

    Args:
        parcel: folder of a parcel.
        folder: of the training; one that was begun already is left as it is.

    Returns:
        Whether it was unpacked.

    Raises:
        InputError: there is no parcel, or a part of it is missing or broken.
    """
    try:
        content: dict[str, Any] = json.loads((parcel / CONTENTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{parcel} holds no parcel of a training ({error})") from error
    if (folder / "plan.json").exists():
        return False
    tensors = _read(parcel)
    if missing := sorted(set(content["tensors"]) - tensors.keys()):
        raise InputError(f"{parcel} is not whole: {len(missing)} tensors are missing, the first is {missing[0]}")
    for name, facts in content["facts"].items():
        own = {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}:")}
        with atomic_write(folder / name) as file:
            file.write(safetensors_bytes(own, metadata=facts))
    # The plan comes last: a folder without one has not been begun, and is unpacked again.
    for name, text in sorted(content["texts"].items(), key=lambda item: item[0] == "plan.json"):
        atomic_write_text(folder / name, _remaining(text) if name == "stages.json" else text)
    return True


def _read(parcel: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in sorted(parcel.glob("weights-*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                tensors |= {name: file.get_tensor(name) for name in sorted(file.keys())}
        except (OSError, SafetensorError) as error:
            raise InputError(f"cannot read {path} ({error}): copy it again") from error
    return tensors


def _remaining(stages: str) -> str:
    """The finished stages without those to be repeated; for the last one, export, nothing is drawn or encoded."""
    rows: dict[str, Any] = json.loads(stages)
    repeated = LEFT_BEHIND if "decoder" not in rows else LEFT_BEHIND[-1:]
    return json.dumps({name: row for name, row in rows.items() if name not in repeated}, indent=1) + "\n"
