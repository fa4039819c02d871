"""Evaluation: prompts x seeds -> clips, their reward by the paper's protocol, and what a judge sees in them.

Columns of every clip: `reward` (see `ivtutorial.evaluation.scoring`); the plain measurements sharpness, colourfulness,
flicker and motion (see `ivtutorial.evaluation.looks`); and flow, warp_error, travel, with several seeds diversity, with
facts travel_error (see `ivtutorial.evaluation.flow`). A judge adds its own: that of the reduced world the strength of
the faults it sees (blur, wash, tint, noise, watermark) and, where the prompts come with facts, whether it reads them
off: subject, colour, scene, movement, action (0 or 1).

Under torchrun, or inside `ivtutorial.system.processes`, the processes share the clips; each returns the whole table,
and the first one writes the files.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivtutorial.data.prompts import Prompt, as_prompts
from ivtutorial.errors import InputError
from ivtutorial.evaluation.flow import diversity, measure_movement, thumbnail
from ivtutorial.evaluation.intervals import Estimate, estimate
from ivtutorial.evaluation.judging import ClipJudge
from ivtutorial.evaluation.looks import measure
from ivtutorial.evaluation.page import write_page
from ivtutorial.evaluation.scoring import score
from ivtutorial.models.named import open_model
from ivtutorial.rewards.named import open_reward
from ivtutorial.sampling.generation import Job, Sampling, adapter, make_jobs, sample_batches
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.processes import launch
from ivtutorial.system.progress import bar
from ivtutorial.system.provenance import describe
from ivtutorial.system.share import gather, own_share, rank_and_world, wait_for_all

if TYPE_CHECKING:
    from torch import Tensor

    from ivtutorial.models.backbone import Backbone
    from ivtutorial.rewards.base import ImageReward

RESULT_FILE, TABLE_FILE, SHEET_FILE, CLIP_FOLDER = "evaluation.json", "scores.csv", "sheet.png", "clips"
_NAMES = ("index", "prompt", "seed", "clip")
Row = dict[str, Any]
Found = tuple[Row, Any, Any]  # with the clip's middle frame, uint8 (1, H, W, 3), and its thumbnail


@dataclass(frozen=True)
class Evaluation:
    """What was found for each clip.

    Attributes:
        rows: one a clip, ordered by prompt, then seed: index (place of the prompt), prompt, seed, clip (file name, or
            ""), and the columns of the module's first lines.
        settings: model, adapter, sampling, reward, as given.
    """

    rows: Sequence[Row]
    settings: Mapping[str, Any]

    @cached_property
    def numbers(self) -> list[str]:
        """Names of the columns that hold numbers; "reward" comes first."""
        return [name for name in self.rows[0] if name not in _NAMES]

    @property
    def keys(self) -> list[tuple[int, str, int]]:
        """(index, prompt, seed) of each clip: what makes a pair."""
        return [(row["index"], row["prompt"], row["seed"]) for row in self.rows]

    def column(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """One column as an array (N,).

        Raises:
            InputError: there is no such column.
        """
        if name not in self.numbers:
            raise InputError(f"no column {name!r}: there are {', '.join(self.numbers)}.")
        return np.array([row[name] for row in self.rows], dtype=np.float64)

    def summary(self) -> dict[str, Estimate]:
        """Mean, standard deviation and bootstrap 95 % interval of every column."""
        return {name: estimate(self.column(name).tolist()) for name in self.numbers}

    def save(self, folder: str | Path) -> None:
        """Write evaluation.json (everything), scores.csv (the table) and index.html (a page with the clips).

        Raises:
            InputError: the folder cannot be written.
        """
        summary = self.summary()
        means = {name: asdict(one) for name, one in summary.items()}
        content = {"settings": dict(self.settings), "summary": means, "rows": list(self.rows)}
        table = io.StringIO()
        writer = csv.DictWriter(table, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        atomic_write_text(Path(folder) / TABLE_FILE, table.getvalue())
        write_page(folder, self.rows, summary, self.settings)
        atomic_write_text(Path(folder) / RESULT_FILE, json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """Read what `save` wrote.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        path = Path(folder) / RESULT_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(content["rows"], content["settings"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"no readable evaluation at {path} ({error}). Give a folder that evaluate wrote."
            ) from error


@dataclass(frozen=True)
class _Task:
    """What every process needs to know to do its share."""

    model: Backbone | str | Path
    prompts: Sequence[Prompt]
    jobs: Sequence[Job]
    reward: ImageReward | str | Path
    out: Path | None
    sampling: Sampling
    lora: str | Path | None
    lora_scale: float
    judge: ClipJudge | None
    S: int
    fps: float
    progress: bool


def evaluate(
    model: Backbone | str | Path,
    prompts: str | Path | Sequence[str | Prompt],
    reward: ImageReward | str | Path,
    out: str | Path | None = None,
    seeds: int | Sequence[int] = 0,
    *,
    D: int = 20,
    guidance: float = 3.0,
    frames: int = 16,
    height: int | None = None,
    width: int | None = None,
    eta: float = 0.0,
    lora: str | Path | None = None,
    lora_scale: float = 1.0,
    judge: ClipJudge | None = None,
    S: int = 4,
    fps: float = 8.0,
    batch_size: int = 8,
    processes: int = 1,
    progress: bool = False,
) -> Evaluation:
    """Generate clips and score them.

    Args:
        model: a `Backbone`, used where it is; or "reduced", "modelscope", a diffusers folder or a hub name, opened on
            the CPU. For a GPU pass `open_model(name, torch.float16, "cuda")` of `ivtutorial.models.named`.
        prompts: a file for `ivtutorial.data.prompts.read_prompts`, or texts.
        reward: any image reward, "reduced", or a folder.
        out: folder for clips (MP4), scores.csv, evaluation.json, sheet.png and index.html; None writes nothing.
        seeds: one seed, or several for each prompt.
        D: DDIM steps.
        guidance: classifier-free guidance scale.
        frames: F.
        height: in pixels, default the model's own; so is width.
        width: see height.
        eta: 0 is deterministic.
        lora: folder of an adapter to use on top of the model.
        lora_scale: how much of it, 0 to 1.
        judge: adds columns, such as `ivtutorial.lab.world.open_judge().columns`; see `ivtutorial.evaluation.judging`.
        S: segments of the scoring protocol.
        fps: of the written clips.
        batch_size: clips sampled together.
        processes: share the clips among so many single-threaded processes (CPU only).
        progress: show a progress bar.

    Returns:
        The table, also written to `out`.

    Raises:
        InputError: unusable prompts, model, adapter, reward, judge or folder; facts for some prompts only.

    Example:
        >>> result = evaluate("reduced", ["a red fox running"], "reduced")  # doctest: +SKIP
        >>> result.summary()["reward"].mean  # doctest: +SKIP
    """
    sampling = Sampling(D, guidance, frames, height, width, eta, batch_size)
    asked = as_prompts(prompts)
    known = [prompt.facts is not None for prompt in asked]
    if judge is not None and any(known) and not all(known):
        raise InputError(
            f"prompt {known.index(False) + 1} has no facts but others have: give all of them facts, or none."
        )
    jobs = make_jobs([prompt.text for prompt in asked], seeds)
    folder = None if out is None else Path(out)
    task = _Task(model, asked, jobs, reward, folder, sampling, lora, lora_scale, judge, S, fps, progress)
    parts = launch(_evaluate_share, processes, task)
    order = {(job.index, job.seed): place for place, job in enumerate(jobs)}
    every = gather([one for part in parts for one in part])
    found = sorted(every, key=lambda one: order[one[0]["index"], one[0]["seed"]])
    _add_diversity(found)
    settings = {
        "model": describe(model),
        "lora": None if lora is None else str(lora),
        "lora_scale": lora_scale,
        "reward": describe(reward),
        "S": S,
        **asdict(sampling),
    }
    result = Evaluation([row for row, _, _ in found], settings)
    if folder is not None and rank_and_world()[0] == 0:
        result.save(folder)
        _write_sheet(folder / SHEET_FILE, found)
    wait_for_all()  # so that the files are there for every process
    return result


def _add_diversity(found: Sequence[Found]) -> None:
    values = diversity([one for _, _, one in found], [row["index"] for row, _, _ in found])
    for (row, _, _), value in zip(found, values or [], strict=False):
        row["diversity"] = value


def _evaluate_share(task: _Task) -> list[Found]:
    """What this process found."""
    backbone = open_model(task.model)
    reward = open_reward(task.reward, backbone.device)
    rank, world = rank_and_world()
    found: list[Found] = []
    with adapter(backbone, task.lora, task.lora_scale), bar(len(task.jobs), task.progress and rank == 0) as advance:
        for jobs, clips in sample_batches(backbone, own_share(task.jobs), task.sampling):
            found += _rows(task, jobs, clips.to(backbone.device), reward)
            advance(len(jobs) * world)
    return found


def _rows(task: _Task, jobs: list[Job], clips: Tensor, reward: ImageReward) -> list[Found]:
    from ivtutorial.video.writer import to_uint8

    columns = {"reward": score(clips, [job.prompt for job in jobs], reward, task.S).rewards}
    facts = [task.prompts[job.index].facts for job in jobs]
    clips = clips.cpu()
    if task.judge is not None:
        columns |= task.judge(clips, None if None in facts else [fields for fields in facts if fields is not None])
    columns |= measure(clips) | measure_movement(clips, facts)
    found: list[Found] = []
    for place, (job, clip) in enumerate(zip(jobs, clips, strict=True)):
        name = _write_clip(task, job, clip)
        numbers = {column: float(values[place]) for column, values in columns.items()}
        row = {"index": job.index, "prompt": job.prompt, "seed": job.seed, "clip": name, **numbers}
        found.append((row, to_uint8(clip[len(clip) // 2][None]), thumbnail(clip)))
    return found


def _write_clip(task: _Task, job: Job, clip: Tensor) -> str:
    from ivtutorial.video.writer import write_video

    if task.out is None:
        return ""
    name = f"{CLIP_FOLDER}/{job.index:04d}-{job.seed}.mp4"
    write_video(task.out / name, clip, task.fps)
    return name


def _write_sheet(path: Path, found: Sequence[Found], most: int = 96) -> None:
    from ivtutorial.video.sheet import contact_sheet, save_picture

    shown = found[:most]
    titles = [f"{row['reward']:.3f} {row['prompt']}" for row, _, _ in shown]
    picture = contact_sheet(
        [frame for _, frame, _ in shown], titles, columns=8, scale=2 if shown[0][1].shape[1] < 128 else 1
    )
    save_picture(path, picture)
