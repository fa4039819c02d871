"""Results of which only a part was measured: what is there is shown, what is not is named."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import Difference
from ivtutorial.lab.experiments.answers.curves import courses, mean_course
from ivtutorial.lab.experiments.answers.forest import twin_row
from ivtutorial.lab.experiments.answers.frontier_table import frontier_questions, frontier_text
from ivtutorial.lab.experiments.answers.gains import changes_of, runs_words, shown_changes
from ivtutorial.lab.experiments.answers.plots import claim_figure
from ivtutorial.lab.experiments.answers.results import change_by_run, paired
from ivtutorial.lab.experiments.plans.catalogue import experiment
from tests.lab.experiments.made_up import made_up_result, planned_result

RISE = {"reward": [0.01, 0.02, 0.03, 0.04], "utility": [0.1, 0.2, 0.3, 0.1]}
LOST = {"reward": [0.05, 0.02, 0.0, -0.03]}


def test_changes_are_those_at_equal_cost_of_what_is_there() -> None:
    """The long arm is read half way, 0.03; against it the short one has 0.05 - 0.03."""
    result = made_up_result({"long": RISE, "short": {"reward": [0, 0, 0, 0.05]}}, noise=1e-5)
    result["plan"]["arms"][0]["budget"] *= 2
    gains = changes_of(result, "reward")
    assert {arm: round(d.mean, 3) for arm, d in gains.items()} == {"long": 0.03, "short": 0.05}
    [d] = changes_of(result, "reward", first="long", arms=["short", "third"]).values()
    assert d.mean == pytest.approx(0.02, abs=1e-4)
    assert changes_of(result, "reward", arms=["short"])["short"] == paired(result, "base", "short", "reward")
    assert changes_of(result, "reward", first="third") == {} == changes_of(result, "no such column")
    assert changes_of(None, "reward") == {} and runs_words(None) == "still to be measured"


def test_bars_reach_from_the_mean_to_the_ends_of_the_interval() -> None:
    """Rounding may put an end on the other side of the mean by one digit; a bar has no negative length."""
    d = Difference(0.0, 1.0, 1.0, 0.75, 1.5, 1.0, 1.0, 4)
    assert d.bars == [[0.25], [0.5]]
    assert Difference(0.0, 1.0, 1.0, np.nextafter(1.0, 2), 1.0, 1.0, 1.0, 4).bars == [[0.0], [0.0]]


def test_a_course_begins_with_the_untouched_model_on_the_prompts_of_its_run() -> None:
    """Runs with prompts of their own start at levels of their own, and each moves by the same change."""
    result = made_up_result({"a": LOST}, runs=3, noise=0.0)
    lines = courses(result, "a", "reward")
    assert [steps for steps, _ in lines] == [[0, 6, 12, 24, 48]] * 3
    starts = np.mean(result["base_values"]["in_domain-20"]["reward"], axis=1)
    assert len({*starts.tolist()}) == 3
    for (_, levels), start in zip(lines, starts, strict=True):
        assert np.subtract(levels, start) == pytest.approx([0.0, *LOST["reward"]])
    steps, mean = mean_course(lines)
    assert steps == [0, 6, 12, 24, 48] and mean[-1] - mean[0] == pytest.approx(-0.03)
    assert courses(result, "b", "reward") == courses(result, "a", "none") == courses(None, "a", "reward") == []
    assert mean_course([]) == ([], [])


def test_each_run_has_its_change_in_either_format() -> None:
    result = made_up_result({"a": RISE}, runs=3, noise=0.01, own=False)
    changes = change_by_run(result, "a", "reward")
    assert len(changes) == 3 and np.mean(changes) == pytest.approx(paired(result, "base", "a", "reward").mean)
    assert np.mean(change_by_run(result, "a@0.5", "reward")) == pytest.approx(0.03, abs=0.02)
    del result["arms"]["a"]["by_run"]
    assert change_by_run(result, "a", "reward") == pytest.approx(changes), "averages, with each run's mean beside them"
    with pytest.raises(InputError):
        change_by_run(result, "b", "reward")


def test_arms_that_are_still_to_be_measured_are_named(tmp_path: Path) -> None:
    plan = experiment("fig5a")
    result = planned_result(plan, np.random.default_rng(0), {"instructvideo": 2, "again": 1})
    (tmp_path / "fig5a.json").write_text(json.dumps(result))
    page = shown_changes("fig5a", ["reward"], folder=tmp_path)
    assert page.count("overflow-x") == page.count('tabindex="0"') == 1  # scrolled by keyboard, too
    assert page.count("<tr>") == 4 and "untouched, its values" in page and "1 to 2 runs" in page
    assert "Still to be measured: DRaFT-1, RWR, DDPO, supervised." in page
    some = shown_changes("fig5a", ["reward"], first="instructvideo", arms=["again", "rwr"], folder=tmp_path)
    assert some.count("<tr>") == 2 and "Still to be measured: RWR." in some
    for asked in ({"first": "draft-1"}, {"arms": ["ddpo"]}, {"where": "things-20"}):
        assert "ivtutorial experiment fig5a" in shown_changes("fig5a", ["reward"], folder=tmp_path, **asked)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no arm 'dense'"):
        shown_changes("fig5a", ["reward"], arms=["dense"], folder=tmp_path)


def test_the_frontier_waits_for_the_papers_recipe(tmp_path: Path) -> None:
    """Without it there is a table and no question; with it and its twin, claim 10's answers have an A/A row."""
    plan, draw = experiment("frontier"), np.random.default_rng(0)
    alone = planned_result(plan, draw, {"t-51": 2})
    assert frontier_questions(alone) == [] and len(frontier_text(alone).splitlines()) == 2
    both = planned_result(plan, draw, dict.fromkeys(("paper", "paper-again", "quick-edit"), 2), scale=1.0)
    assert len(frontier_questions(both)) == 3
    (tmp_path / "frontier.json").write_text(json.dumps(both))
    figure = claim_figure(10, tmp_path)
    assert figure is not None
    utility = figure.axes[0]
    low, high = utility.get_xlim()
    ticks = utility.get_xticks().tolist()
    assert -0.05 in ticks and min(b - a for a, b in pairwise(ticks)) > 0.1 * (high - low), "bounds at -0.05 and 0"
    row = twin_row(both, "paper", "paper-again", "preferred")
    assert row is not None and -0.5 < row.mean < 0.5, "a share of choices, over one half"
    assert twin_row(alone, "paper", "paper-again", "reward") is None
