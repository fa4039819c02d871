"""The architecture as README draws it, and the script that counts it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "check_layout.py"


def drawn() -> dict[str, set[str]]:
    """Folder -> the folders that README's tree draws in it; the root's name is empty."""
    [tree] = re.findall(r"```text\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    folders: dict[str, set[str]] = {}
    stack: list[str] = []
    for line in tree.splitlines():
        match = re.match(r"( *)(\w+)/", line)
        if match:
            depth = len(match[1]) // 2
            folders.setdefault("/".join(stack[:depth]), set()).add(match[2])
            stack[depth:] = [match[2]]
    return folders


def there(folder: Path, ending: str) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir() and any(path.rglob(f"*{ending}"))}


def test_the_folders_of_the_package_are_those_of_the_readme() -> None:
    """A new folder is drawn there, with one line that says what it holds, or it is not made."""
    assert drawn()["ivtutorial"] == there(ROOT / "ivtutorial", ".py")
    assert drawn()["ivtutorial/lab"] == there(ROOT / "ivtutorial" / "lab", ".py")


def test_the_folders_of_the_repository_are_there() -> None:
    assert drawn()[""] and all((ROOT / name).is_dir() for name in drawn()[""])


@pytest.fixture(scope="module")
def layout() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_layout", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_layout"] = module
    spec.loader.exec_module(module)
    return module


def test_the_script_prints_every_bar(layout: ModuleType) -> None:
    result = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    lines = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert len(lines) == len(layout.BARS) and all(re.search(r"\[.+\](  missed)?$", line) for line in lines)


def test_every_bar_is_met(layout: ModuleType) -> None:
    """Except that of imports, which `make lint` checks."""
    bars = [count() for count in layout.BARS if count is not layout.layers]
    assert {bar.what: bar.today for bar in bars if not bar.met} == {}


def test_lines_of_code_by_hand(layout: ModuleType, tmp_path: Path) -> None:
    """Four: the two heads, the assignment, and the return that stands behind a comment of its own."""
    path = tmp_path / "a.py"
    path.write_text(
        '''"""A module."""\n\nx = 1  # counts\n\n\nclass A:\n    """A class,\n\n    documented."""\n\n'''
        "    def f(self):\n        # does not count\n        return 2\n"
    )
    assert layout.code_lines(layout.tree(path), path.read_text()) == 4
    [(function, text)] = layout.functions(path)
    assert layout.code_lines(function, text) == 2


def test_words_of_a_cell_by_hand(layout: ModuleType) -> None:
    """Six: a formula is one word, in a line or on lines of its own; the table and the options of the box are none."""
    text = ":::{note}\n:class: tip\none $a + b$ two\n:::\n\n$$\nx = 1\n$$\n\n| a | b |\n\nthree four\n"
    assert layout.words(text) == 6


def test_a_test_that_asserts_in_a_helper_is_one(layout: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("def check(x):\n    assert x\n\ndef test_a():\n    check(1)\n\ndef test_b():\n    print(1)\n")
    helpers = {node.name: node for node, _ in layout.functions(path)}
    assert layout.asserts(helpers["test_a"], helpers) and not layout.asserts(helpers["test_b"], helpers)
