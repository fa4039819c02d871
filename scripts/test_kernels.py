"""Run the unit tests as other processors would: with other kernels, other thread counts, other orders of sums.

    python scripts/test_kernels.py                              # every setting, all unit tests: `make test-kernels`
    python scripts/test_kernels.py --only avx2 threads -- tests/method tests/rivals

Prints one line for each setting, the last words of a run that failed, and fails if one did. A processor without AVX-512
runs that setting with what it has.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

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


def main() -> None:
    """Run every setting that was chosen, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="settings whose names contain one of these")
    parser.add_argument("arguments", nargs="*", default=["tests"], help="for pytest, after --")
    options = parser.parse_args()
    failed = []
    for name, setting in SETTINGS.items():
        if not any(part in name for part in options.only):
            continue
        start = time.perf_counter()
        code, lines = run(setting, options.arguments)
        print(f"{name:16} {'ok    ' if code == 0 else 'FAILED'} {time.perf_counter() - start:6.0f} s  {lines[-1]}")
        if code != 0:
            failed.append(name)
            print("\n".join(f"    {line}" for line in lines[-40:]))
        sys.stdout.flush()
    if failed:
        sys.exit(f"failed with: {', '.join(failed)}")


if __name__ == "__main__":
    main()
