"""Sentences of chapters 14 and 15 with a result in them say what the results in data/results say.

Rows as in `test_sentences_on_results.py`: when a result is replaced and a sentence no longer holds, this test names
it. Rewrite the sentence, or take it out with its row.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ivtutorial.evaluation.comparison import Difference
from ivtutorial.lab.experiments.answers.course import side
from ivtutorial.lab.experiments.answers.gains import changes_of
from ivtutorial.lab.experiments.answers.results import paired, read_result
from ivtutorial.lab.experiments.answers.verdicts import verdict
from tests.book.test_sentences_on_results import RESULTS, judge_is_fooled, text_of


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


ON_15: dict[str, Callable[[], bool]] = {
    "Sharpness and colourfulness rise by 0.251 and 0.232, after the first reward by 0.045 and 0.087": (
        styles_are_measured
    ),
    "the judge still found 82 % of the animals, with sharpness up by 0.115": styles_are_measured,
    "it removes most of the watermarks (0.160 to 0.024), but 18 points of the right animals go, too": (
        first_reward_is_not_free
    ),
    "whether utility gains or loses is open (+0.07, -0.11 to +0.26)": first_reward_is_not_free,
    "*reduced*, the reduced HPS, after 96 steps, and *vivid*, edges and colours, after 48": strip_is_of_the_ends,
    "the judge gives $u = 2.9$, the highest of its row, and is fooled; over all prompts and runs $u$ falls by 1.70": (
        strip_is_of_the_ends
    ),
    "with 64 points fewer right animals": vivid_against_reduced,
    "81 points of the right animals": vivid_against_reduced,
    "Three ask for the style, and it is there; the fourth asks whether the clips are as good, and they are not": (
        style_comes_and_quality_does_not
    ),
}
PAGES = {"book/15_other_rewards.ipynb": ON_15}


@pytest.mark.parametrize(("name", "sentence"), [(name, sentence) for name, rows in PAGES.items() for sentence in rows])
def test_a_chapter_says_what_the_results_say(name: str, sentence: str) -> None:
    assert sentence in text_of(name), (
        f"{name} no longer says {sentence!r}: take its row out, or write what it says now."
    )
    try:
        holds = PAGES[name][sentence]()
    except KeyError as missing:
        pytest.fail(f"{name} says {sentence!r}, and the results no longer have {missing}: rewrite the sentence.")
    assert holds, f"{name} says {sentence!r}, and the results in data/results say otherwise: rewrite the sentence."
