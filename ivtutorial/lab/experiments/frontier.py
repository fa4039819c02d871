"""The frontier: what each way to find the gradient gains for its seconds and its memory.

Every arm may spend the budget of the paper's recipe, with a learning rate that was tuned for it, on other prompts and
other seeds, at the same budget. Along each run reward and truth are measured after a fifth of it, two fifths, and all.

| column    | what                                                                                              |
|-----------|---------------------------------------------------------------------------------------------------|
| reward    | what was trained for, change from the untouched model                                             |
| u         | the annotators' utility, from the judge's readings: 3 alignment - 4 severity of faults            |
| preferred | how often simulated annotators prefer the tuned model's clip to the untouched one's               |
| seconds   | of training, measured. passes: of the UNet, counted, decoding and reward included                 |
| peak      | memory of one step, counted: the most bytes of tensors alive at a time                            |

`PAPER` is the paper's recipe; `AGAIN` the same once more with other noise (A/A): differences of its size mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ivtutorial.lab.experiments.contrasts import BASE, Contrast, annotators_choice, change, interval
from ivtutorial.lab.experiments.plan import Arm, Experiment
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.rivals.direct_align import DirectAlign
from ivtutorial.rivals.kept_prefix import KeptPrefix
from ivtutorial.rivals.quick_edit import LR_SHARE, QuickEdit

PAPER, AGAIN, OURS = "paper", "paper-again", "quick-edit"
PAPER_RATES = (1e-3, 2e-3, 4e-3)
FRAME_PASSES = 0.45  # decoding and rewarding a frame with its gradient (23 ms), in passes of the UNet in bf16 (51 ms)
BUDGET = 24 * 4 * (28 + 4 * FRAME_PASSES)  # 24 steps of the paper's recipe with four clips
QUICK_BUDGET = BUDGET / 3
QUICK_ARMS = (PAPER, AGAIN, "t-51", OURS)
EQUAL_WITHIN = 0.05  # of u: a seventieth of what lies between a perfect clip and none
READINGS_SHOWN = ("watermark", "blur", "wash", "subject", "movement")


def frontier() -> Experiment:
    """The experiment, in full; see the module."""
    base = Arm(PAPER, InstructVideo(), round(BUDGET), PAPER_RATES, frame_passes=FRAME_PASSES)
    slow = tuple(LR_SHARE * rate for rate in PAPER_RATES)
    arms = (
        base,
        replace(base, name=AGAIN, accumulation=2),
        replace(base, name="t-51", method=InstructVideo(K=(10,))),
        replace(base, name="t-251", method=InstructVideo(K=(6,))),
        replace(base, name="drtune", method=InstructVideo(K=(2, 6, 10), stop_gradient=True)),
        replace(base, name="drawn-frames", method=InstructVideo(S=2, selection="attenuated")),
        replace(base, name="kept-prefix", method=KeptPrefix(K=(10,), reuse=4)),
        replace(base, name="caption-branch", method=InstructVideo(K=(10,), branch="caption")),
        replace(base, name="varied", method=KeptPrefix(K=(10,), reuse=1, variants=1)),
        replace(base, name="average", method=InstructVideo(K=(10,)), ema=0.9),
        replace(base, name="direct-align", method=DirectAlign(), rates=slow),
        replace(base, name=OURS, method=QuickEdit(), rates=slow),
    )
    return Experiment(
        "frontier", "More reward for each second", "What does each way to find the gradient gain for its cost?",
        arms, seeds=tuple(range(6)), lists=(("in_domain", 24),), points=5, measured=(1, 2), tuning_prompts=24,
        tuning_seeds=(100, 101), widen=2, peak=True, kind="frontier", columns=("utility", "reward"),
    )  # fmt: skip


def quick_frontier() -> Experiment:
    """A version for minutes: one seed, so no verdict; four arms, a third of the budget, one learning rate each."""
    full = frontier()
    arms = [replace(arm, budget=round(QUICK_BUDGET), rates=arm.rates[1:2], clip_count=90) for arm in full.arms]
    return replace(
        full, arms=tuple(arm for arm in arms if arm.name in QUICK_ARMS), seeds=(0,), lists=(("in_domain", 8),),
        measured=(1,), quick=True,
    )  # fmt: skip


def frontier_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row of plain values for each arm: what it gained by the end, from the untouched model, and what that took.

    Args:
        result: content of result.json.

    Returns:
        arm, lr, steps, seconds (mean over the runs), passes, peak_mb; and for reward, utility, preferred and the
        judge's columns the mean, low and high of the two-way interval (None with a single run).
    """
    rows = []
    for name, arm in result["arms"].items():
        end = arm["moments"][-1]
        tables = {column: change(result, BASE, name, column) for column in ("reward", "utility", *READINGS_SHOWN)}
        tables["preferred"] = annotators_choice(result, BASE, name) + 0.5
        row = {"arm": name, "lr": arm["lr"], "steps": end["step"], "seconds": float(np.mean(end["seconds"]))}
        row |= {"passes": end["passes"], "peak_mb": arm["peak_mb"]}
        for column, table in tables.items():
            both = interval(table)
            ends = (None, None) if both is None else (both.low, both.high)
            row[column] = (float(table.mean()), *ends)
        rows.append(row)
    return rows


def questions(result: Mapping[str, Any]) -> list[Contrast]:
    """What the frontier was to decide, fixed before it ran, for every arm that is not the paper's.

    1. At equal cost: is u above the paper's? Within `EQUAL_WITHIN` they count as equal.
    2. After the first fifth: is u at most `EQUAL_WITHIN` below what the paper's recipe has at its end?
    """
    contrasts = []
    for name in result["arms"]:
        if name != PAPER:
            after = interval(change(result, PAPER, name, "utility"))
            contrasts.append(Contrast(f"{name}: u above the paper's at equal cost", after, margin=EQUAL_WITHIN))
    early = change(result, PAPER, OURS, "utility", (None, 0)) if OURS in result["arms"] else None
    if early is not None:
        text = f"{OURS}: after a fifth of the cost, u within {EQUAL_WITHIN} of the paper's at its end"
        contrasts.append(Contrast(text, interval(early), bound=-EQUAL_WITHIN))
    return contrasts


def frontier_text(result: Mapping[str, Any]) -> str:
    """Rows and questions as lines of text."""
    lines = [f"{'':16} {'lr':>8} {'seconds':>8} {'passes':>7} {'peak MB':>8} {'reward':>8} {'u':>7} {'preferred':>9}"]
    for row in frontier_rows(result):
        peak = "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
        lines.append(
            f"{row['arm']:16} {row['lr']:8.2g} {row['seconds']:8.0f} {row['passes']:7.0f} {peak:>8} "
            f"{row['reward'][0]:+8.4f} {row['utility'][0]:+7.3f} {row['preferred'][0]:9.1%}"
        )
    return "\n".join([*lines, *map(str, questions(result))])
