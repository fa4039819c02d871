"""The main job: InstructVideo on the shipped models, from fine-tuning to one page that shows what it did.

    before      64 held-out prompts, full chain, scored by the paper's protocol and read by the judge
    fine-tune   a LoRA adapter on the shipped clips of web quality (Eq. 2-9)
    after       the same prompts from the same noise
    report      paired differences; OUT/summary.json and OUT/report.html

The judge has no part in fine-tuning: it says whether a higher reward is a better clip. Everything is kept in
OUT, so an interrupted demo goes on where it stopped; what was measured before is used again only while
models, prompts and settings are the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ivtutorial.data.clips import read_clips
from ivtutorial.data.prompts import Prompt, read_prompts
from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import Comparison, compare
from ivtutorial.evaluation.evaluation import RESULT_FILE, Evaluation, evaluate
from ivtutorial.lab.demo.report import ClipPair, Report, Row, write_report
from ivtutorial.lab.world.judge import open_judge
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.system.files import atomic_write_text, data_path, key, sha256
from ivtutorial.system.provenance import peak_memory_mb, provenance
from ivtutorial.training.config import FinetuneConfig

if TYPE_CHECKING:
    from ivtutorial.training.finetuning import FinetuneResult

Item = TypeVar("Item")

JUDGED = ("subject", "colour", "scene", "movement", "action", "watermark", "blur", "wash")
MEASURED = ("sharpness", "colourfulness", "flicker")
PAPER_LR = 1e-5


@dataclass(frozen=True)
class DemoConfig:
    """What the demo does; the method's own settings are the paper's (tau 0.6, D 20, K 1, S 4, lambda_tar 1).

    Attributes:
        steps: fine-tuning steps. The paper's 20,000 would take days on two cores.
        lr: learning rate. The paper's 1e-5 needs those 20,000 steps; two hundred times as much shows in minutes.
        clips: how many of the clips to use, evenly spread over them: a short run sees no more, and each is encoded.
        clips_per_step: over all processes; must be a multiple of their number (paper: 8).
        prompts: how many of the shipped demo prompts to sample. shown: how many of them are on the page.
        probes: prompts, none of them the demo's, to sample during fine-tuning; 0 for none, which saves their time.
        probe_rounds: how often to sample the probes.
        D: DDIM steps. guidance: scale; both for fine-tuning and for samples.
        batch_size: clips sampled together.
        seed: of everything random.

    Raises:
        InputError: a number out of range.
    """

    steps: int = 24
    lr: float = 2e-3
    clips: int = 225
    clips_per_step: int = 4
    prompts: int = 64
    shown: int = 12
    probes: int = 0
    probe_rounds: int = 4
    D: int = 20
    guidance: float = 3.0
    batch_size: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"clips": 1, "clips_per_step": 1, "prompts": 1, "shown": 1, "probes": 0, "probe_rounds": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(f"{name} = {getattr(self, name)}: expected a whole number of at least {low}.")

    def finetuning(self, processes: int, probes: list[str]) -> FinetuneConfig:
        """Settings of the fine-tuning run."""
        if self.clips_per_step % processes:
            raise InputError(f"{self.clips_per_step} clips a step cannot be shared by {processes} processes.")
        return FinetuneConfig(
            method=InstructVideo(D=self.D, guidance=self.guidance),
            steps=self.steps,
            lr=self.lr,
            batch_size=self.clips_per_step // processes,
            seed=self.seed,
            checkpoint_every=max(1, self.steps // 6),
            sample_every=max(1, self.steps // self.probe_rounds) if probes else 0,
            sample_prompts=tuple(probes),
            sample_seed=self.seed,
        )


def run_demo(
    out: str | Path,
    config: DemoConfig = DemoConfig(),
    models: str | Path | None = None,
    clips: str | Path | None = None,
    processes: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Run the demo.

    Args:
        out: folder for everything; an interrupted demo in it goes on.
        config: how much of what.
        models: folder with `reduced`, `reward` and `judge`; default the shipped ones.
        clips: what to fine-tune on; default the shipped clips.
        processes: single-threaded CPU processes.
        progress: show progress bars.

    Returns:
        The summary, as written to OUT/summary.json.

    Raises:
        InputError: models or clips are missing, the folder cannot be written, or it holds a demo with other
            settings.

    Example:
        >>> run_demo("runs/demo", processes=2)["ci95"]  # doctest: +SKIP
    """
    from ivtutorial.training.finetuning import finetune

    out = Path(out)
    models = Path(models) if models is not None else data_path("models")
    asked, probes = _prompts(config)
    tuning = config.finetuning(processes, probes)

    def measure(name: str, lora: Path | None) -> Evaluation:
        return _measured(out / name, models, asked, config, lora, processes, progress)

    before = measure("before", None)
    run = finetune(
        models / "reduced",
        _spread(read_clips(clips if clips is not None else data_path("clips")), config.clips),
        models / "reward",
        out / "run",
        tuning,
        resume=True,
        processes=processes,
        device="cpu",
        progress=progress,
    )
    after = measure("after", run.lora)
    changes = compare(before, after)
    summary = summarise(changes, run, config, processes)
    atomic_write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_report(out / "report.html", _report(out, before, after, changes, run, summary, config))
    return summary


def _prompts(config: DemoConfig) -> tuple[list[Prompt], list[str]]:
    """Prompts to measure with, evenly spread over the shipped list, and others to watch the training with."""
    every = read_prompts(data_path("prompts", "demo.json"))
    known = {prompt.text for prompt in every}
    others = [p.text for p in read_prompts(data_path("prompts", "in_domain.json")) if p.text not in known]
    probes = [others[k * len(others) // config.probes] for k in range(config.probes)]
    return _spread(every, config.prompts), probes


def _spread(things: list[Item], count: int) -> list[Item]:
    """So many of the things, evenly spread over the list; all of them where there are fewer."""
    count = min(count, len(things))
    return [things[k * len(things) // count] for k in range(count)]


def _measured(
    folder: Path,
    models: Path,
    prompts: list[Prompt],
    config: DemoConfig,
    lora: Path | None,
    processes: int,
    progress: bool,
) -> Evaluation:
    """Sample and measure, or read what was measured with the same models, prompts and settings."""
    parts = [models / name for name in ("reduced", "reward", "judge")] + ([lora] if lora is not None else [])
    settings = {
        "seed": config.seed,
        "D": config.D,
        "guidance": config.guidance,
        "prompts": [p.text for p in prompts],
    }
    key = _key(parts, settings)
    if (folder / RESULT_FILE).is_file() and _read(folder / "key.txt") == key:
        return Evaluation.load(folder)
    found = evaluate(
        models / "reduced",
        prompts,
        models / "reward",
        folder,
        config.seed,
        D=config.D,
        guidance=config.guidance,
        lora=lora,
        judge=open_judge(models / "judge").columns,
        batch_size=config.batch_size,
        processes=processes,
        progress=progress,
    )
    atomic_write_text(folder / "key.txt", key)
    return found


def _key(folders: list[Path], settings: Mapping[str, Any]) -> str:
    """Hash of the weights in some folders and of settings."""
    weights = sorted(path for folder in folders for path in folder.rglob("*.safetensors"))
    return key([[path.name, sha256(path)] for path in weights], dict(settings))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def summarise(changes: Comparison, run: FinetuneResult, config: DemoConfig, processes: int) -> dict[str, Any]:
    """The numbers of a demo, for summary.json.

    Returns:
        reward_before, reward_after: means over the prompts, by the paper's protocol.
        ci95: low and high end of the bootstrap 95 % interval of the paired rise. wins: share of prompts that rose.
        judge_before, judge_after: shares of clips whose subject, colour, scene, movement and action the judge reads as
        asked for; strength of watermark, blur and wash that it sees; measured sharpness, colourfulness, flicker.
        motion_before, motion_after: mean change of brightness from frame to frame.
        seconds_per_step, unet_evaluations: of fine-tuning (of single clips; guidance counts twice).
        peak_rss_mb: largest resident memory of a single process, 2^20 bytes.
        prompts, steps, processes, config; seed, date, hardware, versions, commit.
    """
    columns, reward = changes.columns, changes.reward
    names = [name for name in (*JUDGED, *MEASURED) if name in columns]
    return {
        "reward_before": reward.before,
        "reward_after": reward.after,
        "ci95": [reward.low, reward.high],
        "judge_before": {name: columns[name].before for name in names},
        "judge_after": {name: columns[name].after for name in names},
        "motion_before": columns["motion"].before,
        "motion_after": columns["motion"].after,
        "prompts": reward.n,
        "wins": reward.wins,
        "steps": run.steps,
        "seconds_per_step": run.seconds / max(1, run.steps),
        "peak_rss_mb": round(peak_memory_mb(), 1),
        "unet_evaluations": run.unet_evaluations,
        "processes": processes,
        "config": asdict(config),
        **provenance(config.seed),
    }


def _report(
    out: Path,
    before: Evaluation,
    after: Evaluation,
    changes: Comparison,
    run: FinetuneResult,
    summary: Mapping[str, Any],
    config: DemoConfig,
) -> Report:
    from ivtutorial.lab.demo import texts as texts

    reward, log = changes.reward, run.metrics
    return Report(
        title=texts.TITLE,
        lead=texts.lead(reward, config.steps),
        pairs=_pairs(out, before, after, config.shown),
        pairs_note=texts.PAIRS,
        look=texts.LOOK,
        curve=[(row["step"], row["frame_reward"]) for row in log if row.get("frame_reward") is not None],
        marks=_marks(log) or [(0, reward.before), (run.steps, reward.after)],
        curve_note=texts.CURVE + (texts.PROBES if _marks(log) else texts.ENDS),
        rows=[
            Row(label, changes.columns[name], wanted, percent)
            for name, (label, wanted, percent) in texts.ROWS.items()
            if name in changes.columns
        ],
        table_note=texts.TABLE,
        commands=texts.commands(out, run.lora),
        details=texts.details(summary),
    )


def _marks(log: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Steps and rewards of the rounds of samples during fine-tuning."""
    return [(row["step"], row["sample_reward"]) for row in log if row.get("sample_reward") is not None]


def _pairs(out: Path, before: Evaluation, after: Evaluation, count: int) -> list[ClipPair]:
    """Clips of prompts that are evenly spread over the list."""
    from ivtutorial.video.reader import read_video

    tuned = dict(zip(after.keys, after.rows, strict=True))
    places = sorted({k * len(before.rows) // count for k in range(count)})
    found = []
    for place in places:
        row, other = before.rows[place], tuned[before.keys[place]]
        old, new = (read_video(out / name / one["clip"]) for name, one in (("before", row), ("after", other)))
        found.append(ClipPair(row["prompt"], old, new, row["reward"], other["reward"]))
    return found
