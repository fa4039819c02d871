"""Let Sphinx read pages in several processes, which `make book` uses to run two notebooks at once.

Two of Jupyter Book's extensions do not declare whether they allow it; both act before the first page is read or after
the last. Undeclared, Sphinx warns and reads one page after another.
"""

from __future__ import annotations

from typing import Any

UNDECLARED = ("sphinx_jupyterbook_latex", "sphinx_multitoc_numbering")


def declare(app: Any, config: Any) -> None:
    """Say for these two what they do not say themselves."""
    for name in UNDECLARED:
        app.extensions[name].parallel_read_safe = True


def setup(app: Any) -> dict[str, bool]:
    """Once the configuration, and with it every extension, is there."""
    app.connect("config-inited", declare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
