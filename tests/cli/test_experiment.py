"""The folder of results: read for runs to take over, and written without losing any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import ivtutorial.lab.experiments.runner as runner
import ivtutorial.lab.experiments.whole_plan as whole_plan
from ivtutorial.cli import app
from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.gains import gain_text
from tests.lab.experiments.made_up import made_up_result


@pytest.mark.parametrize(("ending", "stale"), [("svg", "png"), ("png", "svg")])
def test_results_are_read_and_replaced(
    ending: str, stale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture of the new result takes the place of the old one, in whichever format that was."""
    result = made_up_result({"instructvideo": {"reward": (0.01, 0.02, 0.03, 0.04)}})
    read = []

    def run_experiment(plan: Any, out: Path, *args: Any, results: Path | None, **kwargs: Any) -> dict[str, Any]:
        read.append(results)
        folder = out / plan.name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")
        (folder / f"plot.{ending}").write_text("new")
        return result

    monkeypatch.setattr(runner, "run_experiment", run_experiment)
    results = tmp_path / "results"
    results.mkdir()
    (results / f"fig8.{stale}").write_text("old")
    told = CliRunner().invoke(
        app, ["experiment", "fig8", "--out", str(tmp_path / "out"), "--results", str(results), "--processes", "1"]
    )
    assert told.exit_code == 0, told.output
    assert read == [results] and gain_text(result) in told.output
    assert {path.name: path.read_text() for path in results.iterdir()} == {"fig8.json": "{}", f"fig8.{ending}": "new"}


ARMS = {"instructvideo": {"reward": (0.01, 0.02, 0.03, 0.04)}}
TEN, SIX = (made_up_result(ARMS, runs=runs) | {"precision": "bf16"} for runs in (10, 6))
AVERAGES = SIX | {"arms": {"instructvideo": {"values": {}}}}


@pytest.mark.parametrize("name", ["fig8", "all"])
@pytest.mark.parametrize(
    ("stored", "new", "stays"),
    [(TEN, SIX, True), (TEN, SIX | {"precision": "fp32"}, True), (TEN, TEN, False), (SIX, TEN, False),
     (AVERAGES, SIX, False), (TEN, {**TEN, "arms": {}}, True)],
)  # fmt: skip
def test_a_stored_result_with_more_runs_stays(
    name: str, stored: Any, new: Any, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether one experiment or the whole plan is run: no run is lost for want of time, of arms or of a precision."""

    def run_experiment(plan: Any, out: Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        folder = out / "fig8"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(json.dumps(new))
        (folder / "plot.png").write_text("new")
        return dict(new if name == "fig8" or plan.name == "fig8" else {})  # nothing is done of the other experiments

    for module in (runner, whole_plan):
        monkeypatch.setattr(module, "run_experiment", run_experiment)
    results = tmp_path / "results"
    results.mkdir()
    (results / "fig8.json").write_text(json.dumps(stored))
    (results / "fig8.png").write_text("old")
    command = ["experiment", name, "--out", str(tmp_path / "out"), "--results", str(results), "--processes", "1"]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert json.loads((results / "fig8.json").read_text()) == (stored if stays else new)
    assert (results / "fig8.png").read_text() == ("old" if stays else "new")
    assert ("was not replaced" in told.output) == stays == ("instructvideo 10, now " in told.output)
    assert ("--precision bf16 reuses its runs" in told.output) == (new["precision"] == "fp32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["fig8", "--hours", "0"], "--hours 0: expected a positive number"),
        (["fig8", "--hours", "nan"], "--hours nan: expected a positive number"),
        (["all", "--quick"], "--quick works with one experiment"),
    ],
)
def test_hours_and_quick_that_cannot_be_meant_are_refused(tmp_path: Path, options: list[str], message: str) -> None:
    """nan hours would never end; the whole plan has no quick form."""
    told = CliRunner().invoke(app, ["experiment", *options, "--out", str(tmp_path / "out")])
    assert isinstance(told.exception, InputError) and message in str(told.exception)
    assert not (tmp_path / "out").exists()
