"""What must hold for the pages in prose: nothing to read is a wall, and nobody meets a placeholder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
MOST_WORDS = 250  # between a heading, picture, table or code and the next
LISTS = ("glossary", "bibliography", "changelog")  # lists of short entries
PAGES = [path for path in sorted(BOOK.glob("*.md")) if path.stem not in LISTS]
BREAKS = ("#", "|", ":::{", "::::{")  # a figure or a box as well


def runs_of_words(text: str) -> list[tuple[int, str]]:
    """Words without anything between them to rest the eye on, each run with its last line; a formula is one word."""
    runs, count, fence, last = [], 0, "", ""
    for line in (line.strip() for line in text.splitlines()):
        opens = re.match("`{3,}", line)
        if fence or opens or line.startswith(BREAKS):
            runs.append((count, last))
            count = 0
            fence = ("" if line == fence else fence) if fence else (opens.group() if opens else "")
        elif not line.startswith(":"):
            count, last = count + len(re.sub(r"\$[^$]+\$", "x", line).split()), line or last
    return [*runs, (count, last)]


def test_words_are_counted_between_headings_tables_and_code():
    text = "# T\none two $a + b$\n\n| a | b |\nthree\n```python\ncode\n```\nfour five\n:::{figure} x\n:alt: y\n"
    assert [count for count, _ in runs_of_words(text) if count] == [3, 1, 2]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_page_has_a_wall_of_words(path: Path):
    long = [run for run in runs_of_words(path.read_text(encoding="utf-8")) if run[0] > MOST_WORDS]
    assert long == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_column_of_results_that_do_not_exist(path: Path):
    assert "still to be measured" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(BOOK.glob("*.md")) + sorted(BOOK.glob("*.ipynb")), ids=lambda path: path.stem)
def test_headings_are_linked_by_label(path: Path):
    """`page.md#heading` looks right and resolves to nothing in the built site; a label, `(name)=`, resolves."""
    assert re.findall(r"\]\([\w/]*\.(?:md|ipynb)#[^)]*\)", path.read_text(encoding="utf-8")) == []


def test_every_difference_from_the_paper_has_one_place_in_the_guide_and_its_row() -> None:
    text = (BOOK / "what_the_paper_leaves_out.md").read_text(encoding="utf-8")
    guide = text[text.index("## What matters most") : text.index("## Timesteps and the chain")]
    table = "".join(line for line in guide.splitlines() if line.startswith("| **"))
    items = [int(number) for number in re.findall(r"^\*\*(\d+)\. ", text, re.MULTILINE)]
    placed = [int(number) for found in re.findall(r"\((\d[\d, ]*)\)", table) for number in found.split(",")]
    assert items == sorted(placed) == list(range(1, 42)), "forty-one, says the page"
    tables = "\n".join(re.findall(r":class: differences\n(.*?)\n:::", text, re.DOTALL))
    rows = [int(number) for number in re.findall(r"^\| (\d+) ", tables, re.MULTILINE)]
    assert rows == list(range(1, 38)), "the last four are about data and evaluation, without a table"
