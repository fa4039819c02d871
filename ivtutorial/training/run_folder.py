"""The folder of a run: what it was, what it logged, what its samples looked like.

RUN/config.json       settings, model, reward, data, provenance
RUN/metrics.jsonl     one line a step; lines of step 0 and of every `sample_every` steps also have `sample_reward`
RUN/samples/step-N/   clips (MP4) and sheet.png, the same prompts and noise in every round
RUN/checkpoints/      see `ivtutorial.training.checkpoints`
RUN/lora/             the result, in the format of `load_lora_weights` (for a pipeline that holds a `VideoUNet`)
RUN/trackers/         curves and samples, see `ivtutorial.training.trackers`
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ivtutorial.errors import InputError, first_line
from ivtutorial.system.files import atomic_write_text, plain_json

CONFIG_FILE, METRICS_FILE, SAMPLES, LORA, BEST = "config.json", "metrics.jsonl", "samples", "lora", "best"


@dataclass(frozen=True)
class FinetuneResult:
    """What a run left behind.

    Attributes:
        folder: of the run.
        lora: folder of the resulting adapter.
        steps: taken.
        stopped_early: by `patience`.
        skipped: steps whose loss or gradient was not finite.
        unet_evaluations: of single clips in all training steps.
        seconds: in all training steps.
    """

    folder: Path
    lora: Path
    steps: int
    stopped_early: bool
    skipped: int
    unet_evaluations: int
    seconds: float

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl."""
        return read_metrics(self.folder)


def write_config(run: Path, values: Mapping[str, Any]) -> None:
    """Write config.json.

    Raises:
        InputError: the folder cannot be written.
    """
    atomic_write_text(run / CONFIG_FILE, json.dumps(dict(values), indent=1) + "\n")


def model_of(run: Path) -> str:
    """The name or folder of the model that a run was made with.

    Raises:
        InputError: no folder of a run, or the model was an object.
    """
    try:
        name = json.loads((run / CONFIG_FILE).read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{run} is not the folder of a run ({first_line(error)}): give the model, too.") from error
    if str(name).startswith("object of "):
        raise InputError(f"the run in {run} was made with a model that has no name ({name}): give the model, too.")
    return str(name)


def read_metrics(run: str | Path) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl; what a kill has cut off or damaged at its end is left out.

    Raises:
        InputError: the run has none.
    """
    path = Path(run) / METRICS_FILE
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"no metrics at {path} ({error.strerror or error}). Give the folder of a run.") from error
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
            _ = row["step"]
        except (ValueError, TypeError, LookupError):
            break
        rows.append(row)
    return rows


def trim_metrics(run: Path, step: int) -> None:
    """Drop what was logged after `step`: a continued run takes and logs those steps again."""
    if (run / METRICS_FILE).is_file():
        kept = [row for row in read_metrics(run) if row["step"] <= step]
        atomic_write_text(run / METRICS_FILE, "".join(json.dumps(row) + "\n" for row in kept))


def log_metrics(run: Path, row: Mapping[str, float]) -> None:
    """Append one line; numbers that are not finite become null.

    Raises:
        InputError: the file cannot be written.
    """
    path = run / METRICS_FILE
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(plain_json(dict(row))) + "\n")
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}. Checkpoints are whole: free some space or restore "
            "write access, then continue with resume."
        ) from error


def write_samples(run: Path, step: int, prompts: Sequence[str], clips: Sequence[Tensor], fps: float) -> Path:
    """Write one round of sample clips (F, 3, H, W), with a contact sheet of four frames each.

    Raises:
        InputError: the folder cannot be written.
    """
    from ivtutorial.video.sheet import contact_sheet, save_picture
    from ivtutorial.video.writer import write_video

    folder = run / SAMPLES / f"step-{step:06d}"
    for number, clip in enumerate(clips):
        write_video(folder / f"{number:03d}.mp4", clip, fps)
    scale = 2 if clips[0].shape[-1] < 128 else 1
    sheet = contact_sheet(clips, list(prompts), columns=2, strip=min(4, len(clips[0])), scale=scale)
    save_picture(folder / "sheet.png", sheet)
    return folder
