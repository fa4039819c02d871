"""The map from the paper to the code leads to functions, tests and chapters that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAP = (ROOT / "book" / "paper_to_code.md").read_text(encoding="utf-8")
ROWS = [line for line in MAP.splitlines() if re.match(r"\| (Eq|Table|Fig|Sec)\.? ", line)]
# Chapters that are notebooks by their number; the second and the sixteenth are pages in prose.
CHAPTERS = {int(path.name[:2]): path.name for path in (ROOT / "book").glob("[0-9][0-9]_*.ipynb")}


def first_cell(row: str) -> str:
    return row.split("|")[1].strip()


def names_of(path: Path) -> set[str]:
    """Functions and classes of a file, methods among them, and what it assigns at its top."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assigned = {target.id for target in targets if isinstance(target, ast.Name)}
    return assigned | {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def test_every_equation_and_table_of_the_paper_has_a_row():
    result = {first_cell(row) for row in ROWS}
    assert {f"Eq. {number}" for number in range(1, 10)} | {"Table 1", "Table 2", "Table A.1"} <= result
    assert {f"Fig. {name}" for name in ("2", "5a", "5b", "5c", "7", "8", "9", "A.1", "A.7")} <= result


@pytest.mark.parametrize("row", ROWS, ids=first_cell)
def test_a_row_names_functions_that_exist(row: str):
    names = re.findall(r"\{py:(func|class|meth|mod)\}`~?([\w.]+)`", row)
    assert names
    for kind, name in names:
        module, _, attribute = (name, "", "") if kind == "mod" else name.rpartition(".")
        module = module.rpartition(".")[0] if kind == "meth" else module
        path = ROOT / (module.replace(".", "/") + ".py")
        path = path if path.exists() else path.with_suffix("") / "__init__.py"
        assert path.exists() and (kind == "mod" or attribute in names_of(path)), name


@pytest.mark.parametrize("row", [row for row in ROWS if row.startswith("| Eq")], ids=first_cell)
def test_the_file_of_an_equation_names_it(row: str):
    """From the code back to the paper: "Eq. 5", or "Eq. 3, 4" and "Eq. 6-8" for several."""
    number = first_cell(row).removeprefix("Eq. ")
    role = re.search(r"\{py:\w+\}`([a-z_.]+)\.\w+(?:\.\w+)?`", row)
    assert role is not None
    path = ROOT / (role[1].replace(".", "/") + ".py")
    cited = re.findall(r"Eq\. ([\d, -]+)", path.read_text(encoding="utf-8"))
    ranges = [part.split("-") for text in cited for part in text.replace(" ", "").strip(",-").split(",") if part]
    assert any(int(ends[0]) <= int(number) <= int(ends[-1]) for ends in ranges)


def test_every_test_that_the_page_names_exists():
    """As pytest takes it, file::name; or a file of tests and, behind it in the same text, names of tests in it."""
    ids = re.findall(r"(tests/[\w/]+\.py)::(\w+)", MAP)
    assert len(ids) > 60
    for file, name in ids:
        assert name in names_of(ROOT / file), f"{file}::{name}"
    for block in re.split(r"\n\s*\n|\n(?=\|)", MAP):
        files = [ROOT / name for name in re.findall(r"`(tests/[\w/]+\.py)`", block)]
        there = set().union(*(names_of(path) for path in files)) if files else set()
        for name in re.findall(r"`(test_\w+)`", block):
            assert name in there, name


def test_nothing_that_exists_is_called_planned():
    """`11, planned` says that chapter 11 is not there; the number of one that is there is a link."""
    for row in ROWS:
        chapters = row.rstrip("| ").rpartition("|")[2]
        planned = re.findall(r"(\d+)(?= (?:and|,) \d+, planned|, planned)", chapters)
        assert not {int(number) for number in planned} & set(CHAPTERS), row
        for number, page in re.findall(r"\[(\d+)\]\(([\w.]+)\)", chapters):
            assert CHAPTERS.get(int(number), page) == page and (ROOT / "book" / page).exists(), row
