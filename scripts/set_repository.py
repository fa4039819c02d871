"""Set the address of the repository everywhere: README, citation, the book's configuration and its notebooks.

    python scripts/set_repository.py OWNER/NAME

pyproject.toml holds the address (`[project.urls]`, Repository); every other mention is replaced by the new one.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CITATION.cff", "_config.yml", "book/*.md", "book/*.ipynb")
HOST = "https://github.com/"


def address(root: Path) -> str:
    """The address that pyproject.toml states."""
    result = re.search(r'^Repository = "(.+)"$', (root / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if result is None:
        raise SystemExit("pyproject.toml has no line 'Repository = \"https://...\"' below [project.urls].")
    return result[1]


def set_address(root: Path, new: str) -> list[Path]:
    """Replace the present address by another in every file that mentions it.

    Args:
        root: the checkout.
        new: such as "https://github.com/OWNER/NAME".

    Returns:
        The files that changed.
    """
    mention = re.compile(rf"{re.escape(address(root))}(?![\w-])")
    changed = []
    for path in sorted(path for place in PLACES for path in root.glob(place)):
        before = path.read_bytes().decode("utf-8")
        after = mention.sub(new, before)
        if after != before:
            path.write_bytes(after.encode("utf-8"))
            changed.append(path)
    return changed


def main() -> None:
    """Read the command line, change the files and name them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", metavar="OWNER/NAME", help="on GitHub, which is where Colab looks")
    name = parser.parse_args().repository.removeprefix(HOST).removesuffix(".git").strip("/")
    if not re.fullmatch(r"[A-Za-z0-9-]+/[\w.-]+", name):
        sys.exit(f"{name!r}: expected OWNER/NAME, such as 'someone/ivtutorial'.")
    for path in set_address(ROOT, HOST + name):
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
