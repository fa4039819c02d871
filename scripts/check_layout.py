"""Print how the code is laid out: what was counted, beside the bar that it should stay within.

    python scripts/check_layout.py

Everything is read from the files, nothing is imported. A line that misses its bar ends in `missed`; the exit code is 0
all the same, since some bars are aims.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layout_duplications import LINES, NUMBERS, in_several, remaining
from layout_files import BOOK, PACKAGE, ROOT, TESTS, Bar, code_lines, functions, modules, outside_cli, tree
from layout_places import method_places, page_lines, reward_places, tar_declarations

EQUATIONS = {str(number) for number in range(3, 10)}
# Modules of method/ that hold no part of Section 3, and why.
BESIDE = {
    "settings": "what every method has in common",
    "batch": "what every method has in common",
    "flow": "another kind of noise schedule than the paper's",
    "gain": "how far a step carries the gradient",
    "two_phase": "a saving of memory",
}


# The package


def top_level() -> Bar:
    """Modules that lie directly in the package."""
    names = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
    return Bar("modules at the top of the package", f"{len(names)}: {', '.join(names)}", "3 at most", len(names) <= 3)


def largest_folder() -> Bar:
    """The folder of the package with the most modules."""
    counts = Counter(path.parent for path in modules() if path.stem != "__init__")
    folder, count = counts.most_common(1)[0]
    return Bar("largest folder, modules", f"{count} in {folder.relative_to(PACKAGE)}/", "14 at most", count <= 14)


def layers() -> Bar:
    """Whether imports go one way, as import-linter finds from pyproject.toml."""
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    what, bar = "imports go one way (import-linter)", "all contracts kept"
    if command is None:
        return Bar(what, "import-linter is not installed", bar, False)
    result = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    kept = re.search(r"Contracts: .*", result.stdout)
    return Bar(what, kept[0] if kept else "no contracts", bar, result.returncode == 0 and kept is not None)


def method_size() -> Bar:
    """Files and lines of code to read for the paper's equations; the modules of BESIDE are counted apart."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in modules(PACKAGE / "method")}
    lines = {name: code_lines(ast.parse(text), text) for name, text in texts.items() if name != "__init__"}
    beside = [lines.pop(name) for name in BESIDE]
    count, largest = sum(lines.values()), max(len(text.splitlines()) for text in texts.values())
    today = f"{len(lines)} files, {count} lines of code, the longest of {largest} in all"
    today += f"\nnot counted: {len(beside)} files of {sum(beside)} lines, which Section 3 has no part of:"
    today += "".join(f"\n  {name}: {why}" for name, why in BESIDE.items())
    met = len(lines) <= 9 and count <= 450 and largest <= 210
    return Bar("method/: the paper's Section 3", today, "9 files, 450 lines, 210 the longest", met)


def losses() -> Bar:
    """The step of InstructVideo on one screen: its lines and the equations behind them."""
    path, what, bar = (
        PACKAGE / "method" / "instructvideo.py",
        "InstructVideo.losses",
        "20 lines, Eq. 3 to 9 behind them",
    )
    pairs = [pair for pair in functions(path) if pair[0].name == "losses"]
    if not pairs:
        return Bar(what, "not there", bar, False)
    node, text = pairs[0]
    body = "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])
    numbers = {n for group in re.findall(r"# .*?Eqs?\. ([\d, and-]+)", body) for n in re.findall(r"\d", group)}
    lines = code_lines(node, text)
    today = f"{lines} lines, Eq. {', '.join(sorted(numbers)) or 'none'}"
    return Bar(what, today, bar, lines <= 20 and numbers >= EQUATIONS)


def isinstance_over_methods() -> Bar:
    """Calls that ask which method one has."""
    methods = {"RewardMethod"}
    for path in [*modules(PACKAGE / "method"), *modules(PACKAGE / "rivals")]:
        classes = [node for node in tree(path).body if isinstance(node, ast.ClassDef)]
        methods |= {node.name for node in classes if any(getattr(part, "name", "") == "updates" for part in node.body)}
    places = []
    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
                names = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
                names |= {part.attr for part in ast.walk(node.args[1]) if isinstance(part, ast.Attribute)}
                if names & methods:
                    places.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    return Bar("isinstance over methods", " ".join([str(len(places)), *places]), "0", not places)


def defined_twice() -> Bar:
    """Public names that two modules outside the command line define."""
    homes: dict[str, list[str]] = {}
    for path in outside_cli():
        for node in tree(path).body:
            for name in names_of(node):
                if not name.startswith("_"):
                    homes.setdefault(name, []).append(str(path.relative_to(PACKAGE)))
    twice = {name: paths for name, paths in homes.items() if len(set(paths)) > 1}
    today = f"{len(twice)}" + "".join(f"\n{name}: {', '.join(paths)}" for name, paths in sorted(twice.items()))
    return Bar("public names defined in two modules", today, "0 outside cli/", not twice)


def written_once() -> Bar:
    """Formulas and services that one module holds and the others call."""
    several = in_several()
    today = f"{len(LINES) - len(several)} of {len(LINES)}"
    today += "".join(f"\n{what}: {', '.join(paths) or 'not found'}" for (_, what), paths in several.items())
    return Bar("formulas and services written once", today, "all", not several)


def duplications() -> Bar:
    """How many of the 25 duplications, by their numbers, are left."""
    left = remaining()
    today = f"{len(left)} of {len(NUMBERS)} left" + "".join(f"\n{number}: {where}" for number, where in left.items())
    return Bar("duplications", today, "5 of 25 at most", len(left) <= 5 and set(range(1, 26)) == NUMBERS)


def names_of(node: ast.stmt) -> list[str]:
    """What a top-level statement defines; a logger and a type variable belong to their module alone."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    value = getattr(node, "value", None)
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("logging.getLogger", "TypeVar", "ParamSpec"):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def long_functions() -> Bar:
    """Functions of more than 40 lines of code outside the command line."""
    places = [f"{path.relative_to(PACKAGE)}:{node.name} {code_lines(node, text)}" for path in outside_cli()
              for node, text in functions(path) if code_lines(node, text) > 40]  # fmt: skip
    today = "\n".join([str(len(places)), *places])
    return Bar("functions over 40 lines of code", today, "0 outside cli/", not places)


def examples() -> Bar:
    """Examples in docstrings, which tests/test_docstrings.py runs."""
    lines = [line for path in modules() for line in path.read_text(encoding="utf-8").splitlines() if ">>> " in line]
    skipped = sum("doctest: +SKIP" in line for line in lines)
    marked = sum("SKIP" in line for line in lines) == skipped
    return Bar(
        "lines of docstring examples", f"{len(lines) - skipped} run, {skipped} SKIP", "all run or marked", marked
    )


# Tests and book


def long_test_files() -> Bar:
    """Test files of more than 400 lines."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS.rglob("*.py")}
    places = [f"{path.relative_to(TESTS)} {n}" for path, n in sorted(lengths.items()) if n > 400]
    return Bar("test files over 400 lines", " ".join([str(len(places)), *places]), "0", not places)


def asserts(node: ast.AST, helpers: dict[str, ast.FunctionDef], depth: int = 3) -> bool:
    """Whether a function checks something: itself, or a function of its file that it calls or takes as a fixture."""
    for part in ast.walk(node):
        if isinstance(part, ast.Assert):
            return True
        name = getattr(part, "attr", None) or getattr(part, "id", None) or getattr(part, "arg", None)
        if isinstance(name, str):
            if name in ("raises", "warns", "fail") or name.startswith("assert_"):
                return True
            if depth and name in helpers and helpers[name] is not node and asserts(helpers[name], helpers, depth - 1):
                return True
    return False


def assertion_free() -> Bar:
    """Tests that cannot fail."""
    places, count = [], 0
    for path in sorted(TESTS.rglob("test_*.py")):
        helpers = {node.name: node for node, _ in functions(path)}
        tests = [node for name, node in helpers.items() if name.startswith("test_")]
        count += len(tests)
        places += [f"{path.relative_to(TESTS)}:{node.name}" for node in tests if not asserts(node, helpers)]
    return Bar("tests without an assertion", " ".join([f"{len(places)} of {count}", *places]), "0", not places)


def cells(kind: str) -> Iterator[tuple[Path, str]]:
    """Every cell of one kind of every chapter."""
    for path in sorted(BOOK.glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == kind:
                yield path, "".join(cell["source"])


def book_imports() -> Bar:
    """Where the chapters import from: the root and folders, no module below a folder."""
    pattern = re.compile(r"^\s*(?:from (ivtutorial[\w.]*) import|import (ivtutorial[\w.]*))", re.MULTILINE)
    paths = {item or other for _, text in cells("code") for item, other in pattern.findall(text)}
    below = sorted(name for name in paths if (ROOT / f"{name.replace('.', '/')}.py").is_file())
    today = " ".join([f"{len(paths)}, {len(below)} of them modules below a folder", *below])
    return Bar("import paths of the book", today, "12, none below a folder", len(paths) <= 12 and not below)


def words(text: str) -> int:
    """Words of running text: a table is looked up and not read through, a directive's options do not show; a formula
    is one word."""
    text = re.sub(r"\$\$.*?\$\$|\$[^$]+\$", "x", text, flags=re.DOTALL)
    return sum(len(line.split()) for line in text.splitlines() if not line.lstrip().startswith(("|", ":")))


def longest_cell() -> Bar:
    """The markdown cell of the book with the most running text."""
    count, path = max((words(text), path.stem) for path, text in cells("markdown"))
    today = f"{count} words in {path}"
    today += "\nlines of tables and options of directives are left out, a formula is one word"
    return Bar("longest markdown cell", today, "250 words", count <= 250)


BARS: tuple[Any, ...] = (
    top_level,
    largest_folder,
    layers,
    method_size,
    losses,
    isinstance_over_methods,
    method_places,
    reward_places,
    page_lines,
    tar_declarations,
    defined_twice,
    written_once,
    duplications,
    long_functions,
    examples,
    book_imports,
    long_test_files,
    assertion_free,
    longest_cell,
)


def main() -> None:
    """Count and print."""
    for count in BARS:
        bar = count()
        first, *rest = bar.today.splitlines()
        print(f"{bar.what:38} {first}  [{bar.bar}]{'' if bar.met else '  missed'}")
        for line in rest:
            print(f"{'':38}   {line}")


if __name__ == "__main__":
    main()
