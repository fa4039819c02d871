"""What one has to edit for one more of a kind: a method, a shipped reward, a TAR parameter; and the pages that say so.

A place is a statement at the top of a module that names every one of a kind, or all but one, which may be its default:
a table, a list, a chain of branches. Who adds one must look at each of these. To them comes the module of its own.
Prose in docstrings is no such place, nor is a list that holds a choice, as the methods of one experiment.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from layout_files import (
    BOOK,
    PACKAGE,
    ROOT,
    TESTS,
    Bar,
    classes,
    functions,
    modules,
    outside_cli,
    parameters,
    settings,
    short,
    tree,
)


def table(path: Path, name: str) -> Any:
    """The value of a table that a module holds as plain data."""
    [value] = [node.value for node in tree(path).body if isinstance(node, ast.Assign)
               and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)]  # fmt: skip
    return ast.literal_eval(value)


def words_of(statement: ast.stmt) -> set[str]:
    """Names, attributes, imports, and texts of a statement; docstrings are neither."""
    words: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            words.add(node.id)
        elif isinstance(node, ast.Attribute):
            words.add(node.attr)
        elif isinstance(node, ast.alias):
            words.add(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
    return words


def places_that_name(kinds: Mapping[str, set[str]], paths: list[Path]) -> list[str]:
    """The statements that name all of a kind, or all but one.

    Args:
        kinds: what each of them is called.
        paths: modules to look at.
    """
    most = len(kinds) - 1
    # Texts are searched first, since parsing all of them takes seconds.
    likely = [path for path in paths if how_many(kinds, path.read_text(encoding="utf-8")) >= most]
    statements = ((path, node, words_of(node)) for path in likely for node in tree(path).body)
    return [f"{short(path)}:{node.lineno}" for path, node, words in statements if how_many(kinds, words) >= most]


def how_many(kinds: Mapping[str, set[str]], words: Container[str]) -> int:
    """How many of a kind are named in a set of words, or somewhere in a text."""
    return sum(any(name in words for name in names) for names in kinds.values())


def method_places() -> Bar:
    """Places to edit for one more method: its class, and the statements that name every method."""
    rows: dict[str, str] = table(PACKAGE / "rivals" / "named.py", "METHOD_MODULES")
    own = {ROOT / f"{module.replace('.', '/')}.py" for module in rows.values()}
    lists = places_that_name({name: {name, name.lower()} for name in rows}, [*modules(), *modules(TESTS)])
    lacking = [name for name, module in rows.items()
               if name not in [kind.name for kind in classes(ROOT / f"{module.replace('.', '/')}.py")]]  # fmt: skip
    return bar_of_places("places to edit for a new method", lists, 3, lacking or len(own) != len(rows))


def reward_places() -> Bar:
    """Places to edit for one more shipped reward: its module, and the statements that name every reward."""
    rows: dict[str, tuple[str, str, str]] = table(PACKAGE / "rewards" / "shipped.py", "SHIPPED")
    kinds = {name: {name, loader} for name, (_, loader, _) in rows.items()}
    lists = places_that_name(kinds, [*modules(), *modules(TESTS)])
    lacking = [name for name, (module, loader, _) in rows.items()
               if loader not in [node.name for node, _ in functions(PACKAGE / "rewards" / f"{module}.py")]]  # fmt: skip
    return bar_of_places("places to edit for a shipped reward", lists, 2, lacking)


def bar_of_places(what: str, lists: list[str], most: int, broken: Any) -> Bar:
    """A bar of the module of its own and of the statements that name all; at most two files."""
    files = 1 + len({place.rsplit(":", 1)[0] for place in lists})
    today = f"{1 + len(lists)} in {files} files: its module, {', '.join(lists) or 'no table'}"
    met = 1 + len(lists) <= most and files <= 2 and bool(lists) and not broken
    return Bar(what, today, f"{most} in 2 files at most", met)


def tar_declarations() -> Bar:
    """Declarations of each parameter of TAR that is a setting, outside the command line: parameters and fields.

    Frames may also be drawn by TAR; the two functions in method/segvr.py that do so are listed apart.
    """
    by_hand = [node for node, _ in functions(PACKAGE / "method" / "tar.py") if node.name == "temporal_attenuation"]
    fields = {kind.name: settings(kind) for kind in classes(PACKAGE / "method" / "video_reward.py")}
    names = [name for node in by_hand for name in parameters(node) if name in fields["VideoRewardSettings"]]
    places = {name: declarations(name) for name in names}
    drawing = {name: files.count("method/segvr.py") for name, files in places.items()}
    others = {name: len(places[name]) - drawing[name] for name in names}
    today = ", ".join(f"{name} {count}" for name, count in others.items())
    today += "".join(f"; where frames are drawn by {name} {n} more" for name, n in drawing.items() if n)
    return Bar("declarations of a TAR parameter", today, "2 at most", bool(names) and set(others.values()) <= {1, 2})


def declarations(name: str) -> list[str]:
    """The modules outside cli/ that declare a parameter or a field of this name, once for each."""
    found = []
    for path in outside_cli():
        found += [short(path) for node, _ in functions(path) if name in parameters(node)]
        found += [short(path) for kind in classes(path) if name in settings(kind)]
    return found


def page_lines() -> Bar:
    """The pages for who adds a reward, a method, a species: their lines, and whether the test to run comes last."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    world = (BOOK / "small_world.md").read_text(encoding="utf-8")
    pages = {kind: text.partition(f"## Add a {kind}\n")[2].partition("\n## ")[0] for kind in ("reward", "method")}
    pages["species"] = world.partition("{admonition} Add a species\n")[2].partition("\n::::")[0]
    lines = {kind: page.strip().splitlines() for kind, page in pages.items()}
    untested = [kind for kind, page in pages.items() if "-m pytest" not in "\n".join(page.strip().splitlines()[-3:])]
    today = ", ".join(f"{kind} {len(page)}" for kind, page in lines.items())
    today += f"; no test at the end: {', '.join(untested)}" if untested else "; each ends in its test"
    met = not untested and max(map(len, lines.values())) <= 20
    return Bar("pages 'Add a ...', lines", today, "20 lines, the test last", met)
