"""Sphinx extension: the directive `benchmark`, the tables that a script of `benchmarks/` measured, one for each device.

The numbers are those of data/results/NAME.json. A device that was never measured has no table, and what has no value
no number.
`benchmark count_step`, `count_wan` and `count_cogvideox` show what was counted without a GPU, `whole_runs` what that
makes for whole runs, and `on_a_gpu` what a GPU measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_parts import MadeLines

from ivtutorial.training.presets import DIT_PRESETS, preset_for

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results"
DEVICES = {"cpu": "On a CPU", "gpu": "On a GPU"}
COLUMNS = {
    "bench_step": {
        "name": "setting", "seconds": "seconds", "spread": "range, s", "relative": "relative",
        "step_mb": "MiB for the step", "peak_mb": "MiB in all",
    },
    "bench_load": {"name": "what", "seconds": "seconds", "step_mb": "MiB", "parameters": "parameters"},
    "bench_data": {"name": "part", "clips_per_second": "clips a second", "seconds": "seconds", "step_mb": "MiB"},
    "bench_unet": {
        "name": "blocks, precision", "work": "work", "batch": "clips at once", "ms": "ms per clip",
        "relative": "speed-up", "difference": "difference",
    },
    "bench_finetune": {
        "name": "blocks, precision", "seconds": "seconds a step", "spread": "range, s", "loss": "loss",
        "grad_norm": "gradient norm",
    },
}  # fmt: skip


def cell(value: Any) -> str:
    """A value for a reader: three digits that count, or what is missing."""
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def lines(name: str, tables: dict[str, Any]) -> list[str]:
    """Both tables in Markdown.

    Args:
        name: of the script, such as "bench_step".
        tables: what its file holds: "cpu" and "gpu", each a table or None.

    Returns:
        Lines; above each table where its numbers come from, below it the comparisons.
    """
    result: list[str] = []
    for device, title in DEVICES.items():
        table = tables.get(device)
        if table is None:
            continue
        columns = _told(COLUMNS[name], table["rows"])
        result += [f"**{title}.** {_source(table)}", ""]
        result += [f"| {' | '.join(columns.values())} |", f"|{'---|' * len(columns)}"]
        result += [f"| {' | '.join(_cells(row, columns))} |" for row in table["rows"]] + [""]
        result += [f"- {what}: {cell(ratio)}" for what, ratio in table.get("comparisons", {}).items()] + [""]
    return result


def counted_lines(table: dict[str, Any]) -> list[str]:
    """The counted table in Markdown: a row for each setting, a column for each card.

    Args:
        table: what count_step.json holds.
    """
    cards, sizes = list(table["cards"]), _sizes(table["cards"])
    head = ["setting", "clips at once", "TFLOP", "GB moved", "GiB at the peak", *sizes]
    result = _counted_head(table, head)
    for row in [*table["rows"], *table["clips"]]:
        bounds = [_bounds(row["cards"][card]) for card in cards]
        name = f"{row['name']}, {row['precision']}"
        numbers = [str(row["clips"]), f"{row['tflop']:,.0f}", f"{row['gbyte']:,.0f}", f"{row['peak_gib']:.1f}"]
        result.append(f"| {' | '.join([name, *numbers, *bounds])} |")
    return [*result, ""]


def counted_clip_lines(table: dict[str, Any], cards: dict[str, Any]) -> list[str]:
    """The counted table in Markdown: a row for each size of a clip and each setting, a column for each card.

    Args:
        table: what count_wan.json holds.
        cards: the data sheets, as count_step.json holds them.
    """
    head = ["frames", "pixels", "setting", "precision", "clips at once", "TFLOP", "GiB at the peak"]
    result = _counted_head(table, [*head, *_sizes(cards)])
    for row in table["rows"]:
        pixels = f"{row['height']}\u00a0x\u00a0{row['width']}"  # on one line
        clip = [str(row["frames"]), pixels, row["name"], row["precision"], str(row["clips"])]
        numbers = [f"{row['tflop']:,.0f}", f"{row['peak_gib']:.1f}"]
        result.append(f"| {' | '.join([*clip, *numbers, *(_arithmetic(row, sheet) for sheet in cards.values())])} |")
    return [*result, ""]


def run_lines(table: dict[str, Any]) -> list[str]:
    """Whole runs in Markdown: for each card the preset that it gets, and at least how long 200 and 20,000 steps take.

    Args:
        table: what count_step.json holds.
    """
    rows = {row["name"]: row for row in table["rows"]}
    result = _counted_head(table, ["card", "preset", "memory at the peak", "a step", "200 steps", "20,000 steps"])
    for card, sheet in table["cards"].items():
        name = preset_for(sheet["gib"], sheet["bf16"])
        row = rows[f"preset {name}"]
        seconds = row["cards"][card]["floor"]
        times = [_seconds(seconds), f"{200 * seconds / 3600:.1f} h", f"{20_000 * seconds / 86_400:.1f} days"]
        cells = [f"{card}, {sheet['gib']} GiB", f"`{name}`", f"{row['peak_gib']:.1f} GiB", *times]
        result.append(f"| {' | '.join(cells)} |")
    return [*result, ""]


def gpu_lines(table: dict[str, Any]) -> list[str]:
    """What a GPU measured, in Markdown: checks, steps, two ways in turn, single operations, and what is missing.

    Args:
        table: what on_a_gpu.json holds; empty where nothing was measured.
    """
    rows = [row for row in table.get("rows", []) if not MISSING & row.keys()]
    missing = [row for row in table.get("rows", []) if MISSING & row.keys()]
    steps = [row for row in rows if "clip_seconds" in row]
    turns = [row for row in rows if "seconds_ratio" in row]
    forms = [row for row in rows if any(isinstance(value, dict) for value in row.values())]
    result = [f"**Measured.** {_source({'seed': 0, **table})}", ""] if rows else []
    result += [f"- {row['name']}: {_numbers(row)}" for row in rows if row not in (*steps, *turns, *forms)] + [""]
    if steps:
        result += [f"| {' | '.join(STEP.values())} |", f"|{'---|' * len(STEP)}"]
        result += [f"| {' | '.join(_cells(row, STEP))} |" for row in steps] + [""]
    if turns:
        result += ["| two ways in turn | seconds of each | ratio |", "|---|---|---|"]
        result += [f"| {row['name']} | {_each(row)} | {cell(row['seconds_ratio'])} |" for row in turns] + [""]
    for row in forms:
        result += [f"| {row['name']} | ms forward, and with backward |", "|---|---|"]
        result += [f"| {what} | {_forms(times)} |" for what, times in row.items() if isinstance(times, dict)] + [""]
    result += [f"- {row['name']}: not measured, {_reason(row)}" for row in missing] + [""]
    return result if table else []


SOURCES = {
    "whole_runs": ["count_step"],
    "count_wan": ["count_wan", "count_step"],
    "count_cogvideox": ["count_cogvideox", "count_step"],
}
MISSING = {"skipped", "failed", "out_of_memory"}
STEP = {
    "name": "a step with", "clips": "clips at once", "seconds": "seconds", "clip_seconds": "seconds a clip",
    "peak_gib": "GiB at the peak", "taken_gib": "GiB taken", "of_peak": "of the card's peak",
}  # fmt: skip


def _numbers(row: dict[str, Any]) -> str:
    shown = {key: value for key, value in row.items() if key not in ("name", "spent")}
    return ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in shown.items())


def _reason(row: dict[str, Any]) -> str:
    return "out of memory" if "out_of_memory" in row else str(row.get("skipped") or row.get("failed"))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(map(_plain, value))
    return f"{value:.4g}" if isinstance(value, float) else cell(value)


def _each(row: dict[str, Any]) -> str:
    return ", ".join(f"{key.removesuffix('_seconds')} {cell(v)}" for key, v in row.items() if key.endswith("_seconds"))


def _forms(times: dict[str, Any]) -> str:
    shown = {form: "not there" if pair is None else f"{pair[0]:g}, {pair[1]:g}" for form, pair in times.items()}
    return "; ".join(f"{form} {text}" for form, text in shown.items())


COUNTED: dict[str, Callable[..., list[str]]] = {
    "count_step": counted_lines,
    "count_wan": counted_clip_lines,
    "count_cogvideox": counted_clip_lines,
    "whole_runs": run_lines,
    "on_a_gpu": gpu_lines,
}


def _counted_head(table: dict[str, Any], head: list[str]) -> list[str]:
    source = f"**Counted, not measured.** {table['date']}, PyTorch {table['versions']['torch']}."
    return [source, "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]


def _sizes(cards: dict[str, Any]) -> list[str]:
    return [f"{card} ({sheet['gib']}\u00a0GiB)" for card, sheet in cards.items()]


def _arithmetic(row: dict[str, Any], sheet: dict[str, Any]) -> str:
    """Seconds of a step's arithmetic at a card's peak; a preset's twin in fp16 has the numbers of that in bf16."""
    twin = row["name"].removeprefix("preset ").split(",")[0] + "-fp16"
    if row["peak_gib"] > sheet["gib"]:
        return "too large"
    in_fp16 = twin in DIT_PRESETS and "two phases" not in row["name"]  # which fp16 refuses
    if row["precision"] == "bf16" and not sheet["bf16"] and not in_fp16:
        return "no bf16"
    return _seconds(row["tflop"] / sheet["tflops"])


def _bounds(entry: dict[str, Any]) -> str:
    reason = entry.get("reason")
    return str(reason) if reason else f"{_seconds(entry['floor'])} ({_seconds(entry['compute']).removesuffix(' s')})"


def _seconds(value: float) -> str:
    """With one decimal place, below a second with two digits that count."""
    return f"{value:.1f} s" if value >= 1 else f"{value:.2g} s"


def _told(columns: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, str]:
    """The columns, without that of the kind of work where all rows are of one kind."""
    one_kind = len({row.get("work") for row in rows}) == 1
    return {key: head for key, head in columns.items() if key != "work" or not one_kind}


def _source(table: dict[str, Any]) -> str:
    load = table.get("load_at_start")
    busy = "" if load is None else f", load of the machine at the start {load:g}"
    clips = table.get("settings", {}).get("batch")
    batch = "" if clips is None else f", clips in the batch: {str(clips).strip('[]')}"
    return f"{table['hardware']}, {table['date']}, seed {table['seed']}{busy}{batch}."


def _cells(row: dict[str, Any], columns: dict[str, str]) -> list[str]:
    if row.get("out_of_memory"):
        return [str(row["name"])] + ["out of memory"] * (len(columns) - 1)
    return [cell(row.get(key)) for key in columns]


class Benchmark(MadeLines):
    """`benchmark`, whose argument is the name of a script."""

    required_arguments = 1

    def sources(self) -> list[Path]:
        """What the script measured, not there before it has run; and where the cards stand."""
        [name] = self.arguments
        return [RESULTS / f"{source}.json" for source in SOURCES.get(name, [name])]

    def lines(self) -> list[str]:
        """A table a device."""
        path, *others = self.sources()
        tables = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        cards = [json.loads(other.read_text(encoding="utf-8"))["cards"] for other in others]
        counted = COUNTED.get(self.arguments[0])
        return counted(tables, *cards) if counted else lines(self.arguments[0], tables)


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("benchmark", Benchmark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
