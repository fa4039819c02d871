"""Sphinx extension: the directive `zoo-figure`, a numbered figure of the small world, drawn when the book is built.

    :::{zoo-figure} fault_mixer
    :name: fig-mixer
    The caption.
    :::

The names are those of functions in `ivtutorial.lab.world.posters`, `fault_mixer` and `clip_sheets`, which return HTML.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from made_parts import MadeFigure

SHEETS = "ivtutorial.lab.world.clip_sheets"
MODULES = {
    "fault_mixer": "ivtutorial.lab.world.fault_mixer",
    "clips_to_use": SHEETS,
    "clips_to_avoid": SHEETS,
}
POSTERS = "ivtutorial.lab.world.posters"


class ZooFigure(MadeFigure):
    """`zoo-figure`, whose argument names the function."""

    required_arguments = 1

    def drawn(self) -> str:
        """What the function returns."""
        name = self.arguments[0]
        text: str = getattr(import_module(MODULES.get(name, POSTERS)), name)()
        return text


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("zoo-figure", ZooFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
