"""Directives that make a part of a page when the book is built, for the extensions beside this file to inherit from.

A class says what it makes and of which files; when one of these changes, the page is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


class MadePart(SphinxDirective):
    """What both kinds have in common."""

    def sources(self) -> Sequence[Path]:
        """The files that it is made of."""
        return ()

    def parsed(self, lines: StringList) -> list[nodes.Node]:
        """Lines of Markdown as nodes of the page."""
        for path in self.sources():
            self.env.note_dependency(str(path))
        parent = nodes.Element()
        self.state.nested_parse(lines, self.content_offset, parent)
        return parent.children


class MadeLines(MadePart):
    """Lines of Markdown."""

    def lines(self) -> list[str]:
        """What stands there."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse them as a part of the page."""
        return self.parsed(StringList(self.lines(), source=type(self).__name__))


class MadeFigure(MadePart):
    """A numbered figure, whose content is its caption: one paragraph."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"name": directives.unchanged_required}

    def drawn(self) -> str:
        """HTML text."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Draw it, and parse the caption."""
        [words] = self.parsed(self.content)
        figure = nodes.figure("", nodes.raw("", self.drawn(), format="html"))
        figure += nodes.caption(words.rawsource, "", *words.children)
        self.add_name(figure)
        self.set_source_info(figure)
        return [figure]
