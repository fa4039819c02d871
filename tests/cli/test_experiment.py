"""The folder of results: read for runs to take over, and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import ivtutorial.lab.experiments.runner as runner
from ivtutorial.cli import app
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
