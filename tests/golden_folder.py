"""Where the golden values are: the larger set where there is one, else the choice of it that every clone has."""

from __future__ import annotations

import os
from pathlib import Path

CHOICE = Path(__file__).parent / "golden"


def golden_folder() -> Path:
    """The folder that IVTUTORIAL_GOLDEN names, else `../shared/golden` beside the checkout, else tests/golden."""
    if "IVTUTORIAL_GOLDEN" in os.environ:
        return Path(os.environ["IVTUTORIAL_GOLDEN"])
    larger = Path(__file__).parents[2] / "shared" / "golden"
    return larger if larger.is_dir() else CHOICE
