"""The notation page holds: each letter is in the chapter that the page names, in none before it, and has one row.

And the index at its top leads to that row.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
PAGE = (BOOK / "notation.md").read_text(encoding="utf-8")
LETTERS = PAGE[PAGE.index("\n## Letters\n") : PAGE.index("(letters-with-two-meanings)=")].replace(r"\|", "¦")
PROSE_CHAPTERS = {"small_world": "2", "what_the_paper_leaves_out": "16"}
# Letters that once had two meanings: the pages whose formulas may have them.
ONLY = {
    "P": ("small_world", "03_human_preference", "glossary"),
    "X": ("small_world", "03_human_preference", "12_evaluation"),
    "Y": ("small_world", "03_human_preference", "12_evaluation"),
    "A": ("08_lora", "glossary"),
    "B": ("08_lora", "glossary"),
}


def prose(name: str) -> str:
    """Text of a page or chapter, without code."""
    path = BOOK / f"{name}.ipynb"
    if path.exists():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.sub(r"```.*?```", "", (BOOK / f"{name}.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def tidy(formula: str) -> str:
    """Without what only spaces or sizes."""
    return re.sub(r"\\[,;!:]|\\[bB]igg?[lr]?(?![a-z])|\s", "", formula)


def formulas(text: str) -> list[str]:
    return [tidy(block or inline) for block, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", text, re.DOTALL)]


def has(symbol: str, formula: str) -> bool:
    """Whether the symbol stands in the formula by itself, not as an index or as part of a longer word."""
    before = r"(?<![_A-Za-z\\])(?<!_\{)(?<!ext\{)" if symbol[0] != "\\" else r"(?<!_)(?<!_\{)"
    after = r"(?![A-Za-z_'])" if symbol[-1].isalpha() else r"(?![A-Za-z])"
    return re.search(before + re.escape(symbol) + after, formula) is not None


def chapters() -> list[str]:
    """The numbered chapters in the order in which the book has them."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    names = [chapter["file"].removeprefix("book/") for part in contents["parts"] for chapter in part["chapters"]]
    return [name for name in names if (re.match(r"\d\d_", name) and name != "00_start") or name in PROSE_CHAPTERS]


def rows(tables: str = LETTERS) -> list[list[str]]:
    """Cells of the rows of the tables that say where a letter is first."""
    lines = [line for line in tables.splitlines() if line.startswith("| $")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def symbols(cell: str) -> list[str]:
    return [tidy(symbol) for symbol in re.findall(r"\$([^$]+)\$", cell)]


FORMULAS = {name: formulas(prose(name)) for name in chapters()}


def first_in(symbol: str) -> str | None:
    return next((name for name in FORMULAS if any(has(symbol, formula) for formula in FORMULAS[name])), None)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_last_column_names_the_chapters_that_bring_the_letters_first(row: list[str]) -> None:
    links = re.findall(r"\[(\d+)\]\((\w+)\.(?:ipynb|md)\)", row[-1])
    names = [first_in(symbol) for symbol in symbols(row[0])]
    assert [name for _, name in links] == list(dict.fromkeys(names))
    for number, name in links:
        assert number == PROSE_CHAPTERS.get(name, str(int(name[:2])) if name[0].isdigit() else None)


def test_a_letter_has_one_row() -> None:
    count = Counter(symbol for row in rows() for symbol in symbols(row[0]))
    assert {symbol for symbol, times in count.items() if times > 1} == set()


def plain(symbol: str) -> str:
    """A symbol's letter or word: without accent, index, argument or prime; of a relation the first letter."""
    symbol = re.sub(r"\\(?:bar|hat|overline|mathrm)(?![a-z]) *", "", symbol).replace("{", "").replace("}", "")
    return re.split(r"[_^'(\[ ]", symbol)[0]


def test_the_index_leads_to_the_tables_of_every_letter() -> None:
    index = PAGE[PAGE.index("## Find a letter") : PAGE.index("## Conventions")]
    entry = r"\$([^$]+)\$((?:\s+\[\d\])+)"
    leads = {plain(symbol): set(re.findall(r"\d", numbers)) for symbol, numbers in re.findall(entry, index)}
    tables = re.findall(r"\(letters-(\w+)\)=\n### (\d)\. (.*?)(?=\n\(letters|\Z)", LETTERS, re.DOTALL)
    assert re.findall(r"\n\[(\d)\]: #letters-(\w+)", index) == [(number, label) for label, number, _ in tables]
    held = {letter: {"1"} for letter in "CHhw"}  # sizes, which have no row of their own
    for _, number, table in tables:
        for symbol in re.findall(r"\$([^$]+)\$", " ".join(row[0] for row in rows(table))):
            held.setdefault(plain(symbol), set()).add(number)
    assert leads == held
    latin = re.findall(entry, index[: index.index("**Greek.**")].replace(r"\ell", "l"))
    assert latin == sorted(latin, key=lambda found: plain(found[0]).lower())


def base(symbol: str) -> str:
    """The letter without index, argument, prime, hat or bar."""
    symbol = re.sub(r"\\(?:bar|hat|overline|mathcal|tilde)(?![a-z])", "", symbol).replace("{", "").replace("}", "")
    return re.sub(r"[_^'(\[].*", "", symbol)


@pytest.mark.parametrize("name", [name for name in chapters() if name not in PROSE_CHAPTERS])
def test_the_new_symbols_of_a_chapter_are_on_the_page(name: str) -> None:
    """With another index or accent at most: G_k is a gradient, as G is."""
    [table] = re.findall(r":::\{admonition\} Symbols new.*?\n:::", prose(name), re.DOTALL)
    new = [symbol for line in table.splitlines() if line.startswith("| $") for symbol in symbols(line.split("|")[1])]
    lines = [line for line in PAGE.replace(r"\|", "¦").splitlines() if line.startswith("| $")]
    known = {base(symbol) for line in lines for symbol in symbols(line.split("|")[1])}
    assert new and {symbol for symbol in new if base(symbol) not in known} == set()


@pytest.mark.parametrize("letter", ONLY)
def test_a_letter_that_had_two_meanings_keeps_to_its_chapters(letter: str) -> None:
    pages = [path.stem for path in sorted(BOOK.glob("*.md")) + sorted(BOOK.glob("[0-9]*.ipynb"))]
    pages = [name for name in pages if name not in ("notation", *ONLY[letter])]
    assert [name for name in pages if any(has(letter, formula) for formula in formulas(prose(name)))] == []
