"""The glossary: each term once, and a line of letters that leads to the first term of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
PAGE = (BOOK / "glossary.md").read_text(encoding="utf-8")
LETTERS, _, LIST = PAGE.partition(":sorted:")
TERMS = re.findall(r"\n\n(\S[^\n]*)\n  ", LIST)


def test_a_term_is_there_once() -> None:
    assert len(TERMS) > 150 and sorted(set(TERMS)) == sorted(TERMS)


def test_a_letter_leads_to_its_first_term() -> None:
    first: dict[str, str] = {}
    for term in sorted(TERMS, key=str.lower):
        first.setdefault(term[0].upper(), term)
    assert re.findall(r"\{term\}`(\w) <([^>]*)>`", LETTERS) == sorted(first.items())


@pytest.mark.parametrize("path", sorted([*BOOK.glob("*.md"), *BOOK.glob("*.ipynb")]), ids=lambda path: path.name)
def test_a_link_to_a_term_finds_it(path: Path) -> None:
    links = re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", path.read_text(encoding="utf-8"))
    assert sorted({" ".join(link.split()) for link in links} - set(TERMS)) == []
