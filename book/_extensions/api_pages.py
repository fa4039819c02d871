"""Sphinx extension: the pages of the API appendix, one for every module, and one over them, in `book/api`.

A page holds what autodoc reads from the docstrings, and links back to the rows of `book/paper_to_code.md` and to the
pages of the book that name something of the module. They follow from the code and the book, so git ignores them.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from docstrings import markdown
from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
ROLE = re.compile(r"\{py:\w+\}`~?(ivtutorial[\w.]*)`")
GROUPS = {
    "ivtutorial": "The package",
    "ivtutorial.method": "The method",
    "ivtutorial.rivals": "Rivals",
    "ivtutorial.rewards": "Image rewards",
    "ivtutorial.lab": "The small world",
}


def modules(package: Path) -> dict[str, str]:
    """Every module of a package but private ones, and its docstring as Markdown."""
    result = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            name = ".".join(parts)
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            result[name] = markdown(doc, name)
    return result


def prose(path: Path) -> str:
    """The Markdown of a page of the book, or of a notebook's cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return "\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")


def module_of(name: str, known: dict[str, str]) -> str:
    """The module that a dotted name is, or is in."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def named_in(text: str, known: dict[str, str]) -> set[str]:
    """The modules that the roles of a text name."""
    return {module_of(name, known) for name in ROLE.findall(text)}


def paper_rows(text: str, known: dict[str, str]) -> dict[str, list[str]]:
    """For each module, the rows of the paper-to-code map (their first cells) that name it."""
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("| ") and ROLE.search(line):
            for module in named_in(line, known):
                rows.setdefault(module, []).append(line.split("|")[1].strip())
    return rows


def page(module: str, doc: str, rows: list[str], chapters: list[str]) -> str:
    """The text of a module's page."""
    links = []
    if rows:
        links.append(f"In the paper: [{'; '.join(rows)}](../paper_to_code.md).")
    if chapters:
        links.append("In the book: " + ", ".join(f"[](../{name})" for name in chapters) + ".")
    links.append("[All modules](index.md).")
    options = "   :members:\n   :member-order: bysource\n   :ignore-module-all:\n   :show-inheritance:\n"
    body = f"```{{eval-rst}}\n.. automodule:: {module}\n{options}```\n"
    return f"# {module}\n\n{doc}\n\n{' '.join(links)}\n\n{body}"


def index(known: dict[str, str]) -> str:
    """The text of the page over all modules."""
    text = (
        "# API by module\n\nEvery module and every public function of the package, from its docstrings. "
        "The page [](../paper_to_code.md) goes the other way: from an equation, table or figure of the paper to the "
        "function. `[source]` beside a name shows the code.\n"
    )
    for package, title in GROUPS.items():
        text += f"\n## {title}\n\n| module | what it holds |\n|---|---|\n"
        for module, doc in known.items():
            if group_of(module) == package:
                first = " ".join(doc.split("\n\n")[0].split())
                text += f"| [{module}]({module}.md) | {first} |\n"
    return text


def group_of(module: str) -> str:
    """The package of `GROUPS` that a module is listed under."""
    return next(package for package in reversed(GROUPS) if module == package or module.startswith(f"{package}."))


def pages(root: Path) -> dict[Path, str]:
    """Every file of the appendix and its text."""
    known, book = modules(root / "ivtutorial"), root / "book"
    rows = paper_rows((book / "paper_to_code.md").read_text(encoding="utf-8"), known)
    texts = {path.name: prose(path) for path in sorted([*book.glob("*.ipynb"), *book.glob("*.md")])}
    texts.pop("paper_to_code.md")
    mentions = {name: named_in(text, known) for name, text in texts.items()}
    files = {book / "api" / "index.md": index(known)}
    for module in known:
        chapters = [name for name, result in mentions.items() if module in result]
        files[book / "api" / f"{module}.md"] = page(module, known[module], rows.get(module, []), chapters)
    return files


def write(root: Path) -> None:
    """Bring `book/api` up to date; what has not changed is left alone, so that Sphinx need not read it again."""
    wanted = pages(root)
    folder = root / "book" / "api"
    folder.mkdir(exist_ok=True)
    for path in set(folder.glob("*.md")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def drop_list_of_sources(app: Any, error: Exception | None) -> None:
    """Take away the page over all sources that viewcode writes: no page leads to it, `index` has the same modules, and
    it nests a list in a list without an item between them, which a screen reader stumbles over."""
    if error is None:
        (Path(app.outdir) / "_modules" / "index.html").unlink(missing_ok=True)


def adopt(app: Any, page: nodes.document) -> None:
    """Make every node of a page belong to the page.

    What `eval-rst` reads belongs to a document of its own, which holds all that Sphinx knows of the book. Each of the
    300 pages would be stored with it (18 MB a page), and loaded again several times.
    """
    for node in page.findall():
        node.document = page


def setup(app: Any) -> dict[str, bool]:
    """Write the pages now: the table of contents, which is read next, looks for them."""
    write(ROOT)
    app.connect("doctree-read", adopt)
    app.connect("build-finished", drop_list_of_sources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
