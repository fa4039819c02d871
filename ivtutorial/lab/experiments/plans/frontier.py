"""The frontier: what each way to find the gradient gains for its seconds and its memory.

Every arm may spend the budget of the paper's recipe, with a learning rate that was tuned for it, on other prompts and
other seeds, at the same budget, by utility: the question is what each gains in truth, and by reward alone each would be
driven beyond its best. Along each run reward and truth are measured after a fifth of it, two fifths, and all.

`PAPER` is the paper's recipe; `AGAIN` the same once more with other noise (A/A): differences of its size mean nothing.
"""

from __future__ import annotations

from dataclasses import replace

from ivtutorial.lab.experiments.plans.plan import FRAME_PASSES, Arm, Experiment
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.rivals.direct_align import DirectAlign
from ivtutorial.rivals.kept_prefix import KeptPrefix
from ivtutorial.rivals.quick_edit import QuickEdit

PAPER, AGAIN, OURS = "paper", "paper-again", "quick-edit"
PAPER_RATES = (5e-4, 1e-3, 2e-3)
BUDGET = 24 * 4 * (28 + 4 * FRAME_PASSES)  # 24 steps of the paper's recipe with four clips
QUICK_ARMS = (PAPER, AGAIN, "t-51", OURS)


def frontier() -> Experiment:
    """The experiment, in full; see the module."""
    base = Arm(PAPER, InstructVideo(), round(BUDGET), PAPER_RATES)
    slow = tuple(DirectAlign.lr_share * rate for rate in PAPER_RATES)
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
    )
    return Experiment(
        "frontier", "More reward for each second", "What does each way to find the gradient gain for its cost?",
        arms, seeds=tuple(range(6)), lists=(("in_domain", 24),), points=5, measured=(1, 2), tuning_prompts=24,
        widen=2, tuned_by="utility", peak=True, kind="frontier", columns=("utility", "reward"),
    )  # fmt: skip


def quick_frontier(full: Experiment) -> Experiment:
    """A version for minutes: one seed, so no verdict; at most four arms, a third of the budget, a learning rate each.

    Args:
        full: the experiment, or one with arms of its kind.
    """
    arms = [replace(arm, budget=round(arm.budget / 3), rates=arm.rates[1:2], clip_count=90) for arm in full.arms]
    few = tuple(arm for arm in arms if arm.name in QUICK_ARMS) if len(arms) > len(QUICK_ARMS) else tuple(arms)
    return replace(full, arms=few, seeds=(0,), lists=(("in_domain", 8),), measured=(1,), quick=True)
