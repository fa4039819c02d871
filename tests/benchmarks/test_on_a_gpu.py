"""The script that measures a GPU, rehearsed on a CPU: its order, its budget, and rows that fail."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ivtutorial.errors import InputError

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
    monkeypatch.setattr(script, "rows", lambda machine: {name: script.Row(row) for name, row in given.items()})
    result = script.measure(script.Machine("cpu"), out, 1)
    shown = [{key: value for key, value in row.items() if key != "spent"} for row in result]
    assert shown == [
        {"name": "wrong", "failed": "ValueError: x"},
        {"name": "full", "out_of_memory": True},
        {"name": "good", "seconds": 0.33333},
    ]
    assert seen == ["wrong", "full"]
    assert json.loads(out.read_text())["rows"] == result


def test_no_row_begins_that_would_end_too_late(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two minutes. The models take 30 s, which says nothing of other rows, and a step 40 s. Then 50 s are left: too few
    for two steps in turn, enough for one, and after that 10 s for half a one."""
    now = 0.0

    def lasting(seconds: float) -> Any:
        def row() -> dict[str, Any]:
            nonlocal now
            now += seconds
            return {}

        return row

    given = {
        "models": script.Row(lasting(30), 0),
        "step": script.Row(lasting(40)),
        "in turn": script.Row(lasting(80), 2),
        "again": script.Row(lasting(40)),
        "half": script.Row(lasting(20), 0.5),
    }
    monkeypatch.setattr(script.time, "monotonic", lambda: now)
    monkeypatch.setattr(script, "rows", lambda machine: given)
    result = {row["name"]: row.get("skipped") for row in script.measure(script.Machine("cpu"), tmp_path / "a.json", 2)}
    assert result == {
        "models": None,
        "step": None,
        "in turn": "50 s are left, and it takes some 80 s",
        "again": None,
        "half": "10 s are left, and it takes some 20 s",
    }


def test_a_card_without_bf16_skips_the_rows_that_need_it(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And measures the presets that are made for it."""
    asked: list[str] = []

    def refuse(precision: str, device: torch.device) -> None:
        asked.append(precision)
        if precision == "bf16":
            raise InputError("an old card has no bf16")

    monkeypatch.setattr(importlib.import_module("gpu_rows"), "check_bf16", refuse)
    names = ["a step against the CPU, bf16", "peak", "preset h100", "Wan", "batch 4", "channels last"]
    rows = script.measure(script.tiny(), tmp_path / "rows.json", 10, names)
    assert len(rows) == len(names) and set(asked) == {"bf16"}
    assert [row.get("skipped") for row in rows] == ["an old card has no bf16"] * len(names)


def test_a_change_is_there_in_its_turn_and_gone_after_it(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of the UNet have their channels last in the changed runs alone; ratios are changed over plain."""
    steps, machine = importlib.import_module("gpu_steps"), script.tiny()
    machine.turns = 2
    weight = machine.models(8)[0].unet.conv_in.weight

    def timed(*_: Any, **__: Any) -> dict[str, Any]:
        changed = weight.is_contiguous(memory_format=torch.channels_last)
        return {"seconds": 1.0 if changed else 2.0, "peak_gib": 3.0}

    monkeypatch.setattr(steps, "timed", timed)
    row = steps.variant(machine, "a100", steps.channels_last)
    assert row == {
        "changed_seconds": 1.0, "changed_peak_gib": 3.0, "plain_seconds": 2.0, "plain_peak_gib": 3.0,
        "seconds_ratio": 0.5, "peak_gib_ratio": 1.0,
    }  # fmt: skip
    assert weight.is_contiguous() and not weight.is_contiguous(memory_format=torch.channels_last)


def test_rows_come_in_the_order_of_their_worth_and_what_compiles_last(script: Any) -> None:
    """Whether it is right, then how long a step is, what a setting costs, and what would make it faster."""
    names, settings = list(script.rows(script.Machine())), list(script.settings(script.Machine()))
    correct = [name for name in names if name.startswith(("a step against", "continued", "a long run"))]
    assert names[: len(correct)] == correct and len(correct) == 6
    begin = names.index("two-phase")
    assert names.index("preset t4") < names.index("ours and the authors' way in turn") < begin
    assert names[begin : begin + len(settings)] == settings and "Direct-Align" in settings
    assert names[begin + len(settings) :] == [
        "attention by kernel", "convolutions by form", "attention without cuDNN", "channels last", "CUDA graphs",
        "preset a100, compiled",
    ]  # fmt: skip
    assert list(script.rows(script.tiny())) == names, "a rehearsal leaves none out"


def test_rows_that_compile_ask_for_it_once_a_run_and_leave_nothing_compiled(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a card with the row's own settings of torch.compile, in a rehearsal with the machine's."""
    steps, machine, asked, seen = importlib.import_module("gpu_steps"), script.tiny(), [], []
    unet = machine.models(8)[0].unet

    def timed(*_: Any, **__: Any) -> dict[str, Any]:
        seen.append(unet._compiled_call_impl is not None)
        return {"seconds": 1.0}

    monkeypatch.setattr(torch, "compile", lambda call, **settings: asked.append(settings) or call)
    monkeypatch.setattr(steps, "timed", timed)
    monkeypatch.setattr(steps, "of_preset", lambda *_, compile: unet.compile() or {"compiled": compile})
    for one in (machine, replace(machine, compiler={}, turns=2)):
        steps.variant(one, "a100", steps.cuda_graphs)
        assert steps.compiled(one, "a100") == {"compiled": True}
        unet._compiled_call_impl = None
    assert asked == [{"backend": "eager"}] * 2 + [{"mode": "reduce-overhead"}] * 2 + [{}]
    assert seen == [True, False] * 3


def test_the_rehearsal_measures_every_row(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `python benchmarks/on_a_gpu.py --rehearse` does: everything, tiny, on a CPU."""
    names, out, threads = list(script.rows(script.tiny())), tmp_path / "rows.json", torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["on_a_gpu.py", "--rehearse", "--minutes", "60", "--out", str(out)])
    try:
        script.main()
    finally:
        torch.set_num_threads(threads)
    kept = json.loads(out.read_text())
    result = kept["rows"]
    rows = {row["name"]: row for row in result}
    assert list(rows) == names and len(rows) >= 34
    assert [row for row in result if {"failed", "skipped", "out_of_memory"} & row.keys()] == []
    assert rows["a step against the CPU, fp32"]["distance"] < 1e-4
    assert rows["a step against the CPU, bf16"]["cosine"] > 0.98
    runs = [rows[f"continued, {how}"] for how in ("fp32", "fp16", "fp16, deterministic")]
    assert all(row["same"] == row["of"] > 0 for row in runs)
    assert rows["preset 8gb"]["clips"] == 1 and rows["preset 8gb"]["clip_seconds"] > 0
    times = [row for row in rows["attention by kernel"].values() if isinstance(row, dict)]
    assert len(times) == 5 and all(min(row["torch's choice"]) > 0 for row in times)
    assert all(rows[name]["seconds_ratio"] > 0 for name in ("channels last", "CUDA graphs"))
    assert rows["preset a100, compiled"]["clips"] == 2, "as wide as a rehearsal is"
    assert kept["settings"]["device"] == "cpu" and {"date", "hardware", "versions"} <= kept.keys()
    from tests.book.test_benchmark_tables import tables

    page = "\n".join(tables.gpu_lines(kept))
    assert [name for name in names if page.count(f"| {name} |") + page.count(f"- {name}: ") != 1] == []
