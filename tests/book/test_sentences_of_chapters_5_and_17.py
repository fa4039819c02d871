"""Sentences of chapters say what the results in data/results say, as `test_sentences_on_results` has it of pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ivtutorial.lab.experiments.answers.frontier_table import frontier_questions, frontier_rows
from ivtutorial.lab.experiments.answers.gains import changes_of
from ivtutorial.lab.experiments.answers.results import paired, read_result
from ivtutorial.lab.experiments.plans.frontier import frontier, quick_frontier
from ivtutorial.lab.experiments.plans.plan import FRAME_PASSES, Arm, step_cost
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.rivals.quick_edit import QuickEdit
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.presets import PRESETS, preset
from tests.book.sentences import RESULTS, changed, fault, result_of

HIGH = ("tau-0.5", "tau-0.6", "tau-0.7", "tau-0.9")


def three_runs_at_one_rate() -> bool:
    result = read_result("fig5b")
    assert result is not None
    first = next(iter(result["base_values"].values()))
    prompts = len(next(iter(first.values())))
    return (len(result["plan"]["seeds"]), prompts, {arm["lr"] for arm in result["arms"].values()}) == (3, 16, {0.002})


def high_levels_gain() -> bool:
    """From 0.5 up, and no two intervals lie apart."""
    gains = changes_of(read_result("fig5b"), "reward")
    high = [gains[name] for name in HIGH]
    return (
        {name for name, d in gains.items() if d.low > 0} == set(HIGH)
        and {f"{d.mean:.2f}" for d in high} == {"0.02", "0.03"}
        and max(d.low for d in high) < min(d.high for d in high)
    )


def low_level_does_harm() -> bool:
    reward, subject = (changes_of(read_result("fig5b"), column)["tau-0.1"] for column in ("reward", "subject"))
    return (f"{reward.mean:.2f}", f"{subject.mean:.2f}") == ("-0.07", "-0.58") and max(reward.high, subject.high) < 0


def every_level_loses_animals() -> bool:
    lost = changes_of(read_result("fig5b"), "subject")
    unsure = {name for name, d in lost.items() if d.high >= 0}
    return max(d.mean for d in lost.values()) < -0.12 and unsure == {"tau-0.6", "tau-0.9"}


def ends_of_the_frontier() -> dict[str, dict[str, Any]]:
    """Rows of the frontier's two settings that have their six runs, by arm."""
    result = result_of("frontier")
    assert not result["quick"] and result["plan"]["lists"] == [["in_domain", 24]] and len(result["plan"]["seeds"]) == 6
    return {row["arm"]: row for row in frontier_rows(result)}


def neither_leads_at_equal_cost() -> bool:
    rows, lead = ends_of_the_frontier(), changed("frontier", "quick-edit", "utility", "paper")
    u = {name: f"{row['utility'][0]:.2f}" for name, row in rows.items()}
    return (
        (u["paper"], u["quick-edit"]) == ("0.35", "0.31")
        and [f"{x:.2f}" for x in (lead.mean, lead.low, lead.high)] == ["-0.03", "-0.14", "0.07"]
        and 0.02 < 1 - rows["quick-edit"]["passes"] / rows["paper"]["passes"] < 0.035
    )


def a_fifth_of_the_cost_is_too_little() -> bool:
    early = next(one for one in frontier_questions(result_of("frontier")) if "after a fifth" in one.text).difference
    return early is not None and [f"{x:.2f}" for x in (early.mean, early.low, early.high)] == [
        "-0.29",
        "-0.42",
        "-0.15",
    ]


def behind_after_two_fifths() -> bool:
    lead = paired(result_of("frontier"), "paper@0.4", "quick-edit@0.4", "utility")
    return [f"{x:.2f}" for x in (-lead.mean, -lead.high, -lead.low)] == ["0.07", "0.03", "0.11"]


def its_updates_are_a_sixteenth_as_long() -> bool:
    paper, quick = (result_of("frontier")["arms"][name] for name in ("paper", "quick-edit"))
    chosen, twice = (quick["looked"][rate] for rate in ("0.000125", "0.00025"))
    far = [f"{arm['lr'] * arm['steps']:.3f}" for arm in (paper, quick)]
    return (
        (paper["lr"], paper["steps"], quick["lr"], quick["steps"]) == (2e-3, 25, 1.25e-4, 105)
        and far == ["0.050", "0.013"]
        and [f"{x['reward']:.3f}" for x in (twice, chosen)] == ["0.363", "0.412"]
        and [f"{x['utility']:.2f}" for x in (twice, chosen)] == ["2.08", "2.63"]
    )


def four_of_twelve_are_run() -> bool:
    return len(frontier().arms) == 12 and list(ends_of_the_frontier()) == ["paper", "paper-again", "t-51", "quick-edit"]


def chance_differs_by_less() -> bool:
    """The recipe's two sets of runs, and the lead of t = 51 over the second."""
    result = result_of("frontier")
    pairs = [
        paired(result, f"{first}{at}", f"{second}{at}", column)
        for first, second, at, column in (
            ("paper", "paper-again", "@0.4", "utility"),
            ("paper", "paper-again", "", "utility"),
            ("paper-again", "t-51", "@0.4", "utility"),
            ("paper-again", "t-51", "", "reward"),
        )
    ]
    said = [[f"{x:.{3 if k == 3 else 2}f}" for x in (d.mean, d.low, d.high)] for k, d in enumerate(pairs)]
    return said == [
        ["0.01", "-0.01", "0.03"],
        ["0.03", "-0.03", "0.09"],
        ["0.06", "0.03", "0.09"],
        ["0.003", "0.000", "0.006"],
    ]


def another_step_gains_sooner() -> bool:
    result = result_of("frontier")
    gained = [f"{paired(result, 'base', side, 'utility').mean:.2f}" for side in ("t-51@0.4", "paper@0.4")]
    sooner, reward, end = (
        paired(result, "paper" + at, "t-51" + at, column)
        for at, column in (("@0.4", "utility"), ("", "reward"), ("", "utility"))
    )
    return gained == ["0.27", "0.20"] and [
        [f"{x:.{digits}f}" for x in (d.mean, d.low, d.high)] for d, digits in ((sooner, 2), (reward, 3), (end, 2))
    ] == [["0.07", "0.04", "0.10"], ["0.005", "0.003", "0.007"], ["0.02", "-0.04", "0.08"]]


def direct_align_takes_a_fifth_of_the_time() -> bool:
    rows = {row["name"]: row for row in json.loads((RESULTS / "bench_gradients.json").read_text())["cpu"]["rows"]}
    base, direct = rows["base: tau 0.6, D 20, K 1, S 4"], rows["gradient by Direct-Align"]
    return round(direct["relative"], 1) == 0.2 and direct["step_mb"] >= base["step_mb"]


def two_phases_halve_three_steps() -> bool:
    rows = {row["name"]: row for row in json.loads((RESULTS / "bench_gradients.json").read_text())["cpu"]["rows"]}
    one, two = (rows[f"gradient of three steps, DRTune{more}"] for more in ("", " in two phases"))
    return (round(one["step_mb"]), round(two["step_mb"])) == (2029, 1010) and two["relative"] > 1.2 * one["relative"]


def one_branch_saves_memory() -> bool:
    rows = {row["name"]: row for row in json.loads((RESULTS / "bench_gradients.json").read_text())["cpu"]["rows"]}
    names = ("gradient of the branch with caption", "base: tau 0.6, D 20, K 1, S 4")
    return [round(rows[name]["step_mb"]) for name in names] == [475, 824]


def a_first_look_is_smaller() -> bool:
    quick = quick_frontier(frontier())
    sizes = [(len(plan.arms), {arm.clip_count for arm in plan.arms}) for plan in (quick, frontier())]
    return sizes == [(4, {90}), (12, {225})] and quick.lists == (("in_domain", 8),)


def an_update_costs() -> bool:
    paper, quick = (step_cost(Arm("an arm", method)) for method in (InstructVideo(), QuickEdit()))
    costs = [f"{x:.1f}" for x in (paper, quick, 4 * paper, 4 * quick)]
    return costs == ["29.8", "6.9", "119.2", "27.6"] and f"{quick / paper:.2f}" == "0.23" and FRAME_PASSES == 0.45


def an_update_of_a_lora_costs() -> bool:
    return f"{(4 + 2 * FRAME_PASSES) / (26 + 4 * FRAME_PASSES):.2f}" == "0.18"


def quick_edit_takes_two_fifths() -> bool:
    """With every preset."""
    rates = {
        tuple(
            FinetuneConfig.from_dict({**preset(name), "method": {"name": method}}).lr
            for method in ("QuickEdit", "InstructVideo")
        )
        for name in PRESETS
    }
    return rates == {(4e-6, 1e-5)}


def prefix_serves_four_updates() -> bool:
    """At the higher rate; at the lower all eight."""
    rates = json.loads((RESULTS / "prefix_bias.json").read_text())["rates"]
    good = {rate: [row["cosine"] > 0.9 for row in rows] for rate, rows in rates.items()}
    return good == {"0.0005": [True] * 8, "0.002": [True] * 4 + [False] * 4}


ON_EDITING: dict[str, Callable[[], bool]] = {
    "in three runs of an earlier small model, measured on 16 prompts each, all at the learning rate 0.002": (
        three_runs_at_one_rate
    ),
    "0.02 to 0.03 of reward. At 0.3 the mean gain is 0.02 as well, but the share of right animals falls by 27 points. "
    "Between 0.5 and 0.9 the intervals overlap": high_levels_gain,
    "the reward falls by 0.07, and the judge finds the right animal 58 points less often": low_level_does_harm,
    "On average every level loses animals, 12 points at least": every_level_loses_animals,
    "at 0.6 and 0.9 the interval reaches zero": every_level_loses_animals,
    r"What is learned on edits does carry over to pure noise, from $\tau = 0.5$ up": high_levels_gain,
    r"From $\tau = 0.5$ up it did, in three older runs": high_levels_gain,
}
ON_MORE_REWARD: dict[str, Callable[[], bool]] = {
    "its utility is 0.03 below that of the paper's recipe, with an interval from 0.14 below to 0.07 above": (
        neither_leads_at_equal_cost
    ),
    "After two fifths it was behind by 0.07 (0.03 to 0.11)": behind_after_two_fifths,
    "which is 0.29 below what the recipe has at its end (0.15 to 0.42)": a_fifth_of_the_cost_is_too_little,
    "a rate of 2e-3 for the 25 updates of the paper's recipe, and 1.25e-4 for the 105 of this one. At twice that rate "
    "its reward on the tuning prompts ended at 0.363 in place of 0.412, and its utility at 2.08 in place of "
    "2.63": its_updates_are_a_sixteenth_as_long,
    "Rate times updates, roughly the most that a weight can move, is 0.050 and 0.013: it": (
        its_updates_are_a_sixteenth_as_long
    ),
    "its rate tuned for the whole cost, showed no lead at equal cost, and had gained far less after a fifth of it": (
        lambda: neither_leads_at_equal_cost() and a_fifth_of_the_cost_is_too_little()
    ),
    "after two fifths of the cost utility has risen by 0.27, where the paper's step has 0.20, a lead of 0.07 (0.04 "
    "to 0.10). At the end reward is 0.005 higher (0.003 to 0.007). Utility is 0.02 higher, which is open (-0.04 to": (
        another_step_gains_sooner
    ),
    "all judged on the same 24 prompts. So far four of the twelve settings have them": four_of_twelve_are_run,
    "differs from the first set by 0.01 after two fifths (-0.01 to 0.03) and by 0.03 at the end (-0.03 to 0.09). "
    "Against this second set the early lead stays, 0.06 (0.03 to 0.09); of the lead in reward 0.003 is left": (
        chance_differs_by_less
    ),
    "so the two costs differ by 3 %": neither_leads_at_equal_cost,
    "Direct-Align takes a fifth of the time and saves no memory": direct_align_takes_a_fifth_of_the_time,
    "saves memory where several steps carry gradient: from 2029 to 1010 MB. It costs time": (
        two_phases_halve_three_steps
    ),
    r"takes $2 \cdot (11 + 3) = 28$ passes and QuickEdit $2 \cdot 3 = 6$. With the frames that is "
    r"$28 + 4 \cdot 0.45 = 29.8$ and $6 + 2 \cdot 0.45 = 6.9$, a share of 0.23": an_update_costs,
    r"become $2 \cdot (11 + 2) = 26$ and the 6 become $2 \cdot 2 = 4$, and QuickEdit's share is 0.18": (
        an_update_of_a_lora_costs
    ),
    "costs 119.2 passes by the paper's recipe and 27.6 by QuickEdit, so QuickEdit makes about four times as many": (
        an_update_costs
    ),
    "that takes 475 MB in place of 824, but its gradient is another one": one_branch_saves_memory,
    "four settings in place of twelve, one run, 90 of the 225 clips, eight prompts": a_first_look_is_smaller,
    "takes two fifths of the paper's rate with every preset, 4e-6 in place of 1e-5": quick_edit_takes_two_fifths,
    "At the smaller rate a prefix can serve all eight updates; at 0.002 it is good for four": (
        prefix_serves_four_updates
    ),
}
CHAPTERS = {"05_editing.ipynb": ON_EDITING, "17_more_reward.ipynb": ON_MORE_REWARD}


@pytest.mark.parametrize(
    ("name", "sentence"), [(name, sentence) for name, rows in CHAPTERS.items() for sentence in rows]
)
def test_chapters_5_and_17_say_what_the_results_say(name: str, sentence: str) -> None:
    assert fault(f"book/{name}", sentence, CHAPTERS[name][sentence]) == ""
