"""Reward against truth along the runs, of made-up results: paths, contours, and what chance does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.curves import new_figure
from ivtutorial.lab.experiments.answers.story import (
    AGAIN,
    Course,
    draw_paths,
    shown_story,
    story_courses,
    story_figure,
)
from tests.lab.experiments.made_up import made_up_result

RISE = {"reward": [0.01, 0.02, 0.03, 0.04], "utility": [0.1, 0.2, 0.3, 0.1]}
FALL = {"reward": [0.01, 0.0, -0.02, -0.05], "utility": [0.0, -0.2, -0.5, -1.0]}
HALF = {column: [values[0], values[0], values[1], values[2]] for column, values in RISE.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of fig5a, guards and fig7. The first arm has twice the budget of its twin, `again`."""
    arms = {"instructvideo": RISE, "draft-1": RISE, "rwr": {}, "ddpo": {}, "again": HALF}
    fig5a = made_up_result(arms, "fig5a")
    fig5a["plan"]["arms"][0]["budget"] *= 2
    guards = made_up_result({"plain": FALL, "half-scale": RISE}, "guards", kind="path")
    guards["arms"]["plain"]["lr"] = 8e-3
    fig7 = made_up_result({"segvr-tar": RISE, "again": RISE}, "fig7", kind="bars")
    for name, content in (("fig5a", fig5a), ("guards", guards), ("fig7", fig7)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def paths(axis: Any) -> dict[str, Any]:
    lines = {line.get_label(): line for line in axis.get_lines()}
    return {label: line for label, line in lines.items() if len(line.get_xdata()) == 5}


def labelled(lines: dict[str, Any], start: str) -> Any:
    [line] = [line for label, line in lines.items() if label.startswith(start)]
    return line.get_xydata()


def test_the_story_is_a_path_from_the_untouched_model_for_each_arm(folder: Path) -> None:
    """Each begins at (0, 0) and ends where its runs do; each rate of InstructVideo has its own."""
    axis = story_figure(folder).axes[0]
    lines = paths(axis)
    assert len(lines) == 7 and all(line.get_xydata()[0].tolist() == [0.0, 0.0] for line in lines.values())
    assert np.allclose(labelled(lines, "InstructVideo, rate 0.002")[-1], [0.04, 0.1], atol=0.01)
    assert np.allclose(labelled(lines, "InstructVideo, rate 0.008")[-1], [-0.05, -1.0], atol=0.01)
    assert np.allclose(labelled(lines, "RWR"), 0, atol=0.01)
    assert "reward" in axis.get_xlabel() and "true" in axis.get_ylabel()


def test_arms_differ_in_colour_and_in_marker(folder: Path) -> None:
    lines = paths(story_figure(folder).axes[0])
    looks = [(line.get_color(), line.get_marker()) for label, line in lines.items() if not label.startswith(AGAIN)]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == len(looks) == 6


def test_contours_are_where_the_annotators_would_prefer_it_that_often(folder: Path) -> None:
    """sigmoid(u) of each line's height; the reward does not matter to them, so lines go straight across."""
    figure = story_figure(folder)
    figure.draw_without_rendering()
    [right] = figure.axes[0].child_axes
    labels = {label.get_text(): height for label, height in zip(right.get_yticklabels(), right.get_yticks())}
    assert labels["50%"] == pytest.approx(0) and labels["40%"] == pytest.approx(np.log(0.4 / 0.6))
    assert "prefer" in right.get_ylabel()
    low, high = figure.axes[0].get_ylim()
    assert all(low < height < high for height in labels.values())


def test_the_bar_of_chance_joins_a_twin_to_where_its_original_has_cost_as_much(folder: Path) -> None:
    """The original is half way there, at (.03, .3), not at its end; both have the same colour."""
    axis = story_figure(folder).axes[0]
    [bar] = [line for line in axis.get_lines() if line.get_linewidth() == 5]
    assert np.allclose(bar.get_xydata(), [[0.03, 0.3], [0.03, 0.3]], atol=0.01)
    lines = paths(axis)
    [twin] = [line for label, line in lines.items() if label.startswith(AGAIN)]
    assert twin.get_linestyle() == "--" and twin.get_color() == next(iter(lines.values())).get_color()


def test_costs_that_differ_stand_in_the_label(folder: Path) -> None:
    labels = [course.label for course in story_courses(folder)]
    assert labels[0] == "InstructVideo, rate 0.002" and "DRaFT-1, 0.5 times the cost" in labels


def test_a_result_without_the_utility_along_its_runs_is_named_and_left_out(folder: Path) -> None:
    """Then the first path comes from the next result that has it, with that result's own twin."""
    result = json.loads((folder / "fig5a.json").read_text())
    for arm in result["arms"].values():
        del arm["moments"]
    (folder / "fig5a.json").write_text(json.dumps(result))
    courses = story_courses(folder)
    assert [course.experiment for course in courses] == ["fig7", "fig7", "guards", "guards"]
    assert [course.twin_of for course in courses[:2]] == [None, "segvr-tar@0.5"]
    page = shown_story("paths", folder)
    assert "data:image/svg+xml" in page and "want of the utility along their runs: fig5a." in page
    with pytest.raises(InputError, match="nothing measured along the runs of 'rwr'"):
        Course("RWR", result, "rwr").points()


def test_without_results_there_is_a_command(tmp_path: Path) -> None:
    assert "ivtutorial experiment fig5a" in shown_story("paths", tmp_path) and story_figure(tmp_path) is None


def test_a_quick_result_is_marked(tmp_path: Path) -> None:
    result = {**made_up_result({"paper": RISE, "paper-again": RISE}, "frontier", runs=1, own=False), "quick": True}
    (tmp_path / "frontier-quick.json").write_text(json.dumps(result))
    assert [course.label for course in story_courses(tmp_path)] == [
        "InstructVideo, rate 0.002 (quick)", f"{AGAIN} (quick)",
    ]  # fmt: skip
    assert story_figure(tmp_path) is not None


def test_a_twin_alone_has_no_bar() -> None:
    figure = new_figure(4, 4)
    draw_paths(figure, [Course("again", made_up_result({"again": RISE}, "fig5a"), "again")])
    assert not [line for line in figure.axes[0].get_lines() if line.get_linewidth() == 5]
