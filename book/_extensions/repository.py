"""Sphinx extension: the repository's address stands in pyproject.toml, and no reader meets a placeholder.

As long as the address is the placeholder `OWNER` (see `scripts/set_repository.py`), pages tell a reader to install from
a copy of the repository, which works anywhere, and have no button to Colab, which needs an address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

PLACEHOLDER = "https://github.com/OWNER/ivtutorial"
# What stands in the sources, which `set_repository.py` rewrites -> what a page without an address says.
WITHOUT = (
    # Written as JSON in notebooks and as it is in pages.
    (f'%pip install --quiet \\"ivtutorial @ git+{PLACEHOLDER}\\"', "%pip install --quiet ivtutorial-*.whl"),
    (f'%pip install --quiet "ivtutorial @ git+{PLACEHOLDER}"', "%pip install --quiet ivtutorial-*.whl"),
    (f'\\"ivtutorial @ git+{PLACEHOLDER}\\"', "ivtutorial-*.whl"),
    (f'"ivtutorial @ git+{PLACEHOLDER}"', "/path/to/ivtutorial"),
    (f"git clone {PLACEHOLDER}", "git clone /path/to/ivtutorial"),
    (PLACEHOLDER, "/path/to/ivtutorial"),
)


def without_placeholder(text: str) -> str:
    """A source as a reader should see it.

    Example:
        >>> without_placeholder("git clone https://github.com/OWNER/ivtutorial")
        'git clone /path/to/ivtutorial'
    """
    for before, after in WITHOUT:
        text = text.replace(before, after)
    return text


def read(app: Any, docname: str, source: list[str]) -> None:
    """Rewrite a source before it is parsed."""
    source[0] = without_placeholder(source[0])


def drop_button(app: Any, config: Any) -> None:
    """No button to Colab without an address."""
    options = config.html_theme_options
    if PLACEHOLDER in options.get("repository_url", ""):
        options.get("launch_buttons", {}).pop("colab_url", None)


def clean_sources(app: Any, error: Exception | None) -> None:
    """The notebooks that pages offer for download are those of the pages."""
    if error is None and app.builder.format == "html":
        for path in (Path(app.outdir) / "_sources").rglob("*"):
            if path.suffix in (".ipynb", ".md"):
                before = path.read_text(encoding="utf-8")
                after = without_placeholder(before)
                if after != before:
                    path.write_text(after, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", read)
    app.connect("config-inited", drop_button, priority=900)
    app.connect("build-finished", clean_sources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
