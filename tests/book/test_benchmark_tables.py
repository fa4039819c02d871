"""The page of measurements shows what is in the files, and what is missing from them."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_extensions"))

import benchmark_tables as tables  # noqa: E402

PAGE = (ROOT / "book" / "benchmarks.md").read_text(encoding="utf-8")

ROWS = [{"name": "base", "seconds": 2.0, "relative": 1.0, "step_mb": 1234.5, "peak_mb": 20}]
MEASURED = {"rows": ROWS, "hardware": "A processor, 2 cores", "date": "2026-01-01", "seed": 0, "load_at_start": 0.1}


def test_what_was_measured_is_shown_and_nothing_else():
    result = tables.lines("bench_step", {"cpu": {**MEASURED, "comparisons": {"a / b": 0.6}}, "gpu": None})
    assert "A processor, 2 cores, 2026-01-01, seed 0, load of the machine at the start 0.1." in result[0]
    assert "| base | 2 |  | 1 | 1,234 | 20 |" in result and "- a / b: 0.6" in result
    assert not any("GPU" in line for line in result), "no table, and no line about one"


def test_without_a_file_nothing_is_shown():
    assert tables.lines("bench_load", {}) == []


def test_what_has_no_value_has_no_number():
    rows = [{"name": "import", "seconds": 2.0, "step_mb": 3.0}]
    assert "| import | 2 | 3 |  |" in tables.lines("bench_load", {"cpu": {**MEASURED, "rows": rows}})


def test_a_row_that_ran_out_of_memory_is_marked():
    rows = [*ROWS, {"name": "large", "out_of_memory": True}]
    result = tables.lines("bench_step", {"cpu": None, "gpu": {**MEASURED, "rows": rows}})
    assert f"| large {'| out of memory ' * 5}|" in result


def test_the_kind_of_work_is_a_column_where_there_are_two():
    rows = [{"name": "ours", "work": "forward", "batch": 8, "ms": 2.0}]
    one = tables.lines("bench_unet", {"cpu": {**MEASURED, "rows": rows}})
    two = tables.lines("bench_unet", {"cpu": {**MEASURED, "rows": [*rows, {**rows[0], "work": "step"}]}})
    assert "| ours | 8 | 2 |  |  |" in one and "| ours | step | 8 | 2 |  |  |" in two


def test_a_bound_has_digits_that_count_and_a_whole_run_is_hours_or_days():
    bounds = {"floor": 36.0, "compute": 0.0864}
    row = {"name": "preset t4", "precision": "fp16", "clips": 2, "tflop": 1.0, "gbyte": 8307.2, "peak_gib": 7.4}
    row["cards"] = {"T4": bounds}
    table = {"rows": [row], "clips": [], "date": "", "versions": {"torch": ""}}
    table["cards"] = {"T4": {"gib": 15, "bf16": False}}
    assert tables.counted_lines(table)[-2].endswith("| 1 | 8,307 | 7.4 | 36.0 s (0.086) |")
    assert tables.run_lines(table)[-2] == "| T4, 15 GiB | `t4` | 7.4 GiB | 36.0 s | 2.0 h | 8.3 days |"


def test_what_a_gpu_measured_is_shown_row_by_row_and_nothing_before():
    pair = {"cuDNN": None, "flash": [0.5, 1.25]}
    rows = [
        {"name": "continued, fp16", "same": 528, "of": 528, "spent": 9.0},
        {"name": "a long run", "steps": 200, "losses": [-0.2, -0.25], "spent": 9.0},
        {"name": "preset t4", "clips": 1, "seconds": 1.5, "clip_seconds": 1.5, "peak_gib": 5.9, "of_peak": 0.4},
        {"name": "channels last", "changed_seconds": 0.9, "plain_seconds": 1.0, "seconds_ratio": 0.9},
        {"name": "attention by kernel", "caption": pair, "spent": 1.0},
        {"name": "batch 8", "out_of_memory": True},
        {"name": "S 8", "skipped": "5 s are left, and it takes some 9 s"},
    ]
    assert tables.gpu_lines({}) == []
    result = tables.gpu_lines({**MEASURED, "rows": rows})
    assert result[0].startswith("**Measured.** A processor, 2 cores, 2026-01-01")
    assert "- continued, fp16: same 528, of 528" in result and "- a long run: steps 200, losses -0.2 to -0.25" in result
    assert "| preset t4 | 1 | 1.5 | 1.5 | 5.9 |  | 0.4 |" in result
    assert "| channels last | changed 0.9, plain 1 | 0.9 |" in result
    assert "| caption | cuDNN not there; flash 0.5, 1.25 |" in result
    assert "- batch 8: not measured, out of memory" in result
    assert "- S 8: not measured, 5 s are left, and it takes some 9 s" in result


@pytest.mark.parametrize("name", tables.COLUMNS)
def test_the_page_shows_each_script_with_its_columns_and_a_command_that_it_understands(name: str):
    source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    assigned = {ast.unparse(n.targets[0]): n.value for n in ast.parse(source).body if isinstance(n, ast.Assign)}
    assert list(ast.literal_eval(assigned["COLUMNS"])) == list(tables.COLUMNS[name])
    assert f"```{{benchmark}} {name}\n```" in PAGE
    commands = re.findall(rf"^python benchmarks/{name}\.py(.*)$", PAGE.replace("\\\n", ""), re.MULTILINE)
    devices = {"--device cuda" in command for command in commands}
    assert devices == ({False, True} if '"--device"' in source else {False}), "one for each device that it measures"
    for option in re.findall(r"--[\w-]+", " ".join(commands)):
        assert f'"{option}"' in source, option
