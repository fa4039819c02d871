"""Sphinx extension: the directive `zoo-figure`, a numbered figure of the small world, drawn when the book is built.

    :::{zoo-figure} fault_mixer
    :name: fig-mixer
    The caption.
    :::

The names are those of functions in `ivtutorial.lab.world.posters` and `fault_mixer`, which return HTML.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

MODULES = {"fault_mixer": "ivtutorial.lab.world.fault_mixer"}
POSTERS = "ivtutorial.lab.world.posters"


class ZooFigure(SphinxDirective):
    """`zoo-figure`, whose argument names the function and whose content is the caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"name": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Draw the figure and parse its caption."""
        name = self.arguments[0]
        draw = getattr(import_module(MODULES.get(name, POSTERS)), name)
        parsed = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        [words] = parsed.children
        figure = nodes.figure("", nodes.raw("", draw(), format="html"))
        figure += nodes.caption(words.rawsource, "", *words.children)
        self.add_name(figure)
        self.set_source_info(figure)
        return [figure]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("zoo-figure", ZooFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
