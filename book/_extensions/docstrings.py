"""Sphinx extension: docstrings are written to be read in an editor, much as Markdown; here they become a page.

A module's docstring is put on its page as Markdown (:func:`markdown`). Those of functions and classes stay with
autodoc and napoleon, after what reStructuredText would take for its own marks has been escaped (:func:`escaped`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

CODE = re.compile(r"(``?[^`]+``?)")
ROLE = re.compile(r":(?:py:)?(mod|func|class|meth|data|exc|attr):`~?([\w.]+)`")


def outside_code(line: str, change: Callable[[str], str], inside: Callable[[str], str] = str) -> str:
    """A line with one change made to its text and another to its `code`."""
    parts = CODE.split(line)
    return "".join(inside(part) if k % 2 else change(part) for k, part in enumerate(parts))


def markdown(doc: str, module: str) -> str:
    """The docstring of a module as Markdown.

    Args:
        doc: the docstring, without the indentation of the file.
        module: its dotted name, which names without dots belong to.

    Returns:
        Markdown: roles in MyST's form, no bars inside the code of a table, no formulas by accident.

    Example:
        >>> markdown("See :func:`d`.", "ivtutorial.method.schedule")
        'See {py:func}`~ivtutorial.method.schedule.d`.'
    """

    def role(match: re.Match[str]) -> str:
        name = match[2] if "." in match[2] else f"{module}.{match[2]}"
        return f"{{py:{match[1]}}}`~{name}`"

    lines = []
    for line in ROLE.sub(role, doc).splitlines():
        if line.startswith("|"):
            line = outside_code(line, str, lambda code: code.replace("|", "\\|"))
        lines.append(line if line.startswith("    ") else outside_code(line, lambda text: text.replace("$", "\\$")))
    return "\n".join(lines)


def escaped(lines: list[str]) -> list[str]:
    """Lines of a docstring in which bars and lone stars are nothing but characters, and lists stand by themselves.

    Lines of examples (`>>>`, and what they print) stay as they are.

    Example:
        >>> escaped(["abs |x|, *args, *yes*"])
        ['abs \\\\|x\\\\|, \\\\*args, *yes*']
    """

    def plain(text: str) -> str:
        text = re.sub(r"\*(?!\w[^*]*\w\*|\w\*)(?<!\w\*)", r"\\*", text) if text.count("*") % 2 else text
        return text.replace("|", "\\|")

    result: list[str] = []
    example = False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        item = re.match(r"\s*(- |\d+\. )", line)
        if item and result and result[-1].strip() and not re.match(r"\s*(- |\d+\. |\s)", result[-1]):
            result.append("")
        result.append(line if example else outside_code(line, plain))
    return result


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Change a docstring in place, as autodoc wants it. A module's is on its page already."""
    lines[:] = [] if what == "module" else escaped(lines)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx, before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
