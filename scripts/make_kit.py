"""Pack the working tree and the packages that a GPU machine lacks into one archive, for a machine without network.

    python scripts/make_kit.py --uv .uv/uv    # what `make kit` does; needs a package index, once

Writes dist/ivtutorial-kit.tar.gz and, beside it, dist/run.sh, which unpacks it and runs a command. In the archive:

| path              | what                                                                                        |
|-------------------|---------------------------------------------------------------------------------------------|
| `tree/`           | the working tree as git sees it (tracked, or new and not ignored), without clips and gallery |
| `tree/COMMIT`     | the commit that results made with the kit name, with "+" if the tree differs from it         |
| `packages/NAME/`  | each package of kit/wheels.txt, by itself, so that an installed one of that name wins        |

torch, torchvision, transformers, accelerate, peft, safetensors, tokenizers, numpy, pillow, typer and tqdm are expected
on the machine. PyAV is neither there nor in the kit: it weighs as much as the models, and only video files need it.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ivtutorial.system.files import atomic_write
from ivtutorial.system.provenance import commit

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = ("data/clips/", "data/gallery/")  # what a GPU machine makes by itself, or shows to nobody
MOST = 48 * 10**6  # bytes of the archive
PACKAGES = 7_400_000  # of which the packages take no more, with the versions of kit/wheels.txt; each packing checks it
FOR_PYTHON = "3.12"


def requirements(path: Path) -> dict[str, str]:
    """Name -> the whole line, version and hash included, of each package in a list.

    Raises:
        SystemExit: a line without version or hash.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    for line in lines:
        if "==" not in line or " --hash=sha256:" not in line:
            raise SystemExit(f"{path}: {line!r}: expected NAME==VERSION --hash=sha256:...")
    return {line.split("==")[0]: line for line in lines}


def tree_files(root: Path) -> list[str]:
    """The files of the working tree that go into the kit, sorted."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(name for name in set(listed) if name and not name.startswith(LEFT_OUT) and (root / name).is_file())


def install(line: str, target: Path, uv: str) -> None:
    """Put one package, and none of those that it wants, into a folder; its hash is checked.

    Raises:
        SystemExit: the index has no such file, or is out of reach.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "one.txt")
        listed.write_text(line + "\n", encoding="utf-8")
        options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--python-version", FOR_PYTHON]
        if subprocess.run([uv, "pip", "install", *options, "--target", str(target), "-r", str(listed)]).returncode:
            raise SystemExit(f"make_kit: {line.split(' ')[0]} was not installed; is the package index within reach?")
    shutil.rmtree(target / "bin", ignore_errors=True)


def pack(root: Path, packages: Path, out: Path, most: int = MOST) -> int:
    """Write the archive and run.sh, and return the archive's bytes.

    Args:
        root: of the working tree. packages: a folder with one folder for each package.
        out: folder to write to. most: bytes that the archive may have.

    Raises:
        SystemExit: the archive is larger; nothing is written.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        fresh = Path(folder, "kit.tar.gz")
        with tarfile.open(fresh, "w:gz", compresslevel=9) as archive:
            _add_tree(archive, root)
            archive.add(packages, "packages", filter=_anonymous)
            line = f"{commit(root)}\n".encode()
            member = tarfile.TarInfo("tree/COMMIT")
            member.size = len(line)
            archive.addfile(member, io.BytesIO(line))
        size = fresh.stat().st_size
        if size > most:
            raise SystemExit(f"The kit has {size / 1e6:.1f} MB, {most / 1e6:.0f} at most: see what is new in the tree.")
        fresh.replace(out / "ivtutorial-kit.tar.gz")
    with atomic_write(out / "run.sh") as file:
        file.write((root / "kit" / "run.sh").read_bytes())
    return size


class _Scale(io.RawIOBase):
    """A file that keeps nothing but its size."""

    size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.size += len(data)
        return len(data)


def tree_size(root: Path) -> int:
    """Bytes that a working tree takes in the archive; it is compressed for that, and nothing is written."""
    scale = _Scale()
    with tarfile.open(fileobj=scale, mode="w:gz", compresslevel=9) as archive:
        _add_tree(archive, root)
    return scale.size


def _add_tree(archive: tarfile.TarFile, root: Path) -> None:
    for name in tree_files(root):
        archive.add(root / name, f"tree/{name}", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if member.name.endswith(".pyc") or "__pycache__" in member.name:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def main() -> None:
    """Make the kit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uv", default="uv")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, line in requirements(ROOT / "kit" / "wheels.txt").items():
            install(line, Path(folder, name), options.uv)
        size = pack(ROOT, Path(folder), options.out)
    print(f"{options.out / 'ivtutorial-kit.tar.gz'}: {size / 1e6:.1f} MB. Copy it and run.sh, then: sh run.sh COMMAND")
    if (packages := size - tree_size(ROOT)) > PACKAGES:
        raise SystemExit(f"make_kit: raise PACKAGES of this script to {packages:,}, which the packages take by now.")


if __name__ == "__main__":
    main()
