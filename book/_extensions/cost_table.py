"""Sphinx extension: the directive `chapter-costs`, a table of what each chapter takes.

The numbers are those of data/results/chapters.json, which `scripts/chapter_costs.py` writes from executed notebooks.
A column or a chapter appears when it has a number.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from made_parts import MadeLines

ROOT = Path(__file__).resolve().parents[2]
COSTS = ROOT / "data" / "results" / "chapters.json"
OPEN = "–"


def duration(seconds: int) -> str:
    """Seconds as a reader wants them: "45 s", "3 min"."""
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"


def memory(numbers: dict[str, int], name: str) -> str:
    """A number of MiB in GB (10^9 bytes) with one decimal place."""
    return f"{numbers[name] * 2**20 / 1e9:.1f} GB" if name in numbers else OPEN


def table(chapters: list[str], costs: dict[str, Any]) -> list[str]:
    """The lines of the table in Markdown.

    Args:
        chapters: notebooks' names without suffix, in the order of the book.
        costs: what chapters.json holds: scale -> chapters -> numbers.

    Returns:
        Lines; below the table where the numbers come from.
    """
    small, large = (costs.get(scale, {}).get("chapters", {}) for scale in ("reduced", "modelscope"))
    chapters = [name for name in chapters if name in small or name in large]
    columns = {"chapter": [f"[]({name}.ipynb)" for name in chapters]}
    here = [small.get(name, {}) for name in chapters]
    columns["small models: processor time"] = [duration(n["seconds"]) if "seconds" in n else OPEN for n in here]
    columns["memory"] = [memory(n, "memory_mib") for n in here]
    if large:
        columns["full size: GPU memory"] = [memory(large.get(name, {}), "gpu_mib") for name in chapters]
    rows = [columns, ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    measured = [f"{item['hardware']}, {item['date']}" for item in costs.values()]
    return lines + ([f"\nMeasured on {'; '.join(measured)}."] if measured else [])


class ChapterCosts(MadeLines):
    """`chapter-costs`, without arguments or content."""

    def sources(self) -> list[Path]:
        """What chapters took."""
        return [COSTS]

    def lines(self) -> list[str]:
        """The table of the chapters in this folder."""
        costs = json.loads(COSTS.read_text(encoding="utf-8")) if COSTS.exists() else {}
        folder = Path(self.env.doc2path(self.env.docname)).parent
        chapters = sorted(path.stem for path in folder.glob("[0-9][0-9]_*.ipynb"))
        return table([name for name in chapters if f"{folder.name}/{name}" in self.env.found_docs], costs)


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("chapter-costs", ChapterCosts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
