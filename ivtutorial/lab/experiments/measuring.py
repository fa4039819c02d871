"""Where the runs of an experiment lie, and how they are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivtutorial.data.prompts import shipped_prompts, spread
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.evaluation.table import RESULT_FILE, Evaluation
from ivtutorial.lab.experiments.measured import Measured
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment
from ivtutorial.sampling.generation import Sampling
from ivtutorial.video.reader import read_video

if TYPE_CHECKING:
    from ivtutorial.data.clips import Clip
    from ivtutorial.models.memory import Precision


@dataclass(frozen=True)
class Conduct:
    """What every process needs to know.

    Attributes:
        plan: the experiment. root: folder of all experiments. models: folder with `reduced`, `reward`, `judge`.
        clips: arm name -> clips. processes: how many walk together. weights: hash of the models.
        precision: "fp32" or "bf16". progress: show progress bars.
        opened: model, reward and judge of the measurements.
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


def arm_folder(conduct: Conduct, arm: Arm) -> Path:
    """Folder of an arm's runs; arms of other experiments that would train the very same have the same one."""
    key = arm.key(conduct.weights, conduct.plan.points, conduct.processes, conduct.precision)
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

    models, dtype = conduct.models, DTYPES[conduct.precision]
    return open_model(models / "reduced", dtype), open_reward(models / "reward"), open_panel(models).columns


def measure_all(conduct: Conduct, folder: Path, lora: Path | None, scale: float, end: bool) -> Measured:
    """Evaluations of a moment of a run, or of the untouched model without an adapter; see `Experiment.conditions`."""
    return {
        f"{name}-{D}": measure_list(conduct, folder, lora, scale, name, count, D)
        for name, count, D in conduct.plan.conditions(end)
    }


def measure_list(
    conduct: Conduct, folder: Path, lora: Path | None, scale: float, name: str, count: int, D: int
) -> Evaluation:
    """Sample and measure, or read what was measured."""
    seeds = conduct.plan.sample_seeds
    out = folder / evaluation_name(conduct.plan, name, count, D, scale)
    if (out / RESULT_FILE).is_file():
        return Evaluation.load(out)
    model, reward, judge = conduct.opened or open_models(conduct)
    return evaluate(
        model, shipped_prompts(name, count), reward, out, list(seeds), Sampling(D),
        lora=lora, lora_scale=scale, judge=judge, progress=conduct.progress,
    )  # fmt: skip


def peak_of_arm(conduct: Conduct, arm: Arm) -> float:
    """Memory of one training step of an arm, all its clips in one pass, in 2^20 bytes; see `peak_of_step`."""
    from ivtutorial.lab.experiments.peak import peak_of_step

    opened = conduct.opened or open_models(conduct)
    return peak_of_step(
        opened[0], opened[1], arm.method, [clip.caption for clip in conduct.clips[arm.name]][: arm.captions]
    )


def evaluation_name(plan: Experiment, name: str, count: int, D: int, scale: float) -> str:
    """Folder of an evaluation within that of a moment."""
    return f"{name}-{count}x{len(plan.sample_seeds)}-D{D}" + ("" if scale == 1 else f"-scale{scale:g}")


def data_rewards(conduct: Conduct) -> dict[str, dict[str, Any]]:
    """Reward of the fine-tuning clips themselves, by clip set; only where an experiment compares sets (fig9)."""
    from dataclasses import asdict

    from ivtutorial.data.clips import load_frames
    from ivtutorial.evaluation.scoring import score

    sets = {arm.clips: conduct.clips[arm.name] for arm in conduct.plan.arms}
    if len(sets) < 2:
        return {}
    rewards: dict[str, dict[str, Any]] = {}
    for name, clips in sets.items():
        frames = load_frames(clips, 16, 8.0, (64, 64))
        scores = score(frames, [clip.caption for clip in clips], conduct.models / "reward", device="cpu")
        rewards[name] = asdict(scores.total)
    return rewards


def strips(conduct: Conduct, prompts: int = 4) -> list[tuple[str, dict[str, Any]]]:
    """For a strip: prompts, each with its clips by what made them.

    First the untouched model, then the first seed of fine-tuning: a single arm at each of its points, several arms at
    their ends.
    """
    plan = conduct.plan
    (name, count), D = plan.lists[0], plan.D[0]
    folders = {"untouched": base_folder(conduct) / evaluation_name(plan, name, count, D, 1.0)}
    for arm in plan.arms:
        run = arm_folder(conduct, arm) / run_name(arm.rates[0], plan.seeds[0])
        inner = evaluation_name(plan, name, count, D, arm.lora_scale)
        steps = [arm.steps(plan.points) * k // plan.points for k in range(1, plan.points + 1)]
        if len(plan.arms) == 1:
            folders |= {f"step {step}": run / step_name(step) / inner for step in steps}
        else:
            folders[arm.name] = run / step_name(steps[-1]) / inner
    tables = {label: Evaluation.load(folder) for label, folder in folders.items()}
    rows = tables["untouched"].rows
    return [
        (rows[k]["prompt"], {label: read_video(folders[label] / t.rows[k]["clip"]) for label, t in tables.items()})
        for k in spread(range(len(rows)), prompts)
    ]
