"""The page of a report: it holds everything itself, says everything in words, and shows the numbers it was given."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import difference
from ivtutorial.lab.demo.report import Report, ShownPair, TableRow, render_report, write_demo_report
from ivtutorial.pages.curve import round_ticks, running_mean, svg_curve

PROMPT = 'a "red" <fox> & a $title'
VOID = {"meta", "link", "br", "path", "circle", "polyline", "input"}


def clip(level: float) -> np.ndarray:
    """16 frames of one grey."""
    return np.full((16, 64, 64, 3), level, np.float32)


def report(**changes: object) -> Report:
    values = {
        "title": "Before & after",
        "lead": "It rose.",
        "featured": [("The median", ShownPair(PROMPT, clip(0.2), clip(0.8), [("reward", "0.250", "0.312")]))],
        "featured_note": "The line wipes.",
        "pairs": [ShownPair(PROMPT, clip(0.2), clip(0.8), [("reward", "0.250", "0.312")])],
        "pairs_note": "Chosen evenly.",
        "look": ["The bar fades."],
        "curve": [(1, 0.5), (2, 0.7), (3, 0.6)],
        "marks": [(0, 0.5), (3, 0.9)],
        "curve_note": "Grey and green.",
        "rows": [
            TableRow("reward", difference([0.0, 1.0], [1.0, 2.0])),
            TableRow("right subject", difference([0, 1], [1, 1]), "same", True),
        ],
        "table_note": "Means.",
        "commands": [("Next:", "ivtutorial demo --steps 5 && echo 'done'")],
        "details": {"seed": 7},
    }
    return Report(**{**values, **changes})  # type: ignore[arg-type]


class Page(HTMLParser):
    """All elements with their attributes, the text, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
            self.open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(report())


def test_the_page_asks_for_nothing_from_elsewhere(html: str) -> None:
    page = Page(html)
    links = [a[k] for _, a in page.elements for k in ("src", "href", "poster", "srcset", "action", "data") if a.get(k)]
    pictures = re.findall(r"url\(([^)]*)\)", html)
    assert len(pictures) == 4 and all(str(address).startswith("data:") for address in [*links, *pictures])
    assert not re.search(r"@import|https?:|fetch\(|XMLHttpRequest", html)


def test_every_element_is_closed_and_labelled(html: str) -> None:
    page = Page(html)
    assert page.open == []
    clips = [a["aria-label"] for a in page.all("div") if a.get("class") == "film"]
    assert clips == 2 * [f"{PROMPT}, before fine-tuning", f"{PROMPT}, after fine-tuning"]
    assert [a["aria-label"] for a in page.all("input")] == [f"from before to after: {PROMPT}", "Frame", "Frame"]
    (curve,) = page.all("svg")
    assert curve["role"] == "img" and "0.500" in str(curve["aria-label"])
    assert all(cell.get("scope") for cell in page.all("th"))
    assert {"lang": "en"} in [a for name, a in page.elements if name == "html"]


def test_texts_are_shown_as_they_are(html: str) -> None:
    """Markup in a prompt is text, and a dollar sign is no placeholder."""
    page = Page(html)
    assert PROMPT in page.words and "Before & after" in page.words
    assert "ivtutorial demo --steps 5 && echo 'done'" in page.words


def test_numbers_stand_under_both_kinds_of_pair(html: str) -> None:
    words = " ".join(word.strip() for word in Page(html).words if word.strip())
    assert words.count("reward 0.250 \u2192 0.312") == 2


def test_rows_show_means_changes_and_shares(html: str) -> None:
    """0, 1 -> 1, 2: mean 0.5 -> 1.5, each pair by 1, so the interval is a point. A share of 1/2 -> 1 is 50 -> 100 %."""
    words = " ".join(word.strip() for word in Page(html).words if word.strip())
    assert "reward 0.50 1.50 +1.00 +1.00 to +1.00 higher" in words
    assert "right subject (%) 50.0 100.0 +50.0 +0.0 to +100.0 unchanged" in words


def test_it_follows_light_and_dark_and_small_screens(html: str) -> None:
    assert "prefers-color-scheme: dark" in html and "color-scheme: light dark" in html
    assert any(meta.get("content") == "width=device-width,initial-scale=1" for meta in Page(html).all("meta"))


def test_a_report_needs_clips_and_is_written_whole(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one pair"):
        write_demo_report(tmp_path / "report.html", report(featured=[]))
    assert list(tmp_path.iterdir()) == []
    write_demo_report(tmp_path / "report.html", report())
    assert (tmp_path / "report.html").read_text(encoding="utf-8").endswith("</html>\n")


def test_running_mean_by_hand() -> None:
    """Windows of 3: (1, 2), (1, 2, 6), (2, 6, 0), (6, 0)."""
    assert running_mean([1, 2, 6, 0], 3) == pytest.approx([1.5, 3, 8 / 3, 3])


def test_the_curve_is_drawn_to_scale() -> None:
    """Steps 0, 5, 10 lie at the left end, the middle and the right end; a higher reward lies higher."""
    picture = svg_curve([(0, 1.0), (5, 2.0), (10, 3.0)], width=640, height=280)
    dots = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="2"', picture)]
    (x0, y0), (x1, y1), (x2, y2) = dots
    assert x0 == 56 and x2 == 640 - 12 and x1 == pytest.approx((x0 + x2) / 2)
    assert y0 > y1 > y2 and y1 == pytest.approx((y0 + y2) / 2, abs=0.1)


def test_a_window_of_one_step_draws_and_names_the_rewards_themselves() -> None:
    """The line goes through the dots, and the description begins with the first reward, not with a mean."""
    picture = svg_curve([(0, 1.0), (1, 4.0), (2, 1.5)], window=1)
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="2"', picture)
    assert f'<polyline points="{" ".join(",".join(dot) for dot in dots)}"/>' in picture
    assert "Reward of edited training clips: 1.000 at first, 1.500 after 2 steps." in picture


@pytest.mark.parametrize(
    ("low", "high", "least", "texts"),
    [
        (0.298, 0.421, 0.0, ["0.30", "0.35", "0.40"]),
        (-0.05, 3.1, 0.0, ["0", "1", "2", "3"]),
        (1, 24, 1.0, ["5", "10", "15", "20"]),
        (0, 2, 1.0, ["0", "1", "2"]),
    ],
)
def test_an_axis_has_round_numbers(low: float, high: float, least: float, texts: list[str]) -> None:
    assert [text for _, text in round_ticks(low, high, least)] == texts


def test_steps_that_are_not_finite_are_left_out() -> None:
    picture = svg_curve([(0, 1.0), (1, float("nan")), (2, 2.0)], marks=[(0, float("inf")), (2, 1.0)])
    assert picture.count("<circle") == 3 and "nan" not in picture and "inf" not in picture


def test_one_step_is_no_curve() -> None:
    assert svg_curve([(0, 1.0)]).startswith("<p>")
