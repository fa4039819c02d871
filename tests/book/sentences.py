"""Sentences of pages, and the results in data/results that they quote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ivtutorial.evaluation.comparison import Difference
from ivtutorial.lab.experiments.answers.gains import changes_of
from ivtutorial.lab.experiments.answers.results import read_result

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results"


def result_of(name: str) -> dict[str, Any]:
    """A stored result; a KeyError where there is none, so that no sentence stands on nothing."""
    result = read_result(name)
    if result is None:
        raise KeyError(name)
    return result


def changed(name: str, arm: str, column: str = "reward", first: str = "base", where: str | None = None) -> Difference:
    """Of an arm, at equal cost; a KeyError where it is not measured."""
    return changes_of(result_of(name), column, first, [arm], where)[arm]


def text_of(name: str) -> str:
    """A page's text in one line; of a notebook its prose and the captions of its figures."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        figures = [cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in cells]
        text = " ".join([*prose, *(figure.get("caption", "") for figure in figures)])
    return " ".join(text.split())


def fault(name: str, sentence: str, holds: Callable[[], bool]) -> str:
    """What is wrong with a sentence, empty if the page says it and the results do; a KeyError: the result is gone."""
    if sentence not in text_of(name):
        return f"{name} no longer says {sentence!r}: take its row out, or write what it says now."
    try:
        true = holds()
    except (KeyError, ValueError) as missing:
        return f"{name} says {sentence!r}, and the results no longer have {missing}: rewrite the sentence."
    return "" if true else f"{name} says {sentence!r}, and the results in data/results say otherwise: rewrite it."
