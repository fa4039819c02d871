"""Sphinx extension: the bibliography says nothing wrong to a screen reader.

Sphinx calls the box around references a `list`, and each reference a `doc-biblioentry`, which is no item of a list. So
the box is announced as empty. Without its role it is a plain box, and the references keep theirs.
"""

from __future__ import annotations

from typing import Any

WRONG, PLAIN = '<div role="list" class="citation-list">', '<div class="citation-list">'


def plain_box(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Take the role away from the box around references on a page that is about to be written."""
    if "body" in context:
        context["body"] = context["body"].replace(WRONG, PLAIN)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", plain_box)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
