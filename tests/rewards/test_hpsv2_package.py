"""Our HPSv2 scores as the hpsv2 package does, where the package can be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_scores_are_those_of_the_hpsv2_package() -> None:
    """Five pictures of odd shapes, the same checkpoint file; in a process of its own, because the package's modules and
    its stand-ins must not be on the path of other tests."""
    command = [sys.executable, str(ROOT / "scripts" / "check_hpsv2.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 3:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr
