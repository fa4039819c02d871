"""The kit for machines without network: what is packed, and what run.sh says where something is wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from ivtutorial.system.provenance import commit

ROOT = Path(__file__).resolve().parents[1]
SHOW = (
    "import os, sys, json; print(json.dumps([os.getcwd(), os.environ['PYTHONPATH'].split(os.pathsep), sys.argv[1:]]))"
)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_kit, rehearse_kit = script("make_kit"), script("rehearse_kit")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A folder with run.sh and a kit of a small tree, with a package that is installed here and one that is not."""
    root, packages = tmp_path / "root", tmp_path / "packages"
    for name in ("data/clips/a.mp4", "data/models/weights", "kit/run.sh", "new.py", "ignored.log", "no such file"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    shutil.copy(ROOT / "kit" / "run.sh", root / "kit" / "run.sh")
    (root / ".gitignore").write_text("*.log\n")
    git = ["git", "-C", str(root)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "data", "kit", "no such file"], check=True)
    who = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, *who, "commit", "-q", "-m", "first"], check=True)
    (root / "no such file").unlink()
    for name in ("numpy", "not_installed_here"):
        (packages / name / "inside").mkdir(parents=True)
    assert make_kit.pack(root, packages, tmp_path / "dist") < 10**5
    return tmp_path / "dist"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": "before"}
    line = ["sh", str(folder / "run.sh"), *command]
    return subprocess.run(line, capture_output=True, text=True, env=environment)


def test_a_kit_is_the_working_tree_without_clips(packed: Path) -> None:
    with tarfile.open(packed / "ivtutorial-kit.tar.gz") as archive:
        files = {member.name for member in archive if member.isfile()}
        assert {member.uname for member in archive} == {""}
    assert files == {"tree/.gitignore", "tree/COMMIT", "tree/data/models/weights", "tree/kit/run.sh", "tree/new.py"}


def test_a_command_runs_in_the_tree_with_the_packages_that_are_missing(packed: Path) -> None:
    """Twice: the second time from what is unpacked."""
    kit = packed / "ivtutorial-kit"
    for _ in range(2):
        done = run(packed, sys.executable, "-c", SHOW, "two words")
        assert done.returncode == 0, done.stderr
        path = [str(kit / "tree"), str(kit / "packages" / "not_installed_here"), "before"]
        assert done.stdout == f'["{kit}/tree", {str(path)}, ["two words"]]\n'.replace("'", '"')
    assert run(packed, "false").returncode == 1, "the command's own status"


def test_results_made_with_a_kit_name_the_commit_it_was_packed_from(packed: Path) -> None:
    assert run(packed, "true").returncode == 0
    wanted = commit(packed.parent / "root")
    assert len(wanted) == 13 and wanted.endswith("+"), "a file that git tracks is gone from the tree"
    assert commit(packed / "ivtutorial-kit" / "tree") == wanted
    assert commit(packed) == "", "neither a checkout nor a kit"


def test_each_fault_is_one_line_that_says_what_to_do(packed: Path) -> None:
    archive, kit = packed / "ivtutorial-kit.tar.gz", packed / "ivtutorial-kit"
    whole = archive.read_bytes()

    def refused(*command: str) -> str:
        done = run(packed, *command)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    assert "give the command to run" in refused()
    archive.write_bytes(whole[: len(whole) // 2])
    assert "cannot be unpacked: copy it again" in refused("true")
    assert not kit.exists() and not (packed / "ivtutorial-kit.part").exists()
    archive.unlink()
    assert "copy run.sh and ivtutorial-kit.tar.gz into one folder" in refused("true")
    archive.write_bytes(whole)
    (packed / "ivtutorial-kit.part").mkdir()
    assert f"if none is, remove {packed}/ivtutorial-kit.part" in refused("true")
    (packed / "ivtutorial-kit.part").rmdir()
    kit.mkdir()
    assert "holds another kit, or half of one: remove it" in refused("true"), "unpacked by hand, and perhaps in part"
    kit.rmdir()
    assert run(packed, "true").returncode == 0
    archive.write_bytes(whole + b"\0")
    assert "holds another kit" in refused("true")


def test_a_kit_that_is_too_large_is_not_written(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="MB, 0 at most"):
        make_kit.pack(tmp_path / "root", tmp_path / "packages", tmp_path / "other", most=10)
    assert list((tmp_path / "other").iterdir()) == []


def test_this_tree_still_fits_into_a_kit() -> None:
    """Compressed as `make kit` does it, beside the packages, with a tenth of a MB to spare."""
    try:
        tree = make_kit.tree_size(ROOT)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    left = make_kit.MOST - make_kit.PACKAGES - tree
    assert left > 10**5, f"{left / 1e6:.1f} MB are left: see what is new in the tree"
    assert tree > 3 * 10**7, "the small models are in it"


def test_what_a_tree_takes_is_what_it_adds_to_the_archive(packed: Path, tmp_path: Path) -> None:
    """Up to the package, COMMIT and the ends of both archives, all small."""
    size = (packed / "ivtutorial-kit.tar.gz").stat().st_size
    small = make_kit.tree_size(tmp_path / "root")
    assert 0 < small < size
    (tmp_path / "root" / "more").write_bytes(os.urandom(10**5))
    assert 10**5 < make_kit.tree_size(tmp_path / "root") - small < 1.02 * 10**5


def test_a_rehearsal_refuses_half_a_kit_and_runs_the_whole_in_a_home_of_its_own(packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    command = [sys.executable, "-c", "import os; print(os.environ['HOME'], file=open('said', 'w'))"]
    rehearse_kit.rehearse(packed, folder, Path(sys.executable).parent, command, cut=())
    assert (folder / "ivtutorial-kit" / "tree" / "said").read_text() == f"{folder}\n"
    with pytest.raises(SystemExit, match="half a kit was not refused"):
        rehearse_kit.rehearse(packed, folder, Path(sys.executable).parent, command, cut=())
    shutil.rmtree(folder / "ivtutorial-kit")
    with pytest.raises(SystemExit, match="false: status 1"):
        rehearse_kit.rehearse(packed, folder, Path(sys.executable).parent, ["false"], cut=())


def test_a_machine_that_cannot_cut_the_network_is_told_so(tmp_path: Path) -> None:
    rehearse_kit.check_cut(["env"])
    for cut in (["false"], [str(tmp_path / "unshare")]):
        with pytest.raises(SystemExit, match="is refused here .*: the rehearsal needs Linux"):
            rehearse_kit.check_cut(cut)


def test_a_rehearsal_asks_for_what_the_kit_expects_and_sees_what_was_not_measured(tmp_path: Path) -> None:
    expected = str(make_kit.__doc__).split("\n\n")[-1].split(" are expected")[0]
    assert set(expected.replace(" and ", ", ").split(", ")) == {*rehearse_kit.GIVEN, *rehearse_kit.ANY}
    rows = [{"name": "a", "seconds": 1.0}, {"name": "b", "skipped": "late"}, {"name": "c", "out_of_memory": True}]
    (tmp_path / "rows.json").write_text(json.dumps({"rows": rows}))
    assert rehearse_kit.unmeasured(tmp_path / "rows.json") == ["b", "c"]


def test_every_package_of_the_kit_has_a_version_and_a_hash(tmp_path: Path) -> None:
    wanted = make_kit.requirements(ROOT / "kit" / "wheels.txt")
    assert {"diffusers", "open_clip_torch", "ftfy"} <= wanted.keys()
    (tmp_path / "wheels.txt").write_text("diffusers==0.42.1\n")
    with pytest.raises(SystemExit, match="expected NAME==VERSION --hash=sha256"):
        make_kit.requirements(tmp_path / "wheels.txt")
