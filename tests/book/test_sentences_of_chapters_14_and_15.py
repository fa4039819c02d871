"""Sentences of chapters 14 and 15 with a result in them say what the results in data/results say.

Rows as in `test_sentences_on_results.py`: when a result is replaced and a sentence no longer holds, this test names
it. Rewrite the sentence, or take it out with its row.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ivtutorial.evaluation.comparison import Difference
from ivtutorial.lab.experiments.answers.course import side
from ivtutorial.lab.experiments.answers.curves import courses, mean_course
from ivtutorial.lab.experiments.answers.gains import changes_of, runs_words
from ivtutorial.lab.experiments.answers.results import paired, read_result
from ivtutorial.lab.experiments.answers.story import story_courses
from ivtutorial.lab.experiments.answers.verdicts import verdict
from ivtutorial.lab.experiments.plans.catalogue import experiment
from ivtutorial.lab.experiments.plans.plan import HELD_OUT
from ivtutorial.lab.world.annotators import ALIGNMENT_WEIGHT, FACT_WEIGHTS
from tests.book.sentences import RESULTS, changed, fault, result_of
from tests.book.test_sentences_of_verdicts import judge_is_fooled


def of(name: str, arm: str, column: str, first: str = "base") -> Difference:
    """At the moment that the arm's name has; a KeyError where it is not measured."""
    result = read_result(name)
    assert result is not None
    return paired(result, first, arm, column)


def at_equal_cost(name: str, arm: str, column: str, first: str = "base") -> Difference:
    """As in the chapter's table of all arms."""
    result = read_result(name)
    assert result is not None
    return changes_of(result, column, first)[arm]


def words(d: Difference, places: int = 2) -> str:
    return f"{d.mean:+.{places}f} ({d.low:+.{places}f} to {d.high:+.{places}f})"


def styles_are_measured() -> bool:
    """Sharpness and colour after 48 steps of both rewards, and sharpness and animals half way."""
    both = [at_equal_cost("figA7", arm, c) for arm in ("vivid", "reduced") for c in ("sharpness", "colourfulness")]
    half = [of("figA7", "vivid@0.5", column) for column in ("sharpness", "subject")]
    return (
        [f"{d.mean:.3f}" for d in both] == ["0.251", "0.232", "0.045", "0.087"]
        and [d.mean for d in both[:2]] == [of("figA7", "vivid", c).mean for c in ("sharpness", "colourfulness")]
        and round(half[0].mean, 3) == 0.115
        and f"{half[1].after:.0%}" == "82%"
    )


def first_reward_is_not_free() -> bool:
    mark, animals, u = (at_equal_cost("figA7", "reduced", column) for column in ("watermark", "subject", "utility"))
    return (
        [f"{x:.3f}" for x in (mark.before, mark.after)] == ["0.160", "0.024"]
        and f"{-animals.mean:.0%}" == "18%"
        and f"{u.mean:+.2f}, {u.low:+.2f} to {u.high:+.2f}" == "+0.07, -0.11 to +0.26"
    )


def strip_is_of_the_ends() -> bool:
    """One run to the end of each arm, 96 and 48 steps; the squirrel's u is the highest of its row and of the run's."""
    result = read_result("figA7")
    assert result is not None
    u = side(result, "vivid", "utility")[0]
    squirrel = int(u.argmax())
    others = [side(result, arm, "utility")[0][squirrel] for arm in ("base", "reduced")]
    steps = [result["arms"][arm]["steps"] for arm in ("reduced", "vivid")]
    fall = f"{-of('figA7', 'vivid', 'utility').mean:.2f}"
    return judge_is_fooled() and max(others) < max(u) and steps == [96, 48] and fall == "1.70"


def vivid_against_reduced() -> bool:
    d = at_equal_cost("figA7", "vivid", "subject", first="reduced")
    lost = of("figA7", "vivid", "subject")
    return f"{-d.mean:.0%}" == "64%" and f"{-lost.mean:.0%}" == "81%"


def style_comes_and_quality_does_not() -> bool:
    signs = ["not reproduced" in line for line in verdict(8, RESULTS).evidence]
    return verdict(8, RESULTS).verdict == "not reproduced" and signs == [False, False, False, True]


def along(column: str) -> list[Difference]:
    """Changes of fig8's ten runs after 12, 24, 36, 48, 72 and 96 steps."""
    result = read_result("fig8")
    assert result is not None
    arm = result["arms"]["instructvideo"]
    assert [moment["step"] for moment in arm["moments"]] == [12, 24, 36, 48, 72, 96] and len(arm["seeds"]) == 10
    return [of("fig8", f"instructvideo@{moment['share']:g}", column) for moment in arm["moments"]]


def strip_hides_it() -> bool:
    """Reward and utility of the strip's four clips after 24 and 48 steps; clips by their values before the run."""
    result = read_result("fig8")
    assert result is not None
    shown = (0, 4, 8, 9)  # horse, monkey, squirrel, hedgehog
    reward, u = (
        [side(result, f"instructvideo@{share}", column)[0] for share in (0.25, 0.5)] for column in ("reward", "utility")
    )
    hedgehog = [f"{values[9]:.1f}" for values in u]
    kept = all(u[1][k] > u[0][k] - 0.05 for k in shown[:3])
    return all(reward[1][k] > reward[0][k] for k in shown) and hedgehog == ["2.8", "0.9"] and kept


def best_clips_come_early() -> bool:
    reward, u, animals, strange = (along(column) for column in ("reward", "utility", "subject", "artefact"))
    fall = of("fig8", "instructvideo@0.5", "utility", first="instructvideo@0.25")
    return (
        [d.mean for d in reward] == sorted(d.mean for d in reward)
        and f"{reward[-1].mean:.3f}" == "0.034"
        and max(u, key=lambda d: d.mean) is u[1]
        and f"{u[1].mean:.2f} ({u[1].low:.2f} to {u[1].high:.2f})" == "0.20 (0.13 to 0.27)"
        and f"{-fall.mean:.2f} ({-fall.high:.2f} to {-fall.low:.2f})" == "0.12 (0.03 to 0.20)"
        and [f"{x:.0%}" for x in (animals[3].after, animals[3].before, animals[-1].after)] == ["84%", "99%", "89%"]
        and min(animals, key=lambda d: d.mean) is animals[3]
        and f"{u[-1].mean:.2f}" == "0.13"
        and [d.mean for d in strange] == sorted(d.mean for d in strange)
        and [f"{x:.2f}" for x in (strange[-1].before, strange[-1].after)] == ["0.54", "0.79"]
    )


def style_of_fig8() -> bool:
    sharp, colour, mark, u, animals = (
        along(column) for column in ("sharpness", "colourfulness", "watermark", "utility", "subject")
    )
    claim = verdict(5, RESULTS)
    return (
        [f"{d[-1].mean:.3f}" for d in (sharp, colour)] == ["0.079", "0.073"]
        and [f"{x:.2f}" for x in (mark[-1].before, mark[-1].after)] == ["0.14", "0.03"]
        and words(u[3]) == "+0.08 (-0.03 to +0.20)"
        and [f"{x:.2f}" for x in (animals[-1].before, animals[-1].after)] == ["0.99", "0.89"]
        and f"{sharp[1].mean:.3f}" == "0.017"
        and claim.verdict == "reproduced"
        and all(": reproduced (" in line for line in claim.evidence)
        and ["(+0.078, " in claim.evidence[0], "(+0.067, " in claim.evidence[1]] == [True, True]
    )


def claim_9_is_undecided() -> bool:
    claim, u = verdict(9, RESULTS), along("utility")
    wanted = ["reproduced (", "undecided (+0.04, 95 % -0.03 to +0.12)", "undecided (-0.04, 95 % -0.16 to +0.07; "]
    return (
        claim.verdict == "undecided"
        and all(words in line for words, line in zip(wanted, claim.evidence, strict=True))
        and min(d.mean for d in u) > 0
        and f"{max(d.mean for d in u) - u[-1].mean:.2f}" == "0.07"
        and max(along("subject")[-1].high, -along("artefact")[-1].low) < 0
    )


def utility_is_a_sum() -> bool:
    """Its changes after 24, 48 and 96 steps, of right facts and of the rest."""
    facts, u = [0.0] * 6, [d.mean for d in along("utility")]
    for name, weight in FACT_WEIGHTS.items():
        facts = [x + ALIGNMENT_WEIGHT * weight * d.mean for x, d in zip(facts, along(name), strict=True)]
    parts = (facts, [a - b for a, b in zip(u, facts, strict=True)], u)
    return [[f"{part[k]:+.2f}" for k in (1, 3, 5)] for part in parts] == [
        ["-0.07", "-0.23", "-0.21"],
        ["+0.27", "+0.32", "+0.34"],
        ["+0.20", "+0.08", "+0.13"],
    ]


def haze_goes_first() -> bool:
    return all(along(name)[1].after < 0.5 * along(name)[1].before for name in ("wash", "watermark"))


def second_judge_doubts() -> bool:
    u, mark = along("utility_2"), along("watermark_2")
    return (words(u[1]), words(u[-1])) == ("+0.09 (-0.02 to +0.19)", "+0.01 (-0.12 to +0.14)") and (
        f"{mark[1].mean:.2f}",
        words(mark[-1]),
    ) == ("-0.07", "+0.05 (-0.01 to +0.11)")


def runs_are_shared() -> bool:
    """fig7's runs of the recipe that are among fig8's, by the rewards of their clips."""
    runs = [
        result_of(name)["arms"][arm]["by_run"]["in_domain-20"]["reward"]
        for name, arm in (("fig7", "segvr-tar"), ("fig8", "instructvideo"))
    ]
    return len(runs[0]) == 6 and sum(run in runs[1] for run in runs[0]) == 5


def guards_go_four_times_as_fast() -> bool:
    return [arm.rates for arm in experiment("guards").arms if arm.name == "plain"] == [(4 * 0.002,)]


def guards_are_older_runs() -> bool:
    result = read_result("guards")
    assert result is not None
    return (
        "earlier" in runs_words(result)
        and "utility" not in next(iter(result["base_values"].values()))
        and result["arms"]["plain"]["lr"] == 0.01
        and "slower" not in result["arms"]
    )


def guards(column: str, first: str = "base") -> dict[str, Difference]:
    result = read_result("guards")
    assert result is not None
    return changes_of(result, column, first)


def guards_end_so() -> bool:
    """Changes of reward and of right animals, in points, from the untouched model."""
    reward, animals = guards("reward"), guards("subject")
    half, plain = "half-scale", "plain"
    points = {name: round(-100 * d.mean) for name, d in animals.items()}
    return (
        f"{reward[half].mean:+.3f}, {reward[half].low:.3f} to {reward[half].high:.3f}" == "+0.035, 0.017 to 0.055"
        and [round(-100 * x) for x in (animals[half].high, animals[half].low)] == [4, 27]
        and words(reward[plain], 3) == "-0.013 (-0.043 to +0.017)"
        and points == {plain: 48, half: 15, "early-stop": 17, "data-term": 23, "kl-term": 8, "two-rewards": 71}
        and [f"{reward[name].mean:+.3f}" for name in ("kl-term", "data-term", "early-stop")]
        == ["-0.004", "-0.009", "-0.001"]
        and all(reward[name].high > 0 for name in ("kl-term", "data-term"))
        and [name for name, d in reward.items() if d.mean > 0] == [half]
    )


def early_stops_early() -> bool:
    """The last moment of each run of the arm, and the prompts of a round."""
    result = read_result("guards")
    assert result is not None
    last = {point["seed"]: point["step"] for point in result["arms"]["early-stop"]["curve"]}
    return list(last.values()) == [24, 12, 6] and HELD_OUT == 6


def guards_help_against_plain() -> bool:
    reward, animals = guards("reward", "plain"), guards("subject", "plain")
    good = ("half-scale", "early-stop", "data-term", "kl-term")
    return (
        [f"{100 * f([animals[name].mean for name in good]):.0f}" for f in (min, max)] == ["25", "40"]
        and all(animals[name].low > 0 and reward[name].high > 0 and reward[name].mean > 0 for name in good)
        and (f"{-animals['two-rewards'].mean:.2f}", f"{-reward['two-rewards'].mean:.3f}") == ("0.23", "0.020")
        and max(reward["two-rewards"].high, animals["two-rewards"].high) < 0
    )


def draft_loses_animals() -> bool:
    reward, animals = (changed("fig5a", "draft-1", column).mean for column in ("reward", "subject"))
    return (f"{reward:.2f}", f"{-100 * animals:.0f}") == ("0.03", "23")


def rates_do_not_agree() -> bool:
    """Right animals at steps times rate of about 0.1 and 0.12, and the end of the reward's course."""
    by_way = {}
    for name, arm in (("fig8", "instructvideo"), ("fig5a", "instructvideo"), ("guards", "plain")):
        result = read_result(name)
        assert result is not None
        rate = result["arms"][arm]["lr"]
        for column in ("reward", "subject"):
            steps, mean = mean_course(courses(result, arm, column))
            by_way[name, column] = {round(s * rate, 2): x - mean[0] for s, x in zip(steps, mean, strict=True)}
    animals = [by_way[name, "subject"][way] for name, way in (("fig8", 0.1), ("fig5a", 0.12), ("guards", 0.12))]
    ends = [by_way[name, "reward"] for name in ("fig8", "guards")]
    return (
        [round(-100 * x) for x in animals] == [15, 29, 42]
        and round(3 * (1 - by_way["fig8", "subject"][0.19] / by_way["fig8", "subject"][0.1]), 1) == 1.0
        and max(ends[0], key=lambda way: ends[0][way]) == 0.19
        and ends[1][0.12] > 0 > ends[1][0.24]
    )


def paths_are_those() -> bool:
    """Utility along fig7's runs of the recipe, and how far its twin is from it at equal cost."""
    result = read_result("fig7")
    assert result is not None
    path = [of("fig7", f"segvr-tar{at}", "utility").mean for at in ("@0.25", "@0.5", "")]
    reward = [of("fig7", f"segvr-tar{at}", "reward").mean for at in ("@0.25", "")]
    twin = of("fig7", "again", "utility").mean
    return (
        [f"{x:+.2f}" for x in path] == ["+0.19", "+0.05", "+0.13"]
        and [f"{x:.2f}" for x in (path[0] - path[1], twin - path[1])] == ["0.14", "0.09"]
        and 0.45 < reward[0] / reward[1] < 0.55
        and len(result["arms"]["segvr-tar"]["seeds"]) == 6
        and ("fig7", "segvr-tar") in [(course.result["experiment"], course.arm) for course in story_courses()]
    )


ON_14: dict[str, Callable[[], bool]] = {
    "in all four rows it is higher at step 48 than at 24. $u$, the second number, falls for the hedgehog only "
    "(2.8 to 0.9)": strip_hides_it,
    "The reward rises to the end, by 0.034. Utility rises with it for 24 steps, by 0.20 (0.13 to 0.27); by step 48 it "
    "has lost 0.12 of that (0.03 to 0.20), and the judge reads 84 % of the animals, where it read 99 %. At the end "
    "utility is 0.13 above its start, right animals are at 89 %, and artefacts have grown from 0.54 to 0.79": (
        best_clips_come_early
    ),
    "The utility of the clips is highest after 24 steps. The share of clips whose animal the judge recognises falls "
    "until step 48": best_clips_come_early,
    "rise, by 0.079 and 0.073 at the end, and the watermark, as the judge reads it, fades from 0.14 to 0.03": (
        style_of_fig8
    ),
    "Halfway, utility is at most 0.1 below its start, as asked (+0.08, -0.03 to +0.20)": style_of_fig8,
    "The second judge sees it fade by 0.07 after 24 steps, but not at the end: +0.05, -0.01 to +0.11": (
        second_judge_doubts
    ),
    "The second judge sees less of a gain: +0.09 (-0.02 to +0.19) after 24 steps and +0.01 (-0.12 to +0.14)": (
        second_judge_doubts
    ),
    "one animal in ten is lost (0.99 to 0.89), and some of the sharpness is stripes: after 24 steps, before they are "
    "clearly visible, it has risen by 0.017 only": style_of_fig8,
    "a straight line through all moments: +0.078 and +0.067": style_of_fig8,
    "all of them are answered with yes": style_of_fig8,
    "Utility is 0.04 lower where the reward is best than where utility is best (-0.03 to +0.12), and in the second "
    "half of the runs it changes by +0.04 (-0.07 to +0.16;": claim_9_is_undecided,
    "The 0.04 is less than the 0.07 between peak and end": claim_9_is_undecided,
    "At no measured moment is its mean below the start": claim_9_is_undecided,
    "| right facts, $3m$ | -0.07 | -0.23 | -0.21 | | fewer faults, $-4q$ | +0.27 | +0.32 | +0.34 | "
    "| utility, $u$ | +0.20 | +0.08 | +0.13 |": utility_is_a_sum,
    "most of the haze and watermark is gone by step 24": haze_goes_first,
    "five of them are also among the ten above": runs_are_shared,
    "its learning rate is four times the usual 0.002": guards_go_four_times_as_fast,
    "three runs of earlier small models at 0.01, without the utility $u$": guards_are_older_runs,
    "by the animals it over-optimises: +0.035 of reward (0.017 to 0.055), and 15 points of them gone (4 to 27)": (
        guards_end_so
    ),
    "no reward gained (-0.013, -0.043 to +0.017), and 48 points of the animals gone": guards_end_so,
    "Only with half of the adapter is the reward higher at the end": guards_end_so,
    "the judge finds 48 points fewer of the right animals": guards_end_so,
    "(-0.004 and -0.009, both intervals reach zero), and 8 and 23 points of the animals are lost.": guards_end_so,
    "at the untouched model's reward (-0.001), with 17 points of the animals gone": guards_end_so,
    "Its runs stopped after 24, 12 and 6 steps (the 24 in the table is the most that they could "
    "run). With six prompts a round": early_stops_early,
    "Four guards keep 25 to 40 points more of the animals": guards_help_against_plain,
    "23 points fewer animals, and 0.020 less reward": guards_help_against_plain,
    "in `fig5a` DRaFT-1 ([](11_rivals.ipynb)) gained 0.03 of reward and lost 23 points of the animals": (
        draft_loses_animals
    ),
    "In `fig8` 15 points are gone at a way of about 0.1, and the reward still rises at 0.19": rates_do_not_agree,
    "utility was highest at 0.05": best_clips_come_early,
    "at 0.12 `fig5a` has lost 29 points and `guards` 42": rates_do_not_agree,
    "in `fig8` a third of the loss comes back after 0.1": rates_do_not_agree,
    "(utility +0.19), then right and down (+0.05 after 48), and ends at +0.13": paths_are_those,
    "The fall in between is 0.14 of utility, and the bar spans 0.09": paths_are_those,
    "(In the ten runs it is 0.12, 0.03 to 0.20.)": best_clips_come_early,
    "half of the adapter was the only guard with more reward than the untouched model": guards_end_so,
    "In ten runs the reward rose to the end, utility was highest after a quarter": best_clips_come_early,
}
ON_15: dict[str, Callable[[], bool]] = {
    "Sharpness and colourfulness rise by 0.251 and 0.232, after the first reward by 0.045 and 0.087": (
        styles_are_measured
    ),
    "the judge still found 82 % of the animals, with sharpness up by 0.115": styles_are_measured,
    "The watermark fades from 0.160 to 0.024, as the judge reads it": first_reward_is_not_free,
    "In 48 steps 18 points of the right animals go, and whether": first_reward_is_not_free,
    "whether utility gains or loses is open (+0.07, -0.11 to +0.26)": first_reward_is_not_free,
    "*reduced*, the reduced HPS, after 96 steps, and *vivid*, edges and colours, after 48": strip_is_of_the_ends,
    "gives it $u = 2.9$, the highest of its row; over all prompts and runs $u$ falls by 1.70": (strip_is_of_the_ends),
    "for 96 steps on the reduced HPS (the small learned reward, `scale.reward` above; these runs also serve other "
    "experiments), and for 48, the usual budget, on": (strip_is_of_the_ends),
    "with the right animal in 64 percentage points fewer of the clips": vivid_against_reduced,
    "81 points of the right animals": vivid_against_reduced,
    "Three ask for the style, and it is there; the fourth asks whether the clips are as good, and they are not": (
        style_comes_and_quality_does_not
    ),
}
PAGES = {"book/14_over_optimisation.ipynb": ON_14, "book/15_other_rewards.ipynb": ON_15}


@pytest.mark.parametrize(("name", "sentence"), [(name, sentence) for name, rows in PAGES.items() for sentence in rows])
def test_a_chapter_says_what_the_results_say(name: str, sentence: str) -> None:
    assert fault(name, sentence, PAGES[name][sentence]) == ""
