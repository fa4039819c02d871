"""What chapters 6 and 7 say in words of experiments and benchmarks is what data/results says.

When a result is replaced and a sentence no longer holds, rewrite it, and its row here.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ivtutorial.evaluation.comparison import Difference
from ivtutorial.lab.experiments.answers.results import paired, read_result
from ivtutorial.lab.experiments.answers.verdicts import verdict
from tests.book.sentences import RESULTS, changed, fault
from tests.book.test_sentences_on_results import earlier_models_have_three_runs, no_harm_without_tar

ERRORS = ("warp_error", "flicker", "travel_error")


def span(d: Difference, places: int = 4) -> str:
    return f"{d.low:+.{places}f} to {d.high:+.{places}f}"


def changes_nothing(arm: str, columns: tuple[str, ...] = ("reward", *ERRORS)) -> bool:
    """Against the paper's recipe at equal cost, in six runs: every interval contains 0."""
    result = read_result("fig7")
    assert result is not None
    every = [changed("fig7", arm, column, "segvr-tar") for column in columns]
    return all(d.low < 0 < d.high for d in every) and len(result["arms"][arm]["seeds"]) == 6


def dense_is_no_worse() -> bool:
    reward, *errors = (changed("fig7", "dense", column, "segvr-tar") for column in ("reward", *ERRORS))
    percent = [[round(100 * x / d.before) for x in (d.mean, d.low, d.high)] for d in errors]
    means, lows, highs = zip(*percent, strict=True)
    return (
        changes_nothing("dense")
        and (f"{reward.mean:+.4f}", span(reward)) == ("-0.0001", "-0.0040 to +0.0038")
        and (min(means), max(means)) == (1, 4)
        and set(lows) <= {-9, -10, -11}
        and (min(highs), max(highs)) == (12, 17)
    )


def first_question_of_claim_4_is_undecided() -> bool:
    dense, _ = verdict(4, RESULTS).evidence
    return dense.startswith("without SegVR") and dense.endswith("undecided (+0.02, 95 % -0.08 to +0.13; margin 0.1)")


def costs_as_much() -> bool:
    result = read_result("fig7")
    assert result is not None
    arms = result["arms"]
    segments = next(moment for moment in arms["segvr-tar"]["moments"] if moment["step"] == 48)
    ratio = arms["dense"]["moments"][-1]["passes"] / segments["passes"]
    of_a_step = 48 / 40 * ratio
    return arms["dense"]["steps"] == 40 and abs(ratio - 1) < 0.05 and f"{of_a_step:.2f}" == "1.18"


def motion_rises() -> bool:
    result = read_result("fig7")
    assert result is not None and result["arms"]["segvr-tar"]["steps"] == 96
    d = paired(result, "base", "segvr-tar@0.5", "motion")
    flow = paired(result, "base", "segvr-tar@0.5", "flow")
    return (
        d.low > 0 > flow.high
        and (f"{d.before:.3f}", f"{d.after:.3f}") == ("0.028", "0.037")
        and f"{-flow.mean / flow.before:.0%}" == "11%"
    )


def benchmark_of_a_step_says_so() -> bool:
    bench = json.loads((RESULTS / "bench_step.json").read_text(encoding="utf-8"))["cpu"]
    saved = {words.partition(" as ")[0]: round(100 * (1 - x)) for words, x in bench["comparisons"].items()}
    rows = {row["name"]: row for row in bench["rows"]}
    dense, base, clips = (rows[name] for name in ("every frame scored", bench["rows"][0]["name"], "twice the clips"))
    scatter = [rows[name]["spread"] / rows[name]["seconds"] for name in (base["name"], "S 8", "every frame scored")]
    return (
        [saved[f"{what} of choosing before decoding,"] for what in ("time", "memory")] == [15, 23]
        and f"{100 * max(scatter):.0f}" == "4"
        and (round(dense["relative"], 1), round(clips["relative"], 1)) == (1.3, 2.1)
        and bench["settings"]["threads"] == 1
    )


def older_runs_prefer_a_flat_tar() -> bool:
    flat, steep = (changed("fig5c", f"lambda-{x}", first="lambda-1.0") for x in ("0.5", "2.0"))
    return (
        earlier_models_have_three_runs()
        and (f"{flat.mean:.4f}", span(flat)) == ("0.0048", "+0.0017 to +0.0077")
        and (f"{-steep.mean:.4f}", f"{-steep.high:.4f} to {-steep.low:.4f}") == ("0.0089", "0.0043 to 0.0139")
    )


SENTENCES: dict[str, dict[str, Callable[[], bool]]] = {
    "book/06_segvr.ipynb": {
        "changed the reward by -0.0001 (95 % interval -0.0040 to +0.0038) and raised the three errors in time by "
        "1 to 4 %, and every interval contains 0. The intervals of the errors reach from about -10 % to between +12 "
        "and +17 %": (dense_is_no_worse),
        "its answer is *undecided*: the mean of the three errors, each as a share of the untouched model's, changes by "
        "+0.02 (-0.08 to +0.13), where a difference within 0.1 (the margin) counts as none": (
            first_question_of_claim_4_is_undecided
        ),
        "40 steps with every frame scored cost about as much as 48 with four (the budget, set before, counts such a "
        "step 1.18 times; the 1.26 above was measured with the earlier model)": costs_as_much,
        "after 48 steps, the motion of the decoded clips, the mean change of a pixel's brightness (0 to 1) from frame "
        "to frame, had risen from 0.028 to 0.037; but the optical flow, how far things move, had fallen by 11 %": (
            motion_rises
        ),
        "The utility did not change measurably either": lambda: changes_nothing("dense", ("utility",)),
        "choosing first saved 15 % of the time and 23 % of the memory": benchmark_of_a_step_says_so,
        "repetitions of either step differ by up to 4 %": benchmark_of_a_step_says_so,
        "a quarter more time pays for scoring all sixteen frames, or for a quarter more clips": (
            benchmark_of_a_step_says_so
        ),
        "made no measurable difference at equal cost": dense_is_no_worse,
    },
    "book/07_tar.ipynb": {
        "The runs with 0.5, 1 and 2 are older and only three each; 0 was compared with 1 in six runs of the present "
        "models": lambda: earlier_models_have_three_runs() and changes_nothing("mean"),
        "In the three older runs, which decide nothing, 0.5 gained 0.0048 more reward than the paper's 1 (95 % "
        "interval over prompts only: 0.0017 to 0.0077), and 2 gained 0.0089 less (0.0043 to 0.0139)": (
            older_runs_prefer_a_flat_tar
        ),
        "In our short runs we saw no benefit of TAR, and no harm in leaving it out": lambda: (
            no_harm_without_tar() and changes_nothing("mean")
        ),
        "the reward was 0.004 higher (-0.001 to +0.010), and neither the three errors in time nor motion changed "
        "measurably: every interval contains 0. At equal *reward* the errors without TAR minus those with it "
        "are -0.04 of the untouched model's errors (90 % interval -0.10 to +0.02)": lambda: (
            no_harm_without_tar() and changes_nothing("mean", ("reward", *ERRORS, "motion"))
        ),
        "Before rounding the whole interval lies within the margin of 0.1 that was set before": lambda: (
            verdict(4, RESULTS)
            .evidence[1]
            .endswith("equivalent (-0.04, 95 % -0.11 to +0.04; 90 % -0.10 to +0.02; margin 0.1)")
        ),
        "without it neither the reward nor the errors in time changed measurably": lambda: changes_nothing("mean"),
        "In short runs we measured no benefit of TAR": lambda: changes_nothing("mean"),
    },
}


@pytest.mark.parametrize(("name", "sentence"), [(name, words) for name, rows in SENTENCES.items() for words in rows])
def test_chapters_6_and_7_say_what_the_results_say(name: str, sentence: str) -> None:
    assert fault(name, sentence, SENTENCES[name][sentence]) == ""
