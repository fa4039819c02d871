"""The API appendix: a page for every module, links both ways, docstrings that Sphinx reads without complaint."""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import docutils.core
import docutils.nodes
import pytest
from docutils.parsers.rst import roles
from sphinx.ext.napoleon import Config, GoogleDocstring

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_extensions"))

import api_pages  # noqa: E402
import docstrings  # noqa: E402

MODULES = api_pages.modules(ROOT / "ivtutorial")
PAGES = {path.stem: text for path, text in api_pages.pages(ROOT).items()}


def documented(path: Path) -> Iterator[tuple[str, str]]:
    """Functions and classes of a file with their docstrings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, ast.get_docstring(node) or ""


def complaints(doc: str) -> str:
    """What docutils says about a docstring after the steps that the build takes."""
    for name in ("func", "class", "mod", "meth", "attr", "exc", "data", "py:obj", "py:func"):
        roles.register_local_role(name, roles.code_role)
    lines = docstrings.escaped(doc.splitlines())
    text = str(GoogleDocstring(lines, Config(napoleon_use_ivar=True)))
    said = io.StringIO()
    docutils.core.publish_doctree(text, settings_overrides={"warning_stream": said, "report_level": 2})
    return said.getvalue()


@pytest.mark.parametrize("path", sorted((ROOT / "ivtutorial").rglob("*.py")), ids=lambda path: path.stem)
def test_docstrings_are_read_without_a_warning(path: Path):
    result = {name: said for name, doc in documented(path) if (said := complaints(doc))}
    assert result == {}


def test_a_complaint_is_heard():
    """An unindented continuation of a list and an open quote are what the build would stop at."""
    assert "WARNING" in complaints("A ``quote that never ends.")


def test_marks_that_are_only_characters():
    assert docstrings.escaped(["a/*/b and |x|"]) == [r"a/\*/b and \|x\|"]
    assert docstrings.escaped(["`a|b` *so*"]) == ["`a|b` *so*"]
    assert docstrings.escaped([">>> 2 | 1", "3", "", "a | b"]) == [">>> 2 | 1", "3", "", r"a \| b"]
    assert docstrings.escaped(["Two:", "- a", "  b", "- c"]) == ["Two:", "", "- a", "  b", "- c"]


def test_a_module_docstring_becomes_markdown():
    doc = "| `a|b` | c |\n\nCosts $5; see :func:`d` and :mod:`ivtutorial.method.chain`.\n\n    x $ y"
    shown = docstrings.markdown(doc, "ivtutorial.method.schedule")
    assert shown.splitlines() == [
        r"| `a\|b` | c |",
        "",
        r"Costs \$5; see {py:func}`~ivtutorial.method.schedule.d` and {py:mod}`~ivtutorial.method.chain`.",
        "",
        "    x $ y",
    ]


def test_every_module_has_a_page_that_the_index_leads_to():
    assert set(PAGES) == {"index", *MODULES}
    for module in MODULES:
        assert f".. automodule:: {module}\n" in PAGES[module]
        assert PAGES["index"].count(f"]({module}.md)") == 1, module


def test_the_list_of_sources_goes_and_the_sources_stay(tmp_path: Path):
    """Of a build that failed everything is left to look at."""
    sources = tmp_path / "_modules" / "ivtutorial"
    sources.mkdir(parents=True)
    for path in (sources / "errors.html", sources.parent / "index.html", tmp_path / "index.html"):
        path.write_text("<ul><li>a</li><ul><li>b</li></ul></ul>")
    api_pages.drop_list_of_sources(SimpleNamespace(outdir=tmp_path), ValueError("a warning"))
    assert (sources.parent / "index.html").exists()
    for _ in range(2):  # the second time there is nothing to take away
        api_pages.drop_list_of_sources(SimpleNamespace(outdir=tmp_path), None)
        left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.html"))
        assert left == ["_modules/ivtutorial/errors.html", "index.html"]


def test_the_map_and_the_api_lead_to_each_other():
    """Each row of the map names a function; the page of its module names the row."""
    rows = re.findall(r"^\| ([^|]+?) \|.*$", (ROOT / "book" / "paper_to_code.md").read_text("utf-8"), re.MULTILINE)
    equations = [row for row in rows if re.fullmatch(r"(Eq|Fig|Table)\.? [\w.]+", row)]
    shown = "\n".join(PAGES.values())
    assert len(equations) > 15
    for row in equations:
        assert re.search(rf"In the paper: \[[^\]]*{re.escape(row)}[;\]]", shown), row
