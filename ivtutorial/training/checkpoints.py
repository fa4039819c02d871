"""Checkpoints of a run: written whole or not at all, found again, pruned.

RUN/checkpoints/latest              name of the newest checkpoint
RUN/checkpoints/step-000100/        pytorch_lora_weights.safetensors   the adapter
                                    optimizer.pt                       AdamW's moments, fp16's loss scale, ema's average
                                    state.json                         step and counters, and what the run is made of

Nothing else is needed to take the same steps (how exactly, see `ivtutorial.training.finetuning`): learning rate, data
and all randomness of a step are functions of its number (see `ivtutorial.data.dataset`). A checkpoint is built in a
hidden folder, flushed to the disk and renamed; only then does `latest` point to it, and only then are old ones removed.
After kill -9 or a full disk the old one is still
whole.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ivtutorial.errors import InputError, first_line
from ivtutorial.system.files import atomic_write, atomic_write_text

if TYPE_CHECKING:
    from ivtutorial.models.unet import VideoUNet

CHECKPOINTS, LATEST, STATE_FILE, OPTIMIZER_FILE = "checkpoints", "latest", "state.json", "optimizer.pt"
ANOTHER = f"Write the name of another checkpoint into the file {LATEST} beside it, and resume."
# What may differ when a run is continued: it does not change the steps themselves.
FREE = (
    "steps",
    "checkpoint_every",
    "keep",
    "sample_every",
    "sample_prompts",
    "sample_seed",
    "patience",
    "min_rise",
    "max_skipped",
    "deterministic",
    "trackers",
)


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: optimiser steps taken or skipped; equals the number of the next step.
        skipped: steps whose loss or gradient was not finite. skipped_in_row: the last of them without a good one.
        unet_evaluations: of single clips, in the training steps of all processes; guidance counts twice.
        reward_calls: frames that the image reward scored, in the training steps of all processes.
        seconds: spent in training steps.
        best: highest reward of a round of samples, None before the first. rounds_without: rounds since then.
        stopped: early.
    """

    step: int = 0
    skipped: int = 0
    skipped_in_row: int = 0
    unet_evaluations: int = 0
    reward_calls: int = 0
    seconds: float = 0.0
    best: float | None = None
    rounds_without: int = 0
    stopped: bool = False


def save_checkpoint(
    run: Path,
    unet: VideoUNet,
    optimizer: Mapping[str, Any],
    progress: Progress,
    made_of: Mapping[str, Any],
    keep: int = 2,
) -> Path:
    """Write a checkpoint and remove the oldest ones.

    Args:
        run: folder of the run.
        unet: its adapter is saved.
        optimizer: state dictionaries of plain values and tensors.
        progress: counters.
        made_of: what must be the same when the run is continued.
        keep: how many checkpoints stay, >= 1.

    Returns:
        The folder of the checkpoint.

    Raises:
        InputError: it cannot be written; older checkpoints are untouched.
    """
    from ivtutorial.models.lora import save_lora

    folder, name = run / CHECKPOINTS, f"step-{progress.step:06d}"
    try:
        memory = io.BytesIO()  # first: on a full disk torch.save fails with a RuntimeError that does not say why
        torch.save(dict(optimizer), memory)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder, ignore_cleanup_errors=True) as hidden:
            built = Path(hidden) / name
            save_lora(unet, built)
            with atomic_write(built / OPTIMIZER_FILE) as file:
                file.write(memory.getvalue())
            state = {"progress": asdict(progress), "made_of": dict(made_of)}
            atomic_write_text(built / STATE_FILE, json.dumps(state, indent=1) + "\n")
            if (folder / name).exists():  # a run that was continued from an earlier checkpoint comes by here again
                shutil.rmtree(folder / name)
            os.replace(built, folder / name)
        atomic_write_text(folder / LATEST, name + "\n")
    except (OSError, InputError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        raise InputError(
            f"cannot write the checkpoint {folder / name}: {cause.strerror or cause}. Older checkpoints are untouched: "
            "free some space or restore write access, then continue with resume."
        ) from error
    _prune(folder, progress.step, keep)
    return folder / name


def latest_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint of a run; None if it has none.

    Without the pointer, which follows its checkpoint a moment later and may be lost, it is the one of most steps.

    Raises:
        InputError: the pointer names a checkpoint that is not there, or cannot be read.
    """
    pointer = run / CHECKPOINTS / LATEST
    if not pointer.exists():
        whole = [folder for _, folder in _by_step(pointer.parent) if (folder / STATE_FILE).is_file()]
        return whole[-1] if whole else None
    try:
        name = pointer.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InputError(f"{pointer} cannot be read ({error}). Write the name of a checkpoint into it.") from error
    folder = pointer.parent / name
    if not (folder / STATE_FILE).is_file():
        raise InputError(
            f"{pointer} names {name or 'nothing'}, which is not there. Write the name of one that is into it."
        )
    return folder


def read_state(checkpoint: Path) -> tuple[Progress, dict[str, Any]]:
    """Counters of a checkpoint, and what its run was made of.

    Raises:
        InputError: it cannot be read.
    """
    path = checkpoint / STATE_FILE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return Progress(**state["progress"]), dict(state["made_of"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the state of a checkpoint ({error}). {ANOTHER}") from error


def read_optimizer(checkpoint: Path) -> dict[str, Any]:
    """The state dictionaries that `save_checkpoint` was given.

    Raises:
        InputError: it cannot be read.
    """
    path = checkpoint / OPTIMIZER_FILE
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} cannot be read ({first_line(error)}). {ANOTHER}") from error


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Names of the settings that differ between two `to_dict` results and change the steps of a run."""
    names = [name for name in {**first, **second} if name not in FREE]
    return sorted(name for name in names if first.get(name) != second.get(name))


def _prune(folder: Path, newest: int, keep: int) -> None:
    """Older ones beyond `keep`, later ones that a killed run had no time to make official, and what a kill left."""
    steps = _by_step(folder)
    older = [path for step, path in steps if step <= newest]
    later = [path for step, path in steps if step > newest]
    for old in [*older[:-keep], *later, *folder.glob(".*")]:
        # What cannot be removed takes space, but is no reason to lose the run.
        with suppress(OSError):
            shutil.rmtree(old) if old.is_dir() else old.unlink()


def _by_step(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints in a folder with their steps, in order; copies under other names are not ours."""
    numbers = ((path.name.removeprefix("step-"), path) for path in folder.glob("step-*"))
    return sorted((int(number), path) for number, path in numbers if number.isdecimal())
