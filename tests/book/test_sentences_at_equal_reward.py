"""Where chapter 13 reads its arms at equal reward, and what the second judge says of watermarks.

Rows as in `test_sentences_on_results.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ivtutorial.lab.experiments.answers.contrasts import interval
from ivtutorial.lab.experiments.answers.course import at_equal_reward, change
from ivtutorial.lab.experiments.answers.results import paired
from tests.book.sentences import changed, fault, result_of

TUNED = ("segvr-tar", "again", "mean", "dense")


def along(arm: str, column: str) -> tuple[list[float], list[float]]:
    """Steps and mean changes along the runs of an arm of fig7, the start included."""
    result = result_of("fig7")
    moments = result["arms"][arm]["moments"]
    steps = [0.0, *(float(moment["step"]) for moment in moments)]
    means = [float(change(result, "base", arm, column, (None, k)).mean()) for k in range(len(moments))]
    return steps, [0.0, *means]


def steps_for(arm: str, gain: float) -> int:
    steps, means = along(arm, "reward")
    return round(float(np.interp(gain, means, steps)))


def read_at_equal_reward() -> bool:
    """The gain common to two arms is the smaller of their ends; the other arm is read where it passes it."""
    ends = {arm: along(arm, "reward")[1][-1] for arm in TUNED}
    gains = [min(ends[recipe], ends["mean"]) for recipe in ("segvr-tar", "again")]
    steps = [steps_for(arm, gain) for gain, recipe in zip(gains, ("segvr-tar", "again")) for arm in (recipe, "mean")]
    return [f"{gain:.3f}" for gain in gains] == ["0.032", "0.026"] and steps == [89, 48, 48, 33]


def errors_fall_and_rise() -> bool:
    """A curve falls and rises if its least value lies neither at its start nor at its end."""
    curves = [along(arm, "time_error")[1] for arm in TUNED]
    return all(0 < int(np.argmin(curve)) < len(curve) - 1 for curve in curves)


def flicker_falls_and_warping_rises() -> bool:
    ends = {column: [along(arm, column)[1][-1] for arm in TUNED] for column in ("flicker", "warp_error")}
    return max(ends["flicker"]) < 0 < min(ends["warp_error"])


def without_tar_within_the_margin() -> bool:
    d = interval(at_equal_reward(result_of("fig7"), "segvr-tar", "mean", "time_error"), True)
    return d is not None and [f"{d.mean:.2f}", f"{d.low90:.3f}", f"{d.high90:.3f}"] == ["-0.04", "-0.098", "0.021"]


def losses_may_be_chance() -> bool:
    later = paired(result_of("figA1"), "tuned-D20@0.5", "tuned-D20", "subject")
    again = paired(result_of("fig7"), "base", "again", "subject")
    return [f"{x:.2f}" for x in (later.mean, later.low, later.high, -again.mean)] == ["0.07", "-0.01", "0.16", "0.11"]


def second_judge_of_stripes() -> bool:
    half, end = (paired(result_of("figA7"), "base", arm, "watermark_2") for arm in ("reduced@0.5", "reduced"))
    readings = [f"{x:.3f}" for x in (half.before, half.after, end.after)]
    vivid = [
        f"{paired(result_of('figA7'), 'base', 'vivid', column).after:.3f}" for column in ("watermark_2", "watermark")
    ]
    return readings == ["0.149", "0.124", "0.224"] and -0.05 < half.mean < 0 and vivid == ["0.222", "0.009"]


def second_judge_of_clean_clips() -> bool:
    d = changed("fig9", "clean", "watermark_2", "web")
    return d.low < 0 < d.high


ROWS: list[tuple[str, str, Callable[[], bool]]] = [
    (
        "book/13_ablations.ipynb",
        "at a gain of 0.032 (some 89 steps of the recipe, 48 without TAR)",
        read_at_equal_reward,
    ),
    (
        "book/13_ablations.ipynb",
        "at a gain of 0.026 (48 steps, some 33 without TAR)",
        read_at_equal_reward,
    ),
    ("book/13_ablations.ipynb", "In every arm it first falls and then rises", errors_fall_and_rise),
    ("book/13_ablations.ipynb", "less flicker and more warping error", flicker_falls_and_warping_rises),
    (
        "book/13_ablations.ipynb",
        "differs by -0.04 (90 % interval -0.098 to 0.021), within the margin of 0.1",
        without_tar_within_the_margin,
    ),
    (
        "book/13_ablations.ipynb",
        "the difference may be chance (0.07, -0.01 to 0.16), and the second set had lost 0.11 after 48 already",
        losses_may_be_chance,
    ),
    (
        "book/15_other_rewards.ipynb",
        "reads a small fall only (0.149 to 0.124), and after 96 steps 0.224; with `vivid` it reads 0.222 after "
        "48 steps, where the first judge reads 0.009",
        second_judge_of_stripes,
    ),
    ("book/your_own_clips.md", "with the others; a second judge sees no clear difference", second_judge_of_clean_clips),
]


@pytest.mark.parametrize(("name", "sentence", "holds"), ROWS)
def test_arms_are_read_where_the_page_says(name: str, sentence: str, holds: Callable[[], bool]) -> None:
    assert fault(name, sentence, holds) == ""
