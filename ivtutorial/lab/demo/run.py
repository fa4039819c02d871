"""The main job: reward fine-tuning as editing on the shipped models, and one page that shows what it did.

    before      64 held-out prompts, full chain, scored by the paper's protocol and read by the judge
    fine-tune   a LoRA adapter on the shipped clips of web quality (Eq. 2-9), with the gradient of the strongest step
    after       the same prompts from the same noise
    report      paired differences; OUT/summary.json and OUT/report.html

The judge has no part in fine-tuning: it says whether a higher reward is a better clip. Everything is kept in
OUT, so an interrupted demo goes on where it stopped; what was measured before is used again only while
models, prompts and settings are the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivtutorial.data.clips import read_clips
from ivtutorial.data.prompts import Prompt, shipped_prompts, spread
from ivtutorial.evaluation.comparison import compare
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.evaluation.table import RESULT_FILE, Evaluation
from ivtutorial.lab.demo import texts
from ivtutorial.lab.demo.config import DemoConfig
from ivtutorial.lab.demo.report import Report, ShownPair, TableRow, write_demo_report
from ivtutorial.lab.demo.summary import demo_summary
from ivtutorial.lab.world.judges.panel import open_panel
from ivtutorial.sampling.generation import Sampling
from ivtutorial.system.files import atomic_write_text, data_path, key
from ivtutorial.weights.fingerprint import weights_hash

if TYPE_CHECKING:
    from ivtutorial.training.run_folder import FinetuneResult

PAPER_RUN = "demo_paper.json"  # summary of the shipped demo with the paper's gradient


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
    prompts, probes = demo_prompts(config)
    tuning = config.finetuning(processes, probes)

    def measure(name: str, lora: Path | None) -> Evaluation:
        return measure_or_read(out / name, models, prompts, config, lora, processes, progress)

    before = measure("before", None)
    run = finetune(
        models / "reduced",
        spread(read_clips(clips if clips is not None else data_path("clips")), config.clips),
        models / "reward",
        out / "run",
        tuning,
        resume=True,
        processes=processes,
        device="cpu",
        progress=progress,
    )
    after = measure("after", run.lora)
    summary = demo_summary(before, after, run, config, processes)
    atomic_write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_demo_report(out / "report.html", _report(out, before, after, run, summary, config))
    return summary


def demo_prompts(config: DemoConfig) -> tuple[list[Prompt], list[str]]:
    """Prompts to measure with, evenly spread over the shipped list, and others to watch the training with."""
    every = shipped_prompts("demo")
    known = {prompt.text for prompt in every}
    others = [prompt.text for prompt in shipped_prompts("in_domain") if prompt.text not in known]
    return spread(every, config.prompts), spread(others, config.probes)


def measure_or_read(
    folder: Path,
    models: Path,
    prompts: list[Prompt],
    config: DemoConfig,
    lora: Path | None,
    processes: int,
    progress: bool,
) -> Evaluation:
    """Sample and measure, or read what was measured with the same models, prompts and settings."""
    parts = [models / name for name in ("reduced", "reward", "judge", "judge_2", "features")] + (
        [lora] if lora is not None else []
    )
    settings = {
        "seed": config.seed,
        "D": config.D,
        "guidance": config.guidance,
        "precision": config.precision,
        "prompts": [p.text for p in prompts],
    }
    made_of = key(weights_hash(*parts), settings)
    if (folder / RESULT_FILE).is_file() and _read(folder / "key.txt") == made_of:
        return Evaluation.load(folder)
    result = evaluate(
        models / "reduced",
        prompts,
        models / "reward",
        folder,
        config.seed,
        Sampling(config.D, config.guidance, batch_size=config.batch_size, precision=config.precision),
        lora=lora,
        judge=open_panel(models).columns,
        processes=processes,
        device="cpu",
        progress=progress,
    )
    atomic_write_text(folder / "key.txt", made_of)
    return result


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _report(
    out: Path,
    before: Evaluation,
    after: Evaluation,
    run: FinetuneResult,
    summary: Mapping[str, Any],
    config: DemoConfig,
) -> Report:
    changes = compare(before, after)
    reward, log = changes.reward, run.metrics
    return Report(
        title=texts.TITLE,
        lead=texts.lead(changes, summary, stored_paper_run(config)),
        featured=_featured(out, before, after),
        featured_note=texts.FEATURED,
        pairs=[_pair(out, before, after, row) for row in spread(list(range(len(before.rows))), config.shown)],
        pairs_note=texts.PAIRS,
        look=texts.LOOK,
        curve=[(row["step"], row["frame_reward"]) for row in log if row.get("frame_reward") is not None],
        marks=_marks(log) or [(0, reward.before), (run.steps, reward.after)],
        curve_note=texts.CURVE + (texts.PROBES if _marks(log) else texts.ENDS),
        rows=[
            TableRow(label, changes.columns[name], wanted, percent)
            for name, (label, wanted, percent) in texts.ROWS.items()
            if name in changes.columns
        ],
        table_note=texts.TABLE,
        commands=texts.commands(out, run.lora),
        details=texts.details(summary),
    )


def stored_paper_run(config: DemoConfig) -> dict[str, Any] | None:
    """Summary of the shipped demo with the paper's gradient, to set beside another; None beside its own."""
    path = data_path("results") / PAPER_RUN
    if config.K == 1 or not path.is_file():
        return None
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def _marks(log: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Steps and rewards of the rounds of samples during fine-tuning."""
    return [(row["step"], row["sample_reward"]) for row in log if row.get("sample_reward") is not None]


def _featured(out: Path, before: Evaluation, after: Evaluation) -> list[tuple[str, ShownPair]]:
    """The pairs with the largest, the median and the smallest change of what the judge reads."""
    name = "utility" if "utility" in before.numbers else "reward"
    change = after.column(name) - before.column(name)
    order = np.argsort(-change, kind="stable")
    ranks = dict.fromkeys((0, len(order) // 2, len(order) - 1))  # fewer than three pairs: each once
    headings = (texts.BEST, texts.MEDIAN, texts.WORST)
    return [(heading, _pair(out, before, after, int(order[rank]))) for heading, rank in zip(headings, ranks)]


def _pair(out: Path, before: Evaluation, after: Evaluation, row: int) -> ShownPair:
    from ivtutorial.video.reader import read_video

    sides = before.rows[row], after.rows[row]
    old, new = (read_video(out / name / side["clip"]) for name, side in zip(("before", "after"), sides))
    numbers = [
        (label, *(f"{side[name]:.{digits}f}" for side in sides))
        for name, (label, digits) in texts.NUMBERS.items()
        if name in sides[0]
    ]
    return ShownPair(sides[0]["prompt"], old, new, [(label, first, second) for label, first, second in numbers])
