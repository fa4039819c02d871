"""Runs that stored results hold already: what was measured of them is taken over, and nothing is trained again.

The folder of a run (adapters, clips) stays on the machine that made it. A result keeps every value by run and prompt,
and that is all that a comparison needs, so an experiment whose results are committed goes on anywhere. Taken over is a
run of the very same arm, learning rate, seed, prompts and precision, with the same weights, and only where its result
has all that the plan measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ivtutorial.evaluation.table import Evaluation
from ivtutorial.lab.experiments.answers.results import read_result
from ivtutorial.lab.experiments.measured import Measured, Point
from ivtutorial.lab.experiments.measuring import prompts_of
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment

# Of an arm: how it is called, what was tried before the run, how many runs there are, and what follows from the rest.
_NOT_OF_THE_RUN = ("name", "rates", "runs", "cost_of_a_step")
_OF_THE_PLAN = ("points", "panels", "sample_seeds")


@dataclass(frozen=True)
class Carried:
    """A run that was taken over.

    Attributes:
        points: its moments. source: experiment, date, hardware and commit of the result that it comes from.
    """

    points: list[Point]
    source: dict[str, str] = field(default_factory=dict)


def stored_results(folder: str | Path, weights: str, precision: str) -> list[dict[str, Any]]:
    """The results in a folder whose runs could be taken over: full ones, of these weights, in this precision.

    Args:
        folder: with NAME.json files.
        weights: hash of the models.
        precision: "fp32" or "bf16".

    Raises:
        InputError: a file that is not a result.
    """
    from ivtutorial.lab.experiments.plans.catalogue import EXPERIMENTS

    results = [read_result(name, folder) for name in EXPERIMENTS]
    wanted = {"quick": False, "weights": weights, "precision": precision}
    return [r for r in results if r is not None and all(r.get(name) == value for name, value in wanted.items())]


def carried_run(
    results: Sequence[Mapping[str, Any]], plan: Experiment, arm: Arm, lr: float, seed: int
) -> Carried | None:
    """A run of an arm as a stored result has it, or None where none has all of it.

    Args:
        results: of :func:`stored_results`.
        plan: what is to be measured.
        arm: of the plan. An arm that may stop early is never taken over, since its end is its own.
        lr: learning rate. seed: of the run.
    """
    if arm.patience is not None:
        return None
    steps = [arm.steps(plan.points) * moment // plan.points for moment in plan.moments()]
    for result in results:
        for values in _same_arms(result, plan, arm):
            if values["lr"] != lr or seed not in values["seeds"]:
                continue
            points = _points(values, result, plan, seed, steps)
            if points is not None:
                return Carried(points, values.get("carried", {}).get(str(seed)) or _source(result))
    return None


def lost_runs(stored: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What would be lost if a new result took the place of a stored one: arms, each with how many runs it has in both.

    Nothing where the stored one keeps averages only: no verdict can be made of them, and no run be taken over.

    Args:
        stored: content of a result.json.
        new: content of another one, of the same experiment.

    Example:
        >>> stored = {"arms": {"edit": {"by_run": {}, "seeds": [0, 1]}, "older": {"values": {}}}}
        >>> lost_runs(stored, {"arms": {"edit": {"by_run": {}, "seeds": [0]}}})
        ['edit 2, now 1']
    """
    there, here = _seeds(stored), _seeds(new)
    return [
        f"{name} {len(seeds)}, now {len(here.get(name, ()))}"
        for name, seeds in there.items()
        if seeds - here.get(name, set())
    ]


def _seeds(result: Mapping[str, Any]) -> dict[str, set[int]]:
    return {name: set(arm["seeds"]) for name, arm in result["arms"].items() if "by_run" in arm}


def _same_arms(result: Mapping[str, Any], plan: Experiment, arm: Arm) -> list[Mapping[str, Any]]:
    """What a result has of arms that train and measure the very same."""
    stored, own = result["plan"], plan.to_dict()
    if any(stored.get(name) != own[name] for name in _OF_THE_PLAN):
        return []
    wanted = next(_of_the_run(row) for row in own["arms"] if row["name"] == arm.name)
    same = [row["name"] for row in stored["arms"] if _of_the_run(row) == wanted]
    return [result["arms"][name] for name in same if name in result["arms"]]


def _of_the_run(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _NOT_OF_THE_RUN}


def _points(
    values: Mapping[str, Any], result: Mapping[str, Any], plan: Experiment, seed: int, steps: Sequence[int]
) -> list[Point] | None:
    """The moments of a run as the plan has them; None if one, or a list of prompts, was not measured."""
    index, points = values["seeds"].index(seed), []
    moments = {moment["step"]: moment for moment in values["moments"]}
    curve = {row["step"]: row for row in values["curve"] if row["seed"] == seed}
    first = next(iter(result["base_values"]))
    for step in steps:
        if step not in moments or step not in curve:
            return None
        tables = values["by_run"] if step == steps[-1] else {first: moments[step]["by_run"]}
        evaluations: Measured = {}
        for name, count, D in plan.conditions(step == steps[-1]):
            where = f"{name}-{D}"
            panel = plan.panel(name, seed)
            same = [name, count] in result["plan"]["lists"] and (where in result["own_prompts"]) == (panel is not None)
            if not same or where not in tables:
                return None
            evaluations[where] = _evaluation(tables[where], plan, name, count, index, panel)
        row = curve[step]
        points.append(Point(step, row["unet_evaluations"], row["reward_calls"], row["seconds"], evaluations))
    return points


def _evaluation(
    columns: Mapping[str, Any], plan: Experiment, name: str, count: int, index: int, panel: int | None
) -> Evaluation:
    """The table of one run and list: rows by prompt, then by noise, as `evaluate` orders them."""
    prompts = prompts_of(plan, name, count, panel)
    keys = [(place, prompt.text, seed) for place, prompt in enumerate(prompts) for seed in plan.sample_seeds]
    rows = [
        {"index": place, "prompt": text, "seed": seed, "clip": ""} | {c: v[index][k] for c, v in columns.items()}
        for k, (place, text, seed) in enumerate(keys)
    ]
    return Evaluation(rows, {})


def _source(result: Mapping[str, Any]) -> dict[str, str]:
    made = result["provenance"]
    return {"experiment": result["experiment"], **{name: str(made[name]) for name in ("date", "hardware", "commit")}}
