"""Everything that is claimed of a GPU, measured in ten minutes with random weights: no download, no clip, no network.

    python benchmarks/on_a_gpu.py                        # on a machine with a GPU, writes runs/on_a_gpu.json
    python benchmarks/on_a_gpu.py --minutes 4 --only preset
    python benchmarks/on_a_gpu.py --rehearse             # every row, tiny, on a CPU: does the script itself work?

Rows come in the order of their worth, and the file is written after each, so that what is there when the time is up
is the best that there was time for. First correctness, at an eighth of every width: a step on the GPU against the
same on the CPU, a run continued against one at once, as it is and with `deterministic`, and 200 steps in fp16 with
loss scaling. Then what the card reaches, and full size, as `finetune` takes its steps: presets, Wan, ours against the
authors' way in turn, eight clips a pass against two, methods, and one setting after another. At last what may make a
step faster: single operations in several forms, and, each against the step as it is, attention without cuDNN, channels
last, CUDA graphs and a compiled UNet. A rehearsal compiles with the backend "eager", which takes no minutes.

A row holds what it measured; or `skipped` with the reason (it would end too late, judged by the rows before it, or it
needs bf16 on a card without); `out_of_memory`; or `failed` with the error. None of these ends the run.

| number         | unit    | meaning                                                                               |
|----------------|---------|---------------------------------------------------------------------------------------|
| `seconds`      | s       | a step of one pass of `finetune`, median after the first; `clip_seconds` for a clip    |
| `peak_gib`     | GiB     | most that PyTorch had allocated, models included                                       |
| `taken_gib`    | GiB     | what the card lacked afterwards: the same with PyTorch's reserve, CUDA and its libraries |
| `tflops`       | TFLOP/s | operations that `count_step.py` counts, over the time; `of_peak` over the measured peak |
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gpu_kernels import attention, convolutions
from gpu_rows import Machine, Unable, against_cpu, ceiling, continued, long_run
from gpu_steps import (
    against_authors,
    channels_last,
    compiled,
    cuda_graphs,
    flash_attention,
    of_preset,
    of_setting,
    variant,
    wan,
    weights_made,
    wide_and_narrow,
)

from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.out_of_memory import is_out_of_memory
from ivtutorial.system.provenance import provenance
from ivtutorial.training.methods import METHODS
from ivtutorial.training.presets import PRESETS

Measure = Callable[[], dict[str, Any]]


def tiny() -> Machine:
    """What a rehearsal measures on."""
    small: dict[str, Any] = {"divide": 8, "shallow": True, "frames": 8, "side": 4, "clips": 2, "D": 7}
    return Machine("cpu", **small, steps=2, long=2, turns=1, compiler={"backend": "eager"})


@dataclass(frozen=True)
class Row:
    """What to measure, and how long it takes beside a step with a preset; 0 where that says nothing of other rows."""

    measure: Measure
    cost: float = 1.0


def rows(machine: Machine) -> dict[str, Row]:
    """Every row by name, in the order of their worth."""
    size = machine.divide
    return {
        "a step against the CPU, fp32": Row(lambda: against_cpu(machine, "fp32"), 0),
        "a step against the CPU, bf16": Row(lambda: against_cpu(machine, "bf16"), 0),
        "continued, fp32": Row(lambda: continued(machine, "fp32"), 0),
        "continued, fp16": Row(lambda: continued(machine, machine.half()), 0),
        "continued, fp16, deterministic": Row(lambda: continued(machine, machine.half(), True), 0),
        "a long run in fp16": Row(lambda: long_run(machine), 0),
        "peak in bf16": Row(lambda: ceiling(machine), 0),
        "random weights of full size": Row(lambda: weights_made(machine), 0),
        **{f"preset {name}": Row(lambda name=name: of_preset(machine, name)) for name in reversed(PRESETS)},
        "Wan 2.1 1.3B, preset 16gb": Row(lambda: wan(machine), 2),
        "ours and the authors' way in turn": Row(lambda: against_authors(machine), 2 * machine.turns),
        "wide and narrow passes in turn": Row(lambda: wide_and_narrow(machine), 2 * machine.turns),
        **settings(machine),
        "attention by kernel": Row(lambda: attention(machine.device, size)),
        "convolutions by form": Row(lambda: convolutions(machine.device, size)),
        **changes(machine),
    }


def changes(machine: Machine) -> dict[str, Row]:
    """What may make a step faster; what compiles comes last, and first compiles for minutes."""
    turns = 2 * machine.turns
    return {
        "attention without cuDNN": Row(lambda: variant(machine, "a100", flash_attention), turns),
        "channels last": Row(lambda: variant(machine, "a100", channels_last), turns),
        "CUDA graphs": Row(lambda: variant(machine, "a100", cuda_graphs), 3 * turns),
        "preset a100, compiled": Row(lambda: compiled(machine, "a100"), turns),
    }


def settings(machine: Machine) -> dict[str, Row]:
    """One setting after another, of one clip in bf16 with the UNet recomputed."""
    methods: dict[str, Any] = {
        "two-phase": InstructVideo(two_phase=True),
        "Direct-Align": METHODS["DirectAlign"](),
        "DRaFT": METHODS["Draft"](),
        "tau 0.3": InstructVideo(tau=0.3),
        "tau 1.0": InstructVideo(tau=1.0),
        "K 2": InstructVideo(K=2),
        "K 4, whole steps recomputed": InstructVideo(K=4, recompute=True),
        "S 1": InstructVideo(S=1),
        "S 8": InstructVideo(S=8),
    }
    return {
        **{name: Row(lambda method=method: of_setting(machine, method)) for name, method in methods.items()},
        "nothing recomputed": Row(lambda: of_setting(machine, InstructVideo(), decode_chunk=16)),
        **{f"batch {n}": Row(lambda n=n: of_setting(machine, InstructVideo(), n), n / 2) for n in (2, 4, 8)},
    }


def measured(function: Measure) -> dict[str, Any]:
    """What a row gives, or why it gives nothing."""
    try:
        return function()
    except Unable as error:
        return {"skipped": str(error)}
    except Exception as error:  # whatever it is, the other rows are worth their minutes
        if any(cause and is_out_of_memory(cause) for cause in (error, error.__cause__, error.__context__)):
            return {"out_of_memory": True}
        return {"failed": f"{type(error).__name__}: {str(error)[:300]}"}


def measure(machine: Machine, out: Path, minutes: float, only: list[str] | None = None) -> list[dict[str, Any]]:
    """Measure rows until the time is up, write the file after each, and return the rows."""
    end, unit = time.monotonic() + 60 * minutes, 0.0
    result: list[dict[str, Any]] = []
    for name, row in rows(machine).items():
        if only and not any(part in name for part in only):
            continue
        start = time.monotonic()
        left, needed = end - start, unit * row.cost
        numbers = measured(row.measure) if left > needed else {"skipped": _too_late(left, needed)}
        spent = time.monotonic() - start
        unit = max(unit, spent / row.cost) if row.cost else unit
        result.append({"name": name, **_rounded(numbers), "spent": round(spent, 1)})
        print(json.dumps(result[-1]), flush=True)
        named = ("device", "divide", "shallow", "frames", "side", "clips", "D", "steps")
        where = {name: getattr(machine, name) for name in named}
        atomic_write_text(out, json.dumps({"settings": where, "rows": result, **provenance(0)}, indent=1) + "\n")
    return result


def _too_late(left: float, needed: float) -> str:
    return f"{max(left, 0):.0f} s are left, and it takes some {needed:.0f} s"


def _rounded(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in numbers.items()}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.5, help="no row begins that might end later")
    parser.add_argument("--only", nargs="*", help="only rows whose name contains one of these")
    parser.add_argument("--out", type=Path, default=Path("runs/on_a_gpu.json"))
    parser.add_argument("--rehearse", action="store_true", help="every row, tiny, on a CPU")
    options = parser.parse_args()
    if options.rehearse:
        torch.set_num_threads(1)
        machine = tiny()
    elif torch.cuda.is_available():
        machine = Machine()
    else:
        raise SystemExit("on_a_gpu: torch sees no GPU here. To try the script itself on a CPU: --rehearse.")
    result = measure(machine, options.out, options.minutes, options.only)
    if failed := [row["name"] for row in result if "failed" in row]:
        raise SystemExit(f"on_a_gpu: {len(failed)} rows failed ({', '.join(failed)}), see {options.out}.")


if __name__ == "__main__":
    main()
