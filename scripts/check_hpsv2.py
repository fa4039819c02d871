"""Does our HPSv2 score as the hpsv2 package does? Runs tests/rewards/hpsv2_parity.py with the package at hand.

    python scripts/check_hpsv2.py        # part of `make test`; exit code 3 where the package cannot be had

The package (1.2.0) pins old versions of pytest and protobuf, lacks its vocabulary file and imports a module that needs
tkinter. So it never enters the environment: it is unpacked without its dependencies into `.hpsv2` in the checkout,
once, the two gaps are filled, and the folder is put on the path of one pytest run, in the present environment.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hpsv2==1.2.0", "clint==0.5.1", "args==0.1.0")
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
CANNOT_BE_HAD = 3
# Nobody should wait minutes for an index that is out of reach.
IMPATIENT = {"UV_HTTP_TIMEOUT": "20", "UV_HTTP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "20", "PIP_RETRIES": "1"}


def unpack(folder: Path) -> None:
    """Put the package and the two small ones that it imports into `folder`, without any dependencies."""
    arguments = ["install", "--quiet", "--no-deps", "--target", str(folder), *PACKAGES]
    uv = shutil.which("uv") or ROOT / ".uv" / "uv"
    if Path(uv).exists():
        command = [str(uv), "pip", *arguments, "--python", sys.executable]
    else:
        command = [sys.executable, "-m", "pip", *arguments]
    subprocess.run(command, check=True, env={**os.environ, **IMPATIENT}, stderr=subprocess.PIPE, text=True)


def repair(folder: Path) -> None:
    """Add the vocabulary, the very file that open_clip carries, and stand in for `from turtle import forward`."""
    spec = importlib.util.find_spec("open_clip")
    assert spec is not None and spec.origin is not None
    shutil.copy(Path(spec.origin).parent / VOCABULARY, folder / "hpsv2" / "src" / "open_clip" / VOCABULARY)
    (folder / "turtle.py").write_text("def forward(distance):\n    raise NotImplementedError\n", encoding="utf-8")


def provide(folder: Path) -> None:
    """Make `folder` whole or not at all; where it is there already, nothing is fetched."""
    if folder.is_dir():
        return
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".hpsv2-") as name:
        made = Path(name) / "made"
        unpack(made)
        repair(made)
        made.rename(folder)


def main() -> int:
    """Run the comparison; the exit code is pytest's, or CANNOT_BE_HAD with the reason as last line."""
    folder = ROOT / ".hpsv2"
    try:
        provide(folder)
    except (subprocess.CalledProcessError, OSError) as error:
        lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
        print(f"{PACKAGES[0]} cannot be had: {' '.join(line.strip() for line in lines)[-300:]}")
        return CANNOT_BE_HAD
    path = os.pathsep.join([str(ROOT), str(folder)])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
        "tests/rewards/hpsv2_parity.py",
    ]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}).returncode


if __name__ == "__main__":
    sys.exit(main())
