"""Curves and sample clips in TensorBoard (the default), Weights & Biases or another of accelerate's trackers.

| `trackers`             | curves | clips | where                                                            |
|------------------------|--------|-------|------------------------------------------------------------------|
| `tensorboard`          | yes    | GIF   | RUN/trackers: `tensorboard --logdir RUN`                         |
| `wandb`                | yes    | GIF   | Weights & Biases; WANDB_MODE=offline keeps it on this machine    |
| `trackio`, `comet_ml`, |        |       |                                                                  |
| `aim`, `mlflow`,       | yes    | no    | as each of them is set up; the clips are in RUN/samples          |
| `clearml`, `dvclive`   |        |       |                                                                  |

RUN/metrics.jsonl stays the record of a run; a tracker only shows it. A run that was cut off takes some steps again and
logs them again: TensorBoard then drops the older entries, W&B keeps the first, the others begin another run.
"""

from __future__ import annotations

import io
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivtutorial.errors import InputError
from ivtutorial.system.files import atomic_write_text

if TYPE_CHECKING:
    from torch import Tensor

TRACKERS = ("tensorboard", "wandb", "trackio", "comet_ml", "aim", "mlflow", "clearml", "dvclive")
FOLDER, PROJECT = "trackers", "ivtutorial"
logger = logging.getLogger(__name__)


def check_trackers(names: Sequence[str]) -> None:
    """Raises an InputError that names what is unknown."""
    if not isinstance(names, (list, tuple)) or not set(names) <= set(TRACKERS):
        raise InputError(f"trackers = {names!r}: expected a list of {', '.join(TRACKERS)}, or an empty one.")


def installed_trackers(names: Sequence[str]) -> list[str] | None:
    """Those whose package is there, as accelerate's argument `log_with`.

    TensorBoard, the default, is left out with a warning where it is missing.

    Raises:
        InputError: another one is missing, or this version of accelerate does not have it.
    """
    from accelerate.tracking import get_available_trackers
    from accelerate.utils import LoggerType

    known = LoggerType.list()
    available = {str(kind) for kind in get_available_trackers()} & set(known)
    for name in names:
        if name not in known:
            raise InputError(f"trackers has {name!r}, which this accelerate does not have: pip install -U accelerate.")
        if name not in available and name != "tensorboard":
            raise InputError(f"trackers has {name!r}, which is not installed: pip install {name.replace('_', '-')}.")
        if name not in available:
            logger.warning("TensorBoard is not installed: the curves are in metrics.jsonl only.")
    return [name for name in names if name in available] or None


@contextmanager
def tracking(
    accelerator: Any, names: Sequence[str], run: Path, step: int, settings: Mapping[str, Any]
) -> Iterator[None]:
    """Start the trackers of a run, and end them with it.

    Args:
        accelerator: made with `log_with` = names and RUN/trackers as its logging folder.
        names: of TRACKERS.
        run: its folder.
        step: steps taken so far.
        settings: of the run, stored with its curves.

    Raises:
        InputError: RUN cannot be written.
    """
    if not accelerator.is_main_process:
        yield
        return
    with _disk(run):
        options: dict[str, Any] = {"tensorboard": {"purge_step": step + 1 if step else None}}
        if "wandb" in names:
            options["wandb"] = {"name": run.name, "dir": str(run), "id": _wandb_id(run), "resume": "allow"}
        accelerator.init_trackers(PROJECT, _flat(settings), options)
    try:
        yield
    finally:  # not accelerate's end_training, which also ends the group of processes
        for tracker in accelerator.trackers:
            with suppress(OSError):  # on a full disk, where an error has been raised already
                tracker.finish()


def log_numbers(accelerator: Any, run: Path, row: Mapping[str, float]) -> None:
    """Log a line of metrics.jsonl.

    Raises:
        InputError: the disk is full or read-only.
    """
    with _disk(run):
        accelerator.log({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]))


def log_clips(
    accelerator: Any, run: Path, step: int, prompts: Sequence[str], clips: Sequence[Tensor], fps: float
) -> None:
    """Show sample clips, each uint8 (F, H, W, 3), with their prompts, where a tracker can play them.

    Raises:
        InputError: the disk is full or read-only.
    """
    for tracker in accelerator.trackers:
        with _disk(run):
            if tracker.name == "tensorboard":
                summary = import_module("tensorboard.compat.proto.summary_pb2").Summary
                for index, (prompt, clip) in enumerate(zip(prompts, clips, strict=True)):
                    picture = summary.Image(
                        height=clip.shape[1], width=clip.shape[2], colorspace=3, encoded_image_string=gif(clip, fps)
                    )
                    entry = summary.Value(tag=f"samples/{index:03d} {prompt}", image=picture)
                    tracker.writer.file_writer.add_summary(summary(value=[entry]), step)
            elif tracker.name == "wandb":
                video = import_module("wandb").Video
                videos = [video(io.BytesIO(gif(clip, fps)), caption=prompt, format="gif")
                          for prompt, clip in zip(prompts, clips, strict=True)]  # fmt: skip
                tracker.log({"samples": videos}, step=step)


def gif(clip: Tensor, fps: float) -> bytes:
    """A clip, uint8 (F, H, W, 3), as an endless GIF."""
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in clip.numpy()]
    memory = io.BytesIO()
    pause = max(20, round(1000 / fps))  # milliseconds; players slow anything shorter down
    pictures[0].save(memory, "GIF", save_all=True, append_images=pictures[1:], duration=pause, loop=0)
    return memory.getvalue()


def _wandb_id(run: Path) -> str:
    """The name that W&B knows a run by; a continued run has the same."""
    path = run / "wandb" / "id"
    if not path.is_file():
        atomic_write_text(path, secrets.token_hex(4))
    return path.read_text(encoding="utf-8").strip()


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, int | float | str]:
    """Nested settings as `method.D`: 20, the form that every tracker takes."""
    flat: dict[str, int | float | str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, (int, float, str)) else str(value)
    return flat


@contextmanager
def _disk(run: Path) -> Iterator[None]:
    """A full or read-only disk as one clear error."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write the trackers' files in {run}: {error.strerror or error}. The last checkpoint is whole: free "
            "some space or restore write access, then continue with resume."
        ) from error
