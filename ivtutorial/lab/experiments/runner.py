"""Run an experiment: fine-tune every arm with every seed, measure along the way, and write the result.

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
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ivtutorial.data.prompts import shipped_prompts
from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.plots import write_plot
from ivtutorial.lab.experiments.answers.summary import summarise
from ivtutorial.lab.experiments.carried import Carried, carried_run, stored_results
from ivtutorial.lab.experiments.measured import ArmResult, Measured, Point
from ivtutorial.lab.experiments.measuring import (
    Conduct,
    arm_folder,
    base_folder,
    data_rewards,
    data_values,
    measure_all,
    measure_list,
    open_models,
    peak_of_arm,
    run_name,
    step_name,
    strips,
)
from ivtutorial.lab.experiments.plans.clip_sets import clip_set
from ivtutorial.lab.experiments.plans.plan import HELD_OUT, Arm, Experiment
from ivtutorial.system.files import atomic_write_text, data_path
from ivtutorial.system.processes import launch
from ivtutorial.weights.fingerprint import weights_hash

if TYPE_CHECKING:
    from ivtutorial.models.memory import Precision

TUNING_LIST = "unseen"


def run_experiment(
    plan: Experiment,
    root: str | Path,
    processes: int = 1,
    models: str | Path | None = None,
    progress: bool = True,
    precision: str = "fp32",
    device: str = "cpu",
    until: float | None = None,
    results: str | Path | None = None,
) -> dict[str, Any]:
    """Run an experiment, or what is missing of it: seed after seed, with all arms of a seed before the next one.

    Args:
        plan: from `ivtutorial.lab.experiments.plans.catalogue`.
        root: folder of all experiments.
        processes: single-threaded CPU processes; runs do not depend on their number.
        models: folder with `reduced`, `reward` and `judge`; default the shipped ones.
        progress: show progress bars.
        precision: of the networks, in fine-tuning and in sampling: "fp32" or "bf16", which is faster on
            processors with instructions for it and slower on others.
        device: "cpu", or "cuda" with a single process.
        until: when to stop beginning further runs, in seconds of `time.monotonic`; what is done by then is the result.
        results: folder with results of earlier runs, on this machine or another: those of the same settings, weights
            and precision are taken over; see `ivtutorial.lab.experiments.carried`.

    Returns:
        The result, as written to ROOT/NAME/result.json; see `ivtutorial.lab.experiments.answers.summary`. Empty, and
        nothing is written, if not one run was done in time.

    Raises:
        InputError: an unknown precision, models are missing, processes that cannot share a step, or a folder that
            cannot be written.
    """
    if precision not in ("fp32", "bf16"):
        raise InputError(f"precision = {precision!r}: expected 'fp32' or 'bf16'.")
    root = Path(root)
    models = Path(models) if models is not None else data_path("models")
    clips = {arm.name: clip_set(arm.clips, arm.clip_count, root / "clips") for arm in plan.arms}
    weights = weights_hash(models)
    stored = stored_results(results, weights, precision) if results is not None and not plan.quick else ()
    conduct = Conduct(
        plan, root, models, clips, processes, weights, cast("Precision", precision), progress,
        device=device, until=until, stored=stored,
    )  # fmt: skip
    base, arms = launch(_conduct, processes, conduct)[0]
    if not arms:
        return {}
    result = summarise(plan, base, arms, data_rewards(conduct), precision, data_values(conduct), weights)
    folder = root / (plan.name + ("-quick" if plan.quick else ""))
    atomic_write_text(folder / "result.json", rows_in_lines(result) + "\n")
    write_plot(folder / "plot.png", result, strips(conduct) if plan.kind == "strip" else None)
    return result


def _conduct(conduct: Conduct) -> tuple[dict[int, Measured], list[ArmResult]]:
    """Everything, in each process, which opens the models of the measurements once."""
    conduct = replace(conduct, opened=open_models(conduct))
    plan = conduct.plan
    base, chosen, runs = {}, {}, {arm.name: dict[int, Carried]() for arm in plan.arms}
    for seed, arm in ((seed, arm) for seed in plan.seeds for arm in plan.arms if seed in plan.seeds_of(arm)):
        if conduct.time_is_up():
            break
        if seed not in base:
            base[seed] = measure_all(conduct, base_folder(conduct), None, 1.0, True, seed)
        if arm.name not in chosen:
            chosen[arm.name] = _choose_rate(conduct, arm)
        lr = chosen[arm.name][0]
        folder = arm_folder(conduct, arm) / run_name(lr, seed)
        runs[arm.name][seed] = _stored_run(conduct, arm, folder, seed, lr) or Carried(
            _run_seed(conduct, arm, folder, seed, lr)
        )
    return base, [_arm_result(conduct, arm, *chosen[arm.name], runs[arm.name]) for arm in plan.arms if runs[arm.name]]


def _arm_result(
    conduct: Conduct, arm: Arm, lr: float, looked: dict[str, dict[str, float]], runs: dict[int, Carried]
) -> ArmResult:
    tried = {rate: columns["reward"] for rate, columns in looked.items()}
    points = {seed: run.points for seed, run in runs.items()}
    carried = {seed: run.source for seed, run in runs.items() if run.source}
    return ArmResult(arm, lr, tried, points, looked, peak_of_arm(conduct, arm) if conduct.plan.peak else None, carried)


def rows_in_lines(content: dict[str, Any]) -> str:
    """JSON text, indented, with each list of numbers on a line of its own: shorter, and a row a run."""
    return re.sub(
        r"\[\s+([^\[\]{}\"]*?)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", json.dumps(content, indent=1)
    )


def _choose_rate(conduct: Conduct, arm: Arm) -> tuple[float, dict[str, dict[str, float]]]:
    """The learning rate that is best by `tuned_by` on prompts of another list, on average over the seeds of the tuning.

    Where the best one is the smallest or largest, `widen` more are tried on that side.
    """
    if len(arm.rates) == 1:
        return arm.rates[0], {}
    tuned = replace(arm, budget=round(conduct.plan.tuning_share * arm.budget))
    folder = arm_folder(conduct, tuned)
    rates, left, looked = sorted(arm.rates), conduct.plan.widen, dict[float, dict[str, float]]()
    while True:
        for lr in rates:
            looked[lr] = looked.get(lr) or _look(conduct, tuned, folder, lr)
        best = max(rates, key=lambda lr: looked[lr][conduct.plan.tuned_by])
        if not left or rates[0] < best < rates[-1]:
            return best, {f"{lr:g}": looked[lr] for lr in rates}
        # as far beyond the edge as its neighbour lies within, to three digits
        beyond = float(f"{best**2 / (rates[1] if best == rates[0] else rates[-2]):.3g}")
        rates, left = sorted([*rates, beyond]), left - 1


def _look(conduct: Conduct, arm: Arm, folder: Path, lr: float) -> dict[str, float]:
    """Means of all columns on the tuning prompts at the end of runs with a learning rate."""
    plan, tables = conduct.plan, []
    for seed in plan.tuning_seeds:
        run = folder / run_name(lr, seed)
        step, lora = _finetune(conduct, arm, run / "run", seed, lr)[-1]
        at = (run / step_name(step), lora, arm.lora_scale, TUNING_LIST, plan.tuning_prompts, plan.D[0])
        tables.append(measure_list(conduct, *at))
    return {name: sum(float(t.column(name).mean()) for t in tables) / len(tables) for name in tables[0].numbers}


def _stored_run(conduct: Conduct, arm: Arm, folder: Path, seed: int, lr: float) -> Carried | None:
    """A run that stored results hold; None if it is here as well, or if its clips, which no result holds, are shown."""
    from ivtutorial.models.lora import LORA_FILE

    shown = conduct.plan.kind == "strip" and seed == conduct.plan.seeds[0]
    if shown or (folder / "run" / "lora" / LORA_FILE).is_file():
        return None
    return carried_run(conduct.stored, conduct.plan, arm, lr, seed)


def _run_seed(conduct: Conduct, arm: Arm, folder: Path, seed: int, lr: float) -> list[Point]:
    from ivtutorial.training.run_folder import read_metrics

    adapters = _finetune(conduct, arm, folder / "run", seed, lr)
    log = {row["step"]: row for row in read_metrics(folder / "run") if "unet_evaluations" in row}
    points = []
    for step, lora in _chosen(conduct.plan, adapters):
        end = step == adapters[-1][0]
        evaluations = measure_all(conduct, folder / step_name(step), lora, arm.lora_scale, end, seed)
        row = log[step]
        points.append(Point(step, row["unet_evaluations"], row["reward_calls"], row["elapsed"], evaluations))
    return points


def _chosen(plan: Experiment, adapters: list[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """The moments that are measured; a run that stopped early has fewer."""
    return [adapters[k - 1] for k in plan.moments() if k < len(adapters)] + adapters[-1:]


def _finetune(conduct: Conduct, arm: Arm, out: Path, seed: int, lr: float) -> list[tuple[int, Path]]:
    """Fine-tune, or find that it was done: (step, folder of the adapter) of each checkpoint, last the result."""
    from ivtutorial.models.lora import LORA_FILE
    from ivtutorial.training.checkpoints import CHECKPOINTS
    from ivtutorial.training.finetuning import finetune

    config = arm.finetuning(conduct.processes, seed, lr, conduct.plan.points, conduct.precision)
    if arm.patience is not None:
        held_out = [prompt.text for prompt in shipped_prompts(TUNING_LIST, HELD_OUT)]
        config = replace(config, sample_prompts=tuple(held_out))
    if not (out / "lora" / LORA_FILE).is_file():
        reward = _reward_name(conduct, arm.reward)
        cache = conduct.root / "latents"
        finetune(
            conduct.models / "reduced", conduct.clips[arm.name], reward, out, config,
            resume=True, cache=cache, device=conduct.device, progress=conduct.progress,
        )  # fmt: skip
    saved = sorted((int(path.name.removeprefix("step-")), path) for path in (out / CHECKPOINTS).glob("step-*"))
    return [*saved[:-1], (saved[-1][0], out / "lora")]


def _reward_name(conduct: Conduct, name: str) -> str:
    """The reward's name, in which "reduced" is the folder beside the models."""
    return name.replace("reduced", str(conduct.models / "reward"))
