"""A small study."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivtutorial.lab.study.pairs import Study, open_study
from tests.lab.study.studies import folder


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(folder(tmp_path / "untuned"), folder(tmp_path / "tuned"))
