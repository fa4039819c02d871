"""What the small Sphinx extensions of the book do: numbers by chapter, the pipeline, no placeholder for a reader."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def extension(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / "_extensions" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


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
