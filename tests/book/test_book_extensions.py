"""What the small Sphinx extensions of the book do: numbers by chapter, the pipeline, no placeholder for a reader."""

from __future__ import annotations

import json
import pickle
import re
import sys
from importlib import import_module as extension
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst.directives import register_directive

from ivtutorial.video.reader import video_facts

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_extensions"))


def read(text: str, name: str, directive: type) -> tuple[Any, list[str]]:
    """A page with one directive, and the files on which the page depends."""
    files: list[str] = []
    register_directive(name, directive)
    settings = {"env": SimpleNamespace(note_dependency=files.append), "report_level": 2, "halt_level": 2}
    return publish_doctree(text, settings_overrides=settings), files


def test_a_made_figure_has_html_a_caption_and_a_name():
    """Its content is the caption, with its marks; the page is made again when a source changes."""
    parts = extension("made_parts")

    class Square(parts.MadeFigure):
        def sources(self) -> list[Path]:
            return [Path("square.json")]

        def drawn(self) -> str:
            return "<svg></svg>"

    page, files = read(".. square::\n   :name: fig-square\n\n   A *square*.\n", "square", Square)
    [figure] = page.findall(nodes.figure)
    html, caption = figure.children
    assert html.astext() == "<svg></svg>" and html["format"] == "html"
    assert caption.astext() == "A square." and list(caption.findall(nodes.emphasis))
    assert figure["names"] == ["fig-square"] and files == ["square.json"]


def test_made_lines_become_a_part_of_the_page():
    parts = extension("made_parts")

    class Twice(parts.MadeLines):
        required_arguments = 1

        def sources(self) -> list[Path]:
            return [Path("a.json"), Path("b.json")]

        def lines(self) -> list[str]:
            return [f"- {self.arguments[0]}", f"- {self.arguments[0]}"]

    page, files = read(".. twice:: once\n", "twice", Twice)
    assert [item.astext() for item in page.findall(nodes.list_item)] == ["once", "once"]
    assert files == ["a.json", "b.json"]


def test_figures_and_exercises_are_numbered_by_chapter():
    """Through the book they are 7, 8 and 27; in chapter 6 they are 6.1, 6.2 and 6.1, on a page without number 1."""
    numbers = extension("chapter_numbers")
    title = lambda text: SimpleNamespace(astext=lambda: text)  # noqa: E731
    environment = SimpleNamespace(
        titles={"book/06": title("6. Segments"), "book/setup": title("Setting up")},
        toc_fignumbers={
            "book/06": {"figure": {"a": (7,), "b": (8,)}, "exercise": {"ex": (27,)}},
            "book/setup": {"figure": {"c": (9,)}},
        },
    )
    numbers.number_by_chapter(None, environment)
    assert environment.toc_fignumbers == {
        "book/06": {"figure": {"a": (6, 1), "b": (6, 2)}, "exercise": {"ex": (6, 1)}},
        "book/setup": {"figure": {"c": (1,)}},
    }


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_no_title_of_an_exercise_has_brackets_within_brackets(path: Path):
    """As a page is read, a notebook is one line of JSON a line of text."""
    text = extension("chapter_numbers").without_inner_brackets(path.read_text(encoding="utf-8"))
    titles = re.findall(r":::\{exercise\} (.+?)\\n", text)
    assert len(titles) >= 3 and all(re.search(r" · (easy|medium|hard)$", title) for title in titles)
    json.loads(text)


def pages() -> list[str]:
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    return [Path(one["file"]).name for part in parts for one in part["chapters"]]


def test_every_chapter_is_somewhere_in_the_pipeline():
    pipeline = extension("pipeline")
    numbered = [name for name in pages() if re.match(r"\d\d_", name)]
    assert set(numbered) | {"small_world"} <= set(pipeline.HERE)


def test_every_station_leads_to_the_chapter_whose_number_it_states():
    pipeline = extension("pipeline")
    assert len({(s.x, s.y) for s in pipeline.STATIONS}) == len(pipeline.STATIONS)
    for station in pipeline.STATIONS:
        [path] = (ROOT / "book").glob(f"{station.page}.*")
        text = path.read_text(encoding="utf-8")
        title = "".join(json.loads(text)["cells"][0]["source"]) if path.suffix == ".ipynb" else text
        assert title.startswith(f"# {station.chapter}. ")


def test_the_strip_lights_the_stations_of_its_page():
    pipeline = extension("pipeline")
    text = pipeline.strip("06_segvr", lambda page: f"{page}.html")
    lit = re.findall(r'<li class="here"><a href="([^"]+)" aria-current="page">([^<]+)</a>', text)
    assert lit == [("06_segvr.html", "frames")] and text.count("<li") == len(pipeline.STATIONS)


def test_every_box_of_the_diagram_is_a_link():
    pipeline = extension("pipeline")
    links = re.findall(r'<a href="([^"]+)">', pipeline.diagram(lambda page: f"{page}.html"))
    assert links == [f"{station.page}.html" for station in pipeline.STATIONS]


DEMO = {
    "reward_before": 0.5,
    "reward_after": 0.525,
    "ci95": [0.01, 0.04],
    "judge_before": {"subject": 0.75, "movement": 0.5, "watermark": 0.4, "blur": 0.2, "wash": 0.2},
    "judge_after": {"subject": 0.5, "movement": 0.5, "watermark": 0.1, "blur": 0.1, "wash": 0.25},
    "prompts": 8,
    "utility": {"before": 1.5, "after": 1.25, "ci95": [-0.5, 0.0]},
    "preferred": {"share": 0.45, "ci95": [0.4, 0.5], "perfect": 0.7},
    "steps": 24,
    "seed": 0,
    "hardware": "a laptop",
    "date": "2026-11-27",
}


def test_the_front_page_shows_losses_as_well_as_gains():
    """Strengths as shares of what they were (0.4 to 0.1: -75 %), shares of clips in points (75 % to 50 %: -25)."""
    paper = {**DEMO, "reward_after": 0.49, "utility": {"before": 1.5, "after": 1.75}}
    rows = extension("first_pages").number_rows(DEMO, paper)
    assert rows[2] == "| **reward**: a cosine, at most 1 | 0.500 | 0.525 | +0.025 (+0.010 to +0.040) |"
    assert rows[3].endswith("| 1.50 | 1.25 | -0.25 (-0.50 to +0.00) |")
    assert [row.split(" | ")[-1] for row in rows[4:9]] == ["-75 % |", "-50 % |", "+25 % |", "-25 points |", "none |"]
    assert rows[9].endswith("70 % if all were perfect |  | 45 % | (40 % to 50 %) |")
    assert rows[-1].startswith(
        "8 prompts that fine-tuning never used, 24 steps of training, one run (seed 0); a laptop, 2026-11-27."
    )
    assert "changes the reward by -0.010 and the utility by +0.25" in rows[-1]


def test_a_pair_of_the_front_page_has_its_whole_prompt():
    frames = np.zeros((2, 8, 12, 3), np.uint8)  # three pairs of 4 x 4 pixels
    prompts = ["a fox <in the snow>", "a cat", "a grey goat that waits in the forest and looks at us"]
    text = extension("first_pages").pairs(frames, prompts, 8)
    captions = re.findall("<figcaption>(.+?)</figcaption>", text)
    assert captions == ["a fox &lt;in the snow&gt;", *prompts[1:]] and text.count('class="film"') == 6


def test_the_gallery_has_a_prompt_for_each_pair():
    pages = extension("first_pages")
    facts = video_facts(pages.PAIRS)
    prompts = json.loads(pages.PAIRS.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(prompts) == facts.width // (facts.height // 2)


def test_a_column_of_costs_and_a_chapter_appear_with_their_first_number():
    costs = {"reduced": {"hardware": "a laptop", "date": "today", "chapters": {"01_a": {"seconds": 37}}}}
    table = extension("cost_table").table
    assert [line for line in table(["01_a", "02_b"], costs) if line.startswith("| []")] == [
        "| [](01_a.ipynb) | 37 s | – |"
    ]
    costs["modelscope"] = {**costs["reduced"], "chapters": {"01_a": {"gpu_mib": 2000}}}
    assert table(["01_a", "02_b"], costs)[2].endswith("| – | 2.1 GB |")


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.*[bd]")), ids=lambda path: path.name)
def test_no_reader_meets_a_placeholder(path: Path):
    """What a page without an address says is still a notebook, and installs from a copy of the repository."""
    text = extension("repository").without_placeholder(path.read_text(encoding="utf-8"))
    assert "OWNER/ivtutorial" not in text
    if path.suffix == ".ipynb":
        [setup] = [cell for cell in json.loads(text)["cells"] if cell["id"] == "setup"]
        assert "    %pip install --quiet ivtutorial-*.whl\n" in setup["source"]


def test_an_address_stays_as_it_is():
    text = 'git clone https://github.com/someone/ivtutorial\npip install "ivtutorial @ git+https://github.com/a/b"'
    assert extension("repository").without_placeholder(text) == text


def test_the_sentences_of_a_copy_without_address_replace_those_of_the_page():
    repository = extension("repository")
    page = (ROOT / "book" / "setup.md").read_text(encoding="utf-8")
    copy = repository.without_placeholder(page)
    for before, after in repository.SENTENCES:
        assert page.splitlines().count(before) == 1 and before not in copy.splitlines() and after in copy
    online = page.replace("OWNER/", "someone/")
    assert repository.without_placeholder(online) == online


def test_the_versions_of_torch_that_the_page_names_are_the_lowest():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lowest = [re.search(rf'"{name}>=([\d.]+)"', project) for name in ("torch", "torchvision")]
    [torch, vision] = [match[1] for match in lowest if match]
    page = (ROOT / "book" / "setup.md").read_text(encoding="utf-8")
    assert f"torch {torch} and torchvision {vision} or newer" in page


def test_a_page_of_the_appendix_is_stored_without_what_sphinx_knows():
    """A part that was read into a document of its own, as `eval-rst` does, brings nothing but itself."""
    page, part = publish_doctree("A page.\n"), publish_doctree("")
    part.settings.env = SimpleNamespace(everything="the whole book")
    inner = nodes.emphasis(text="A part.")
    inner.document = part
    page += nodes.paragraph("", "", inner)
    assert b"the whole book" in pickle.dumps(page)
    extension("api_pages").adopt(None, page)
    stored = pickle.dumps(page)
    assert b"the whole book" not in stored and "A part." in pickle.loads(stored).astext()
