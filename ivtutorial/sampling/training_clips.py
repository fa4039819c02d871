"""Training clips without a data set: sampled from the base model itself.

The paper's clips, WebVid-10M, are no longer distributed. Fine-tuning needs them only as something to edit: noise is
added up to t_noi and the model takes it away again (Sec. 3.2.1), and the reward, not the clip, says what is better. The
model's own samples are such clips: they show what it can make, with its usual faults.

FOLDER/clips/NNNNN.mp4     H.264, read again as any user's clips are
FOLDER/clips/captions.csv  written last, when all are there
FOLDER/sampling.json       what they were sampled with

Noise depends on the caption's place and the seed, so a run that was cut off goes on with the missing clips, and any
number of processes makes the same set.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivtutorial.data.clips import Clip, write_clips
from ivtutorial.errors import InputError
from ivtutorial.models.named import open_model
from ivtutorial.sampling.generation import Job, Sampling, make_jobs, sample_batches
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.processes import launch
from ivtutorial.system.progress import bar
from ivtutorial.system.share import own_share, rank_and_world
from ivtutorial.video.writer import write_video
from ivtutorial.weights.fingerprint import fingerprint

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

CLIPS, ABOUT, LIST = "clips", "sampling.json", "captions.csv"
CRF = 12  # nearly lossless: the model's faults are to be kept, the encoder's not added


def sample_clips(
    model: Backbone | str | Path,
    captions: Sequence[str],
    folder: str | Path,
    sampling: Sampling | None = None,
    *,
    seed: int = 0,
    fps: float = 8.0,
    processes: int = 1,
    progress: bool = False,
) -> Path:
    """Sample one clip a caption into `folder/clips`, those that are missing.

    Args:
        model: a `Backbone`, or a name or folder (then on the CPU).
        captions: N texts; one that is there twice gives two clips.
        folder: made if absent.
        sampling: DDIM steps, guidance, frames, size, batch size; default the paper's.
        seed: of the noise.
        fps: frames a second of the files.
        processes: single-threaded processes that share the captions (CPU only).
        progress: show a progress bar.

    Returns:
        `folder/clips`, a list for `ivtutorial.data.clips.read_clips`.

    Raises:
        InputError: no captions, one that is not text, a folder that cannot be written or holds samples made otherwise.

    Example:
        >>> sample_clips("reduced", ["a red fox", "a deer"], "runs/own")  # doctest: +SKIP
    """
    folder, jobs, sampling = Path(folder), make_jobs(captions, seed), sampling or Sampling()
    _claim(folder, jobs, sampling, seed, fps, model)
    launch(_sample_share, processes, model, jobs, folder / CLIPS, sampling, fps, progress)
    write_clips(folder / CLIPS / LIST, [Clip(_file(folder / CLIPS, job), job.prompt) for job in jobs])
    return folder / CLIPS


def _claim(
    folder: Path, jobs: Sequence[Job], sampling: Sampling, seed: int, fps: float, model: Backbone | str | Path
) -> None:
    """Note what the samples are made with, or see that those which are there were made alike."""
    settings = {name: value for name, value in asdict(sampling).items() if name != "batch_size"}
    unet = fingerprint(open_model(model).unet)
    about: dict[str, Any] = {**settings, "seed": seed, "fps": fps, "unet": unet, "captions": [j.prompt for j in jobs]}
    path = folder / ABOUT
    if not path.is_file():
        atomic_write_text(path, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
        return
    try:
        was = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}). Choose another folder.") from error
    other = sorted(name for name in about if was.get(name) != about[name])
    if other:
        raise InputError(
            f"{folder} holds samples made with another {', '.join(other)}: choose another folder, or the settings in "
            f"{path}."
        )


def _sample_share(
    model: Backbone | str | Path, jobs: Sequence[Job], folder: Path, sampling: Sampling, fps: float, progress: bool
) -> None:
    missing = [job for job in jobs if not _file(folder, job).is_file()]
    mine, (rank, world) = own_share(missing), rank_and_world()
    with bar(len(missing), progress and rank == 0, "sampling clips") as advance:
        for batch, clips in sample_batches(open_model(model), mine, sampling) if mine else ():
            for job, clip in zip(batch, clips, strict=True):
                write_video(_file(folder, job), clip, fps, CRF)
            advance(len(batch) * world)


def _file(folder: Path, job: Job) -> Path:
    return folder / f"{job.index:05d}.mp4"
