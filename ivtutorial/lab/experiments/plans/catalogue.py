"""The paper's figures and tables as experiments of the reduced world.

| name    | paper      | what is compared                                                        | claim |
|---------|------------|-------------------------------------------------------------------------|-------|
| fig5a   | Fig. 5a    | five methods over cost                                                  | 1     |
| fig5b   | Fig. 5b    | tau 0.1 to 0.9                                                          | 2     |
| fig5c   | Fig. 5c    | lambda_tar 0.5, 1, 2                                                    | 3     |
| fig7    | Fig. 7     | SegVR and TAR, against every frame (dense), against no attenuation      | 4     |
| fig8    | Fig. 8     | one run as it goes                                                      | 5     |
| fig9    | Fig. 9     | clips of web quality against clean ones, and against their own reward   | 6     |
| table1  | Table 1    | five methods on three lists of prompts, in-domain also at D = 50        | 1     |
| tableA1 | Table A.1  | tuned at D = 20, sampled at D = 50                                      | 7     |
| figA1   | Fig. A.1   | tuned at D = 50                                                         | 7     |
| figA7   | Fig. A.7   | another reward                                                          | 8     |
| guards  | -          | a learning rate that over-optimises, plain and with each guard          | 9     |
| frontier | -         | cheaper gradients: what each gains for its seconds and memory           | -     |

All arms of an experiment have the same budget of UNet passes (:mod:`ivtutorial.lab.experiments.plans.plan`), reward,
adapter, clips and prompts. In fig5a, table1 and tableA1 each method has the same three learning rates to choose from,
by two runs of each; elsewhere all arms have the demo's, 2e-3; the frontier tunes every arm on seeds and prompts of its
own (:mod:`ivtutorial.lab.experiments.plans.frontier`). The full version is sized for two hours at most on two cores
(the frontier's for half a day), the quick one for a quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.plans.frontier import frontier, quick_frontier
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment, quicker
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.rivals.ddpo import DDPO
from ivtutorial.rivals.draft import Draft
from ivtutorial.rivals.rwr import RWR
from ivtutorial.rivals.supervised import Supervised
from ivtutorial.training.guards import Guards

RATES = (5e-4, 2e-3, 5e-3)
PROMPT_LISTS = (("in_domain", 16), ("new_animals", 16), ("things", 16))
LOOKS = ("reward", "sharpness", "watermark")
MOVES = ("reward", "warp_error", "flicker", "travel_error")
VIVID = "ivtutorial.lab.experiments.plans.vivid:vivid"
BUDGET, QUICK = 2_800, 1_680  # passes: 25 and 15 steps of InstructVideo
# DDPO's gradient runs through three of the twenty steps, evenly spread: all of them would leave it one round.
DDPO_STEPS = (3, 10, 16)


def methods() -> tuple[Arm, ...]:
    """The paper's methods and supervised tuning, on equal terms."""
    base = Arm("instructvideo", InstructVideo(), BUDGET, RATES)
    return (
        base,
        replace(base, name="draft-1", method=Draft(K=1)),
        replace(base, name="rwr", method=RWR(draws=2), captions=2),
        replace(base, name="ddpo", method=DDPO(K=DDPO_STEPS), captions=2),
        replace(base, name="supervised", method=Supervised()),
    )


def fig5a() -> Experiment:
    """Methods over cost."""
    return Experiment(
        "fig5a",
        "Fig. 5a: methods over cost",
        "Do RWR and DDPO level off early, and is InstructVideo fastest?",
        methods(),
    )


def fig5b() -> Experiment:
    """Noise levels."""
    arms = [Arm(f"tau-{tau}", InstructVideo(tau=tau), BUDGET) for tau in (0.1, 0.3, 0.5, 0.6, 0.7, 0.9)]
    question = "Does a low noise level collapse, and a high one cost more than it gains?"
    return Experiment("fig5b", "Fig. 5b: noise level tau", question, tuple(arms))


def fig5c() -> Experiment:
    """Steepness of the temporal attenuation."""
    arms = [Arm(f"lambda-{x}", InstructVideo(lambda_tar=x), BUDGET) for x in (0.5, 1.0, 2.0)]
    return Experiment("fig5c", "Fig. 5c: steepness lambda of TAR", "Is lambda = 1 best?", tuple(arms))


def fig7() -> Experiment:
    """Without SegVR, and without TAR."""
    arms = (
        Arm("segvr-tar", InstructVideo(), BUDGET),
        Arm("dense", InstructVideo(selection="dense"), BUDGET),
        Arm("mean", InstructVideo(lambda_tar=0.0), BUDGET),
    )
    question = "Do dense rewards, or rewards without attenuation, hurt the modelling of time?"
    return Experiment("fig7", "Fig. 7: without SegVR, without TAR", question, arms, kind="bars", columns=MOVES)


def fig8() -> Experiment:
    """One run as it goes."""
    arms = (Arm("instructvideo", InstructVideo(), 2 * BUDGET),)
    question = "Do detail and colour improve and the watermark fade, step by step?"
    return Experiment(
        "fig8", "Fig. 8: samples along a run", question, arms, points=4, kind="strip",
        columns=("reward", "sharpness", "colourfulness", "watermark"),
    )  # fmt: skip


def fig9() -> Experiment:
    """Data quality."""
    arms = (Arm("web", InstructVideo(), BUDGET), Arm("clean", InstructVideo(), BUDGET, clips="clean"))
    question = "Does the tuned model pass the reward of its own data, and do better clips give more?"
    return Experiment("fig9", "Fig. 9: quality of the clips", question, arms, kind="bars", columns=LOOKS)


def table1() -> Experiment:
    """All methods on all lists of prompts."""
    return Experiment(
        "table1", "Table 1: methods on known animals, new animals and things",
        "Which method has the highest reward, and does it carry over to what fine-tuning never saw?",
        methods(), lists=PROMPT_LISTS, D=(20, 50), kind="bars",
    )  # fmt: skip


def table_a1() -> Experiment:
    """Sampling with 50 steps what was tuned with 20."""
    return Experiment(
        "tableA1", "Table A.1: tuned at D = 20, sampled at D = 50", "Does the gain carry over to longer chains?",
        methods()[:1], lists=PROMPT_LISTS, D=(20, 50), kind="bars", everywhere=True,
    )  # fmt: skip


def fig_a1() -> Experiment:
    """Tuning with 50 steps."""
    arms = (Arm("tuned-D20", InstructVideo(D=20), BUDGET), Arm("tuned-D50", InstructVideo(D=50), BUDGET))
    question = "Does tuning at D = 50 work, and is it less efficient?"
    return Experiment("figA1", "Fig. A.1: tuning at D = 50", question, arms, D=(20, 50))


def fig_a7() -> Experiment:
    """Another reward."""
    arms = (Arm("reduced", InstructVideo(), BUDGET), Arm("vivid", InstructVideo(), BUDGET, reward=VIVID))
    return Experiment(
        "figA7", "Fig. A.7: another reward", "Does another reward work as well, with another style?",
        arms, kind="strip", columns=("reward", "sharpness", "colourfulness", "subject"),
    )  # fmt: skip


def guards() -> Experiment:
    """Over-optimisation, and what helps against it."""
    plain = Arm("plain", InstructVideo(), BUDGET, (1e-2,))
    arms = (
        plain,
        replace(plain, name="half-scale", lora_scale=0.5),
        replace(plain, name="early-stop", patience=2),
        replace(plain, name="data-term", guards=Guards(data_weight=0.05)),
        replace(plain, name="kl-term", guards=Guards(kl_weight=0.05)),
        replace(plain, name="two-rewards", reward=f"0.8*reduced + 0.2*{VIVID}"),
    )
    return Experiment(
        "guards", "Over-optimisation and guards", "Does the reward rise while truth falls, and which guard helps?",
        arms, columns=("reward", "subject", "action", "travel_error"),
    )  # fmt: skip


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
        return quick_frontier()
    most = 4 if len(full.lists) > 1 else 8
    lists = tuple((prompts, min(count, most)) for prompts, count in full.lists)
    budget = QUICK * full.arms[0].budget // BUDGET
    points = {"strip": full.points if len(full.arms) == 1 else 1, "bars": 1, "curve": 2}[full.kind]
    return quicker(full, budget, seeds=(0,), lists=lists, points=points)
