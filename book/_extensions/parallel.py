"""Let Sphinx read pages in several processes, which `make book` uses to run two notebooks at once.

One of Jupyter Book's extensions for LaTeX and one for numbered contents do not declare whether they allow it: the
first is not used here, the other acts after the last page is read. Undeclared, Sphinx warns and reads one page after
another. And Sphinx deals pages in chunks by the alphabet, which puts every notebook into the first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.util.parallel import make_chunks

UNDECLARED = ("sphinx_jupyterbook_latex", "sphinx_multitoc_numbering")


def declare(app: Any, config: Any) -> None:
    """Say for these two what they do not say themselves."""
    for name in UNDECLARED:
        app.extensions[name].parallel_read_safe = True


def deal(app: Any, env: Any, pages: list[str]) -> None:
    """Reorder the pages, in place, so that every chunk begins with a few of the notebooks."""
    chunks = len(make_chunks(pages, app.parallel))
    pages.sort(key=lambda page: Path(env.doc2path(page)).suffix != ".ipynb")
    pages[:] = [page for first in range(chunks) for page in pages[first::chunks]]


def setup(app: Any) -> dict[str, bool]:
    """Once the configuration, and with it every extension, is there; and before the first page is read."""
    app.connect("config-inited", declare)
    app.connect("env-before-read-docs", deal)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
