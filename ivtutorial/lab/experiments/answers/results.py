"""From measurements to the JSON file of an experiment: means over seeds, paired changes with intervals, the budget.

| key             | what                                                                                            |
|-----------------|-------------------------------------------------------------------------------------------------|
| `precision`     | "fp32" or "bf16"                                                                                |
| `plan`          | the experiment as planned, with what a step costs                                               |
| `base`          | LIST-D -> column -> mean, std, bootstrap 95 % interval, n, of the untouched model               |
| `arms`          | name -> `lr`, `tried`, `steps`, `curve`, `final`, `values`                                      |
| `curve`         | one entry a point and seed: step, unet_evaluations, reward_calls, seconds, column -> mean       |
| `final`         | LIST-D -> column -> paired change from the base model, by seed and over all seeds                |
| `values`        | LIST-D -> column -> a number for each prompt and noise, averaged over seeds, for further pairing  |
| `by_run`        | LIST-D -> column -> the same for each seed: a row a seed, see `contrasts`                        |
| `moments`       | what was measured along the runs: share of the run, passes, seconds, and `by_run` of LIST-D        |
| `looked`        | learning rate -> column -> mean over the tuning prompts. `peak_mb`: memory of a step             |
| `base_values`   | the same of the base model                                                                      |
| `data`          | clip set -> reward of the fine-tuning clips themselves                                          |
| `provenance`    | date, hardware, versions, commit                                                                |

The interval of a change answers: would other prompts and noises show it, too? It treats the seeds of fine-tuning as
fixed: their values are averaged for each prompt before the bootstrap. How much seeds differ is in `by_seed`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import Difference, difference
from ivtutorial.lab.experiments.plans.plan import step_cost
from ivtutorial.system.files import data_path, plain_json
from ivtutorial.system.provenance import provenance

if TYPE_CHECKING:
    from ivtutorial.evaluation.table import Evaluation
    from ivtutorial.lab.experiments.measured import ArmResult, Measured, Point
    from ivtutorial.lab.experiments.plans.plan import Experiment

Values = dict[str, dict[str, list[float]]]


def summarise(
    plan: Experiment,
    base: Measured,
    arms: Sequence[ArmResult],
    data: Mapping[str, Any] | None = None,
    precision: str = "fp32",
) -> dict[str, Any]:
    """The content of result.json; see the module.

    Args:
        plan: the experiment.
        base: evaluations of the untouched model.
        arms: what was run and measured.
        data: rewards of the clips themselves.
        precision: that was computed in.
    """
    return {
        "experiment": plan.name,
        "quick": plan.quick,
        "precision": precision,
        "plan": plan.to_dict(),
        "base": {where: {k: asdict(v) for k, v in measured.summary().items()} for where, measured in base.items()},
        "base_values": {where: _columns(measured) for where, measured in base.items()},
        "arms": {result.arm.name: _arm(result, base) for result in arms},
        "data": dict(data or {}),
        "provenance": provenance(plan.seeds[0]),
    }


def result_file(name: str, folder: str | Path | None = None) -> Path | None:
    """The JSON file of an experiment, the full one or, where there is none, the quick one, or None.

    Args:
        name: of the experiment, as `ivtutorial experiment` writes it, such as "fig5a".
        folder: with NAME.json files; default the shipped `data/results`.
    """
    where = data_path("results") if folder is None else Path(folder)
    return next((path for end in ("", "-quick") if (path := where / f"{name}{end}.json").is_file()), None)


def read_result(name: str, folder: str | Path | None = None) -> dict[str, Any] | None:
    """The result of an experiment, see the module, or None where it is still to be measured.

    Args:
        name: of the experiment.
        folder: see :func:`result_file`, as is which file is taken.

    Raises:
        InputError: a file that is not a result.

    Example:
        >>> read_result("fig5a") is None  # doctest: +SKIP
        False
    """
    path = result_file(name, folder)
    if path is None:
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = content["arms"], content["base_values"], content["quick"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the result of an experiment ({error}). Make it again.") from error
    return content


def to_be_measured(name: str) -> str:
    """What to say where there is no result: which it is, and the command that makes it."""
    return f"Still to be measured. The command is: ivtutorial experiment {name} --results data/results"


def table(result: Mapping[str, Any], column: str = "reward") -> str:
    """Lines of text, one for each arm and LIST-D: a column, its change from the untouched model, and the interval.

    Args:
        result: content of result.json.
        column: which numbers.
    """
    lines = [f"{'':16} {'list-D':16} {column[:9]:>9} {'change':>9}   95 % interval"]
    for where, columns in result["base"].items():
        lines.append(f"{'untouched':16} {where:16} {columns[column]['mean']:9.4f}")
    for name, arm in result["arms"].items():
        for where, columns in arm["final"].items():
            d = columns[column]
            interval = f"{d['low']:+.4f} to {d['high']:+.4f}"
            lines.append(f"{name:16} {where:16} {d['after']:9.4f} {d['mean']:+9.4f}   {interval}")
    return "\n".join(lines)


def rates_tried(result: Mapping[str, Any]) -> list[str]:
    """A line of text for each arm that was tuned: the learning rate it took, and each one's reward of tuning prompts.

    Args:
        result: content of result.json.
    """
    tuned = {name: arm for name, arm in result["arms"].items() if arm["tried"]}
    tried = {name: ", ".join(f"{r}: {x:.4f}" for r, x in arm["tried"].items()) for name, arm in tuned.items()}
    return [f"{name:16} took the learning rate {arm['lr']:g} of ({tried[name]})" for name, arm in tuned.items()]


def _arm(result: ArmResult, base: Measured) -> dict[str, Any]:
    ends = [points[-1] for points in result.runs.values()]
    values = {where: _mean_columns([end.evaluations[where] for end in ends], base[where]) for where in base}
    return {
        "lr": result.lr,
        "tried": dict(result.tried),
        "steps": ends[0].step,
        "curve": [_moment(seed, point) for seed, points in result.runs.items() for point in points],
        "final": {where: _changes(base[where], [end.evaluations[where] for end in ends]) for where in base},
        "values": values,
        "by_run": {where: _by_run([end.evaluations[where] for end in ends]) for where in base},
        "moments": _moments(result, where=next(iter(base))),
        "looked": {rate: {name: _round(x) for name, x in columns.items()} for rate, columns in result.looked.items()},
        "peak_mb": None if result.peak_mb is None else _round(result.peak_mb),
    }


def _by_run(tuned: Sequence[Evaluation]) -> dict[str, list[list[float]]]:
    """Each column as a table of a row a seed and a number a prompt and noise."""
    return {name: [[_round(v) for v in seed.column(name).tolist()] for seed in tuned] for name in tuned[0].numbers}


def _moments(result: ArmResult, where: str) -> list[dict[str, Any]]:
    """The measured moments of all runs, as far as every run got; the first seed's length is the whole."""
    runs = list(result.runs.values())
    rows = []
    for points in zip(*runs):
        rows.append(
            {
                "share": _round(points[0].step / runs[0][-1].step),
                "step": points[0].step,
                "passes": round(result.arm.captions * points[0].step * step_cost(result.arm)),
                "unet_evaluations": points[0].unet_evaluations,
                "seconds": [round(point.seconds, 2) for point in points],
                "by_run": _by_run([point.evaluations[where] for point in points]),
            }
        )
    return rows


def _moment(seed: int, point: Point) -> dict[str, Any]:
    where, first = next(iter(point.evaluations.items()))
    means = {name: _round(float(first.column(name).mean())) for name in first.numbers}
    counts = {"step": point.step, "unet_evaluations": point.unet_evaluations, "reward_calls": point.reward_calls}
    return {"seed": seed, **counts, "seconds": round(point.seconds, 2), "where": where, **means}


def _changes(base: Evaluation, tuned: Sequence[Evaluation]) -> dict[str, Any]:
    before, after = _columns(base), _mean_columns(tuned, base)
    changes = {}
    for name in after:
        by_seed = [_round(float(seed.column(name).mean())) for seed in tuned]
        changes[name] = {**_rounded(difference(before[name], after[name])), "by_seed": by_seed}
    return changes


def _columns(evaluation: Evaluation) -> dict[str, list[float]]:
    return {name: [_round(v) for v in evaluation.column(name).tolist()] for name in evaluation.numbers}


def _mean_columns(tuned: Sequence[Evaluation], base: Evaluation) -> dict[str, list[float]]:
    """Each column averaged over the seeds; all evaluations are of the same prompts in the same order."""
    if any(seed.keys != base.keys for seed in tuned):
        raise InputError("evaluations of other prompts than the base model's: delete the folder and run it again.")
    return {
        name: [_round(v) for v in np.mean([seed.column(name) for seed in tuned], axis=0).tolist()]
        for name in base.numbers
    }


def paired(result: Mapping[str, Any], first: str, second: str, column: str, where: str | None = None) -> Difference:
    """Paired change from one arm to another (or "base") at the end of an experiment.

    Args:
        result: content of result.json.
        first: name of an arm, or "base".
        second: the same.
        column: what is compared.
        where: "LIST-D"; default the first.

    Raises:
        InputError: no such arm, column or list.
    """
    try:
        list_and_D = where or next(iter(result["base_values"]))
        sides = [
            (result["base_values"] if name == "base" else result["arms"][name]["values"])[list_and_D][column]
            for name in (first, second)
        ]
    except (KeyError, StopIteration) as error:
        raise InputError(f"the result of {result.get('experiment')} has no {error}.") from error
    return difference(*sides)


def _rounded(values: Difference) -> dict[str, Any]:
    numbers = plain_json(asdict(values))
    return {name: _round(value) if isinstance(value, float) else value for name, value in numbers.items()}


def _round(value: float) -> float:
    return float(f"{value:.6g}")
