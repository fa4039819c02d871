"""Results of experiments that nobody ran, of a known truth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ivtutorial.evaluation.table import Evaluation
from ivtutorial.lab.experiments.answers.summary import summarise
from ivtutorial.lab.experiments.measured import ArmResult, Point
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment

COLUMNS = (
    "reward", "utility", "utility_2", "subject", "subject_2", "disagreement", "artefact", "sharpness", "colourfulness",
    "watermark", "warp_error", "flicker", "travel_error",
)  # fmt: skip
# What a run of an experiment measures, see `ivtutorial.lab.experiments.measuring`.
MEASURED = (
    "reward", "subject", "colour", "scene", "movement", "action", "blur", "wash", "watermark", "utility", "subject_2",
    "utility_2", "disagreement", "artefact", "sharpness", "colourfulness", "flicker", "warp_error", "travel",
    "travel_error",
)  # fmt: skip
SHARES = (0.125, 0.25, 0.5, 1.0)
Gains = Mapping[str, Mapping[str, Sequence[float]]]


def made_up_result(
    gains: Gains,
    name: str = "fig8",
    runs: int = 8,
    prompts: int = 16,
    own: bool = True,
    noise: float = 0.001,
    kind: str = "curve",
    shares: Sequence[float] = SHARES,
    columns: Sequence[str] = ("reward", "utility"),
    seed: int = 0,
    more: Sequence[str] = (),
) -> dict[str, Any]:
    """A result in which a column of an arm has risen by a gain at each share of its runs; others stay.

    Args:
        gains: arm -> column -> change from the untouched model, one a share.
        name: of the experiment.
        runs: R. prompts: P of a run. own: whether each run has its own.
        noise: standard deviation of what a run and of what a clip adds to each column.
        kind: how it is drawn.
        shares: moments of the runs. columns: that are drawn. seed: of the noise.
        more: columns beside `COLUMNS`.
    """
    rng = np.random.default_rng(seed)
    where, measured = "in_domain-20", (*COLUMNS, *more)
    rows = runs if own else 1
    base = {c: 1.0 + 0.3 * rng.normal(size=(rows, prompts)) for c in measured}

    def tables(by_column: Mapping[str, Sequence[float]], k: int, scale: float) -> dict[str, Any]:
        made = {}
        for column in measured:
            change = by_column.get(column, [0.0] * len(shares))[k]
            run, clip = rng.normal(size=(runs, 1)), rng.normal(size=(runs, prompts))
            made[column] = (base[column] + change + noise * scale * (run + clip)).tolist()
        return made

    arms = {}
    for arm, by_column in gains.items():
        moments = [
            {
                "share": share, "step": round(48 * share), "passes": round(5722 * share),
                "seconds": [300.0 * share] * runs, "by_run": tables(by_column, k, share**0.5),
            }
            for k, share in enumerate(shares)
        ]  # fmt: skip
        end = moments[-1]["by_run"]
        arms[arm] = {
            "lr": 2e-3, "tried": {}, "looked": {}, "seeds": list(range(runs)), "steps": 48, "peak_mb": 50.0,
            "moments": moments, "by_run": {where: end}, "curve": _curve(moments, runs),
            "final": {where: {c: _final(np.array(end[c]), base[c]) for c in measured}},
        }  # fmt: skip
    plan = {
        "kind": kind, "columns": list(columns), "title": f"{name}, made up", "seeds": list(range(runs)),
        "arms": [{"name": arm, "cost_of_a_step": 119.2, "budget": 5722} for arm in gains],
    }  # fmt: skip
    return {
        "experiment": name, "quick": False, "plan": plan, "arms": arms, "own_prompts": [where] if own else [],
        "base": {where: {c: {"mean": float(base[c].mean())} for c in measured}},
        "base_values": {where: {c: (base[c] if own else base[c][0]).tolist() for c in measured}},
    }  # fmt: skip


def _curve(moments: Sequence[Mapping[str, Any]], runs: int) -> list[dict[str, Any]]:
    return [
        {
            "seed": run, "step": moment["step"], "unet_evaluations": moment["passes"], "seconds": 1.0,
            **{c: float(np.mean(moment["by_run"][c][run])) for c in COLUMNS},
        }
        for run in range(runs)
        for moment in moments
    ]  # fmt: skip


def _final(after: Any, before: Any) -> dict[str, Any]:
    change = (after - before).mean(axis=1)
    mean, width = float(change.mean()), float(2 * change.std() + 1e-4)
    return {
        "before": float(before.mean()), "after": float(after.mean()), "mean": mean, "low": mean - width,
        "high": mean + width, "by_seed": after.mean(axis=1).tolist(),
    }  # fmt: skip


def planned_result(
    plan: Experiment, draw: np.random.Generator, runs: Mapping[str, int], scale: float = 0.05
) -> dict[str, Any]:
    """A result as `ivtutorial experiment` writes it, of changes drawn at random: of either sign, with turns.

    Args:
        plan: from `ivtutorial.lab.experiments.plans`.
        draw: source of all values.
        runs: of each arm that has been run at all.
        scale: standard deviation of a change between two moments.
    """
    seeds = {arm.name: plan.seeds_of(arm)[: runs[arm.name]] for arm in plan.arms if arm.name in runs}
    base = {
        seed: _evaluations(plan, draw, seed, True, dict.fromkeys(MEASURED, 0.0), 0.0)
        for seed in plan.seeds[: max(map(len, seeds.values()))]
    }
    arms = []
    for arm in (arm for arm in plan.arms if arm.name in seeds):
        tried = {f"{rate:g}": float(draw.normal()) for rate in arm.rates} if len(arm.rates) > 1 else {}
        lr = float(max(tried, key=lambda rate: tried[rate])) if tried else arm.rates[0]
        looked = {rate: {"reward": reward, "utility": 0.0} for rate, reward in tried.items()}
        points = {seed: _points(plan, arm, draw, seed, scale) for seed in seeds[arm.name]}
        arms.append(ArmResult(arm, lr, tried, points, looked, 50.0 if plan.peak else None))
    sets = {arm.clips for arm in plan.arms}
    data = {
        f"clips-{D}": {name: dict.fromkeys(("reward", "utility"), draw.normal(size=count).tolist()) for name in sets}
        for prompts, count in plan.lists
        for D in plan.D
        if prompts == "clips"
    }
    result = summarise(plan, base, arms, {name: {"mean": 0.6} for name in sets}, "bf16", data)
    content: dict[str, Any] = json.loads(json.dumps(result))
    return content


def _points(plan: Experiment, arm: Arm, draw: np.random.Generator, seed: int, scale: float) -> list[Point]:
    """The moments of a run; one that may stop early sometimes has fewer."""
    moments = plan.moments()
    if arm.patience is not None:
        moments = moments[: int(draw.integers(1, len(moments) + 1))]
    change, points = dict.fromkeys(MEASURED, 0.0), []
    for k in moments:
        change = {column: value + float(draw.normal(0, scale)) for column, value in change.items()}
        step = arm.steps(plan.points) * k // plan.points
        evaluations = _evaluations(plan, draw, seed, k == moments[-1], change, 0.4 * scale)
        points.append(Point(step, 100 * step, 16 * step, 2.0 * step, evaluations))
    return points


def _evaluations(
    plan: Experiment, draw: np.random.Generator, seed: int, end: bool, change: Mapping[str, float], noise: float
) -> dict[str, Evaluation]:
    """Values around 0.5, which are the prompts', with a change and some noise."""
    tables = {}
    for name, count, D in plan.conditions(end):
        panel = plan.panel(name, seed)
        level = np.random.default_rng([count, D, panel or 0, len(name)]).uniform(0.3, 0.7, size=(count, len(MEASURED)))
        values = level + np.array([change[column] for column in MEASURED]) + draw.normal(0, noise, size=level.shape)
        rows = [
            {"index": k, "prompt": f"{name} {panel} {k}", "seed": 0, "clip": "", **dict(zip(MEASURED, row))}
            for k, row in enumerate(values.tolist())
        ]
        tables[f"{name}-{D}"] = Evaluation(rows, {})
    return tables
