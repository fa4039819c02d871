"""The shape of the package: few modules at the top, small folders, short functions, and one meaning a name."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from ivtutorial.rewards.shipped import SHIPPED
from ivtutorial.rivals.named import METHOD_MODULES

PACKAGE = Path(__file__).resolve().parents[1] / "ivtutorial"
MODULES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
OUTSIDE_CLI = {path: tree for path, tree in MODULES.items() if PACKAGE / "cli" not in path.parents}


def defined(tree: ast.Module) -> Iterator[str]:
    """Public functions, classes and type aliases of a module. Constants are read with their module's name."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name
        elif isinstance(node, ast.Assign) and not (
            isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in ("TypeVar", "logging.getLogger")
        ):
            names = [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            yield from (name for name in names if not name.startswith("_") and not name.isupper())


def test_a_public_name_means_one_thing() -> None:
    """No function, class or type alias of that name in two modules; the commands may be called like what they run."""
    places = defaultdict(list)
    for path, tree in OUTSIDE_CLI.items():
        for name in defined(tree):
            places[name].append(str(path.relative_to(PACKAGE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_the_top_of_the_package_is_a_list_of_rooms() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} <= {"__init__", "errors", "checks"}


def in_a_table(folder: Path) -> set[str]:
    """The modules of a folder that the table of shipped rewards or of methods names."""
    rewards = {module for module, _, _ in SHIPPED.values()} if folder == PACKAGE / "rewards" else set()
    room = ".".join(["ivtutorial", *folder.relative_to(PACKAGE).parts])
    paths = (path.rsplit(".", 1) for path in METHOD_MODULES.values())
    return rewards | {module for place, module in paths if place == room}


def test_the_tables_lead_to_rewards_and_methods_of_their_own_folder_only() -> None:
    assert {"hpsv2", "aesthetic"} <= in_a_table(PACKAGE / "rewards") and "base" not in in_a_table(PACKAGE / "rewards")
    assert {"draft", "rwr"} <= in_a_table(PACKAGE / "rivals") and in_a_table(PACKAGE / "method") == {"instructvideo"}
    assert in_a_table(PACKAGE / "models") == set()


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES}), ids=lambda path: path.name)
def test_a_folder_holds_at_most_14_modules_and_describes_each(folder: Path) -> None:
    """The docstring of the folder has a row for every module and folder in it, besides those of a shipped reward or of
    a method: their tables, `SHIPPED` and `METHOD_MODULES`, lead to them."""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    assert len(modules) <= 14
    if folder.name not in ("ivtutorial", "cli", "notebook"):
        rooms = {path.parent.name for path in folder.glob("*/__init__.py")} - {"drawing"}
        rows = ast.get_docstring(MODULES[folder / "__init__.py"]) or ""
        assert {name for name in modules | rooms if f"| `{name}`" not in rows} - in_a_table(folder) == set()


def code_lines(function: ast.FunctionDef, lines: list[str]) -> int:
    """Lines of the body without docstring, comments and blank lines."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    body = function.body[1:] if documented else function.body
    if not body:
        return 0
    code = lines[body[0].lineno - 1 : function.end_lineno]
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in code)


def test_a_function_fits_on_a_screen() -> None:
    """At most 40 lines of code."""
    long = {}
    for path, tree in OUTSIDE_CLI.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and (count := code_lines(node, lines)) > 40:
                long[f"{path.relative_to(PACKAGE)}: {node.name}"] = count
    assert long == {}
