"""The paper's figures and tables as experiments of the reduced world.

| name     | paper      | what is compared                                                                | claim |
|----------|------------|---------------------------------------------------------------------------------|-------|
| fig5a    | Fig. 5a    | five methods over cost; RWR and DDPO up to eight times the price of 24 steps    | 1     |
| fig5b    | Fig. 5b    | tau 0.1, 0.3, 0.6, 0.9                                                          | 2     |
| fig5c    | Fig. 5c    | lambda_tar 0, 0.5, 1, 2, each with weights of mean 1                            | 3     |
| fig7     | Fig. 7     | SegVR and TAR, against every frame (dense), against no attenuation              | 4     |
| fig8     | Fig. 8     | one run as it goes                                                              | 5, 9  |
| fig9     | Fig. 9     | clips of web quality, with half of the faults, with none; the clips themselves  | 6     |
| table1   | Table 1    | two methods on three lists of prompts                                           | 1     |
| tableA1  | Table A.1  | tuned at D = 20, sampled at D = 50                                              | 7     |
| figA1    | Fig. A.1   | tuned at D = 50                                                                 | 7     |
| figA7    | Fig. A.7   | another reward                                                                  | 8     |
| guards   | -          | a learning rate that over-optimises, plain and with each guard                  | 9     |
| frontier | -          | cheaper gradients: what each gains for its seconds and memory                   | 10    |
| late-step | -         | one call at t = 51: in a fifth of the paper's cost, and at equal cost           | 11    |

One arm, `instructvideo`, is the reference of all but the last two: 96 steps of the paper's recipe, measured along the
way. It is run once, for runs are shared. Most other arms have half of its budget of passes
(:mod:`ivtutorial.lab.experiments.plans.plan`) and are compared with it half way, at equal cost. `again` is its twin, an
A/A arm. The first list of prompts is dealt into panels: run s sees panel s mod 16, and in 16 runs the whole list.
Learning rates are tuned in fig5a, on seeds and prompts of their own, at the half of the budget where arms are compared;
all other arms take `RATE`, the end of that search for the reference (2.5e-4 to 4e-3 were tried).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.plans.frontier import frontier, quick_frontier
from ivtutorial.lab.experiments.plans.late_step import late_step
from ivtutorial.lab.experiments.plans.plan import FORWARD_PASSES, FRAME_PASSES, Arm, Experiment, quicker
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.rivals.ddpo import DDPO
from ivtutorial.rivals.draft import Draft
from ivtutorial.rivals.rwr import RWR
from ivtutorial.rivals.supervised import Supervised
from ivtutorial.training.guards import Guards

RATE, RATES = 2e-3, (1e-3, 2e-3, 4e-3)
STEP = 4 * (28 + 4 * FRAME_PASSES)  # passes of a step of the paper's recipe with four clips
BUDGET, LONG, LONGEST = round(48 * STEP), round(96 * STEP), round(8 * 24 * STEP)
QUICK = round(15 * STEP)
SEEDS, PANELS = tuple(range(16)), 16
POINTS, HALVES, ALONG = 8, (2, 4), (1, 2, 3, 4, 6)
PROMPT_LISTS = (("in_domain", 16), ("new_animals", 16), ("things", 16))
DRAWN = ("reward", "utility")
LOOKS = ("reward", "utility", "watermark")
MOVES = ("reward", "warp_error", "flicker", "travel_error")
VIVID = "ivtutorial.lab.experiments.plans.vivid:vivid"
# DDPO's gradient runs through three of the twenty steps, evenly spread: all of them would leave it one round.
DDPO_STEPS = (3, 10, 16)
REFERENCE = Arm("instructvideo", InstructVideo(), LONG, (RATE,))
USUAL = replace(REFERENCE, budget=BUDGET)
TWIN = replace(USUAL, name="again", twin=True)
COMMON: dict[str, Any] = {
    "seeds": SEEDS, "panels": PANELS, "points": POINTS, "measured": HALVES, "columns": DRAWN,
}  # fmt: skip


def planned(name: str, title: str, question: str, arms: Sequence[Arm], **changes: Any) -> Experiment:
    """An experiment with what all but the frontier and late-step have in common."""
    return Experiment(name, title, question, tuple(arms), **{**COMMON, **changes})


def methods() -> tuple[Arm, ...]:
    """The paper's methods and supervised tuning, each with its own best learning rate."""
    base = replace(REFERENCE, rates=RATES)
    sampled: dict[str, Any] = {"budget": LONGEST, "captions": 2, "runs": 6, "frame_passes": FORWARD_PASSES}
    return (
        base,
        replace(base, name="draft-1", method=Draft(K=1)),
        replace(base, name="rwr", method=RWR(draws=2), **sampled),
        replace(base, name="ddpo", method=DDPO(K=DDPO_STEPS), **sampled),
        replace(base, name="supervised", method=Supervised(), budget=BUDGET, runs=6),
    )


def fig5a() -> Experiment:
    """Methods over cost."""
    question = "Do methods with the reward's slope gain more for their cost, and do the others catch up?"
    return planned(
        "fig5a", "Fig. 5a: methods over cost", question, (*methods(), TWIN),
        measured=ALONG, tuning_prompts=24, tuning_share=0.5, widen=3,
    )  # fmt: skip


def fig5b() -> Experiment:
    """Noise levels."""
    arms = [replace(USUAL, name=f"tau-{tau}", method=InstructVideo(tau=tau)) for tau in (0.1, 0.3, 0.9)]
    arms.insert(2, replace(REFERENCE, name="tau-0.6"))
    question = "Does a low noise level collapse, and a high one cost more than it gains?"
    return planned("fig5b", "Fig. 5b: noise level tau", question, arms)


def fig5c() -> Experiment:
    """Steepness of the temporal attenuation; weights of mean 1, so that no arm merely steps further."""
    arms = [
        replace(USUAL, name=f"lambda-{x}", method=InstructVideo(lambda_tar=x, normalise=True))
        for x in (0.0, 0.5, 1.0, 2.0)
    ]
    title = "Fig. 5c: steepness lambda of TAR"
    return planned("fig5c", title, "Is lambda = 1 best?", tuple(arms))


def fig7() -> Experiment:
    """Without SegVR, and without TAR."""
    arms = (
        replace(REFERENCE, name="segvr-tar"),
        replace(USUAL, name="dense", method=InstructVideo(selection="dense")),
        replace(USUAL, name="mean", method=InstructVideo(lambda_tar=0.0)),
        TWIN,
    )
    question = "Do dense rewards, or rewards without attenuation, hurt the modelling of time?"
    title = "Fig. 7: without SegVR, without TAR"
    return planned("fig7", title, question, arms, kind="bars", columns=MOVES)


def fig8() -> Experiment:
    """One run as it goes."""
    question = "Do detail and colour improve and the watermark fade, step by step, and when does it go too far?"
    return planned(
        "fig8", "Fig. 8: samples along a run", question, (REFERENCE,), kind="strip",
        measured=ALONG, columns=("reward", "utility", "sharpness", "watermark"),
    )  # fmt: skip


def fig9() -> Experiment:
    """Data quality."""
    arms = (
        replace(REFERENCE, name="web"),
        replace(USUAL, name="light", clips="light"),
        replace(USUAL, name="clean", clips="clean"),
    )
    question = "Does the tuned model pass the reward of its own data, and do better clips give more?"
    lists = (("in_domain", 16), ("clips", 24))
    title = "Fig. 9: quality of the clips"
    return planned("fig9", title, question, arms, lists=lists, kind="bars", columns=LOOKS)


def table1() -> Experiment:
    """Methods on all lists of prompts."""
    arms = tuple(replace(arm, rates=(RATE,)) for arm in methods()[:2])
    return planned(
        "table1", "Table 1: methods on known animals, new animals and things",
        "Does the gain carry over to what fine-tuning never saw?", arms, lists=PROMPT_LISTS, kind="bars",
    )  # fmt: skip


def table_a1() -> Experiment:
    """Sampling with 50 steps what was tuned with 20."""
    question = "Does the gain carry over to longer chains?"
    title = "Table A.1: tuned at D = 20, sampled at D = 50"
    return planned("tableA1", title, question, (REFERENCE,), D=(20, 50), kind="bars")


def fig_a1() -> Experiment:
    """Tuning with 50 steps."""
    arms = (replace(REFERENCE, name="tuned-D20"), replace(USUAL, name="tuned-D50", method=InstructVideo(D=50)))
    question = "Does tuning at D = 50 work, and is it less efficient?"
    return planned("figA1", "Fig. A.1: tuning at D = 50", question, arms)


def fig_a7() -> Experiment:
    """Another reward."""
    arms = (replace(REFERENCE, name="reduced"), replace(USUAL, name="vivid", reward=VIVID))
    columns = ("reward", "utility", "sharpness", "colourfulness")
    return planned(
        "figA7", "Fig. A.7: another reward", "Does another reward work as well, with another style?", arms,
        kind="strip", columns=columns,
    )  # fmt: skip


def guards() -> Experiment:
    """Over-optimisation, and what helps against it."""
    plain = replace(USUAL, name="plain", rates=(4 * RATE,))
    arms = (
        plain,
        replace(plain, name="slower", rates=(RATE,)),
        replace(plain, name="half-scale", lora_scale=0.5),
        replace(plain, name="early-stop", patience=2),
        replace(plain, name="data-term", guards=Guards(data_weight=0.05)),
        replace(plain, name="kl-term", guards=Guards(kl_weight=0.05)),
        replace(plain, name="two-rewards", reward=f"0.8*reduced + 0.2*{VIVID}"),
    )
    question = "Does the reward rise while truth falls, and which guard helps?"
    return planned("guards", "Over-optimisation and guards", question, arms, kind="path")


EXPERIMENTS: dict[str, Callable[[], Experiment]] = {
    "fig5a": fig5a,
    "fig5b": fig5b,
    "fig5c": fig5c,
    "fig7": fig7,
    "fig8": fig8,
    "fig9": fig9,
    "table1": table1,
    "tableA1": table_a1,
    "figA1": fig_a1,
    "figA7": fig_a7,
    "guards": guards,
    "frontier": frontier,
    "late-step": late_step,
}


def experiment(name: str, quick: bool = False) -> Experiment:
    """An experiment by name.

    Args:
        name: see the module's table; upper and lower case are the same.
        quick: a version for a quarter of an hour: one seed, 15 steps of InstructVideo, few prompts, one
            learning rate.

    Raises:
        InputError: there is no such experiment.

    Example:
        >>> experiment("fig5c", quick=True).seeds
        (0,)
    """
    known = {key.lower(): make for key, make in EXPERIMENTS.items()}
    if name.lower() not in known:
        raise InputError(f"no experiment {name!r}: there are {', '.join(EXPERIMENTS)}.")
    full = known[name.lower()]()
    if not quick:
        return full
    if full.kind == "frontier":
        return quick_frontier(full)
    most = 4 if len(full.lists) > 1 else 8
    lists = tuple((prompts, min(count, most)) for prompts, count in full.lists)
    arms = tuple(arm for arm in full.arms if not arm.twin)
    points = 4 if len(arms) == 1 and full.kind == "strip" else 2
    budget = QUICK * (2 if len(arms) == 1 else 1)
    return quicker(replace(full, arms=arms), budget, seeds=(0,), lists=lists, points=points, panels=0, measured=())
