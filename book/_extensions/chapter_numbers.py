"""Sphinx extension: figures, tables and exercises are numbered by chapter: Fig. 6.2, Exercise 6.1.

The number of a chapter stands in its title ("6. Rewarding segments"). Pages without one count from 1. The title of
an exercise is shown in brackets, so its difficulty follows a dot and not in brackets: Exercise 6.1 (One frame · easy).
"""

from __future__ import annotations

import re
from typing import Any

AFTER_COLLECTORS = 900  # Sphinx's own collector numbers through the whole book at priority 500


def chapter_of(title: str) -> tuple[int, ...]:
    """The number at the start of a title, as the first part of a section number; nothing where there is none.

    Example:
        >>> chapter_of("6. Rewarding segments"), chapter_of("Setup")
        ((6,), ())
    """
    match = re.match(r"(\d+)\. ", title)
    return (int(match[1]),) if match else ()


def number_by_chapter(app: Any, env: Any) -> list[str]:
    """Write the numbers anew, page by page, in the order in which the numbered things stand there."""
    for page, kinds in env.toc_fignumbers.items():
        chapter = chapter_of(env.titles[page].astext())
        for numbers in kinds.values():
            numbers.update({name: (*chapter, count) for count, name in enumerate(numbers, start=1)})
    return []


def without_inner_brackets(text: str) -> str:
    """A source in which no exercise's title ends in brackets of its own.

    Example:
        >>> without_inner_brackets(":::{exercise} One frame (easy)")
        ':::{exercise} One frame · easy'
    """
    return re.sub(r"(\{exercise\} [^\n]+?) \((easy|medium|hard)\)", r"\1 · \2", text)


def read(app: Any, docname: str, source: list[str]) -> None:
    """Rewrite a source before it is parsed."""
    source[0] = without_inner_brackets(source[0])


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", read)
    app.connect("env-get-updated", number_by_chapter, priority=AFTER_COLLECTORS)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
