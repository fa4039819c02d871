"""Build the site into _build/html, as `jupyter-book build . --all -W --keep-going` does, by several processes.

python scripts/build_book.py --workers 2

Most of the time goes into running notebooks, which do not need each other. `jupyter-book build` reads one page after
another, since its command line has no option for Sphinx's parallel reading.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jupyter_book.sphinx import build_sphinx

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Build, with warnings as errors; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="processes that read and write pages")
    options = parser.parse_args()
    result = build_sphinx(
        ROOT,
        ROOT / "_build" / "html",
        noconfig=True,
        path_config=ROOT / "_config.yml",
        confoverrides={"external_toc_path": (ROOT / "_toc.yml").as_posix(), "latex_individualpages": False},
        freshenv=True,
        warningiserror=True,
        keep_going=True,
        jobs=options.workers,
    )
    if isinstance(result, Exception):
        raise result
    return int(result)


if __name__ == "__main__":
    sys.exit(main())
