"""Figures and tables of made-up results: what they show, in words that a reader knows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.curves import draw_curves, new_figure
from ivtutorial.lab.experiments.answers.forest import Row, draw_forest, twin_row
from ivtutorial.lab.experiments.answers.gains import (
    gain_html,
    gain_rows,
    gain_text,
    runs_words,
    shown_changes,
    undecided_words,
)
from ivtutorial.lab.experiments.answers.plots import (
    claim_figure,
    draw,
    draw_strip,
    shown,
    shown_answers,
    write_plot,
)
from ivtutorial.notebook.style import use_style
from tests.lab.experiments.made_up import made_up_result

RISE = {"reward": [0.01, 0.02, 0.03, 0.04], "utility": [0.1, 0.2, 0.3, 0.1]}
FALL = {"reward": [0.01, 0.0, -0.02, -0.05], "utility": [0.0, -0.2, -0.5, -1.0]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of fig5a, fig5b, fig7 and guards."""
    arms = {"instructvideo": RISE, "draft-1": RISE, "rwr": {}, "ddpo": {}, "again": RISE}
    made = {
        "fig5a": made_up_result(arms, "fig5a"),
        "fig5b": made_up_result({"tau-0.1": FALL, "tau-0.3": RISE}, "fig5b"),
        "fig7": made_up_result({"segvr-tar": RISE, "dense": RISE, "mean": RISE, "again": RISE}, "fig7", kind="bars"),
        "guards": made_up_result({"plain": FALL, "half-scale": RISE}, "guards", kind="path"),
    }
    for name, content in made.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def texts(axis: Any) -> list[str]:
    return [label.get_text() for label in (*axis.get_xticklabels(), *axis.get_yticklabels())]


def test_without_results_there_is_a_command(tmp_path: Path) -> None:
    assert "no result of fig5a" in shown_answers(1, "a forest", tmp_path) and claim_figure(1, tmp_path) is None


def test_answers_of_a_claim_stand_beside_what_chance_does(folder: Path) -> None:
    """Six questions on reward with intervals, the A/A row below them; the margin of each as a band."""
    figure = claim_figure(1, folder)
    first = figure.axes[0]
    labels = texts(first)
    assert "the same again (A/A)" in labels and sum("InstructVideo" in label for label in labels) >= 4
    assert len(first.collections) >= 4, "bands of the margins"
    page = shown_answers(1, "a forest", folder)
    assert 'alt="a forest"' in page and page.count("<li>") >= 6 and "A verdict needs" not in page


def test_a_twin_differs_by_chance_alone() -> None:
    result = made_up_result({"a": RISE, "again": RISE}, noise=0.01)
    row = twin_row(result, "a", "again", "reward")
    assert row is not None and row.low is not None and row.high is not None and row.low < 0 < row.high
    assert len(row.dots) == 8 and twin_row(result, "a", "none", "reward") is None


def test_curves_have_a_panel_a_column_and_say_what_the_axes_are(folder: Path) -> None:
    figure = draw(json.loads((folder / "fig5a.json").read_text()))
    reward, truth = figure.axes
    assert "passes" in truth.get_xlabel() and "utility" in truth.get_ylabel() and "better" in reward.get_ylabel()
    thick = {line.get_label(): line.get_xydata() for line in reward.get_lines() if line.get_linewidth() == 2}
    assert set(thick) >= {"InstructVideo", "RWR", "the same again (A/A)"}
    assert thick["InstructVideo"][-1, 1] == pytest.approx(0.04, abs=0.01)
    assert thick["InstructVideo"][-1, 0] == pytest.approx(48 * 119.2 / 1000)


def test_the_axis_of_cost_says_what_was_counted(folder: Path) -> None:
    """Older plans have no cost of a scored frame."""
    result = json.loads((folder / "fig5a.json").read_text())
    for arm in result["plan"]["arms"]:
        arm["frame_passes"] = 0.45
    assert "reward included" in draw(result).axes[-1].get_xlabel()
    for arm in result["plan"]["arms"]:
        del arm["frame_passes"]
    assert "reward not included" in draw(result).axes[-1].get_xlabel()


def test_bars_are_a_forest_with_a_dot_for_each_run(folder: Path) -> None:
    figure = draw(json.loads((folder / "fig7.json").read_text()))
    assert len(figure.axes) == 2 and texts(figure.axes[0])[-4:] == [
        "SegVR and TAR", "every frame", "no attenuation", "the same again (A/A)",
    ]  # fmt: skip
    dots = [line for line in figure.axes[0].get_lines() if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in dots] == [8] * 4


def test_a_figure_is_narrow_and_its_letters_are_not(folder: Path) -> None:
    """At most 5.2 inches: on a phone of 390 points its 10-point text keeps 9 of them."""
    for name in ("fig5a", "fig7", "guards"):
        assert draw(json.loads((folder / f"{name}.json").read_text())).get_size_inches()[0] <= 5.2
    assert "data:image/svg+xml" in shown("fig7", "a forest", folder)


def test_pictures_are_written_as_vectors_and_pixels(folder: Path, tmp_path: Path) -> None:
    write_plot(tmp_path / "plot.png", json.loads((folder / "guards.json").read_text()))
    assert (tmp_path / "plot.svg").read_text().lstrip().startswith("<?xml") and (
        tmp_path / "plot.png"
    ).stat().st_size > 5000


def test_a_strip_has_numbers_under_its_frames() -> None:
    clip = np.zeros((16, 8, 8, 3))
    figure = new_figure(4, 3)
    draw_strip(figure, [("a red fox", {"untouched": clip, "step 24": clip}, {"step 24": "reward 0.62, u +1.3"})])
    assert [axis.get_title() for axis in figure.axes] == ["untouched", "step 24"]
    assert [axis.get_xlabel() for axis in figure.axes] == ["", "reward 0.62, u +1.3"]


def test_truth_stands_beside_every_reward() -> None:
    """Reward, both utilities, both readings of the subject, disagreement, artefact; choices add to one."""
    result = made_up_result({"up": RISE, "down": FALL})
    up, down = gain_rows(result)
    assert set(up["changes"]) == {
        "reward", "utility", "utility_2", "subject", "subject_2", "disagreement", "artefact",
    }  # fmt: skip
    mean, low, high = up["changes"]["reward"]
    assert low < mean < high and mean == pytest.approx(0.04, abs=0.01) and up["runs"] == 8
    assert sum(up["choices"]) == pytest.approx(1) and up["choices"][0] > up["choices"][2]
    assert down["choices"][0] < down["choices"][2]
    text, page = gain_text(result), gain_html(result)
    assert "wins / ties / losses" in text.splitlines()[0] and len(text.splitlines()) == 3
    assert page.count("<tr>") == 3 and "overflow-x" in page


def test_arms_are_compared_where_they_cost_the_same(tmp_path: Path) -> None:
    """An arm with half of the budget stands against the other's moment half way: 0.05 against 0.03, not 0.04."""
    result = made_up_result({"long": RISE, "short": {"reward": [0, 0, 0, 0.05]}}, noise=1e-5)
    result["plan"]["arms"][0]["budget"] *= 2
    for moment in result["arms"]["long"]["moments"]:
        moment["passes"] *= 2
    (tmp_path / "fig5b.json").write_text(json.dumps(result))
    page = shown_changes("fig5b", ["reward", "colour"], first="long", folder=tmp_path)
    [mean] = re.findall(r"<td>([-+.\d]+) \(", page)
    assert float(mean) == pytest.approx(0.02, abs=1e-4) and "colour" not in page, "columns that are there"
    assert "against long, at equal cost" in page and "8 runs, 95 % intervals over prompts and runs" in page
    assert "<td>48</td>" in page, "the short arm's end"
    untouched = shown_changes("fig5b", ["reward"], folder=tmp_path)
    means = [float(mean) for mean in re.findall(r"<td>([-+.\d]+) \(", untouched)]
    assert means == pytest.approx([0.03, 0.05], abs=1e-4), "all rows have cost the same"
    assert "untouched model, at equal cost" in untouched and "<td>24</td>" in untouched
    [own] = re.findall(r"its values</th><td>0</td><td>([-+.\d]+)</td>", untouched)
    values = next(iter(result["base_values"].values()))["reward"]
    assert own == f"{np.mean(values):.3f}", "and what they are changes of comes first"
    with pytest.raises(InputError, match="no arm 'third'"):
        shown_changes("fig5b", ["reward"], arms=["third"], folder=tmp_path)
    assert "ivtutorial experiment fig5c" in shown_changes("fig5c", ["reward"], folder=tmp_path)


def test_bars_stand_where_the_arms_cost_the_same() -> None:
    """The arm with twice the budget is drawn half way, 0.03, each run's dot against the run's own prompts. On a list
    that was measured at the ends alone it is drawn there, 0.04, and its label says what it cost."""
    result = made_up_result({"long": RISE, "short": {"reward": [0, 0, 0, 0.05]}}, noise=1e-5, kind="bars")
    result["plan"]["arms"][0]["budget"] *= 2
    for content in (
        result["base"],
        result["base_values"],
        *(arm[k] for arm in result["arms"].values() for k in ("final", "by_run")),
    ):
        content["things-20"] = content["in_domain-20"]
    result["own_prompts"].append("things-20")
    axis = draw(result).axes[0]
    assert texts(axis)[-4:] == [
        "long\nknown animals, 20 steps", "long, 2 times the cost\nthings, 20 steps",
        "short\nknown animals, 20 steps", "short\nthings, 20 steps",
    ]  # fmt: skip
    dots = [line.get_xdata() for line in axis.get_lines() if line.get_marker() == "."]
    for values, gain in zip(dots, (0.03, 0.04, 0.05, 0.05), strict=True):
        assert np.allclose(values, gain, atol=1e-4)


def test_a_table_of_ends_says_that_costs_differ(tmp_path: Path) -> None:
    result = made_up_result({"long": RISE, "short": RISE}, shares=(1.0,))
    result["plan"]["arms"][0]["budget"] *= 3
    (tmp_path / "fig5b.json").write_text(json.dumps(result))
    page = shown_changes("fig5b", ["reward"], first="long", folder=tmp_path)
    assert "against long at the end, where costs differ by up to 3 times" in page


def test_numbers_of_a_column_have_the_same_decimals(tmp_path: Path) -> None:
    """As many as the widest interval bears, of a reward three; a zero has no sign, and what never moves has two."""
    arms = {"wide": {"flicker": [0, 0, 0, 0.2]}, "still": {"reward": [0.0] * 4}}
    result = made_up_result(arms, noise=0.02)
    for arm in ("wide", "still"):
        result["arms"][arm]["by_run"]["in_domain-20"]["subject"] = result["base_values"]["in_domain-20"]["subject"]
    (tmp_path / "fig5b.json").write_text(json.dumps(result))
    page = shown_changes("fig5b", ["reward", "flicker", "subject"], folder=tmp_path)
    rows = [re.findall(r"<td>([^<]+)</td>", row)[1:] for row in page.split("<tr>")[2:]]
    assert len(rows) == 3
    for column in zip(*rows):
        assert len({len(number.partition(".")[2]) for cell in column for number in re.findall(r"\d+\.\d+", cell)}) == 1
    assert [row[2] for row in rows[1:]] == ["0.00 (0.00, 0.00)"] * 2


def test_runs_that_decide_nothing_are_told_from_others() -> None:
    six, five = (made_up_result({"a": RISE}, runs=runs) for runs in (6, 5))
    assert undecided_words(six) == "" == undecided_words(None)
    assert undecided_words(five) == "Too few runs to decide anything" == undecided_words({**six, "quick": True})
    del five["arms"]["a"]["by_run"]
    assert undecided_words(five) == "Older runs, which decide nothing"


def test_a_bound_that_is_not_zero_has_a_tick(tmp_path: Path) -> None:
    """Each verdict has a colour and a mark of its own, and a panel says what its numbers are."""
    vivid = {"sharpness": [0.1, 0.2, 0.3, 0.4], "colourfulness": [0.1, 0.2, 0.3, 0.4], "utility": [-1, -2, -3, -4]}
    result = made_up_result({"reduced": RISE, "vivid": vivid}, "figA7")
    (tmp_path / "figA7.json").write_text(json.dumps(result))
    *_, utility = claim_figure(8, tmp_path).axes
    assert -0.1 in utility.get_xticks().tolist() and utility.get_title(loc="left") == "truth: utility u"
    marks = [line.get_marker() for line in utility.get_lines() if line.get_marker() in "osD"]
    assert marks == ["s"], "not reproduced"
    (tmp_path / "fig8.json").write_text(json.dumps(made_up_result({"instructvideo": vivid}, "fig8")))
    assert claim_figure(5, tmp_path).axes[0].get_title(loc="left") == "sharpness: slope, change per run"


def test_what_intervals_hold_for_is_said_below_them() -> None:
    single, few = (made_up_result({"a": RISE}, runs=runs) for runs in (1, 3))
    assert "a single run" in runs_words(single) and "decide nothing" in runs_words(few)
    del few["arms"]["a"]["by_run"]
    assert "averages of 3 runs" in runs_words(few) and "over prompts only" in runs_words(few)
    assert runs_words({**few, "quick": True}).startswith("quick version")


def test_a_claim_without_intervals_is_answered_in_words(tmp_path: Path) -> None:
    result = made_up_result({"plain": RISE}, "fig7")
    del result["arms"]["plain"]["by_run"]
    (tmp_path / "fig7.json").write_text(json.dumps(result))
    page = shown_answers(4, "a forest", tmp_path)
    assert "<b>not yet measured</b>. A verdict needs 6 runs" in page and page.count("<li>") == 2


def test_the_cost_axis_says_whether_decoding_is_counted() -> None:
    """Older results have prices of the UNet alone."""
    result = made_up_result({"a": RISE})
    for words in ("reward not included", "reward included"):
        figure = new_figure(4, 3)
        draw_curves(figure, result, ["reward"])
        assert figure.axes[-1].get_xlabel().endswith(f"decoding and {words}")
        result["plan"]["arms"][0]["frame_passes"] = 0.45


def test_columns_that_were_not_measured_are_left_out() -> None:
    """A single run has no interval, and results without a judge no utility."""
    result = made_up_result({"up": RISE}, runs=1, own=False, noise=0.0)
    for column in ("utility", "utility_2"):
        del result["arms"]["up"]["by_run"]["in_domain-20"][column]
    [row] = gain_rows(result)
    assert row["choices"] is None and "utility" not in row["changes"]
    assert row["changes"]["reward"][1:] == (None, None) and "+0.0400" in gain_text(result)


def test_an_empty_forest_has_a_note() -> None:
    figure = new_figure(3, 1)
    draw_forest(figure, [])
    assert [text.get_text() for text in figure.texts] == ["Nothing was measured yet."]


def test_lines_have_no_markers_of_the_books_style() -> None:
    """A bound and the bar of 90 % are lines; in a chapter every line would get the next marker of the style."""
    import matplotlib

    with matplotlib.rc_context():
        use_style()
        figure = new_figure(4, 3)
        row = Row("one", 0.1, 0.0, 0.2, thick=(0.05, 0.15), margin=0.1)
        draw_forest(figure, [("reward", [row, row])])
    marks = [line.get_marker() for line in figure.axes[0].get_lines()]
    assert [mark for mark in marks if mark in ("o", "s", "^", "D", "v")] == ["o", "o"], "the two means"


def test_labels_of_a_forest_do_not_overlap() -> None:
    """A label of many lines makes its row higher."""
    figure = new_figure(5.2, 5.0)
    long, short = "\n".join(["a line of a question"] * 7), "short"
    draw_forest(figure, [("reward", [Row(label, 0.1, 0.0, 0.2) for label in (long, long, short, short)])])
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(above.y0 > below.y1 for above, below in zip(boxes, boxes[1:]))
