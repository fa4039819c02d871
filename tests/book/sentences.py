"""Sentences of pages, and the results in data/results that they quote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results"


def text_of(name: str) -> str:
    """A page's text in one line."""
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


def held(name: str, sentence: str, holds: Callable[[], bool]) -> None:
    """The page says the sentence, and the results say so; a KeyError of `holds` is a result that is gone."""
    assert sentence in text_of(name), (
        f"{name} no longer says {sentence!r}: take its row out, or write what it says now."
    )
    try:
        true = holds()
    except KeyError as missing:
        pytest.fail(f"{name} says {sentence!r}, and the results no longer have {missing}: rewrite the sentence.")
    assert true, f"{name} says {sentence!r}, and the results in data/results say otherwise: rewrite the sentence."
