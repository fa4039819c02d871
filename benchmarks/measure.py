"""What the benchmarks share: a row in a process of its own, its peak memory, and a file with a table for each device.

A file holds `{"cpu": table or null, "gpu": table or null}`; a run replaces the table of the device it ran on and leaves
the other as it was, so that a table which was never measured stays visibly empty.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.provenance import peak_memory_mb, provenance

# Before the benchmark's own work: more than the threads it uses means that others were at work, too.
LOAD_AT_START = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


class Meter:
    """Seconds of repeated steps and the memory they need on top of what is there when the meter is made.

    With one thread on a CPU the seconds are the processor's: on an idle machine the same as those of a watch, on a busy
    one those that the work itself takes. Otherwise they are a watch's.
    """

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.clock = time.perf_counter if self.cuda or torch.get_num_threads() > 1 else time.process_time
        self.seconds: list[float] = []
        self._wait()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        self.before = torch.cuda.memory_allocated() / 2**20 if self.cuda else peak_memory_mb()

    def time(self, step: Callable[[], Any]) -> None:
        """Run `step` once and note its time."""
        self._wait()
        began = self.clock()
        step()
        self._wait()
        self.seconds.append(self.clock() - began)

    def memory(self) -> dict[str, float]:
        """Peak over the steps, in MB of 2^20 bytes: `step_mb` of the steps alone, `peak_mb` with models and all."""
        peak = torch.cuda.max_memory_allocated() / 2**20 if self.cuda else peak_memory_mb()
        return {"step_mb": round(peak - self.before, 1), "peak_mb": round(peak, 1)}

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


def in_own_process(function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Call `function` in a fresh process; running out of memory is a result, too: `{"out_of_memory": true}`."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, args))
    process.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        result = {"failed": "the process was killed; was the memory full?"}
    process.join()
    if "failed" in result:
        raise SystemExit(result["failed"])
    return dict(result)


def _answer(sender: Any, function: Callable[..., dict[str, Any]], args: tuple[Any, ...]) -> None:
    try:
        sender.send(function(*args))
    except Exception as error:  # the package turns it into advice, see `ivtutorial.system.out_of_memory`
        too_much = any(isinstance(item, torch.OutOfMemoryError) for item in (error, error.__cause__))
        sender.send({"out_of_memory": True} if too_much else {"failed": traceback.format_exc()})


def save_table(out: Path, device: str, table: dict[str, Any], seed: int) -> None:
    """Put the table of this device, with where it comes from, into the file."""
    kind = "gpu" if device.startswith("cuda") else "cpu"
    tables = {"cpu": None, "gpu": None}
    if out.exists():
        tables |= json.loads(out.read_text(encoding="utf-8"))
    tables[kind] = {**table, **provenance(seed), "load_at_start": LOAD_AT_START}
    atomic_write_text(out, json.dumps(tables, indent=1) + "\n")


def show_tables(path: Path, columns: dict[str, str]) -> str:
    """The tables of a file as Markdown; `columns` maps keys of the rows to headings."""
    tables = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"cpu": None, "gpu": None}
    lines = []
    for kind, table in tables.items():
        lines += [f"### {kind.upper()}", ""]
        if table is None:
            lines += ["Not measured yet.", ""]
            continue
        lines += [f"{table['hardware']}, {table['date']}, seed {table['seed']}, load {table['load_at_start']}", ""]
        lines += [f"| {' | '.join(columns.values())} |", f"|{'---|' * len(columns)}"]
        lines += [f"| {' | '.join(_cell(row.get(key)) for key in columns)} |" for row in table["rows"]]
        lines += [""] + [f"- {name}: {_cell(value)}" for name, value in table.get("comparisons", {}).items()] + [""]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
