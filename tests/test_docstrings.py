"""The examples in docstrings run and give what they show; those that need files or models at hand are marked SKIP."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import ivtutorial

ROOT = Path(ivtutorial.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0, "the captured output shows what was expected"
