"""Chapter 9 opens with what the stored runs show: its sentences say what data/results says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivtutorial.evaluation import student
from ivtutorial.lab.experiments.answers.curves import courses, mean_course
from ivtutorial.lab.experiments.answers.gains import changes_of
from ivtutorial.lab.experiments.answers.results import change_by_run, read_result

NOTEBOOK = Path(__file__).resolve().parents[2] / "book" / "09_putting_it_together.ipynb"
ARM = "instructvideo"


@pytest.fixture(scope="module")
def text() -> str:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.fixture(scope="module")
def fig8() -> dict[str, Any]:
    result = read_result("fig8")
    assert result is not None
    return result


def course(fig8: dict[str, Any], column: str) -> dict[float, float]:
    """Means over the runs, by training step."""
    return dict(zip(*mean_course(courses(fig8, ARM, column)), strict=True))


def test_the_runs_are_those_that_the_text_names(text: str, fig8: dict[str, Any]) -> None:
    arm = fig8["arms"][ARM]
    rewards = next(iter(fig8["base_values"].values()))["reward"]
    assert (len(arm["seeds"]), arm["steps"], arm["lr"], {len(row) for row in rewards}) == (10, 96, 2e-3, {16})
    assert "Each of the ten runs fine-tunes the small model for 96 of the steps" in text
    assert "clips for 16 prompts" in text and r"$96 \cdot 0.002 = 0.19$" in text


def test_the_reward_rises_all_the_while_and_the_watermark_fades(text: str, fig8: dict[str, Any]) -> None:
    reward, watermark = course(fig8, "reward"), course(fig8, "watermark")
    assert min(change_by_run(fig8, ARM, "reward")) > 0 and list(reward.values()) == sorted(reward.values())
    assert f"Yes, in all ten runs, on average from {reward[0]:.3f} to {reward[96]:.3f}" in text
    assert f"The watermark does, from {watermark[0]:.2f} to {watermark[96]:.2f}" in text


def test_animals_are_lost_and_streaks_come(text: str, fig8: dict[str, Any]) -> None:
    share, artefact = (course(fig8, column) for column in ("subject", "artefact"))
    d = changes_of(fig8, "subject", "base", [ARM], None)[ARM]
    assert f"in {share[0] * 100:.0f} % of the clips before fine-tuning, in {share[48] * 100:.0f} % at step 48" in text
    assert (
        f"{share[96] * 100:.0f} % at the end (a change of {d.mean:+.2f}, 95 % interval {d.low:+.2f} to {d.high:+.2f})"
        in text
    )
    assert artefact[36] - artefact[0] > 0.15 and "from about step 36, dark streaks appear in every sky" in text


def test_utility_is_highest_early_and_the_fall_is_not_certain(text: str, fig8: dict[str, Any]) -> None:
    utility, by_run = course(fig8, "utility"), courses(fig8, ARM, "utility")
    best = max(utility, key=lambda step: utility[step])
    rise = f"from {utility[0]:.2f} to {utility[best]:.2f} at step {best:.0f}, its highest value"
    assert f"{rise}, and ends at {utility[96]:.2f}" in text and "over ten runs this fall is not certain" in text
    falls = [dict(zip(*run, strict=True)) for run in by_run]
    change = np.array([run[96] - run[best] for run in falls])
    reach = student(0.95, len(change) - 1) * change.std(ddof=1) / len(change) ** 0.5
    assert abs(change.mean()) < reach
