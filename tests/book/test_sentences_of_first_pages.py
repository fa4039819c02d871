"""Sentences of the front page, of the start and of the set-up say what the demo and the benchmarks found."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ivtutorial.lab.demo.config import DemoConfig
from tests.book.sentences import RESULTS, ROOT, fault


def demo_moves_as_before() -> bool:
    """Movement and watermark as the judge reads them, before and after `make demo`."""
    demo = json.loads((RESULTS / "demo.json").read_text(encoding="utf-8"))
    before, after = demo["judge_before"], demo["judge_after"]
    return before["movement"] == after["movement"] and before["watermark"] / 2 > after["watermark"] > 0.05


def demo_is_slower_than_the_first_loop() -> bool:
    loop = (ROOT / "examples" / "reward_rises.py").read_text(encoding="utf-8")
    return "lr=3e-3" in loop and DemoConfig().lr == 1e-3


def chapters_need_less_than_5_gb() -> bool:
    """And all of them together ten minutes; what setup.md says of a laptop and of `make book`."""
    chapters = json.loads((RESULTS / "chapters.json").read_text(encoding="utf-8"))["reduced"]["chapters"].values()
    most, seconds = max(c["memory_mib"] for c in chapters), sum(c["seconds"] for c in chapters)
    return 4e9 < most * 2**20 < 5e9 and round(seconds / 60) == 10


def index_shows_the_prompts_that_it_names() -> bool:
    listed = [row["prompt"] for row in json.loads((ROOT / "data/prompts/demo.json").read_text(encoding="utf-8"))]
    shown = json.loads((ROOT / "data/gallery/before_after.json").read_text(encoding="utf-8"))
    return len(listed) == 64 and shown == [listed[number - 1] for number in (1, 9, 17, 25)]


def t4_needs_hours() -> bool:
    rows = json.loads((RESULTS / "count_step.json").read_text(encoding="utf-8"))["rows"]
    [row] = [row for row in rows if row["name"] == "preset t4"]
    hours = 200 * row["cards"]["T4"]["floor"] / 3600
    return (f"{hours:.1f}", round(2 * hours), round(3 * hours)) == ("1.8", 4, 5) and row["peak_gib"] < 15


ON_INDEX: dict[str, Callable[[], bool]] = {
    "They are numbers 1, 9, 17 and 25 of a list of 64": index_shows_the_prompts_that_it_names,
    "Two CPU cores, 5 GB of memory, 6 GB of disk": chapters_need_less_than_5_gb,
    "By our count it fits, and 200 training steps take at least 1.8 hours on a T4, the free card; more likely "
    "four to five.": t4_needs_hours,
}
ON_START: dict[str, Callable[[], bool]] = {
    "over all 64 prompts a {term}`judge` still reads some": demo_moves_as_before,
    "over all 64 prompts the judge finds the movement of the prompt as often as before": demo_moves_as_before,
    "at three times the learning rate": demo_is_slower_than_the_first_loop,
    "Python 3.10 to 3.13, 5 GB of memory, 6 GB of disk": chapters_need_less_than_5_gb,
}
ON_SETUP: dict[str, Callable[[], bool]] = {
    "| 6 GB, most of it PyTorch | 5 GB |": chapters_need_less_than_5_gb,
    "ten minutes of processor time": chapters_need_less_than_5_gb,
}
PAGES = {"book/index.md": ON_INDEX, "book/00_start.md": ON_START, "book/setup.md": ON_SETUP}


@pytest.mark.parametrize(("name", "sentence"), [(name, sentence) for name, rows in PAGES.items() for sentence in rows])
def test_a_first_page_says_what_was_measured(name: str, sentence: str) -> None:
    assert fault(name, sentence, PAGES[name][sentence]) == ""
