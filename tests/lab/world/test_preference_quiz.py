"""`ivtutorial.lab.world.preference_quiz`: choosing between pictures on a page without a kernel."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.world.annotators import Pair
from ivtutorial.lab.world.preference_quiz import choices, pair_quiz


def pair(grey: float, gap: float, caption: str = "a fox") -> Pair:
    """Two plain pictures, grey and white, with utilities that differ by `gap`."""
    frames = np.stack([np.full((8, 8, 3), grey, np.float32), np.ones((8, 8, 3), np.float32)])
    return Pair(caption, frames, (gap, 0.0), "both")


# An annotator takes X with probability 1 / (1 + e^-gap): ln 3 gives 75 of 100, 0 gives 50, -ln 4 gives 20.
PAIRS = [pair(0.0, math.log(3)), pair(0.5, 0.0), pair(0.2, -math.log(4), 'a "red" <fox>')]


def tags(page: str, name: str) -> list[dict[str, str | None]]:
    result: list[dict[str, str | None]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == name:
                result.append(dict(attrs))

    Reader().feed(page)
    return result


def test_letters_become_choices():
    assert choices("xy Y\n", 3) == [True, False, False]
    assert choices("", 3) == []


@pytest.mark.parametrize("letters", ["XYZ", "XXXX", "1"])
def test_letters_that_mean_nothing_are_refused(letters: str):
    with pytest.raises(InputError, match="at most 3 letters"):
        choices(letters, 3)


def test_a_quiz_holds_two_buttons_a_pair_and_the_annotators_shares():
    page = pair_quiz(PAIRS)
    [group] = [div for div in tags(page, "div") if "data-choose" in div]
    assert json.loads(group["data-choose"] or "")["shares"] == [75, 50, 20]
    assert [button.get("value") for button in tags(page, "button")] == ["again"] + ["X", "Y"] * 3
    assert [image["alt"] for image in tags(page, "img")][-1] == 'Picture Y for the caption: a "red" <fox>'
    shown = [div["style"] for div in tags(page, "div") if "data-pair" in div]
    assert shown == ["display:block", "display:none", "display:none"]


def test_a_quiz_needs_no_other_file():
    page = pair_quiz(PAIRS)
    assert "<script" not in page and "http" not in page and 'src="data:' in page


def test_without_pairs_there_is_nothing_to_choose():
    with pytest.raises(InputError, match="at least one"):
        pair_quiz([])


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="no chromium to click with")
def test_a_quiz_counts_choices_in_a_browser(tmp_path: Path):
    """X, Y, Y: with most annotators in pairs 1 and 3; pair 2 has none. One annotator: 0.75 + 0.5 + 0.8 = 2.05."""
    clicks = "for(const v of 'XYY')[...document.querySelectorAll('[data-pair]')].find(e=>e.style.display==='block')"
    clicks += ".querySelector(`button[value=${v}]`).click()"
    file = tmp_path / "quiz.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{pair_quiz(PAIRS)}<script>{clicks}</script>")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.as_uri()]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    texts = re.findall(r"<output[^>]*>([^<]*)</output>", page)
    assert texts[0] == "Done." and texts[2] == "XYY"
    assert texts[1].startswith("You side with most annotators in 2 of 3 pairs.") and "in 2.0" in texts[1]
    assert texts[3] == "You chose X. Of 100 annotators, 75 choose X and 25 choose Y."
    assert all("disabled" in button for button in tags(page, "button")[1:])
