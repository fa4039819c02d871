"""Sphinx extension: the site needs no network. It carries its own MathJax, and no page loads anything else.

MathJax 3.2.2 (Apache-2.0) comes from the package `sphinx-mathjax-offline`, which requirements.lock pins. Of its 24 MB
one file is copied: TeX in, SVG out, the glyphs inside. Thebe, which Jupyter Book always loads, runs cells on a
server somewhere and fetches itself from the network; it is left out.
"""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

SCRIPT = "mathjax/tex-svg.js"  # below _static
NOTICE = "tex-svg.js is MathJax 3.2.2, (c) The MathJax Consortium, Apache License 2.0: https://www.mathjax.org\n"


def copy_mathjax(app: Any, error: Exception | None) -> None:
    """Put MathJax and its notice into the built site."""
    if error is not None or app.builder.format != "html":
        return
    package = distribution("sphinx-mathjax-offline")
    target = Path(app.outdir) / "_static" / SCRIPT
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(package.locate_file(f"sphinx-mathjax-offline/static/{SCRIPT}"), target)
    target.with_name("NOTICE.txt").write_text(NOTICE, encoding="utf-8")


def drop_thebe(app: Any) -> None:
    """Take back what sphinx_thebe registered, but for the folder of its style sheet, which pages already name."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            item
            for item in listeners
            if item.handler.__module__ != "sphinx_thebe" or item.handler.__name__ == "st_static_path"
        ]


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    drop_thebe(app)
    app.config.mathjax_path = SCRIPT
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
