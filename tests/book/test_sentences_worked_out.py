"""Numbers of chapters that follow from the method, a plan or what was counted, worked out once more.

Rows as in `test_sentences_on_results.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

import ivtutorial as iv
from ivtutorial.method.schedule import ddim_timesteps
from tests.book.sentences import RESULTS, fault, result_of


def levers(D: int) -> list[float]:
    """What a velocity is multiplied by in each step of the chain, noisiest first: s a' - a s'."""
    kept = iv.make_scheduler("v_prediction").alphas_cumprod.double()
    points = [(float(kept[t] ** 0.5), float((1 - kept[t]) ** 0.5)) for t in (*sorted(ddim_timesteps(D))[::-1], 0)]
    return [s * a_next - a * s_next for (a, s), (a_next, s_next) in zip(points, points[1:])]


def last_levers_are_short() -> bool:
    four, twenty = levers(4), levers(20)
    return (
        [f"{x:.2f}" for x in (min(four[:-1]), max(four[:-1]))] == ["0.31", "0.54"]
        and [f"{x:.2f}" for x in (min(twenty[:-1]), max(twenty[:-1]))] == ["0.03", "0.18"]
        and f"{four[-1]:.3f}" == f"{twenty[-1]:.3f}" == "0.012"
    )


def summed_rates(steps: int, warmup: int) -> float:
    """Of the first `steps` updates, in units of the rate after the warm-up."""
    return sum(iv.FinetuneConfig(steps=steps, lr=1.0, warmup=warmup).lr_at(step) for step in range(steps))


def warm_up_is_a_tenth() -> bool:
    """24 updates with D = 20, of a longer run, and with D = 50, which has no more."""
    arms = result_of("figA1")["arms"]
    steps = [arms[name]["steps"] for name in ("tuned-D20", "tuned-D50")]
    short, long = (summed_rates(24, min(10, count // 4)) for count in reversed(steps))
    return steps == [96, 24] and 1.08 < short / long < 1.13


def untouched_samples_score_so() -> bool:
    values = result_of("fig8")["base_values"]["in_domain-20"]["reward"]
    return f"{np.mean(values):.2f}" == "0.39"


def counted_times() -> bool:
    rows = {row["name"]: row for row in json.loads((RESULTS / "count_step.json").read_text())["rows"]}
    seconds = {(name, card): rows[f"preset {name}"]["cards"][card]["floor"] for name, card in CARDS}
    hours = [f"{200 * seconds[name, card] / 3600:.1f}" for name, card in CARDS[:2]]
    days = 20_000 * seconds["t4", "T4"] / 86_400
    return hours == ["0.6", "1.4"] and f"{seconds['h100', 'H100']:.1f}" == "2.5" and 7 < days < 8


CARDS = [("24gb", "RTX 4090"), ("24gb", "L4"), ("t4", "T4"), ("h100", "H100")]
ROWS: list[tuple[str, str, Callable[[], bool]]] = [
    ("book/04_naive_is_expensive.ipynb", "those of the other three 0.31 to 0.54", last_levers_are_short),
    ("book/04_naive_is_expensive.ipynb", "the others have only 0.03 to 0.18", last_levers_are_short),
    ("book/13_ablations.ipynb", "whose learning rates add up to a tenth more", warm_up_is_a_tenth),
    ("book/13_ablations.ipynb", "at least 0.6 hours on an RTX 4090 and 1.4 on an L4", counted_times),
    ("book/10_full_size.ipynb", "2.5 s on the H100", counted_times),
    ("book/paper_to_code.md", "Its 20,000 steps take a T4 at least a week (counted)", counted_times),
    ("book/15_other_rewards.ipynb", "samples of the untouched model have 0.39 on average", untouched_samples_score_so),
]


@pytest.mark.parametrize(("name", "sentence", "holds"), ROWS)
def test_a_number_follows_from_what_the_page_says(name: str, sentence: str, holds: Callable[[], bool]) -> None:
    assert fault(name, sentence, holds) == ""
