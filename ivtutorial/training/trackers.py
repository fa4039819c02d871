"""Curves and sample clips in TensorBoard (the default) or Weights & Biases (`trackers=("wandb",)`).

RUN/metrics.jsonl stays the record of a run; a tracker only shows it. What a tracker is given for step n is given again
when a run that was cut off takes step n again: TensorBoard then drops the older entry, W&B keeps the first.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor

from ivtutorial.errors import InputError

TRACKERS = ("tensorboard", "wandb")
FOLDER = "tensorboard"
logger = logging.getLogger(__name__)


class Tracker(Protocol):
    """Something that shows a run."""

    def log(self, step: int, row: Mapping[str, float]) -> None:
        """Show the numbers of a step."""

    def show(self, step: int, prompts: Sequence[str], clips: Sequence[Tensor], fps: float) -> None:
        """Show sample clips, each uint8 (F, H, W, 3)."""

    def close(self) -> None:
        """Write what is still in memory."""


class TensorBoard:
    """Event files below RUN/tensorboard: `tensorboard --logdir RUN`."""

    def __init__(self, run: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder = run / FOLDER
        with _told(self._folder):
            self._writer: Any = SummaryWriter(str(self._folder), purge_step=step + 1 if step else None)

    def log(self, step: int, row: Mapping[str, float]) -> None:
        """Show the numbers of a step; those that are not finite as they are."""
        with _told(self._folder):
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(name, value, step)

    def show(self, step: int, prompts: Sequence[str], clips: Sequence[Tensor], fps: float) -> None:
        """Show sample clips as GIF pictures, which TensorBoard plays, named by their prompts."""
        Summary = import_module("tensorboard.compat.proto.summary_pb2").Summary
        for number, (prompt, clip) in enumerate(zip(prompts, clips, strict=True)):
            image = Summary.Image(
                height=clip.shape[1], width=clip.shape[2], colorspace=3, encoded_image_string=gif(clip, fps)
            )
            entry = Summary.Value(tag=f"samples/{number:03d} {prompt}", image=image)
            with _told(self._folder):
                self._writer._get_file_writer().add_summary(Summary(value=[entry]), step)

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


class WandB:
    """A run of Weights & Biases; WANDB_MODE=offline keeps it on this machine."""

    def __init__(self, run: Path, about: Mapping[str, Any]) -> None:
        try:
            wandb = import_module("wandb")
        except ImportError as error:
            raise InputError("trackers has 'wandb', which is not installed: pip install wandb.") from error
        identity = run / "wandb" / "id"
        self._wandb: Any = wandb
        known = identity.read_text(encoding="utf-8").strip() if identity.is_file() else None
        self._run: Any = wandb.init(
            project="ivtutorial", name=run.name, dir=str(run), config=dict(about), id=known, resume="allow"
        )
        identity.parent.mkdir(parents=True, exist_ok=True)
        identity.write_text(str(self._run.id), encoding="utf-8")

    def log(self, step: int, row: Mapping[str, float]) -> None:
        """Show the numbers of a step."""
        self._run.log({name: value for name, value in row.items() if name != "step"}, step=step)

    def show(self, step: int, prompts: Sequence[str], clips: Sequence[Tensor], fps: float) -> None:
        """Show sample clips with their prompts as captions."""
        pictures = [
            self._wandb.Video(io.BytesIO(gif(clip, fps)), caption=prompt, format="gif")
            for prompt, clip in zip(prompts, clips, strict=True)
        ]
        self._run.log({"samples": pictures}, step=step)

    def close(self) -> None:
        """Send what is still in memory."""
        self._run.finish()


@contextmanager
def tracking(
    names: Sequence[str], run: Path, step: int, about: Mapping[str, Any], main: bool = True
) -> Iterator[list[Tracker]]:
    """The trackers of a run, closed at its end.

    Args:
        names: of TRACKERS.
        run: its folder.
        step: steps taken so far.
        about: its settings.
        main: whether this process writes the files; without, there are no trackers.

    Raises:
        InputError: an unknown name, or W&B is not installed. TensorBoard, the default, is left out with a warning.
    """
    check_trackers(names)
    trackers: list[Tracker] = []
    try:
        if main and "tensorboard" in names:
            try:
                trackers.append(TensorBoard(run, step))
            except ImportError:
                logger.warning("TensorBoard is not installed: the curves are in metrics.jsonl only.")
        if main and "wandb" in names:
            trackers.append(WandB(run, about))
        yield trackers
    finally:
        for tracker in trackers:
            with suppress(OSError):  # on a full disk, where an error has been raised already
                tracker.close()


def check_trackers(names: Sequence[str]) -> None:
    """Raises an InputError that names what is unknown."""
    unknown = [name for name in names if name not in TRACKERS]
    if isinstance(names, str) or unknown:
        raise InputError(f"trackers = {names!r}: expected a list of {', '.join(TRACKERS)}, or none.")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """A full or read-only disk as one clear error."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {folder}: {error.strerror or error}. Checkpoints are whole: free some space or "
            "restore write access, then continue with resume."
        ) from error


def gif(clip: Tensor, fps: float) -> bytes:
    """A clip, uint8 (F, H, W, 3), as an endless GIF."""
    pictures = [Image.fromarray(frame) for frame in clip.numpy()]
    memory = io.BytesIO()
    pause = max(20, round(1000 / fps))  # milliseconds; players slow anything shorter down
    pictures[0].save(memory, "GIF", save_all=True, append_images=pictures[1:], duration=pause, loop=0)
    return memory.getvalue()
