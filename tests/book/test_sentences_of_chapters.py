"""Sentences of chapters on our experiments say what the results in data/results say; see `test_sentences_on_results`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ivtutorial.lab.experiments.answers.gains import changes_of
from ivtutorial.lab.experiments.answers.results import read_result

ROOT = Path(__file__).resolve().parents[2]
HIGH = ("tau-0.5", "tau-0.6", "tau-0.7", "tau-0.9")


def prose(name: str) -> str:
    """A chapter's text in one line."""
    cells = json.loads((ROOT / "book" / name).read_text(encoding="utf-8"))["cells"]
    return " ".join(" ".join("".join(cell["source"]).split()) for cell in cells if cell["cell_type"] == "markdown")


def three_runs_at_one_rate() -> bool:
    result = read_result("fig5b")
    assert result is not None
    return len(result["plan"]["seeds"]) == 3 and {arm["lr"] for arm in result["arms"].values()} == {0.002}


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


ON_EDITING: dict[str, Callable[[], bool]] = {
    "in three runs of an earlier small model, all at the learning rate 0.002": three_runs_at_one_rate,
    "0.02 to 0.03 of reward. Between 0.5 and 0.9 the intervals overlap": high_levels_gain,
    "the reward falls by 0.07, and the judge finds the right animal 58 points less often": low_level_does_harm,
    "On average every level loses animals, 12 points at least": every_level_loses_animals,
    "at 0.6 and 0.9 the interval reaches zero": every_level_loses_animals,
    r"What is learned on edits does carry over to pure noise, from $\tau = 0.5$ up": high_levels_gain,
    r"From $\tau = 0.5$ up it did, in three older runs": high_levels_gain,
}
CHAPTERS = {"05_editing.ipynb": ON_EDITING}


@pytest.mark.parametrize(
    ("name", "sentence"), [(name, sentence) for name, rows in CHAPTERS.items() for sentence in rows]
)
def test_a_chapter_says_what_the_results_say(name: str, sentence: str) -> None:
    assert sentence in prose(name), f"{name} no longer says {sentence!r}: take its row out, or write what it says now."
    assert CHAPTERS[name][sentence](), f"{name} says {sentence!r}, and data/results says otherwise: rewrite it."
