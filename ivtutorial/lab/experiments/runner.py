"""Run an experiment: fine-tune every arm with every seed, measure along the way, and write what was found.

ROOT/runs/METHOD-KEY/LR-seed-N/run/            a fine-tuning run, see `ivtutorial.training.run_folder`
ROOT/runs/METHOD-KEY/LR-seed-N/step-S/LIST-D/  an evaluation of it after S steps
ROOT/runs/base-KEY/LIST-D/                     evaluations of the untouched model
ROOT/NAME/result.json, plot.png                the result

KEY is a hash of everything else that decides a run (settings, clips, reward, precision, weights), so experiments share
runs, a changed model makes new ones, and an experiment that was interrupted goes on where it stopped. All processes
walk through the same list of runs together, each with its share of the clips.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ivtutorial.data.prompts import Prompt, read_prompts
from ivtutorial.errors import InputError
from ivtutorial.evaluation.evaluation import RESULT_FILE, Evaluation, evaluate
from ivtutorial.lab.experiments.clip_sets import clip_set, spread
from ivtutorial.lab.experiments.measured import ArmResult, Measured, Point
from ivtutorial.lab.experiments.plan import Arm, Experiment
from ivtutorial.lab.experiments.plots import write_plot
from ivtutorial.lab.experiments.results import summarise
from ivtutorial.system.files import atomic_write_text, data_path, sha256
from ivtutorial.system.processes import launch
from ivtutorial.video.reader import read_video

if TYPE_CHECKING:
    from ivtutorial.data.clips import Clip
    from ivtutorial.models.memory import Precision

TUNING_LIST, TUNING_SEEDS, HELD_OUT = "unseen", 2, 6


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


def run_experiment(
    plan: Experiment,
    root: str | Path,
    processes: int = 1,
    models: str | Path | None = None,
    progress: bool = True,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Run an experiment, or what is missing of it.

    Args:
        plan: from `ivtutorial.lab.experiments.catalogue`.
        root: folder of all experiments.
        processes: single-threaded CPU processes.
        models: folder with `reduced`, `reward` and `judge`; default the shipped ones.
        progress: show progress bars.
        precision: of the networks, in fine-tuning and in sampling: "fp32" or "bf16", which is faster on
            processors with instructions for it and slower on others.

    Returns:
        The result, as written to ROOT/NAME/result.json; see `ivtutorial.lab.experiments.results`.

    Raises:
        InputError: an unknown precision, models are missing, processes that cannot share a step, or a folder that
            cannot be written.
    """
    if precision not in ("fp32", "bf16"):
        raise InputError(f"precision = {precision!r}: expected 'fp32' or 'bf16'.")
    root = Path(root)
    models = Path(models) if models is not None else data_path("models")
    clips = {arm.name: clip_set(arm.clips, arm.clip_count, root / "clips") for arm in plan.arms}
    conduct = Conduct(
        plan, root, models, clips, processes, weights_hash(models), cast("Precision", precision), progress
    )
    base, arms = launch(_conduct, processes, conduct)[0]
    result = summarise(plan, base, arms, data_rewards(conduct), precision)
    folder = root / (plan.name + ("-quick" if plan.quick else ""))
    atomic_write_text(folder / "result.json", json.dumps(result, indent=1) + "\n")
    write_plot(folder / "plot.png", result, strips(conduct) if plan.kind == "strip" else None)
    return result


def weights_hash(models: Path) -> str:
    """Hash of all weights below a folder.

    Raises:
        InputError: there are none.
    """
    files = sorted(models.rglob("*.safetensors"))
    if not files:
        raise InputError(f"no models in {models}: expected the folders reduced, reward and judge with weights.")
    return "".join(sha256(path)[:4] for path in files)


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


def prompts_of(name: str, count: int) -> list[Prompt]:
    """So many prompts of a shipped list, evenly spread over it."""
    return spread(read_prompts(data_path("prompts", f"{name}.json")), count)


def _conduct(conduct: Conduct) -> tuple[Measured, list[ArmResult]]:
    """Everything, in each process, which opens the models of the measurements once."""
    conduct = replace(conduct, opened=_open(conduct))
    base = _measure_all(conduct, base_folder(conduct), None, 1.0, end=True)
    return base, [_run_arm(conduct, arm) for arm in conduct.plan.arms]


def _open(conduct: Conduct) -> tuple[Any, Any, Any]:
    from ivtutorial.lab.world.judge import open_judge
    from ivtutorial.models.memory import DTYPES
    from ivtutorial.models.named import open_model
    from ivtutorial.rewards.named import open_reward

    models, dtype = conduct.models, DTYPES[conduct.precision]
    return open_model(models / "reduced", dtype), open_reward(models / "reward"), open_judge(models / "judge").columns


def _run_arm(conduct: Conduct, arm: Arm) -> ArmResult:
    folder = arm_folder(conduct, arm)
    lr, tried = _choose_rate(conduct, arm, folder)
    runs = {seed: _run_seed(conduct, arm, folder / run_name(lr, seed), seed, lr) for seed in conduct.plan.seeds}
    return ArmResult(arm, lr, tried, runs)


def _choose_rate(conduct: Conduct, arm: Arm, folder: Path) -> tuple[float, dict[str, float]]:
    """The learning rate with the best reward on prompts of another list, on average over the first two seeds."""
    plan = conduct.plan
    if len(arm.rates) == 1:
        return arm.rates[0], {}
    tried: dict[str, float] = {}
    for lr in arm.rates:
        rewards = []
        for seed in plan.seeds[:TUNING_SEEDS]:
            run = folder / run_name(lr, seed)
            step, lora = _finetune(conduct, arm, run / "run", seed, lr)[-1]
            at = (run / step_name(step), lora, arm.lora_scale, TUNING_LIST, plan.tuning_prompts, plan.D[0])
            rewards.append(_measure(conduct, *at).summary()["reward"].mean)
        tried[f"{lr:g}"] = sum(rewards) / len(rewards)
    return max(arm.rates, key=lambda lr: tried[f"{lr:g}"]), tried


def _run_seed(conduct: Conduct, arm: Arm, folder: Path, seed: int, lr: float) -> list[Point]:
    from ivtutorial.training.run_folder import read_metrics

    adapters = _finetune(conduct, arm, folder / "run", seed, lr)
    log = {row["step"]: row for row in read_metrics(folder / "run") if "unet_evaluations" in row}
    points = []
    for step, lora in adapters:
        end = step == adapters[-1][0]
        found = _measure_all(conduct, folder / step_name(step), lora, arm.lora_scale, end)
        row = log[step]
        points.append(Point(step, row["unet_evaluations"], row["reward_calls"], row["elapsed"], found))
    return points


def _finetune(conduct: Conduct, arm: Arm, out: Path, seed: int, lr: float) -> list[tuple[int, Path]]:
    """Fine-tune, or find that it was done: (step, folder of the adapter) of each checkpoint, last the result."""
    from ivtutorial.models.lora import LORA_FILE
    from ivtutorial.training.checkpoints import CHECKPOINTS
    from ivtutorial.training.finetuning import finetune

    config = arm.finetuning(conduct.processes, seed, lr, conduct.plan.points, conduct.precision)
    if arm.patience is not None:
        held_out = [prompt.text for prompt in prompts_of(TUNING_LIST, HELD_OUT)]
        config = replace(config, sample_prompts=tuple(held_out))
    if not (out / "lora" / LORA_FILE).is_file():
        reward = _reward_place(conduct, arm.reward)
        cache = conduct.root / "latents"
        finetune(
            conduct.models / "reduced", conduct.clips[arm.name], reward, out, config,
            resume=True, cache=cache, device="cpu", progress=conduct.progress,
        )  # fmt: skip
    found = sorted((int(path.name.removeprefix("step-")), path) for path in (out / CHECKPOINTS).glob("step-*"))
    return [*found[:-1], (found[-1][0], out / "lora")]


def _reward_place(conduct: Conduct, name: str) -> str:
    """The reward's name, in which "reduced" is the folder beside the models."""
    return name.replace("reduced", str(conduct.models / "reward"))


def _measure_all(conduct: Conduct, folder: Path, lora: Path | None, scale: float, end: bool) -> Measured:
    return {
        f"{name}-{D}": _measure(conduct, folder, lora, scale, name, count, D)
        for name, count, D in conduct.plan.places(end)
    }


def _measure(
    conduct: Conduct, folder: Path, lora: Path | None, scale: float, name: str, count: int, D: int
) -> Evaluation:
    """Sample and measure, or read what was measured."""
    seeds = conduct.plan.sample_seeds
    out = folder / _place(conduct.plan, name, count, D, scale)
    if (out / RESULT_FILE).is_file():
        return Evaluation.load(out)
    model, reward, judge = conduct.opened or _open(conduct)
    return evaluate(
        model, prompts_of(name, count), reward, out, list(seeds),
        D=D, lora=lora, lora_scale=scale, judge=judge, progress=conduct.progress,
    )  # fmt: skip


def _place(plan: Experiment, name: str, count: int, D: int, scale: float) -> str:
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
    found: dict[str, dict[str, Any]] = {}
    for name, clips in sets.items():
        frames = load_frames(clips, 16, 8.0, (64, 64))
        found[name] = asdict(score(frames, [one.caption for one in clips], conduct.models / "reward").total)
    return found


def strips(conduct: Conduct, prompts: int = 4) -> list[tuple[str, dict[str, Any]]]:
    """For a strip: prompts, each with its clips by what made them.

    First the untouched model, then the first seed of fine-tuning: a single arm at each of its points, several arms at
    their ends.
    """
    plan = conduct.plan
    (name, count), D = plan.lists[0], plan.D[0]
    folders = {"untouched": base_folder(conduct) / _place(plan, name, count, D, 1.0)}
    for arm in plan.arms:
        run = arm_folder(conduct, arm) / run_name(arm.rates[0], plan.seeds[0])
        inner = _place(plan, name, count, D, arm.lora_scale)
        steps = [arm.steps(plan.points) * k // plan.points for k in range(1, plan.points + 1)]
        if len(plan.arms) == 1:
            folders |= {f"step {step}": run / step_name(step) / inner for step in steps}
        else:
            folders[arm.name] = run / step_name(steps[-1]) / inner
    tables = {label: Evaluation.load(folder) for label, folder in folders.items()}
    rows = tables["untouched"].rows
    places = [k * len(rows) // prompts for k in range(min(prompts, len(rows)))]
    return [
        (rows[k]["prompt"], {label: read_video(folders[label] / t.rows[k]["clip"]) for label, t in tables.items()})
        for k in places
    ]
