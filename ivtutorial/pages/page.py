"""Pages from the templates of this folder: every text is escaped, whatever it holds, and nothing is left out unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, **values: Any) -> str:
    """A page as HTML text.

    Args:
        template: file name, such as "report.html".
        **values: what the template shows. Text is escaped; markup comes as `markupsafe.Markup`.

    Raises:
        jinja2.UndefinedError: a value that the template needs is missing.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(template).render(values)
