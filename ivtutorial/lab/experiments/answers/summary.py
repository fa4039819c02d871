"""From measurements to the JSON file of an experiment: values by run and prompt, changes with intervals, the budget.

| key            | what                                                                                             |
|----------------|--------------------------------------------------------------------------------------------------|
| `precision`    | "fp32" or "bf16"; `weights`: hash of the models                                                  |
| `plan`         | the experiment as planned, with what a step costs                                                |
| `own_prompts`  | the LIST-Ds of which each run has a panel of prompts of its own                                  |
| `base`         | LIST-D -> column -> mean, std, bootstrap 95 % interval, n, of the untouched model                |
| `base_values`  | LIST-D -> column -> a number a prompt, or with panels a row a seed                               |
| `arms`         | name -> `lr`, `tried`, `seeds`, `steps`, `curve`, `final`, `by_run`, `moments`                   |
| `curve`        | one entry a point and seed: step, unet_evaluations, reward_calls, seconds, column -> mean        |
| `final`        | LIST-D -> column -> change from the base model with its interval, and each run's mean            |
| `by_run`       | LIST-D -> column -> a row a seed, a number a prompt and noise, see `contrasts`                   |
| `moments`      | what was measured along the runs: share of the run, passes, seconds, and `by_run` of LIST-D      |
| `looked`       | learning rate -> column -> mean over the tuning prompts. `peak_mb`: memory of a step             |
| `carried`      | seed -> experiment, date, hardware and commit of a run that was taken over from another result   |
| `data`         | clip set -> reward of the fine-tuning clips themselves                                           |
| `data_values`  | LIST-D -> clip set -> column -> a number each, of the clips whose captions are the prompts       |
| `provenance`   | date, hardware, versions, commit                                                                 |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import Difference
from ivtutorial.evaluation.intervals import estimate
from ivtutorial.lab.experiments.answers.contrasts import BASE
from ivtutorial.lab.experiments.answers.results import paired
from ivtutorial.lab.experiments.plans.plan import step_cost
from ivtutorial.system.files import plain_json
from ivtutorial.system.provenance import provenance

if TYPE_CHECKING:
    from ivtutorial.evaluation.table import Evaluation
    from ivtutorial.lab.experiments.measured import ArmResult, Measured, Point
    from ivtutorial.lab.experiments.plans.plan import Experiment


def summarise(
    plan: Experiment,
    base: Mapping[int, Measured],
    arms: Sequence[ArmResult],
    data: Mapping[str, Any] | None = None,
    precision: str = "fp32",
    data_values: Mapping[str, Any] | None = None,
    weights: str = "",
) -> dict[str, Any]:
    """The content of result.json; see the module.

    Args:
        plan: the experiment.
        base: evaluations of the untouched model on the prompts of each seed.
        arms: what was run and measured.
        data: rewards of the clips themselves.
        precision: that was computed in.
        data_values: reward and utility of the clips whose captions are prompts.
        weights: hash of the models.
    """
    seeds = [seed for seed in plan.seeds if seed in base]
    own = [f"{name}-{D}" for name, _, D in plan.conditions() if plan.panel(name, 0) is not None]
    untouched = {
        where: [base[seed][where] for seed in (seeds if where in own else seeds[:1])] for where in base[seeds[0]]
    }
    values = {where: _by_run(rows) for where, rows in untouched.items()}
    content: dict[str, Any] = {
        "own_prompts": own,
        "base_values": {
            where: v if where in own else {c: rows[0] for c, rows in v.items()} for where, v in values.items()
        },
    }
    return {
        "experiment": plan.name,
        "quick": plan.quick,
        "precision": precision,
        "weights": weights,
        "plan": plan.to_dict(),
        **content,
        "base": {
            where: {c: asdict(estimate(np.ravel(r).tolist())) for c, r in v.items()} for where, v in values.items()
        },
        "arms": {result.arm.name: _arm(result, content, base) for result in arms},
        "data": dict(data or {}),
        "data_values": dict(data_values or {}),
        "provenance": provenance(plan.seeds[0]),
    }


def _arm(result: ArmResult, content: Mapping[str, Any], base: Mapping[int, Measured]) -> dict[str, Any]:
    ends = [points[-1] for points in result.runs.values()]
    for seed, end in zip(result.runs, ends, strict=True):
        _check_prompts(base[seed], end.evaluations)
    by_run = {where: _by_run([end.evaluations[where] for end in ends]) for where in content["base_values"]}
    return {
        "lr": result.lr,
        "tried": dict(result.tried),
        "seeds": list(result.runs),
        "steps": ends[0].step,
        "curve": [_moment(seed, point) for seed, points in result.runs.items() for point in points],
        "final": {where: _changes(content, where, columns) for where, columns in by_run.items()},
        "by_run": by_run,
        "moments": _moments(result, where=next(iter(content["base_values"]))),
        "looked": {rate: {name: _round(x) for name, x in columns.items()} for rate, columns in result.looked.items()},
        "carried": {str(seed): dict(source) for seed, source in result.carried.items()},
        "peak_mb": None if result.peak_mb is None else _round(result.peak_mb),
    }


def _check_prompts(base: Measured, tuned: Measured) -> None:
    """A run and the untouched model must have been measured on the same prompts in the same order."""
    if any(tuned[where].keys != base[where].keys for where in tuned):
        raise InputError("evaluations of other prompts than the base model's: delete the folder and run it again.")


def _by_run(tuned: Sequence[Evaluation]) -> dict[str, list[list[float]]]:
    """Each column as a table of a row a seed and a number a prompt and noise."""
    names = tuned[0].numbers
    return {name: [[float(f"{v:.5g}") for v in seed.column(name).tolist()] for seed in tuned] for name in names}


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


def _changes(content: Mapping[str, Any], where: str, columns: Mapping[str, list[list[float]]]) -> dict[str, Any]:
    """Change of each column from the untouched model, and each run's mean."""
    result = {"base_values": content["base_values"], "own_prompts": content["own_prompts"],
              "arms": {"arm": {"by_run": {where: columns}}}}  # fmt: skip
    return {
        name: {
            **_rounded(paired(result, BASE, "arm", name, where)),
            "by_seed": [_round(float(np.mean(row))) for row in rows],
        }
        for name, rows in columns.items()
    }


def _rounded(values: Difference) -> dict[str, Any]:
    numbers = plain_json(asdict(values))
    return {name: _round(value) if isinstance(value, float) else value for name, value in numbers.items()}


def _round(value: float) -> float:
    return float(f"{value:.6g}")
