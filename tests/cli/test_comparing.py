"""`ivtutorial compare`: what it compares, what it leaves out and names, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ivtutorial.cli import app
from ivtutorial.errors import InputError

SETTINGS: dict[str, Any] = {"reward": "reduced", "S": 4, "D": 20, "judge": "one"}


def stored(folder: Path, settings: dict[str, Any], **columns: float) -> Path:
    rows = [
        {"index": k, "prompt": f"prompt {k}", "seed": 0, "clip": "", "reward": 0.1 * k, **columns} for k in range(3)
    ]
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({"settings": settings, "rows": rows}))
    return folder


def compared(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_columns_that_one_folder_lacks_are_named_with_the_folder_that_has_them(tmp_path: Path) -> None:
    before = stored(tmp_path / "before", SETTINGS, utility=2.0, flow=1.0)
    after = stored(tmp_path / "after", SETTINGS, quality=1.0, flow=1.0)
    text = compared(before, after)
    assert f"not compared, since only {before} has it: utility\n" in text
    assert f"not compared, since only {after} has it: quality\n" in text
    content = json.loads(compared(before, after, "--json"))
    assert list(content["columns"]) == ["reward", "flow"] and content["notes"] == []
    assert (content["only_before"], content["only_after"]) == (["utility"], ["quality"])


def test_a_judge_that_is_not_recorded_is_a_line_of_the_output(tmp_path: Path) -> None:
    old = stored(tmp_path / "old", {name: value for name, value in SETTINGS.items() if name != "judge"})
    new = stored(tmp_path / "new", SETTINGS)
    assert "The evaluation before does not record its judge" in compared(old, new)
    assert "record" not in compared(new, new)


def test_an_evaluation_that_does_not_say_its_reward_is_refused(tmp_path: Path) -> None:
    whole = stored(tmp_path / "whole", SETTINGS)
    without = stored(tmp_path / "without", {name: value for name, value in SETTINGS.items() if name != "reward"})
    with pytest.raises(InputError, match=r"differ in reward \(reduced before, not recorded after\)"):
        compared(whole, without)
    assert "reward" in compared(whole, without, "--differing", "reward")
