"""The page of an evaluation: every clip with its prompt and numbers, and the table of means, in one HTML file.

Clips lie beside it and are linked, so the page is small; the folder can be moved or zipped as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivtutorial.pages.page import render_page
from ivtutorial.system.files import atomic_write_text

if TYPE_CHECKING:
    from ivtutorial.evaluation.intervals import Estimate

PAGE_FILE = "index.html"


def write_page(
    folder: str | Path,
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Estimate],
    settings: Mapping[str, Any],
) -> Path:
    """Write index.html into the folder of an evaluation.

    Args:
        folder: where the clips lie.
        rows: of the table; "clip" is the path of the file below the folder.
        summary: column -> estimate.
        settings: name -> value.

    Returns:
        The file.

    Raises:
        InputError: it cannot be written.
    """
    path = Path(folder) / PAGE_FILE
    page = render_page(
        "evaluation.html",
        title="Evaluation",
        reward=summary["reward"],
        summary=summary,
        rows=rows,
        settings=settings,
    )
    atomic_write_text(path, page)
    return path
