"""One step at t = 51: QuickEdit as it is now, in a fifth of the cost of the paper's recipe and in all of it.

The question was asked after the frontier's QuickEdit, whose step is drawn among eleven, had failed to gain the paper's
truth in a fifth of its cost (claim 10). `FIFTH` has a fifth of the budget and a learning rate tuned for it; `LATE` has
all of it. Six runs on the frontier's 24 prompts showed that their interval is wide because of the prompts (between
runs, the difference hardly varies), so all arms are measured at their end on 96 others, and the claim is read there.
"""

from __future__ import annotations

from dataclasses import replace

from ivtutorial.lab.experiments.plans.frontier import BUDGET, PAPER_RATES, frontier
from ivtutorial.lab.experiments.plans.plan import Experiment
from ivtutorial.rivals.quick_edit import QuickEdit

LATE, FIFTH = "quick-51", "quick-51-fifth"
LATE_RATES = (1.25e-4, 2.5e-4, 5e-4)


def late_step() -> Experiment:
    """The experiment, in full; see the module."""
    full = frontier()
    paper = full.arms[0]
    late = replace(paper, name=LATE, method=QuickEdit(), rates=LATE_RATES)
    fifth = replace(late, name=FIFTH, budget=round(BUDGET / 5), rates=PAPER_RATES)
    return replace(
        full, name="late-step", title="One step at t = 51",
        question="Does the gradient of that step alone gain the paper's truth in a fifth of its cost?",
        arms=(paper, late, fifth), lists=(*full.lists, ("others", 96)),
    )  # fmt: skip
