"""Run the unit tests as other processors would: with other kernels, other thread counts, other orders of sums.

    python scripts/test_kernels.py                              # every setting, all unit tests: `make test-kernels`
    python scripts/test_kernels.py --only avx2 threads -- tests/method tests/rivals
    python scripts/test_kernels.py --notebooks="--nbval-lax --nbval-current-env book/07_tar.ipynb"  # and a chapter

Prints one line for each setting and part, the last words of a run that failed, and fails if one did. What was run is
written to runs/test_kernels.json after each of them. A processor without AVX-512 runs that setting with what it has;
the record names it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.provenance import commit, hardware, versions

ROOT = Path(__file__).resolve().parent.parent
CHOSEN_BY_TORCH = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_DEFAULT_FPMATH_MODE", "MKL_ENABLE_INSTRUCTIONS")
SETTINGS = {
    "as it is": {},
    "aten default": {"ATEN_CPU_CAPABILITY": "default"},
    "aten avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "aten avx512": {"ATEN_CPU_CAPABILITY": "avx512"},
    "onednn avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    # What libraries made for Intel choose on other vendors' processors: no kernels of their own instruction sets.
    "all avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "mkl compatible": {"MKL_CBWR": "COMPATIBLE"},
    "2 threads": {"OMP_NUM_THREADS": "2"},
}


def environment(setting: dict[str, str]) -> dict[str, str]:
    """The present one without what a user set, in one thread, plus the setting."""
    plain = {name: value for name, value in os.environ.items() if name not in CHOSEN_BY_TORCH}
    return {**plain, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **setting}


def run(setting: dict[str, str], arguments: list[str]) -> tuple[int, list[str]]:
    """Exit code of pytest and the lines it printed."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *arguments]
    result = subprocess.run(command, cwd=ROOT, env=environment(setting), capture_output=True, text=True)
    return result.returncode, (result.stdout + result.stderr).strip().splitlines()


def kernels(setting: dict[str, str]) -> str:
    """The kernels that torch takes with a setting, such as AVX2."""
    command = [sys.executable, "-c", "import torch; print(torch.backends.cpu.get_cpu_capability())"]
    result = subprocess.run(command, env=environment(setting), capture_output=True, text=True)
    return result.stdout.strip() or "unknown"


def record(name: str, part: str, arguments: list[str]) -> dict[str, Any]:
    """Run one part with one setting and print how it ended.

    Args:
        name: of the setting.
        part: "tests" or "notebooks".
        arguments: for pytest.

    Returns:
        The row of the record: setting, its variables, kernels, part, arguments, seconds, exit code, outcome in
        pytest's words, and the names of what failed.
    """
    setting, start = SETTINGS[name], time.perf_counter()
    code, lines = run(setting, arguments)
    seconds, outcome = time.perf_counter() - start, lines[-1] if lines else "nothing was printed"
    print(f"{name:16} {part:10} {'ok    ' if code == 0 else 'FAILED'} {seconds:6.0f} s  {outcome}")
    if code != 0:
        print("\n".join(f"    {line}" for line in lines[-40:]))
    sys.stdout.flush()
    failed = [line.split(" ", 1)[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return {"setting": name, "variables": setting, "kernels": kernels(setting), "part": part, "arguments": arguments,
            "seconds": round(seconds), "exit_code": code, "outcome": outcome, "failed": failed}  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Run every setting that was chosen, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="settings whose names contain one of these")
    parser.add_argument("--notebooks", default="", help="run notebooks, too: the arguments for pytest, in one string")
    parser.add_argument("--record", type=Path, default=ROOT / "runs" / "test_kernels.json", help="where to write it")
    parser.add_argument("arguments", nargs="*", default=["tests"], help="for pytest, after --")
    options = parser.parse_args(arguments)
    parts = {"tests": options.arguments, "notebooks": shlex.split(options.notebooks)}
    chosen = [name for name in SETTINGS if any(part in name for part in options.only)]
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    about = {"started": started, "hardware": hardware(), "versions": versions(), "commit": commit()}
    rows: list[dict[str, Any]] = []
    options.record.parent.mkdir(parents=True, exist_ok=True)
    for name, part in ((name, part) for name in chosen for part, given in parts.items() if given):
        rows.append(record(name, part, parts[part]))
        atomic_write_text(options.record, json.dumps({**about, "runs": rows}, indent=1) + "\n")
    if failed := [f"{row['setting']} ({row['part']})" for row in rows if row["exit_code"]]:
        sys.exit(f"failed with: {', '.join(failed)}")


if __name__ == "__main__":
    main()
