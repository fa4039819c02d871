"""What README, the page of verdicts and chapter 17 say of one call at t = 51, held to `late-step`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ivtutorial.evaluation.comparison import Difference
from ivtutorial.lab.experiments.answers.contrasts import Contrast
from ivtutorial.lab.experiments.answers.questions import read_questions
from ivtutorial.lab.experiments.answers.results import paired
from ivtutorial.lab.experiments.answers.simulated_study import simulated_study
from ivtutorial.lab.experiments.answers.verdicts import answers_to
from tests.book.sentences import RESULTS, fault, result_of

OTHERS, ALONG = "others-20", "in_domain-20"
FIFTH, EQUAL = "quick-51-fifth", "quick-51"


def gain(arm: str, column: str, where: str = OTHERS) -> Difference:
    return paired(result_of("late-step"), "base", arm, column, where)


def lead(column: str, where: str = OTHERS) -> Difference:
    return paired(result_of("late-step"), "paper", FIFTH, column, where)


def said(d: Difference, form: str = "+.2f") -> list[str]:
    return [f"{x:{form}}" for x in (d.mean, d.low, d.high)]


def claim_11() -> list[Contrast]:
    return answers_to(next(rule for rule in read_questions() if rule.number == 11), RESULTS)


def a_fifth_is_enough_for_the_judge() -> bool:
    result = result_of("late-step")
    arms = {name: (arm["lr"], arm["steps"], arm["moments"][-1]["passes"]) for name, arm in result["arms"].items()}
    answer = claim_11()[0]
    return (
        arms["paper"] == (2e-3, 25, 2980)
        and arms[FIFTH] == (1e-3, 20, 552)
        and len(result["base_values"][OTHERS]["reward"]) == 96
        and said(gain("paper", "utility")) == ["+0.20", "+0.10", "+0.31"]
        and said(gain(FIFTH, "utility")) == ["+0.24", "+0.15", "+0.34"]
        and said(lead("utility")) == ["+0.04", "-0.03", "+0.11"]
        and answer.word == "reproduced"
    )


def undecided_on_the_first_prompts() -> bool:
    both = [f"{gain(arm, 'utility', ALONG).mean:.2f}" for arm in ("paper", FIFTH)]
    return both == ["0.35", "0.35"] and said(lead("utility", ALONG)) == ["-0.00", "-0.08", "+0.08"]


def the_second_judge_sees_more_animals_lost() -> bool:
    lost = {arm: gain(arm, "subject_2") for arm in ("paper", FIFTH)}
    return (
        [f"{d.after:.0%}" for d in lost.values()] == ["94%", "86%"]
        and f"{lost['paper'].before:.0%}" == "100%"
        and [f"{-d.mean:.0%}" for d in lost.values()] == ["6%", "14%"]
        and said(lead("subject_2")) == ["-0.08", "-0.12", "-0.03"]
        and said(gain(FIFTH, "utility_2")) == ["+0.09", "-0.05", "+0.22"]
        and said(gain("paper", "utility_2")) == ["+0.15", "+0.05", "+0.24"]
        and said(lead("utility_2")) == ["-0.06", "-0.14", "+0.01"]
    )


def the_faults_differ() -> bool:
    return (
        said(lead("watermark")) == ["+0.02", "+0.00", "+0.03"]
        and said(lead("blur")) == ["-0.04", "-0.06", "-0.02"]
        and [f"{gain(arm, 'reward').mean:.3f}" for arm in (FIFTH, "paper")] == ["0.010", "0.021"]
    )


def row(column: str, form: str) -> Callable[[], bool]:
    """Untouched, the paper's recipe, a fifth, equal cost: as a row of the page's table has them."""

    def holds() -> bool:
        ends = [gain(arm, column) for arm in ("paper", FIFTH, EQUAL)]
        return ROWS[column] == [f"{x:{form}}".replace("%", " %") for x in (ends[0].before, *(d.after for d in ends))]

    return holds


ROWS = {
    "watermark": ["0.18", "0.06", "0.08", "0.09"],
    "blur": ["0.16", "0.12", "0.08", "0.09"],
    "artefact": ["0.54", "0.63", "0.66", "0.60"],
    "subject": ["99 %", "92 %", "94 %", "96 %"],
    "subject_2": ["100 %", "94 %", "86 %", "93 %"],
}


def between(first: str, second: str, column: str) -> Difference:
    return paired(result_of("late-step"), first, second, column, OTHERS)


def at_equal_cost_the_lead_is_open() -> bool:
    arm = result_of("late-step")["arms"][EQUAL]
    open_questions = [answer.word for answer in claim_11()][1::2]
    return (
        (arm["lr"], arm["steps"]) == (1.25e-4, 105)
        and arm["moments"][-1]["passes"] <= 2980
        and said(gain(EQUAL, "utility")) == ["+0.24", "+0.16", "+0.33"]
        and said(between("paper", EQUAL, "utility")) == ["+0.04", "-0.04", "+0.12"]
        and said(between("paper", EQUAL, "utility_2")) == ["+0.02", "-0.02", "+0.07"]
        and open_questions == ["undecided", "undecided"]
    )


def the_slower_run_keeps_the_animals() -> bool:
    pairs = {c: between(FIFTH, EQUAL, c) for c in ("utility", "utility_2", "subject_2", "artefact")}
    return (
        said(pairs["utility"]) == ["+0.00", "-0.04", "+0.04"]
        and said(pairs["utility_2"]) == ["+0.09", "+0.02", "+0.16"]
        and said(pairs["subject_2"], ".0%") == ["7%", "2%", "11%"]
        and said(pairs["artefact"]) == ["-0.06", "-0.07", "-0.04"]
        and said(gain(EQUAL, "utility_2")) == ["+0.17", "+0.07", "+0.27"]
        and said(between("paper", EQUAL, "reward"), "+.3f") == ["-0.005", "-0.008", "-0.002"]
    )


def the_step_alone_changes_nothing() -> bool:
    """QuickEdit with a drawn step and with t = 51 at one rate, on the same 24 prompts."""
    arms = [result_of(name)["arms"][arm] for name, arm in (("frontier", "quick-edit"), ("late-step", EQUAL))]
    sides = [("frontier", "quick-edit@0.2", "quick-edit"), ("late-step", f"{EQUAL}@0.2", EQUAL)]
    gains = [[paired(result_of(n), "base", s, "utility", ALONG).mean for s in (fifth, end)] for n, fifth, end in sides]
    return (
        arms[0]["lr"] == arms[1]["lr"]
        and arms[0]["steps"] == arms[1]["steps"] == 105
        and [f"{x:.2f}" for x in gains[0]] == ["0.06", "0.31"]
        and [f"{x:.2f}" for x in gains[1]] == ["0.06", "0.32"]
    )


def the_late_step_bears_more() -> bool:
    """Utility on the tuning prompts, by rate."""
    drawn, late, short = (
        result_of(name)["arms"][arm]["looked"]
        for name, arm in (("frontier", "quick-edit"), ("late-step", EQUAL), ("late-step", FIFTH))
    )
    tried = [late["0.00025"], drawn["0.00025"], short["0.002"], short["0.001"]]
    return [f"{values['utility']:.2f}" for values in tried] == ["2.62", "2.08", "2.33", "2.69"]


def reward_stops_rising() -> bool:
    along = [paired(result_of("late-step"), "base", side, "reward", ALONG) for side in (f"{FIFTH}@0.4", FIFTH)]
    return [f"{d.mean:.3f}" for d in along] == ["0.009", "0.007"]


def annotators_gain_of_claim_10() -> bool:
    """Net preference for the paper's recipe, the first QuickEdit and a perfect clip, in percent."""
    rows = {(row.second, row.question): round(100 * row.net[0]) for row in simulated_study(result_of("frontier"))}
    nets = [[rows[arm, question] for arm in ("paper", "quick-edit")] for question in ("alignment", "overall")]
    return nets == [[-1, 0], [11, 10]] and rows["perfect", "overall"] == 24


def less_memory() -> bool:
    arms = result_of("late-step")["arms"]
    return [round(arms[name]["peak_mb"]) for name in (FIFTH, "paper")] == [671, 742]


CHAPTER, VERDICTS = "book/17_more_reward.ipynb", "book/verdicts.md"
SENTENCES: tuple[tuple[str, str, Callable[[], bool]], ...] = (
    (CHAPTER, "in six runs each: 0.24 against 0.20", a_fifth_is_enough_for_the_judge),
    (CHAPTER, "(552 passes against 2980) utility has risen by 0.24 on the 96 prompts, where the paper's recipe has "
     "0.20 at its end: a lead of 0.04 (-0.03 to 0.11)", a_fifth_is_enough_for_the_judge),
    (CHAPTER, "On the first 24 prompts both have 0.35", undecided_on_the_first_prompts),
    (CHAPTER, "A step takes 671 MB in place of 742", less_memory),
    (CHAPTER, "Reward rises by 0.010 in place of 0.021", the_faults_differ),
    (CHAPTER, "it has stopped rising (0.009 after 8 updates, 0.007 after 20)", reward_stops_rising),
    (CHAPTER, "(by 0.02, 0.00 to 0.03) and less blur (by 0.04, 0.02 to 0.06)", the_faults_differ),
    (CHAPTER, "the difference is clear (8 points, 3 to 12); whether utility keeps up is open (-0.06, -0.14 to 0.01)",
     the_second_judge_sees_more_animals_lost),
    (CHAPTER, "| utility | 2.36 | +0.20 | +0.24 | +0.24 |", at_equal_cost_the_lead_is_open),
    (CHAPTER, "| the same, second judge | 2.39 | +0.15 | +0.09 | +0.17 |", the_slower_run_keeps_the_animals),
    (CHAPTER, "| animals recognised | 99 % | 92 % | 94 % | 96 % |", row("subject", ".0%")),
    (CHAPTER, "| the same, second judge | 100 % | 94 % | 86 % | 93 % |", row("subject_2", ".0%")),
    (CHAPTER, "utility rose by 0.06 after a fifth of the cost and by 0.31 to 0.32 at the end, whether the step was "
     "drawn or $t = 51$", the_step_alone_changes_nothing),
    (CHAPTER, "at twice that rate utility on the tuning prompts ended at 2.62, with the drawn step at 2.08",
     the_late_step_bears_more),
    (CHAPTER, "20 steps at 2e-3 end at a utility of 2.33 on the tuning prompts, at 1e-3 at 2.69",
     the_late_step_bears_more),
    (VERDICTS, "(a difference of +0.04, -0.03 to +0.11)", a_fifth_is_enough_for_the_judge),
    (VERDICTS, "undecided (-0.00, -0.08 to +0.08, with a bound of -0.05)", undecided_on_the_first_prompts),
    (VERDICTS, "| utility | 2.36 | +0.20 (+0.10 to +0.31) | +0.24 (+0.15 to +0.34) | +0.24 (+0.16 to +0.33) |",
     a_fifth_is_enough_for_the_judge),
    (VERDICTS, "second judge | 2.39 | +0.15 (+0.05 to +0.24) | +0.09 (-0.05 to +0.22) | +0.17 (+0.07 to +0.27) |",
     the_second_judge_sees_more_animals_lost),
    (VERDICTS, "alignment hardly suffers (net -1 and 0), and overall both gain about the same: +11 and +10 of a "
     "possible +24", annotators_gain_of_claim_10),
    (VERDICTS, "The short run's reward rises half as much (+0.010 against +0.021)", the_faults_differ),
    (VERDICTS, "| watermark | 0.18 | 0.06 | 0.08 | 0.09 |", row("watermark", ".2f")),
    (VERDICTS, "| blur | 0.16 | 0.12 | 0.08 | 0.09 |", row("blur", ".2f")),
    (VERDICTS, "| artefacts | 0.54 | 0.63 | 0.66 | 0.60 |", row("artefact", ".2f")),
    (VERDICTS, "| right subjects, by the judge | 99 % | 92 % | 94 % | 96 % |", row("subject", ".0%")),
    (VERDICTS, "| the same, by the second judge | 100 % | 94 % | 86 % | 93 % |", row("subject_2", ".0%")),
    (VERDICTS, "(the difference is -0.08, -0.12 to -0.03), and whether their utility keeps up is open (-0.06, -0.14 to "
     "+0.01)", the_second_judge_sees_more_animals_lost),
    (VERDICTS, "than the recipe at equal cost is open (+0.04, -0.04 to +0.12)", at_equal_cost_the_lead_is_open),
    (VERDICTS, "by the second judge as well (+0.02, -0.02 to +0.07)", at_equal_cost_the_lead_is_open),
    (VERDICTS, "7 % instead of 14 % (a difference of 2 to 11), and has 0.09 more utility (0.02 to 0.16)",
     the_slower_run_keeps_the_animals),
    (VERDICTS, "(by 0.06, 0.04 to 0.07). Its reward stays below the recipe's (by 0.005, 0.002 to 0.008)",
     the_slower_run_keeps_the_animals),
    (CHAPTER, "its lead over the paper's recipe is open (0.04, -0.04 to 0.12)", at_equal_cost_the_lead_is_open),
    (CHAPTER, "it keeps more animals than the short run (by 7 points, 2 to 11), and has 0.09 more utility (0.02 "
     "to 0.16)",
     the_slower_run_keeps_the_animals),
    ("README.md", "(+0.24 against +0.20 on 96 prompts, six runs each; a lead of +0.04, -0.03 to +0.11)",
     a_fifth_is_enough_for_the_judge),
    ("README.md", "A slower run at the recipe's cost keeps them (93 %), and its lead in utility is open",
     lambda: at_equal_cost_the_lead_is_open() and row("subject_2", ".0%")()),
    ("README.md", "recognises fewer animals after it (86 % against 94 %)", the_second_judge_sees_more_animals_lost),
)  # fmt: skip


@pytest.mark.parametrize(("page", "sentence", "holds"), SENTENCES)
def test_pages_say_of_the_late_step_what_its_result_says(page: str, sentence: str, holds: Callable[[], bool]) -> None:
    assert fault(page, sentence, holds) == ""
