"""How `check_layout.py` reads the repository: Python files as syntax trees, and what counts as a line of code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, TESTS, BOOK = ROOT / "ivtutorial", ROOT / "tests", ROOT / "book"


@dataclass(frozen=True)
class Bar:
    """One thing that was counted, what it should be, and whether it is."""

    what: str
    today: str
    bar: str
    met: bool


@cache
def tree(path: Path) -> ast.Module:
    """A Python file as its syntax tree; read once."""
    return ast.parse(path.read_text(encoding="utf-8"))


def modules(folder: Path = PACKAGE) -> list[Path]:
    """Every Python file of the package, or of one folder of it and those below."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def outside_cli() -> list[Path]:
    """The modules of the package without the command line, whose functions list every option."""
    return [path for path in modules() if "cli" not in path.relative_to(PACKAGE).parts]


def short(path: Path) -> str:
    """A path as it is printed: from the package, from the repository for what lies outside, else its name."""
    base = next((folder for folder in (PACKAGE, ROOT) if folder in path.parents), path.parent)
    return str(path.relative_to(base))


def documented(node: ast.AST) -> bool:
    """Whether a module, class or function begins with a docstring."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None


def code_lines(node: ast.AST, text: str) -> int:
    """Lines of code of a node: neither blank, nor comments alone, nor docstrings."""
    lines = text.splitlines()
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", len(lines))
    numbers = {n for n in range(first, last + 1) if lines[n - 1].strip() and not lines[n - 1].strip().startswith("#")}
    for part in ast.walk(node):
        if documented(part):
            string = part.body[0]  # type: ignore[attr-defined]
            numbers -= set(range(string.lineno, string.end_lineno + 1))
    return len(numbers)


def functions(path: Path) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Every function and method of a file, with the file's text."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            yield node, text


def classes(path: Path) -> list[ast.ClassDef]:
    """The classes of a file."""
    return [node for node in tree(path).body if isinstance(node, ast.ClassDef)]


def parameters(function: ast.FunctionDef) -> list[str]:
    """The names of a function's parameters."""
    arguments = function.args
    return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def settings(kind: ast.ClassDef) -> dict[str, str]:
    """The fields of a data class: name -> type and default, as they are written."""
    lines = [part for part in kind.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)]
    return {line.target.id: ast.unparse(line) for line in lines}  # type: ignore[union-attr]
