"""Clips as files, each written as soon as it is made: what was cut off goes on with the clips that are missing.

FOLDER/NNNN-SEED.mp4  H.264; NNNN is the prompt's place in its list
FOLDER/captions.csv   written last: a list for `score`, `finetune` and `ivtutorial.data.clips.read_clips`
FOLDER/sampling.json  what the clips are made with

The noise of a clip depends on the prompt's place and the seed alone, so any number of processes, cut off at any time,
makes the same set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivtutorial.data.clips import Clip, write_clips
from ivtutorial.errors import InputError
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.noise import level
from ivtutorial.sampling.generation import Job, adapter, embed_first, make_jobs, sample_batches
from ivtutorial.sampling.settings import Sampling, open_to_sample, settled
from ivtutorial.system.device import allow_tf32
from ivtutorial.system.files import atomic_write_text, check_writable, key
from ivtutorial.system.processes import launch
from ivtutorial.system.progress import bar
from ivtutorial.system.share import own_share, rank_and_world, wait_for_all
from ivtutorial.video.writer import encode_video, write_video
from ivtutorial.weights.fingerprint import fingerprint

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone

RECORD_FILE, LIST_FILE = "sampling.json", "captions.csv"


def generate_files(
    model: AnyBackbone | str | Path,
    prompts: Sequence[str],
    folder: str | Path,
    seeds: int | Sequence[int] = 0,
    sampling: Sampling = Sampling(),
    *,
    fps: float = 8.0,
    crf: int = 20,
    lora: str | Path | None = None,
    lora_scale: float = 1.0,
    overwrite: bool = False,
    processes: int = 1,
    device: str | None = None,
    progress: bool = False,
) -> list[Clip]:
    """Generate clips into a folder, those that are missing.

    Args:
        model: as for `ivtutorial.sampling.generation.generate`; so are the prompts, the adapter and its scale.
        prompts: N texts; one that is there twice gives two clips.
        folder: made if absent.
        seeds: one seed, or several for each prompt.
        sampling: steps, guidance, frames, size, batch size.
        fps: frames a second of the files.
        crf: quality, see `ivtutorial.video.writer.encode_video`.
        lora: folder of an adapter.
        lora_scale: how much of it.
        overwrite: replace clips that were made otherwise, instead of an error.
        processes: single-threaded processes that share the clips (CPU only).
        device: as for `generate`.
        progress: show a progress bar.

    Returns:
        The files with their prompts, ordered by prompt, then by seed.

    Raises:
        InputError: as for `generate`; or, before the work, fps or crf out of range, a folder that cannot be written
            or holds clips that were made otherwise.

    Example:
        >>> generate_files("reduced", ["a red fox", "a deer"], "runs/clips")  # doctest: +SKIP
    """
    folder, jobs = Path(folder), make_jobs(prompts, seeds)
    check_clip_folder(folder, fps, crf)
    files = {folder / f"{job.index:04d}-{job.seed}.mp4": job for job in jobs}
    sampling, device = settled(model, sampling, device, processes)
    backbone = open_to_sample(model, sampling, device)
    if processes == 1:
        embed_first(backbone, own_share(jobs))
    with adapter(backbone, lora, lora_scale):
        parts = model_parts(backbone)
    settings = {name: value for name, value in asdict(sampling).items() if name != "batch_size"}
    settings |= {"fps": fps, "crf": crf, **parts, "lora_scale": None if lora is None else lora_scale}
    settings |= {"seeds": sorted({job.seed for job in jobs}), "captions": list(prompts)}
    _claim(folder, settings, files, overwrite)
    missing = {file: job for file, job in files.items() if not file.is_file()}
    wait_for_all()  # so that all processes share the same list, before one of them writes
    if missing:
        opened = backbone if processes == 1 else model
        del backbone
        launch(_sample_share, processes, opened, missing, sampling, fps, crf, lora, lora_scale, device, progress)
    wait_for_all()
    clips = [Clip(file, job.prompt) for file, job in files.items()]
    if rank_and_world()[0] == 0:
        write_clips(folder / LIST_FILE, clips)
    return clips


def check_clip_folder(folder: Path, fps: float, crf: int = 20) -> None:
    """Before minutes of work, not after them: can clips be written there, at that rate?

    Raises:
        InputError: they cannot.
    """
    check_writable(folder)
    encode_video(np.zeros((1, 16, 16, 3), np.uint8), fps, crf)


def model_parts(backbone: AnyBackbone) -> dict[str, Any]:
    """What of a model decides its clips, as short hashes; its network first, since a large text encoder goes for it."""
    weights = fingerprint(backbone.unet)
    schedule: Any = backbone.scheduler  # a table of alphas, or levels of its own
    shares = [[round(float(share), 6) for share in level(schedule, t)] for t in chain_timesteps(schedule, 20)]
    return {
        "weights": weights,
        "text_encoder": None if backbone.text_encoder is None else backbone.text_key,
        "autoencoder": key(backbone.encoding)[:16],
        "noise_schedule": key(schedule.config["prediction_type"], shares)[:16],
    }


def _claim(folder: Path, record: Mapping[str, Any], files: Mapping[Path, Job], overwrite: bool) -> None:
    """Record what the clips are made with, or see that those which are there were made alike."""
    path = folder / RECORD_FILE
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        other = sorted(name for name in record if before.get(name) != record[name])
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}). Choose another folder.") from error
    there = [file for file in files if file.is_file()]
    # The list is written last, so one without a record is somebody's own, as are the clips that it names.
    foreign = not before and (folder / LIST_FILE).exists()
    if other and not overwrite and (there or foreign or (before and any(folder.glob("*.mp4")))):
        reason = f"made with another {', '.join(other)}" if before else f"of unknown origin (there is no {RECORD_FILE})"
        raise InputError(
            f"{folder} holds clips {reason}: choose another folder, or replace them (overwrite=True, --overwrite)."
        )
    if other:
        for file in there:
            file.unlink(missing_ok=True)
        atomic_write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _sample_share(
    model: AnyBackbone | str | Path,
    files: Mapping[Path, Job],
    sampling: Sampling,
    fps: float,
    crf: int,
    lora: str | Path | None,
    lora_scale: float,
    device: str,
    progress: bool,
) -> None:
    backbone, names = open_to_sample(model, sampling, device), {job: file for file, job in files.items()}
    mine, (rank, world) = own_share(list(names)), rank_and_world()
    embed_first(backbone, mine)
    with (
        allow_tf32(device, sampling.precision),
        adapter(backbone, lora, lora_scale),
        bar(len(names), progress and rank == 0, "clips") as advance,
    ):
        for jobs, clips in sample_batches(backbone, mine, sampling):
            for job, clip in zip(jobs, clips, strict=True):
                write_video(names[job], clip, fps, crf)
            advance(len(jobs) * world)
