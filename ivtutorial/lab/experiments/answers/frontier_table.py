"""The table and the questions of the frontier, and of experiments of its kind.

| column    | what                                                                                              |
|-----------|---------------------------------------------------------------------------------------------------|
| reward    | what was trained for, change from the untouched model                                             |
| u         | the annotators' utility, from the judge's readings: 3 alignment - 4 severity of faults            |
| preferred | how often simulated annotators prefer the tuned model's clip to the untouched one's               |
| passes    | of the UNet, counted, decoding and reward included; seconds of training are in the rows alone     |
| peak      | memory of one step, counted: the most bytes of tensors alive at a time                            |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ivtutorial.lab.experiments.answers.contrasts import BASE, Contrast, annotators_choice, change, interval
from ivtutorial.lab.experiments.answers.words import arm_words, list_words
from ivtutorial.lab.experiments.plans.frontier import OURS, PAPER
from ivtutorial.lab.experiments.plans.late_step import FIFTH

EQUAL_WITHIN = 0.05  # of u: a seventieth of what lies between a perfect clip and none
READINGS_SHOWN = ("watermark", "blur", "wash", "subject", "movement")


def frontier_rows(result: Mapping[str, Any], where: str | None = None) -> list[dict[str, Any]]:
    """A row of plain values for each arm: what it gained by the end, from the untouched model, and what that took.

    Args:
        result: content of result.json.
        where: prompts, "LIST-D"; default the first.

    Returns:
        arm, lr, steps, seconds (mean over the runs), passes, peak_mb; and for reward, utility, preferred and the
        judge's columns the mean, low and high of the two-way interval (None with a single run).
    """
    rows = []
    for name, arm in result["arms"].items():
        end = arm["moments"][-1]
        columns = ("reward", "utility", *READINGS_SHOWN)
        tables = {column: change(result, BASE, name, column, where=where) for column in columns}
        tables["preferred"] = annotators_choice(result, BASE, name, where=where) + 0.5
        row = {"arm": name, "lr": arm["lr"], "steps": end["step"], "seconds": float(np.mean(end["seconds"]))}
        row |= {"passes": end["passes"], "peak_mb": arm["peak_mb"]}
        for column, table in tables.items():
            both = interval(table)
            ends = (None, None) if both is None else (both.low, both.high)
            row[column] = (float(table.mean()), *ends)
        rows.append(row)
    return rows


def frontier_questions(result: Mapping[str, Any]) -> list[Contrast]:
    """What the frontier was to decide, fixed before it ran, for every arm that is not the paper's.

    1. At equal cost: is u above the paper's? Within `EQUAL_WITHIN` they count as equal.
    2. After the first fifth, or with a fifth of the cost: is u at most `EQUAL_WITHIN` below what the paper's recipe has
       at its end?

    Read on the last list of prompts that the experiment measures. None as long as the paper's recipe is still to be
    measured.
    """
    where, arms = _lists(result)[-1], result["arms"]
    if PAPER not in arms:
        return []
    contrasts = []
    for name in arms:
        if name not in (PAPER, FIFTH):
            after = interval(change(result, PAPER, name, "utility", where=where))
            text = f"{arm_words(name)}: u above that of the paper's recipe at equal cost"
            contrasts.append(Contrast(text, after, margin=EQUAL_WITHIN))
    early = {OURS: ((None, 0), None), FIFTH: ((None, None), where)}  # moments of both sides, and prompts
    for name, (moments, prompts) in early.items():
        if name in arms:
            text = (
                f"{arm_words(name)}: after a fifth of the cost, u at most {EQUAL_WITHIN} below that of the paper's "
                "recipe at its end"
            )
            lead = interval(change(result, PAPER, name, "utility", moments, prompts))
            contrasts.append(Contrast(text, lead, bound=-EQUAL_WITHIN))
    return contrasts


def frontier_text(result: Mapping[str, Any]) -> str:
    """Rows and questions as lines of text."""
    lists, lines = _lists(result), []
    wide = max(24, *(len(list_words(where)) for where in lists)) if len(lists) > 1 else 24
    for where in lists:
        title = list_words(where) if len(lists) > 1 else ""
        lines.append(f"{title:{wide}} {'lr':>8} {'passes':>7} {'peak MB':>8} {'reward':>8} {'u':>7} {'preferred':>9}")
        for row in frontier_rows(result, where):
            peak = "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
            lines.append(
                f"{arm_words(row['arm']):{wide}} {row['lr']:8.2g} {row['passes']:7.0f} {peak:>8} "
                f"{row['reward'][0]:+8.4f} {row['utility'][0]:+7.3f} {row['preferred'][0]:9.1%}"
            )
    return "\n".join([*lines, *map(str, frontier_questions(result))])


def _lists(result: Mapping[str, Any]) -> list[str]:
    """ "LIST-D" of what was measured at the end of runs; of results without a plan the first that there is."""
    plan = result["plan"]
    return [f"{name}-{plan['D'][0]}" for name, _ in plan["lists"]] if "lists" in plan else list(result["base"])[:1]
