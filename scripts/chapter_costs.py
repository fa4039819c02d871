"""Collect what the chapters took: processor time and memory, as the last cell of each printed it.

    make book && python scripts/chapter_costs.py                       # from the notebooks that the build executed
    python scripts/chapter_costs.py --executed FOLDER                  # from notebooks executed elsewhere, on a GPU

Writes data/results/chapters.json, which chapter 0 shows. Chapters and scales that are not in the folder keep what
was measured before.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

LINE = re.compile(
    r"At the scale (?P<scale>\w+) this chapter took (?P<seconds>\d+) s of processor time"
    r"(?: and (?P<memory_mib>\d+) MiB of memory)?(?:, and (?P<gpu_mib>\d+) MiB of the GPU's)?"
)


def cost(text: str) -> tuple[str, dict[str, int]] | None:
    """The scale and the numbers in the line that `ivtutorial.notebook.print_cost` prints, or None without one."""
    result = LINE.search(text)
    if result is None:
        return None
    numbers = {name: int(value) for name, value in result.groupdict().items() if name != "scale" and value}
    return result["scale"], numbers


def printed(path: Path) -> str:
    """Everything that an executed notebook printed."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]
    return "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")


def read_costs(folder: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Scale -> chapter -> numbers, for every executed notebook of a folder that printed its cost."""
    result: dict[str, dict[str, dict[str, int]]] = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        item = cost(printed(path))
        if item is not None:
            result.setdefault(item[0], {})[path.stem] = item[1]
    return result


def main() -> None:
    """Read the executed notebooks and write the file."""
    from ivtutorial.system.files import atomic_write_text
    from ivtutorial.system.provenance import provenance

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executed", type=Path, default=Path("_build/jupyter_execute/book"))
    parser.add_argument("--out", type=Path, default=Path("data/results/chapters.json"))
    options = parser.parse_args()
    known: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    for scale, chapters in read_costs(options.executed).items():
        print(f"{scale}: {', '.join(chapters)}")
        before = known.get(scale, {}).get("chapters", {})
        known[scale] = {**provenance(seed=0), "chapters": {**before, **chapters}}
    atomic_write_text(options.out, json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
