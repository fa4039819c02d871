"""Sentences of chapter 12 with results in them say what the results in data/results say.

As in `test_sentences_on_results`: when a result is replaced and a sentence no longer holds, this test names it.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ivtutorial.evaluation.comparison import Difference
from ivtutorial.lab.experiments.answers.gains import changes_of, runs_words
from ivtutorial.lab.experiments.answers.results import change_by_run, paired
from ivtutorial.lab.experiments.answers.simulated_study import simulated_study
from tests.book.sentences import RESULTS, fault, result_of

ARM, SHORT, LONG = "instructvideo", "in_domain-20", "in_domain-50"


def changed(column: str, where: str = SHORT, name: str = "tableA1") -> Difference:
    return changes_of(result_of(name), column, where=where)[ARM]


def gain_survives_longer_chains() -> bool:
    both = [changed("reward", where) for where in (SHORT, LONG)]
    dots = [change for where in (SHORT, LONG) for change in change_by_run(result_of("tableA1"), ARM, "reward", where)]
    return [f"{d.mean:+.3f}" for d in both] == ["+0.033", "+0.032"] and len(dots) == 2 * 6 and min(dots) > 0


def alarms_ring() -> bool:
    """At both lengths of the chain, and with both ends of the interval; travel may have stayed as it was."""
    flow, warp = changed("flow"), changed("warp_error")
    ends = [f"{x:.3f}" for d in (flow, warp) for x in (d.before, d.after)]
    clear = all(changed("flow", where).high < 0 < changed("warp_error", where).low for where in (SHORT, LONG))
    travel = changed("travel")
    return ends == ["0.042", "0.036", "0.023", "0.035"] and clear and travel.low < 0 < travel.high


def animals_are_lost() -> bool:
    d = changed("subject")
    return [f"{d.after:.0%}", f"{d.before:.0%}"] == ["88%", "99%"] and d.high < 0


def utility_is_undecided() -> bool:
    d = changed("utility")
    return f"{d.mean:.2f}" == "0.13" and d.low < 0 < d.high


def only_known_animals_with_present_models() -> bool:
    lists = {where.rpartition("-")[0] for where in result_of("tableA1")["base"]}
    return lists == {"in_domain"} and "earlier version" in runs_words(result_of("table1"))


def earlier_models_gained_elsewhere() -> bool:
    means = [changed("reward", f"{name}-20", "table1").mean for name in ("new_animals", "things", "in_domain")]
    three = runs_words(result_of("table1")).startswith("averages of 3 runs of an earlier version")
    return three and [f"{mean:.3f}" for mean in means] == ["0.030", "0.024", "0.026"]


def annotators_are_split() -> bool:
    rows = simulated_study(result_of("fig8"))
    net = {row.question: row.net for row in rows if row.second == ARM}
    [perfect] = [row.net[0] for row in rows if (row.second, row.question) == ("perfect", "overall")]
    rounded = [f"{100 * net[question][0]:+.0f}" for question in ("quality", "alignment", "overall")]
    clear = net["quality"][1] > 0 > net["alignment"][2] and net["overall"][1] > 0
    return clear and [*rounded, f"{100 * perfect:+.0f}"] == ["+11", "-6", "+4", "+19"]


def faults_go_and_animals_too() -> bool:
    result = result_of("fig8")
    faults = [paired(result, "base", ARM, column) for column in ("watermark", "wash")]
    gone = all(d.after < 0.25 * d.before and d.high < 0 for d in faults)
    steps = [result_of(name)["arms"][ARM]["steps"] for name in ("fig8", "tableA1")]
    return gone and paired(result, "base", ARM, "subject").high < 0 and steps == [96, 96]


def ten_runs_begin_with_the_six() -> bool:
    ten, six = (result_of(name)["plan"]["seeds"] for name in ("fig8", "tableA1"))
    u = changes_of(result_of("fig8"), "utility")[ARM]
    rows = simulated_study(result_of("fig8"))
    [overall] = [row.net for row in rows if (row.second, row.question) == (ARM, "overall")]
    said = (f"{u.mean:.2f} ({u.low:.2f} to {u.high:.2f})", *(f"{100 * x:+.0f}" for x in overall))
    return len(ten) == 10 and list(six) == list(ten[:6]) and said == ("0.13 (0.02 to 0.23)", "+4", "+1", "+8")


def sixteen_prompts_a_run() -> bool:
    result = result_of("tableA1")
    sizes = {len(row) for where in (SHORT, LONG) for row in result["base_values"][where]["reward"]}
    return sizes == {16} and set(result["own_prompts"]) == {SHORT, LONG}


def the_judge_is_right_about_drawings() -> bool:
    judge = json.loads((RESULTS / "reduced_models.json").read_text(encoding="utf-8"))["judge"]
    return [f"{judge[quality]['subject']['mean']:.0%}" for quality in ("web", "clean")] == ["96%", "98%"]


SENTENCES: dict[str, Callable[[], bool]] = {
    "The gain is as large with 50 steps (+0.032) as with 20 (+0.033), and each of the six runs has it": (
        gain_survives_longer_chains
    ),
    "sampled for each run 16 prompts of its own about known animals": sixteen_prompts_a_run,
    "names the subject right in 96 to 98 % of fresh drawn clips": the_judge_is_right_about_drawings,
    "With 20 steps `flow` falls from 0.042 to 0.036 and `warp_error` rises from 0.023 to 0.035": alarms_ring,
    "whether subjects travel less is open": alarms_ring,
    "The judge recognises the animal in 88 % of the clips, where it was 99 %": animals_are_lost,
    "rises by 0.13, and its interval reaches below zero": utility_is_undecided,
    "New subjects were not sampled with the present models": only_known_animals_with_present_models,
    "had gained 0.030 on new animals and 0.024 on things, beside 0.026 on "
    "known animals": earlier_models_gained_elsewhere,
    "In our runs the gain survived longer chains; but flow fell, warping error rose, and some animals were lost": (
        lambda: gain_survives_longer_chains() and alarms_ring() and animals_are_lost()
    ),
    "the simulated annotators prefer InstructVideo (net +11 points), in *alignment* the untouched model (-6)": (
        annotators_are_split
    ),
    "watermark and haze mostly go, and some animals with them": faults_go_and_animals_too,
    "*Overall* InstructVideo leads by +4 (+1 to +8). These are ten runs, the first six with the seeds of `tableA1`; "
    "over all ten, utility rises by 0.13 (0.02 to 0.23)": ten_runs_begin_with_the_six,
    "A perfect clip would get +19 and no more": annotators_are_split,
    "six runs do not say whether the clips became *better*. (In the ten runs of {numref}`fig-simulated-study` it just "
    "misses zero.)": lambda: utility_is_undecided() and ten_runs_begin_with_the_six(),
    "InstructVideo after 96 training steps, as in {numref}`fig-longer-chains`": faults_go_and_animals_too,
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_chapter_says_what_the_results_say(sentence: str) -> None:
    assert fault("book/12_evaluation.ipynb", sentence, SENTENCES[sentence]) == ""
