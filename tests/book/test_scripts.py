"""The scripts beside the book: the repository's address, the costs of the chapters, what pip would change on Colab."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


set_repository = script("set_repository")
chapter_costs = script("chapter_costs")
check_colab = script("check_colab")


# ---------------------------------------------------------------- the address


def copied(folder: Path) -> Path:
    """The files that mention the address, and the script, in another folder."""
    for path in [ROOT / "scripts" / "set_repository.py", *(p for g in set_repository.PLACES for p in ROOT.glob(g))]:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/set_repository.py", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_address_is_changed_everywhere_and_back(tmp_path: Path):
    """There and back again leaves every byte as it was; in between nothing of the old address is left."""
    folder, old = copied(tmp_path), set_repository.address(ROOT)
    before = contents(folder)
    done = run(folder, "someone/a.book-1")
    assert done.returncode == 0, done.stderr
    between = contents(folder)
    assert not [name for name, data in between.items() if old.encode() in data]
    changed = {name for name in before if before[name] != between[name]}
    assert {"pyproject.toml", "CITATION.cff", "_config.yml"} <= changed == set(done.stdout.split())
    assert {f"book/{path.name}" for path in ROOT.glob("book/[0-9][0-9]_*.ipynb")} <= changed
    for name in (name for name in changed if name.endswith(".ipynb")):
        [setup] = [cell for cell in json.loads(between[name])["cells"] if cell["id"] == "setup"]
        assert "git+https://github.com/someone/a.book-1" in "".join(setup["source"])
    assert run(folder, old.removeprefix("https://github.com/")).returncode == 0
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["alone", "a/b/c", "a b/c", "/", "https://example.org/a/b"])
def test_what_is_no_owner_and_name_is_refused_and_changes_nothing(tmp_path: Path, name: str):
    folder = copied(tmp_path)
    before = contents(folder)
    done = run(folder, name)
    assert done.returncode != 0 and "expected OWNER/NAME" in done.stderr
    assert contents(folder) == before


def test_every_address_of_this_project_is_the_one_in_pyproject():
    name = set_repository.address(ROOT).rpartition("/")[2]
    for place in set_repository.PLACES:
        for path in ROOT.glob(place):
            result = re.findall(rf"https://github\.com/[\w-]+/{re.escape(name)}(?![\w-])", path.read_text("utf-8"))
            assert set(result) <= {set_repository.address(ROOT)}, path


# ---------------------------------------------------------------- what the chapters cost


def test_costs_are_read_from_the_last_line_that_a_chapter_prints(tmp_path: Path):
    line = "At the scale reduced this chapter took 61 s of processor time and 950 MiB of memory."
    outputs = [{"output_type": "stream", "name": "stdout", "text": [line, "\n"]}]
    cell = {"cell_type": "code", "outputs": outputs}
    (tmp_path / "05_editing.ipynb").write_text(json.dumps({"cells": [cell]}))
    (tmp_path / "06_segvr.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "outputs": []}]}))
    assert chapter_costs.read_costs(tmp_path) == {"reduced": {"05_editing": {"seconds": 61, "memory_mib": 950}}}


def test_the_memory_of_a_gpu_is_read_too(tmp_path: Path):
    said = "At the scale modelscope this chapter took 9 s of processor time and 5 MiB of memory"
    assert chapter_costs.cost(f"{said}, and 7 MiB of the GPU's.") == (
        "modelscope",
        {"seconds": 9, "memory_mib": 5, "gpu_mib": 7},
    )


def test_what_print_cost_says_is_what_is_read(capsys: pytest.CaptureFixture[str]):
    from types import SimpleNamespace

    from ivtutorial.notebook import print_cost

    print_cost(SimpleNamespace(name="reduced", device="cpu"))  # type: ignore[arg-type]
    result = chapter_costs.cost(capsys.readouterr().out)
    assert result is not None and result[0] == "reduced" and result[1]["memory_mib"] > 10


# ---------------------------------------------------------------- Colab


def test_a_changed_package_is_found_under_any_spelling_of_its_name():
    """What pip would install: torch again, which is there; and av, which is not."""
    report = {"install": [{"metadata": {"name": n, "version": "1"}} for n in ("Torch", "av", "ivtutorial")]}
    assert check_colab.changed(report, {"torch": "2.9", "numpy": "2.4"}) == ["torch 2.9 -> 1"]
    assert check_colab.changed(report, {"numpy": "2.4"}) == []


def test_the_versions_that_are_already_there_are_newer_than_the_locked_ones():
    installed = check_colab.newer({"torch": "2.9.1", "numpy": "2.3.5"})
    assert installed == {"torch": "2.10", "numpy": "2.4"}
