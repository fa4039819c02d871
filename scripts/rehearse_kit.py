"""Rehearse the kit where it will be used: beside the packages that a GPU machine has, no others, and without a network.

    python scripts/rehearse_kit.py --uv .uv/uv             # what `make kit-test` does when the kit is packed
    python scripts/rehearse_kit.py --torch 2.12 --python 3.13
    python scripts/rehearse_kit.py --environment FOLDER    # one that is there already, whatever it holds

Makes an environment with the packages that `make_kit.py` expects on the machine, in the versions given (several GB from
a package index), and cuts the network with `unshare -rn`, for which it takes Linux. Then half of the archive is
unpacked, which has to be refused; then the whole; and from what is unpacked `on_a_gpu.py --rehearse` runs, a minute of
a core or more. Fails unless it has measured every row.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CUT = ("unshare", "-rn")
GIVEN = {"torch": "2.11", "transformers": "5.17", "accelerate": "1.15"}  # what such machines have had
ANY = ("torchvision", "peft", "safetensors", "tokenizers", "numpy", "pillow", "typer", "tqdm")
MISSING = {"failed", "skipped", "out_of_memory"}  # what a row of the rehearsal has that was not measured


def check_cut(cut: Sequence[str]) -> None:
    """Whether a command can be run without a network.

    Raises:
        SystemExit: it cannot, here.
    """
    try:
        done = subprocess.run([*cut, "true"], capture_output=True, text=True)
        said = "" if done.returncode == 0 else done.stderr.strip() or f"status {done.returncode}"
    except OSError as error:
        said = str(error)
    if said:
        line = f"`{' '.join(cut)}` is refused here ({said})"
        raise SystemExit(f"rehearse_kit: {line}: the rehearsal needs Linux where users may make namespaces.")


def bare(folder: Path, uv: str, python: str, versions: dict[str, str]) -> None:
    """Make an environment of exactly the packages that a machine has, and theirs.

    Args:
        folder: of the environment. uv: the command. python: version, or path of the interpreter.
        versions: those of the packages in `GIVEN`, such as "2.11" for any 2.11.

    Raises:
        SystemExit: there is no such interpreter, or the index has no such packages or is out of reach.
    """
    wanted = [*(f"{name}=={version}.*" for name, version in versions.items()), *ANY]
    commands = (
        ["venv", "--python", python, str(folder)],
        ["pip", "install", "--python", f"{folder}/bin/python", *wanted],
    )
    for command in commands:
        if subprocess.run([uv, command[0], "--quiet", *command[1:]]).returncode:
            raise SystemExit(f"rehearse_kit: uv {command[0]} failed: is there a Python {python}, and a package index?")


def rehearse(dist: Path, folder: Path, programs: Path, command: Sequence[str], cut: Sequence[str] = CUT) -> None:
    """Unpack half a kit, then a whole one, and run a command from what is unpacked.

    Args:
        dist: where `make kit` wrote the kit. folder: an empty one, where it is unpacked, and that is also the home.
        programs: the folder of the environment's python3.
        command: to be run in the kit's tree. cut: what a command is run with, so that it has no network.

    Raises:
        SystemExit: half a kit was taken for a whole one, or a command failed.
    """
    archive = folder / "ivtutorial-kit.tar.gz"
    environment = {name: os.environ[name] for name in ("LANG", "TMPDIR", "OMP_NUM_THREADS") if name in os.environ}
    environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder)}

    def run(*words: str, hidden: bool = False) -> subprocess.CompletedProcess[str]:
        line = [*cut, "sh", str(folder / "run.sh"), *words]
        return subprocess.run(line, env=environment, text=True, stderr=subprocess.PIPE if hidden else None)

    shutil.copy(dist / "run.sh", folder)
    whole = (dist / archive.name).read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    half = run("true", hidden=True)
    if half.returncode == 0 or "cannot be unpacked" not in half.stderr or (folder / "ivtutorial-kit").exists():
        raise SystemExit(f"rehearse_kit: half a kit was not refused: {half.stderr.strip() or 'it was unpacked'}")
    archive.write_bytes(whole)
    for words in (("true",), tuple(command)):
        if status := run(*words).returncode:
            raise SystemExit(f"rehearse_kit: {' '.join(words)}: status {status}")


def unmeasured(out: Path) -> list[str]:
    """Names of the rows that a rehearsal did not measure."""
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    return [row["name"] for row in rows if MISSING & row.keys()]


def main() -> None:
    """Rehearse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the kit is")
    parser.add_argument("--environment", type=Path, help="do not make one")
    parser.add_argument("--uv", default="uv")
    parser.add_argument("--python", default="3.12")
    for name, version in GIVEN.items():
        parser.add_argument(f"--{name}", default=version)
    options = parser.parse_args()
    check_cut(CUT)
    if not (options.dist / "ivtutorial-kit.tar.gz").exists():
        raise SystemExit(f"rehearse_kit: there is no kit in {options.dist}: run `make kit`.")
    with tempfile.TemporaryDirectory() as place:
        environment, folder = options.environment or Path(place, "environment"), Path(place, "kit")
        folder.mkdir()
        if not options.environment:
            bare(environment, options.uv, options.python, {name: getattr(options, name) for name in GIVEN})
        out = folder / "rehearsed.json"
        script = ["benchmarks/on_a_gpu.py", "--rehearse", "--minutes", "60", "--out", str(out)]
        rehearse(options.dist.resolve(), folder, environment.absolute() / "bin", ["python3", *script])
        if names := unmeasured(out):
            raise SystemExit(f"rehearse_kit: not measured: {', '.join(names)}")
    print("rehearse_kit: the kit works without a network, and every row was measured.")


if __name__ == "__main__":
    main()
