"""Sphinx extension: the repository's address stands in pyproject.toml, and no reader meets a placeholder.

As long as the address is the placeholder `OWNER` (see `scripts/set_repository.py`), pages tell a reader to install from
a copy of the repository, which works anywhere, and have no button to Colab, which needs an address. A few sentences
differ, too: `SENTENCES`.
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
# Sentences of setup.md, each on a line of its own there -> what they are without an address.
SENTENCES = (
    (
        "Clone the repository and install everything into its folder:",
        "Put the path or the address of your copy of the repository in place of `/path/to/ivtutorial`; everything is "
        "installed into its folder:",
    ),
    (
        "Press the rocket at the top of a chapter and choose *Colab*.",
        "This copy of the book has no address on the web, so its pages have no button to Colab. Make a wheel of the "
        "repository (`python -m pip wheel --no-deps .`), and download a chapter from its page (the arrow at the top, "
        "*.ipynb*). On Colab choose *File, Upload notebook* for the chapter; upload the wheel to the panel *Files*.",
    ),
    (
        "In an environment with Python 3.10, torch 2.6 and torchvision 0.21 or newer, built for your CUDA:",
        "In an environment with Python 3.10, torch 2.6 and torchvision 0.21 or newer, built for your CUDA, with "
        "the path of your copy of the repository in place of `/path/to/ivtutorial`:",
    ),
)


def without_placeholder(text: str) -> str:
    """A source as a reader should see it.

    Example:
        >>> without_placeholder("git clone https://github.com/OWNER/ivtutorial")
        'git clone /path/to/ivtutorial'
    """
    if PLACEHOLDER not in text:
        return text
    for before, after in (*SENTENCES, *WITHOUT):
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
