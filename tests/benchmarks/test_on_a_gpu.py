"""The script that measures a GPU, rehearsed on a CPU: its order, its budget, and rows that fail."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("on_a_gpu")


def raising(error: Exception) -> Any:
    def row() -> dict[str, Any]:
        raise error

    return row


def test_a_row_that_fails_ends_no_run_and_the_file_grows_row_by_row(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, seen = tmp_path / "rows.json", []

    def look() -> dict[str, Any]:
        seen.extend(row["name"] for row in json.loads(out.read_text())["rows"])
        return {"seconds": 1 / 3}

    given = {"wrong": raising(ValueError("x")), "full": raising(torch.OutOfMemoryError("y")), "good": look}
    monkeypatch.setattr(script, "rows", lambda machine: given)
    result = script.measure(script.Machine("cpu"), out, 1)
    shown = [{key: value for key, value in row.items() if key != "spent"} for row in result]
    assert shown == [
        {"name": "wrong", "failed": "ValueError: x"},
        {"name": "full", "out_of_memory": True},
        {"name": "good", "seconds": 0.33333},
    ]
    assert seen == ["wrong", "full"]
    assert json.loads(out.read_text())["rows"] == result


def test_no_row_begins_that_might_end_too_late(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 40 s each and two minutes: after two of them 40 s are left, and the third would need them all."""
    now = 0.0

    def slow() -> dict[str, Any]:
        nonlocal now
        now += 40
        return {}

    monkeypatch.setattr(script.time, "monotonic", lambda: now)
    monkeypatch.setattr(script, "rows", lambda machine: dict.fromkeys("abc", slow))
    result = script.measure(script.Machine("cpu"), tmp_path / "rows.json", 2)
    assert [row.get("skipped") for row in result] == [None, None, "40 s left of 2 minutes"]


def test_rows_of_every_kind_run_tiny_on_a_cpu(script: Any, tmp_path: Path) -> None:
    """One of each kind of row; `python benchmarks/on_a_gpu.py --rehearse` runs all of them."""
    machine = script.Machine("cpu", divide=8, shallow=True, frames=8, side=8, steps=2, long=2)
    assert [*script.rows(machine)][:3] == [f"a step against the CPU, {p}" for p in ("fp32", "bf16")] + [
        "continued, fp32"
    ]
    only = ["a step against the CPU, fp32", "peak", "preset 8gb", "Direct-Align"]
    rows = {row["name"]: row for row in script.measure(machine, tmp_path / "rows.json", 10, only)}
    assert len(rows) == 4 and not any("failed" in row for row in rows.values()), rows
    assert rows["a step against the CPU, fp32"]["distance"] < 1e-4
    assert rows["preset 8gb"]["clips"] == 1 and rows["preset 8gb"]["clip_seconds"] > 0
    kept = json.loads((tmp_path / "rows.json").read_text())
    assert kept["settings"]["device"] == "cpu" and {"date", "hardware", "versions"} <= kept.keys()
