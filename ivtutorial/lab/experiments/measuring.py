"""Where the runs of an experiment lie, and how they are measured."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ivtutorial.data.clips import load_frames
from ivtutorial.data.prompts import Prompt, shipped_prompts, spread
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.evaluation.scoring import Scores, score
from ivtutorial.evaluation.table import RESULT_FILE, Evaluation
from ivtutorial.lab.experiments.measured import Measured
from ivtutorial.lab.experiments.plans.clip_sets import caption_prompts, clips_of_prompts
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment
from ivtutorial.sampling.generation import Sampling
from ivtutorial.system.share import gather
from ivtutorial.video.reader import read_video

if TYPE_CHECKING:
    from ivtutorial.data.clips import Clip
    from ivtutorial.models.memory import Precision

BATCH = {"cpu": 8, "cuda": 256}  # clips sampled together


@dataclass(frozen=True)
class Conduct:
    """What every process needs to know.

    Attributes:
        plan: the experiment. root: folder of all experiments. models: folder with `reduced`, `reward`, `judge`.
        clips: arm name -> clips. processes: how many walk together. weights: hash of the models.
        precision: "fp32" or "bf16". progress: show progress bars.
        opened: model, reward and judge of the measurements.
        device: "cpu" or "cuda".
        until: when to stop beginning anything new, in seconds of `time.monotonic`; None for never.
        stored: results whose runs may be taken over.
    """

    plan: Experiment
    root: Path
    models: Path
    clips: Mapping[str, list[Clip]]
    processes: int
    weights: str
    precision: Precision
    progress: bool
    opened: tuple[Any, Any, Any] | None = None
    device: str = "cpu"
    until: float | None = None
    stored: Sequence[Mapping[str, Any]] = ()

    def time_is_up(self) -> bool:
        """Whether nothing new should begin; all processes agree, by the first one's clock."""
        late = self.until is not None and time.monotonic() > self.until
        return gather([late])[0]


def arm_folder(conduct: Conduct, arm: Arm) -> Path:
    """Folder of an arm's runs; arms of other experiments that would train the very same have the same one."""
    key = arm.key(conduct.weights, conduct.plan.points, conduct.precision)
    return conduct.root / "runs" / f"{type(arm.method).__name__.lower()}-{key}"


def base_folder(conduct: Conduct) -> Path:
    """Folder of what the untouched model is measured to be."""
    end = "" if conduct.precision == "fp32" else f"-{conduct.precision}"
    return conduct.root / "runs" / f"base-{conduct.weights[:12]}{end}"


def run_name(lr: float, seed: int) -> str:
    """Folder of a run within its arm's."""
    return f"{lr:g}-seed-{seed}"


def step_name(step: int) -> str:
    """Folder of a moment of a run within the run's."""
    return f"step-{step:06d}"


def open_models(conduct: Conduct) -> tuple[Any, Any, Any]:
    """Model, reward and judge of the measurements."""
    from ivtutorial.lab.world.judges.panel import open_panel
    from ivtutorial.models.memory import DTYPES
    from ivtutorial.models.named import open_model
    from ivtutorial.rewards.named import open_reward

    models, dtype, device = conduct.models, DTYPES[conduct.precision], conduct.device
    return (
        open_model(models / "reduced", dtype, device),
        open_reward(models / "reward", device),
        open_panel(models).columns,
    )


def measure_all(conduct: Conduct, folder: Path, lora: Path | None, scale: float, end: bool, seed: int) -> Measured:
    """Evaluations of a moment of a run, or of the untouched model without an adapter; see `Experiment.conditions`.

    Args:
        conduct: see there.
        folder: of the moment.
        lora: adapter, or None.
        scale: of it.
        end: everything, not only what is measured along the runs.
        seed: of the run, which decides on its panel of prompts.
    """
    return {
        f"{name}-{D}": measure_list(conduct, folder, lora, scale, name, count, D, conduct.plan.panel(name, seed))
        for name, count, D in conduct.plan.conditions(end)
    }


def measure_list(
    conduct: Conduct, folder: Path, lora: Path | None, scale: float, name: str, count: int, D: int,
    panel: int | None = None,
) -> Evaluation:  # fmt: skip
    """Sample and measure, or read what was measured."""
    seeds = conduct.plan.sample_seeds
    out = folder / evaluation_name(conduct.plan, name, count, D, scale, panel)
    if (out / RESULT_FILE).is_file():
        return Evaluation.load(out)
    model, reward, judge = conduct.opened or open_models(conduct)
    return evaluate(
        model, prompts_of(conduct.plan, name, count, panel), reward, out, list(seeds),
        Sampling(D, batch_size=BATCH[conduct.device]),
        lora=lora, lora_scale=scale, judge=judge, progress=conduct.progress,
    )  # fmt: skip


def prompts_of(plan: Experiment, name: str, count: int, panel: int | None = None) -> list[Prompt]:
    """Prompts of a list: some of it, evenly spread, or those of a panel: every n-th of n panels, from its number on.

    Args:
        plan: knows the number of panels.
        name: of a shipped list, or "clips", the captions of the fine-tuning clips, or "others", prompts of the plan's
            first list that it does not take.
        count: prompts.
        panel: its number, or None.
    """
    if name == "clips":
        return caption_prompts(count)
    if name == "others":
        first, taken = plan.lists[0]
        texts = {prompt.text for prompt in shipped_prompts(first, taken)}
        return spread([prompt for prompt in shipped_prompts(first) if prompt.text not in texts], count)
    return shipped_prompts(name, count) if panel is None else shipped_prompts(name)[panel :: plan.panels][:count]


def peak_of_arm(conduct: Conduct, arm: Arm) -> float:
    """Memory of one training step of an arm, all its clips in one pass, in 2^20 bytes; see `peak_of_step`."""
    from ivtutorial.lab.experiments.peak import peak_of_step

    opened = conduct.opened or open_models(conduct)
    return peak_of_step(
        opened[0], opened[1], arm.method, [clip.caption for clip in conduct.clips[arm.name]][: arm.captions]
    )


def evaluation_name(plan: Experiment, name: str, count: int, D: int, scale: float, panel: int | None = None) -> str:
    """Folder of an evaluation within that of a moment."""
    which = "" if panel is None else f"-panel{panel}of{plan.panels}"
    return f"{name}{which}-{count}x{len(plan.sample_seeds)}-D{D}" + ("" if scale == 1 else f"-scale{scale:g}")


def data_rewards(conduct: Conduct) -> dict[str, dict[str, Any]]:
    """Reward of the fine-tuning clips themselves, by clip set; only where an experiment compares sets (fig9)."""
    from dataclasses import asdict

    sets = {arm.clips: conduct.clips[arm.name] for arm in conduct.plan.arms}
    if len(sets) < 2:
        return {}
    return {name: asdict(_scored(conduct, clips)[0].total) for name, clips in sets.items()}


def data_values(conduct: Conduct) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Reward and utility of the fine-tuning clips whose captions are prompts: LIST-D -> set -> column -> a number each.

    Only where an experiment has the list "clips".
    """
    counts = {name: count for name, count in conduct.plan.lists if name == "clips"}
    if not counts:
        return {}
    from ivtutorial.lab.world.annotators import read_utility

    judge = (conduct.opened or open_models(conduct))[2]
    facts = [dict(prompt.facts or {}) for prompt in caption_prompts(counts["clips"])]
    table: dict[str, dict[str, list[float]]] = {}
    for name in dict.fromkeys(arm.clips for arm in conduct.plan.arms):
        scores, frames = _scored(conduct, clips_of_prompts(name, counts["clips"], conduct.root / "clips"))
        readings = {column: values.numpy() for column, values in judge(frames, facts).items()}
        table[name] = {"reward": scores.rewards.tolist(), "utility": read_utility(readings).tolist()}
    return {f"clips-{D}": table for D in conduct.plan.D}


def _scored(conduct: Conduct, clips: list[Clip]) -> tuple[Scores, Tensor]:
    frames = load_frames(clips, 16, 8.0, (64, 64))
    return score(frames, [clip.caption for clip in clips], conduct.models / "reward", device="cpu"), frames


def strips(conduct: Conduct, prompts: int = 4) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    """For a strip: prompts, each with its clips by what made them, and the numbers of each clip in words.

    First the untouched model, then the first seed of fine-tuning: a single arm at each of its points, several arms at
    their ends.
    """
    plan = conduct.plan
    (name, count), D, panel = plan.lists[0], plan.D[0], plan.panel(plan.lists[0][0], plan.seeds[0])
    folders = {"untouched": base_folder(conduct) / evaluation_name(plan, name, count, D, 1.0, panel)}
    for arm in plan.arms:
        run = arm_folder(conduct, arm) / run_name(arm.rates[0], plan.seeds[0])
        inner = evaluation_name(plan, name, count, D, arm.lora_scale, panel)
        steps = [arm.steps(plan.points) * k // plan.points for k in plan.moments()]
        if len(plan.arms) == 1:
            folders |= {f"step {step}": run / step_name(step) / inner for step in steps}
        else:
            folders[arm.name] = run / step_name(steps[-1]) / inner
    tables = {label: Evaluation.load(folder) for label, folder in folders.items()}
    rows = []
    for k in _shown(tables["untouched"].rows, prompts):
        clips = {label: read_video(folders[label] / table.rows[k]["clip"]) for label, table in tables.items()}
        numbers = {label: _in_words(table.rows[k]) for label, table in tables.items()}
        rows.append((str(tables["untouched"].rows[k]["prompt"]), clips, numbers))
    return rows


def _shown(rows: Sequence[Mapping[str, Any]], count: int) -> list[int]:
    """Which prompts a strip shows: half of them of the strongest watermark, the others evenly spread."""
    order = sorted(range(len(rows)), key=lambda k: -float(rows[k].get("watermark", 0.0)))
    marked, rest = order[: count // 2], sorted(order[count // 2 :])
    return [*marked, *spread(rest, count - len(marked))][: len(rows)] if len(rows) > count else list(range(len(rows)))


def _in_words(row: Mapping[str, Any]) -> str:
    u = f", u {row['utility']:+.1f}" if "utility" in row else ""
    return f"reward {row['reward']:.2f}{u}"
