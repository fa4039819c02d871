"""Does our HPSv2 score as the hpsv2 package does? Runs tests/rewards/test_hpsv2_parity.py with the package at hand.

    python scripts/check_hpsv2.py

The package (1.2.0) pins old versions, lacks its vocabulary file and imports a module that needs tkinter. So it is
unpacked without its dependencies into a temporary folder, the two gaps are filled, and the folder is put on the path of
one pytest run: nothing is installed, and everything else is the present environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import open_clip

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hpsv2==1.2.0", "clint==0.5.1", "args==0.1.0")
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"


def unpack(folder: Path) -> None:
    """Put the package and the two small ones that it imports into `folder`, without any dependencies."""
    arguments = ["install", "--quiet", "--no-deps", "--target", str(folder), *PACKAGES]
    uv = shutil.which("uv") or ROOT / ".uv" / "uv"
    if Path(uv).exists():
        subprocess.run([str(uv), "pip", *arguments, "--python", sys.executable], check=True)
    else:
        subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def repair(folder: Path) -> None:
    """Add the vocabulary, the very file that open_clip carries, and stand in for `from turtle import forward`."""
    source = Path(open_clip.__file__).parent / VOCABULARY
    shutil.copy(source, folder / "hpsv2" / "src" / "open_clip" / VOCABULARY)
    (folder / "turtle.py").write_text("def forward(distance):\n    raise NotImplementedError\n", encoding="utf-8")


def main() -> int:
    """Run the comparison; the exit code is pytest's, or 1 where the test was skipped."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(folder)
        repair(folder)
        path = os.pathsep.join([str(ROOT), str(folder)])
        command = [sys.executable, "-m", "pytest", "-q", "-rs", "tests/rewards/test_hpsv2_parity.py"]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
        )
    print(done.stdout)
    return done.returncode or int("skipped" in done.stdout)


if __name__ == "__main__":
    sys.exit(main())
