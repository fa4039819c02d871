"""Sphinx extension: the directive `clip-reel`, a video file as a numbered figure that plays without a player.

:::{clip-reel} ../data/gallery/before_after.mp4
:alt: What it shows, in words.
The caption.
:::
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from ivtutorial.pages import film_assets, html_film, html_reel
from ivtutorial.video.reader import read_video, video_facts


class ClipReel(SphinxDirective):
    """`clip-reel`, whose argument is the file, seen from the page, and whose content is the caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required, "name": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Read all frames at the file's own rate, and parse the caption."""
        path = Path(self.env.doc2path(self.env.docname)).parent / self.arguments[0]
        self.env.note_dependency(str(path.resolve()))
        facts = video_facts(path)
        frames = read_video(path, round(facts.seconds * facts.fps), facts.fps)
        film = html_film(frames, self.options["alt"], facts.fps, quality=92)
        figure = nodes.figure("", nodes.raw("", html_reel(film) + film_assets(), format="html"))
        parsed = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        [words] = parsed.children
        figure += nodes.caption(words.rawsource, "", *words.children)
        self.add_name(figure)
        self.set_source_info(figure)
        return [figure]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("clip-reel", ClipReel)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
