"""An evaluation.json that was cut, edited or is of another program is refused in one line that names the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import compare
from ivtutorial.evaluation.table import Evaluation

ROW: dict[str, Any] = {"index": 0, "prompt": "a fox", "seed": 0, "clip": "", "reward": 0.5}
LONG = 10**400


def stored(folder: Path, content: Any) -> Path:
    (folder / "evaluation.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def second_row(**changed: Any) -> dict[str, Any]:
    """Two rows, the second one changed; what is `...` is left out."""
    row = {name: value for name, value in {**ROW, "index": 1, **changed}.items() if value is not ...}
    return {"settings": {}, "rows": [ROW, row]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Expecting value"),
        ([], "expected an object with settings and rows"),
        ({"settings": [], "rows": "x"}, "expected an object with settings and rows"),
        ({"rows": [ROW]}, "expected an object with settings and rows"),
        ({"settings": {}, "rows": "x"}, "expected one row or more"),
        ({"settings": {}, "rows": []}, "expected one row or more"),
        ({"settings": {}, "rows": [{"index": 0}]}, "row 1 of 1: prompt is missing, expected text"),
        ({"settings": {}, "rows": [ROW, "x"]}, "row 2 of 2: expected an object"),
        (second_row(seed="0"), 'row 2 of 2: seed is "0", expected a whole number'),
        (second_row(seed=True), "row 2 of 2: seed is true, expected a whole number"),
        (second_row(prompt=["a fox"]), "row 2 of 2: prompt is .*, expected text"),
        (second_row(reward=...), "row 2 of 2: no column 'reward'"),
        (second_row(motion=1.0), "row 2 of 2: a column 'motion' that row 1 lacks"),
        (second_row(reward=None), "row 2 of 2: reward is null, expected a finite number"),
        (second_row(reward="high"), 'row 2 of 2: reward is "high", expected a finite number'),
        (second_row(reward=float("nan")), "row 2 of 2: reward is NaN, expected a finite number"),
        (second_row(reward=LONG), "row 2 of 2: reward is 1000.*, expected a finite number"),
        (second_row(index=0), "row 2 of 2: the same prompt and seed as row 1"),
        ({"settings": {}, "rows": [{**ROW, "motion": [1.0]}]}, r"row 1 of 1: motion is \[1.0\], expected a finite"),
        ({"settings": {}, "rows": [{k: v for k, v in ROW.items() if k != "reward"}]}, "row 1 of 1: no column 'reward'"),
    ],
)
def test_a_row_that_is_not_one_of_evaluate(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"no readable evaluation at .*evaluation\.json \({message}") as error:
        compare(stored(tmp_path, content), tmp_path)
    assert str(error.value).endswith("Give a folder that evaluate wrote.") and "\n" not in str(error.value)


def test_what_evaluate_saves_is_read_back(tmp_path: Path) -> None:
    rows = [{**ROW, "index": k, "subject": float(k), "flow": 0} for k in range(3)]
    Evaluation(rows, {"D": 20}).save(tmp_path)
    again = Evaluation.load(tmp_path)
    assert (again.rows, again.settings) == (rows, {"D": 20})
