"""Does installing this package leave torch and numpy alone, where they are newer than any version that we tested?

    python scripts/check_colab.py          # Python 3.12 is what Colab has: run it with that

Builds the wheel, makes an empty environment that claims to hold the packages of `PREINSTALLED` in versions newer than
those of requirements.lock, and asks pip what installing the wheel there would install (`--dry-run`: nothing is). Fails
if one of these packages is among it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PREINSTALLED = (
    *("accelerate", "diffusers", "ipykernel", "ipywidgets", "matplotlib", "numpy", "peft", "pillow", "protobuf"),
    *("safetensors", "tokenizers", "torch", "torchvision", "tqdm", "transformers", "typer"),
)
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def newer(locked: dict[str, str]) -> dict[str, str]:
    """Versions one minor step above the given ones: 2.9.1 becomes 2.10."""
    steps = {name: version.split(".") for name, version in locked.items()}
    return {name: f"{major}.{int(minor) + 1}" for name, (major, minor, *_) in steps.items()}


def changed(report: dict[str, Any], installed: dict[str, str]) -> list[str]:
    """What pip would install although it is there, such as "torch 2.9 -> 2.8"."""
    result = {re.sub(r"[-_.]+", "-", part["metadata"]["name"]).lower(): part for part in report["install"]}
    return [f"{n} {v} -> {result[n]['metadata']['version']}" for n, v in installed.items() if n in result]


def locked() -> dict[str, str]:
    """The locked version of every package that counts as already installed; protobuf, which the lock may lack, is 7."""
    pins = re.findall(r"^([\w.-]+)==(\d[\w.]*)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    return {"protobuf": "7.0", **{name: version for name, version in pins if name in PREINSTALLED}}


def claim(site: Path, installed: dict[str, str]) -> None:
    """Make an environment believe that it holds packages of these versions: their metadata, and nothing else."""
    for name, version in installed.items():
        folder = site / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(METADATA.format(name=name, version=version), encoding="utf-8")
        (folder / "RECORD").write_text("", encoding="utf-8")


def main() -> None:
    """Build, ask, and say what was found."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    installed = newer(locked())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "env", with_pip=True)
        python = folder / "env" / "bin" / "python"
        site = next((folder / "env" / "lib").glob("python*/site-packages"))
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", name, str(ROOT)], check=True)
        claim(site, installed)
        [wheel] = folder.glob("ivtutorial-*.whl")
        report = folder / "report.json"
        subprocess.run([*pip, "install", "--dry-run", "--report", str(report), str(wheel)], check=True)
        answer = json.loads(report.read_text(encoding="utf-8"))
    names = sorted(f"{part['metadata']['name']} {part['metadata']['version']}" for part in answer["install"])
    print(f"Python {sys.version.split()[0]}; already there: {', '.join(f'{n} {v}' for n, v in installed.items())}")
    print(f"pip would add: {', '.join(names)}")
    if result := changed(answer, installed):
        sys.exit(f"pip would change what is there: {', '.join(result)}")
    print("and would change nothing that is there")


if __name__ == "__main__":
    main()
