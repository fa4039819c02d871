"""Evaluation: prompts x seeds -> clips, their reward by the paper's protocol, and what a judge sees in them.

Columns of every clip: `reward` (see `ivtutorial.evaluation.scoring`); the plain measurements sharpness, colourfulness,
flicker and motion (see `ivtutorial.evaluation.looks`); and flow, warp_error, travel, with several seeds diversity, with
facts travel_error (see `ivtutorial.evaluation.flow`). A judge adds its own: that of the reduced world the strength of
the faults it sees (blur, wash, tint, noise, watermark) and, where the prompts come with facts, whether it reads them
off: subject, colour, scene, movement, action (0 or 1).

Under torchrun, or inside `ivtutorial.system.processes`, the processes share the clips; each returns the whole table,
and the first one writes the files. An interrupted evaluation goes on (`ivtutorial.evaluation.unfinished`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from ivtutorial.data.prompts import Prompt, as_prompts
from ivtutorial.errors import InputError
from ivtutorial.evaluation.flow import diversity, measure_movement, thumbnail
from ivtutorial.evaluation.judging import ClipJudge
from ivtutorial.evaluation.looks import measure
from ivtutorial.evaluation.scoring import score
from ivtutorial.evaluation.table import Evaluation
from ivtutorial.evaluation.unfinished import MeasuredClip, Unfinished, encode_together, remove_unfinished
from ivtutorial.method.segvr import check_segments
from ivtutorial.rewards.named import open_reward
from ivtutorial.sampling.clip_files import check_clip_folder
from ivtutorial.sampling.generation import Job, adapter, embed_first, in_batches, make_jobs, sample_batches
from ivtutorial.sampling.settings import Sampling, open_to_sample, settled
from ivtutorial.system.device import allow_tf32
from ivtutorial.system.files import check_writable
from ivtutorial.system.processes import launch
from ivtutorial.system.progress import bar
from ivtutorial.system.provenance import describe
from ivtutorial.system.share import gather, own_share, rank_and_world, wait_for_all
from ivtutorial.video.sheet import contact_sheet, save_picture
from ivtutorial.video.writer import to_uint8, write_video
from ivtutorial.weights.inside import fingerprint_inside

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone
    from ivtutorial.rewards.base import ImageReward

SHEET_FILE, CLIP_FOLDER = "sheet.png", "clips"


class MeasuredShare(NamedTuple):
    """What one process found: the clips of its share, and which weights scored them (`fingerprint_inside`)."""

    clips: list[MeasuredClip]
    reward_weights: str


@dataclass(frozen=True)
class Measuring:
    """What is done with each clip.

    Attributes:
        prompts: all of them, for their facts.
        reward: see `evaluate`; so are judge, S and fps.
        judge: see reward.
        S: see reward.
        out: folder to write the clip to, or None.
        fps: see reward.
    """

    prompts: Sequence[Prompt]
    reward: ImageReward | str | Path
    judge: ClipJudge | None
    S: int
    out: Path | None
    fps: float


def evaluate(
    model: AnyBackbone | str | Path,
    prompts: str | Path | Sequence[str | Prompt],
    reward: ImageReward | str | Path,
    out: str | Path | None = None,
    seeds: int | Sequence[int] = 0,
    sampling: Sampling = Sampling(),
    *,
    lora: str | Path | None = None,
    lora_scale: float = 1.0,
    judge: ClipJudge | None = None,
    S: int = 4,
    fps: float = 8.0,
    processes: int = 1,
    device: str | None = None,
    progress: bool = False,
) -> Evaluation:
    """Generate clips and score them.

    Interrupted in whatever way, the same call goes on with the batches that are missing from `out`, and ends with what
    it would have given without a break. One that differs in model, adapter, prompts, seeds, sampling, reward, judge, S,
    fps or processes begins again, and so does one whose reward or judge was typed into a notebook, where nothing tells
    whether it has changed since.

    Args:
        model: a backbone, used where it is; or "reduced", "modelscope", a diffusers folder or a hub name.
        prompts: a file for `ivtutorial.data.prompts.read_prompts`, or texts.
        reward: any image reward, "reduced", or a folder.
        out: folder for clips (MP4), scores.csv, evaluation.json, sheet.png and index.html; None writes nothing.
        seeds: one seed, or several for each prompt.
        sampling: steps, guidance, frames, size, batch size.
        lora: folder of a run or of an adapter, to use on top of the model.
        lora_scale: how much of it, 0 to 1.
        judge: adds columns, such as `ivtutorial.lab.world.open_judge().columns`; see `ivtutorial.evaluation.judging`.
        S: segments of the scoring protocol.
        fps: of the written clips.
        processes: single-threaded processes that share the clips (CPU only).
        device: as for `ivtutorial.sampling.generation.generate`; the reward goes to the model, in its precision.
        progress: show a progress bar.

    Returns:
        The table, also written to `out`.

    Raises:
        InputError: unusable prompts, model, adapter, reward, judge or folder, which is tried before anything is
            opened; facts for some prompts only.

    Example:
        >>> result = evaluate("reduced", ["a red fox running"], "reduced")  # doctest: +SKIP
        >>> result.summary()["reward"].mean  # doctest: +SKIP
    """
    listed = as_prompts(prompts)
    if judge is not None:
        _check_facts(listed)
    jobs = make_jobs([prompt.text for prompt in listed], seeds)
    folder = None if out is None else Path(out)
    if folder is not None:
        check_writable(folder)
        check_clip_folder(folder / CLIP_FOLDER, fps)
    check_segments(sampling.frames, S, "first")  # now, not when the first clips are made
    sampling, device = settled(model, sampling, device, processes)
    measuring = Measuring(listed, reward, judge, S, folder, fps)
    parts = launch(_evaluate_share, processes, model, jobs, sampling, lora, lora_scale, device, measuring, progress)
    order = {(job.index, job.seed): index for index, job in enumerate(jobs)}
    clips = gather([clip for part in parts for clip in part.clips])
    clips.sort(key=lambda clip: order[clip.row["index"], clip.row["seed"]])
    _add_diversity(clips)
    names = {"model": describe(model), "lora": None if lora is None else str(lora), "lora_scale": lora_scale}
    scored = {"reward": _name(reward), "reward_weights": parts[0].reward_weights, **_who(judge), "S": S}
    result = Evaluation([clip.row for clip in clips], {**names, **scored, **asdict(sampling)})
    if folder is not None and rank_and_world()[0] == 0:
        _write(folder, result, clips)
    wait_for_all()  # so that the files are there for every process
    return result


def _check_facts(listed: Sequence[Prompt]) -> None:
    """A judge needs facts of all prompts, or of none."""
    known = [prompt.facts is not None for prompt in listed]
    if any(known) and not all(known):
        raise InputError(
            f"prompt {known.index(False) + 1} has no facts but others have: give all of them facts, or none."
        )


def _who(judge: ClipJudge | None) -> dict[str, str | None]:
    """Which judge read, for `ivtutorial.evaluation.comparison`, which compares no readings of two judges."""
    return {"judge": None if judge is None else _name(judge), "judge_weights": fingerprint_inside(judge)}


def _name(thing: Any) -> str:
    """As `describe`, but two functions have two names, and so have the methods of two classes."""
    if isinstance(thing, partial):
        return _name(thing.func)
    if isinstance(thing, MethodType):
        return f"{type(thing.__self__).__module__}:{type(thing.__self__).__qualname__}.{thing.__name__}"
    return f"{thing.__module__}:{thing.__qualname__}" if isinstance(thing, FunctionType) else describe(thing)


def _add_diversity(clips: Sequence[MeasuredClip]) -> None:
    values = diversity([clip.thumbnail for clip in clips], [clip.row["index"] for clip in clips])
    for clip, value in zip(clips, values or [], strict=False):
        clip.row["diversity"] = value


def _evaluate_share(
    model: AnyBackbone | str | Path,
    jobs: Sequence[Job],
    sampling: Sampling,
    lora: str | Path | None,
    lora_scale: float,
    device: str,
    measuring: Measuring,
    progress: bool,
) -> MeasuredShare:
    """The clips of this process, measured."""
    backbone = open_to_sample(model, sampling, device)
    embed_first(backbone, own_share(jobs))
    on_gpu = backbone.device.type != "cpu"  # where half of the memory and an eighth of the time are worth the rounding
    reward = open_reward(measuring.reward, backbone.device, backbone.unet.dtype if on_gpu else None)
    weights = fingerprint_inside(reward)
    rank, world = rank_and_world()
    measured: list[MeasuredClip] = []
    with (
        allow_tf32(device, sampling.precision),
        adapter(backbone, lora, lora_scale),
        bar(len(jobs), progress and rank == 0) as advance,
    ):
        unfinished = _unfinished(measuring, jobs, sampling, lora_scale, backbone, reward)
        for batch in in_batches(own_share(jobs), sampling):
            found = None if unfinished is None else unfinished.read(batch)
            if found is not None:
                encode_together([job.prompt for job in batch], backbone, reward)
            else:
                [(_, clips)] = sample_batches(backbone, batch, sampling)
                found = _measured(measuring, batch, clips.to(backbone.device), reward)
                if unfinished is not None:
                    unfinished.write(batch, found)
            measured += found
            advance(len(batch) * world)
    return MeasuredShare(measured, weights)


def _unfinished(
    measuring: Measuring,
    jobs: Sequence[Job],
    sampling: Sampling,
    lora_scale: float,
    backbone: AnyBackbone,
    reward: ImageReward,
) -> Unfinished | None:
    """The batches that are there of this very evaluation, and not of one that differs in any way; None writes none."""
    if measuring.out is None:
        return None
    numbers = (sampling, lora_scale, backbone.device.type, measuring.S, measuring.fps, rank_and_world()[1])
    return Unfinished.of(measuring.out, backbone, reward, measuring.judge, measuring.prompts, jobs, numbers)


def _measured(measuring: Measuring, jobs: list[Job], clips: Tensor, reward: ImageReward) -> list[MeasuredClip]:
    columns = {"reward": score(clips, [job.prompt for job in jobs], reward, measuring.S).rewards}
    facts = [measuring.prompts[job.index].facts for job in jobs]
    clips = clips.cpu()
    if measuring.judge is not None:
        columns |= measuring.judge(clips, None if None in facts else [fields for fields in facts if fields is not None])
    columns |= measure(clips) | measure_movement(clips, facts)
    measured = []
    for k, (job, clip) in enumerate(zip(jobs, clips, strict=True)):
        name = "" if measuring.out is None else f"{CLIP_FOLDER}/{job.index:04d}-{job.seed}.mp4"
        if measuring.out is not None:
            write_video(measuring.out / name, clip, measuring.fps)
        numbers = {column: float(values[k]) for column, values in columns.items()}
        row = {"index": job.index, "prompt": job.prompt, "seed": job.seed, "clip": name, **numbers}
        measured.append(MeasuredClip(row, to_uint8(clip[len(clip) // 2][None]), thumbnail(clip)))
    return measured


def _write(folder: Path, result: Evaluation, clips: Sequence[MeasuredClip]) -> None:
    result.save(folder)
    _write_sheet(folder / SHEET_FILE, clips)
    remove_unfinished(folder)


def _write_sheet(path: Path, clips: Sequence[MeasuredClip], most: int = 96) -> None:
    clips = clips[:most]
    titles = [f"{clip.row['reward']:.3f} {clip.row['prompt']}" for clip in clips]
    scale = 2 if clips[0].frame.shape[1] < 128 else 1
    save_picture(path, contact_sheet([clip.frame for clip in clips], titles, columns=8, scale=scale))
