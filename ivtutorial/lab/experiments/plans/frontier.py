"""The frontier: what each way to find the gradient gains for its seconds and its memory.

Every arm may spend the budget of the paper's recipe, with a learning rate that was tuned for it, on other prompts and
other seeds, at the same budget, by utility: the question is what each gains in truth, and by reward alone each would be
driven beyond its best. Along each run reward and truth are measured after a fifth of it, two fifths, and all.

`PAPER` is the paper's recipe; `AGAIN` the same once more with other noise (A/A): differences of its size mean nothing.
`OURS` draws its step among eleven; `LATE` always takes the last of these, t = 51, and `FIFTH` is the same recipe on a
fifth of the budget, with a learning rate of its own: at the others' rate, its run would stop before it gets anywhere.
"""

from __future__ import annotations

from dataclasses import replace

from ivtutorial.lab.experiments.plans.plan import FRAME_PASSES, Arm, Experiment
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.rivals.direct_align import DirectAlign
from ivtutorial.rivals.kept_prefix import KeptPrefix
from ivtutorial.rivals.quick_edit import QuickEdit

PAPER, AGAIN, OURS = "paper", "paper-again", "quick-edit"
LATE, FIFTH = "quick-51", "quick-51-fifth"
PAPER_RATES = (5e-4, 1e-3, 2e-3)
BUDGET = 24 * 4 * (28 + 4 * FRAME_PASSES)  # 24 steps of the paper's recipe with four clips
QUICK_BUDGET = BUDGET / 3
QUICK_ARMS = (PAPER, AGAIN, "t-51", OURS)
ASKED = (*QUICK_ARMS, LATE, FIFTH)


def frontier() -> Experiment:
    """The experiment, in full; see the module."""
    base = Arm(PAPER, InstructVideo(), round(BUDGET), PAPER_RATES)
    slow = tuple(QuickEdit.lr_share * rate for rate in PAPER_RATES)
    arms = (
        base,
        replace(base, name=AGAIN, twin=True),
        replace(base, name="t-51", method=InstructVideo(K=(10,))),
        replace(base, name="t-251", method=InstructVideo(K=(6,))),
        replace(base, name="drtune", method=InstructVideo(K=(2, 6, 10), stop_gradient=True)),
        replace(base, name="drawn-frames", method=InstructVideo(S=2, selection="attenuated")),
        replace(base, name="kept-prefix", method=KeptPrefix(K=(10,), reuse=4)),
        replace(base, name="caption-branch", method=InstructVideo(K=(10,), branch="caption")),
        replace(base, name="varied", method=KeptPrefix(K=(10,), reuse=1, variants=1)),
        replace(base, name="average", method=InstructVideo(K=(10,)), ema=0.9),
        replace(base, name="direct-align", method=DirectAlign(), rates=slow),
        replace(base, name=OURS, method=QuickEdit(tau=0.6), rates=slow),
        replace(base, name=LATE, method=QuickEdit(tau=0.1), rates=(1.25e-4, 2.5e-4, 5e-4)),
        replace(base, name=FIFTH, method=QuickEdit(tau=0.1), budget=round(BUDGET / 5), rates=PAPER_RATES),
    )
    return Experiment(
        "frontier", "More reward for each second", "What does each way to find the gradient gain for its cost?",
        arms, seeds=tuple(range(6)), lists=(("in_domain", 24),), points=5, measured=(1, 2), tuning_prompts=24,
        widen=2, tuned_by="utility", peak=True, kind="frontier", columns=("utility", "reward"),
    )  # fmt: skip


def quick_frontier() -> Experiment:
    """A version for minutes: one seed, so no verdict; four arms, a third of the budget, one learning rate each."""
    full = frontier()
    arms = [replace(arm, budget=round(QUICK_BUDGET), rates=arm.rates[1:2], clip_count=90) for arm in full.arms]
    return replace(
        full, arms=tuple(arm for arm in arms if arm.name in QUICK_ARMS), seeds=(0,), lists=(("in_domain", 8),),
        measured=(1,), quick=True,
    )  # fmt: skip
