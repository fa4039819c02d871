"""Where a number comes from: versions, hardware, commit and date, stored beside every result."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "ivtutorial",
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "open_clip_torch",
    "numpy",
    "av",
)


def provenance(seed: int) -> dict[str, Any]:
    """What must be known to judge or repeat a measurement.

    Args:
        seed: of the measurement.

    Returns:
        Plain values for JSON: seed, date (UTC), hardware, versions (Python and packages), commit ("" outside
        a checkout; ends in "+" where files differ from it).

    Example:
        >>> provenance(seed=0)["versions"]["torch"]  # doctest: +SKIP
        '2.9.0'
    """
    return {
        "seed": seed,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "hardware": hardware(),
        "versions": versions(),
        "commit": commit(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; absent ones are left out."""
    packages = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    return packages


def hardware() -> str:
    """The GPU if torch sees one, else the processor, with the number of cores this process may use."""
    with suppress(ImportError):
        import torch

        if torch.cuda.is_available():
            return f"{torch.cuda.get_device_name()} ({torch.cuda.device_count()})"
    return f"{_processor()}, {cores()} cores"


def cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit(root: Path = CHECKOUT) -> str:
    """Commit of a checkout, by default the one that this package lies in, or of an unpacked kit: its file COMMIT.

    Returns:
        12 digits, with "+" where tracked files differ from the commit; "" if there is neither.
    """
    if not (root / ".git").exists():
        packed = root / "COMMIT"
        return packed.read_text(encoding="utf-8").strip() if packed.is_file() else ""
    name = _git(root, "rev-parse", "--short=12", "HEAD")
    return f"{name}+" if name and _git(root, "status", "--porcelain", "--untracked-files=no") else name


def peak_memory_mb() -> float:
    """Largest resident memory so far of this process, or of one of the processes it has waited for, in MB
    (2^20 bytes).

    0.0 on systems that do not report it (Windows).
    """
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 1 if platform.system() == "Darwin" else 1024  # macOS counts bytes, Linux KiB
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in both) * unit / 2**20


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def describe(thing: Any) -> str:
    """How a model or reward is named in a run's `config.json`: its name as given, or its class."""
    return (
        str(thing) if isinstance(thing, (str, Path)) else f"object of {type(thing).__module__}.{type(thing).__name__}"
    )
