"""The frontier's table and its questions.

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
from ivtutorial.lab.experiments.answers.words import arm_words
from ivtutorial.lab.experiments.plans.frontier import OURS, PAPER

EQUAL_WITHIN = 0.05  # of u: a seventieth of what lies between a perfect clip and none
READINGS_SHOWN = ("watermark", "blur", "wash", "subject", "movement")


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


def frontier_questions(result: Mapping[str, Any]) -> list[Contrast]:
    """What the frontier was to decide, fixed before it ran, for every arm that is not the paper's.

    1. At equal cost: is u above the paper's? Within `EQUAL_WITHIN` they count as equal.
    2. After the first fifth: is u at most `EQUAL_WITHIN` below what the paper's recipe has at its end?

    None as long as the paper's recipe is still to be measured.
    """
    contrasts: list[Contrast] = []
    if PAPER not in result["arms"]:
        return contrasts
    for name in result["arms"]:
        if name != PAPER:
            after = interval(change(result, PAPER, name, "utility"))
            text = f"{arm_words(name)}: u above that of the paper's recipe at equal cost"
            contrasts.append(Contrast(text, after, margin=EQUAL_WITHIN))
    early = change(result, PAPER, OURS, "utility", (None, 0)) if OURS in result["arms"] else None
    if early is not None:
        text = (
            f"{arm_words(OURS)}: after a fifth of the cost, u at most {EQUAL_WITHIN} below that of the paper's recipe "
            "at its end"
        )
        contrasts.append(Contrast(text, interval(early), bound=-EQUAL_WITHIN))
    return contrasts


def frontier_text(result: Mapping[str, Any]) -> str:
    """Rows and questions as lines of text."""
    lines = [f"{'':24} {'lr':>8} {'passes':>7} {'peak MB':>8} {'reward':>8} {'u':>7} {'preferred':>9}"]
    for row in frontier_rows(result):
        peak = "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
        lines.append(
            f"{arm_words(row['arm']):24} {row['lr']:8.2g} {row['passes']:7.0f} {peak:>8} "
            f"{row['reward'][0]:+8.4f} {row['utility'][0]:+7.3f} {row['preferred'][0]:9.1%}"
        )
    return "\n".join([*lines, *map(str, frontier_questions(result))])
