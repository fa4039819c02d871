"""What must hold for every chapter as a document; that its cells run and their assertions hold is `make notebooks`."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))
Cell = dict[str, Any]

HEADINGS = (
    "What you need",
    "The idea",
    "The mathematics",
    "From equation to code",
    "See it",
    "At full size",
    "What can go wrong",
    "Exercises",
    "Recap",
    "References",
)
# The chapter of commands: what a reader does stands before what explains it.
PRACTICE_FIRST = {"10_full_size": ("What you need", "At full size", "What can go wrong")}
LONGEST = 15  # lines a cell
DRAWS = ("plt.show(", "plt.subplots(", "HTML(", "contact_sheet(", "plt.imshow(")


def cells(path: Path) -> list[Cell]:
    result: list[Cell] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in result:
        cell["text"] = "".join(cell["source"])
    return result


def code(path: Path) -> list[Cell]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def prose(path: Path) -> str:
    return "\n\n".join(cell["text"] for cell in cells(path) if cell["cell_type"] == "markdown")


def python(cell: Cell) -> ast.Module:
    """The cell without IPython's commands."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell["text"], flags=re.MULTILINE))


def shows_a_figure(cell: Cell) -> bool:
    """Whether running the cell shows a picture or clips; a function that draws when it is called does not."""
    outside = [ast.unparse(part) for part in python(cell).body if not isinstance(part, ast.FunctionDef)]
    return any(call in text for text in outside for call in DRAWS)


def tags(cell: Cell) -> list[str]:
    return list(cell["metadata"].get("tags", []))


each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


@each_chapter
def test_a_chapter_has_takeaways_a_question_and_its_new_symbols_folded(path: Path):
    boxes = re.findall(r":::\{admonition\} (.+)\n:class: (.+)\n", prose(path))
    kinds = [kind for _, kind in boxes]
    assert 3 <= kinds.count("takeaway") <= 5
    assert kinds.count("question dropdown") >= 1
    assert kinds.count("symbols dropdown") == 1


@each_chapter
def test_a_check_prints_what_it_proved(path: Path):
    """A folded cell with assertions and no picture says in a line of output what holds."""
    for cell in code(path):
        if "hide-input" in tags(cell) and "assert" in cell["text"] and not shows_a_figure(cell):
            assert "print(" in cell["text"], cell["id"]


def test_there_are_chapters():
    assert len(CHAPTERS) >= 3


@each_chapter
def test_a_chapter_is_stripped(path: Path):
    for cell in code(path):
        assert cell["outputs"] == [] and cell["execution_count"] is None, f"{cell['id']}: run nbstripout"


@each_chapter
def test_a_chapter_begins_with_its_number_and_a_promise(path: Path):
    first = cells(path)[0]["text"]
    assert first.startswith(f"# {int(path.name[:2])}. ")
    assert "**After this chapter you can**" in first


@each_chapter
def test_a_chapter_has_the_headings_of_the_template_in_order(path: Path):
    """A colon may follow, and what the part gives."""
    headings = [heading.partition(":")[0] for heading in re.findall(r"^## (.+)$", prose(path), re.MULTILINE)]
    first = PRACTICE_FIRST.get(path.stem, ())
    assert [name for name in headings if name in HEADINGS] == [*first, *(n for n in HEADINGS if n not in first)]


def test_every_chapter_has_the_same_setup_cell_before_any_other_code():
    setups = {code(path)[0]["text"] for path in CHAPTERS}
    assert len(setups) == 1
    assert all(code(path)[0]["id"] == "setup" for path in CHAPTERS)


@each_chapter
def test_only_the_setup_cell_knows_the_scale(path: Path):
    for cell in code(path)[1:]:
        assert "environ" not in cell["text"] and "IVTUTORIAL" not in cell["text"], cell["id"]
        assert not re.search(r"""scale\.name\s*[!=]=|["'](reduced|modelscope)["']""", cell["text"]), cell["id"]


@each_chapter
def test_no_cell_is_longer_than_fifteen_lines(path: Path):
    for cell in code(path):
        assert len(cell["text"].splitlines()) <= LONGEST, f"{cell['id']}:\n{cell['text']}"


@each_chapter
def test_every_figure_has_a_caption_and_every_picture_words(path: Path):
    """Clips and pictures that are shown as HTML carry their words inside (the helpers insist on them)."""
    shown = [cell for cell in code(path) if shows_a_figure(cell) and "remove-output" not in tags(cell)]
    assert len(shown) >= 3
    for cell in shown:
        settings = cell["metadata"].get("mystnb", {})
        assert len(settings.get("figure", {}).get("caption", "")) > 40, f"{cell['id']} has no caption"
        if "HTML(" not in cell["text"]:
            assert len(settings.get("image", {}).get("alt", "")) > 40, f"{cell['id']} has no alternative text"


@each_chapter
def test_figure_names_are_used_once(path: Path):
    names = [cell["metadata"].get("mystnb", {}).get("figure", {}).get("name") for cell in code(path)]
    named = [name for name in names if name]
    assert len(named) == len(set(named))
    assert set(re.findall(r"\{numref\}`([\w-]+)`", prose(path))) <= set(named)


def test_figure_names_are_used_in_one_chapter_only():
    named = [
        (cell["metadata"].get("mystnb", {}).get("figure", {}).get("name"), path)
        for path in CHAPTERS
        for cell in code(path)
    ]
    names = [name for name, _ in named if name]
    assert len(names) == len(set(names))


@each_chapter
def test_a_chapter_asserts_what_it_teaches(path: Path):
    """At least half a dozen cells stop the build if what they say does not hold."""
    asserting = [cell for cell in code(path) if "assert" in cell["text"]]
    assert len(asserting) >= 6


@each_chapter
def test_exercises_have_a_checker_and_a_solution(path: Path):
    """Three to five; words and code of a solution are in one drop-down, and its code is run with an assertion."""
    exercises = re.findall(r":::\{exercise\} .+\((?:easy|medium|hard)\)\n:label: (ex-\d+-\w+)", prose(path))
    solutions = re.findall(r":::\{solution-start\} (ex-\d+-\w+)\n:class: dropdown", prose(path))
    assert 3 <= len(exercises) <= 5 and exercises == solutions
    every = cells(path)
    starts = [k for k, cell in enumerate(every) if cell["text"].startswith(":::{solution-start}")]
    assert all("assert" in every[k + 1]["text"] and "hide-input" not in tags(every[k + 1]) for k in starts)
    assert all(every[k + 2]["text"] == ":::{solution-end}\n:::" for k in starts)
    stubs = [cell for cell in code(path) if "your code here" in cell["text"]]
    assert len(stubs) == len(exercises)
    assert all("remove-output" in tags(cell) for cell in stubs), "no `Not written yet` on the page"


@each_chapter
def test_plots_and_the_setup_cell_are_folded(path: Path):
    """What draws is a click away; the page shows what it drew."""
    for cell in code(path):
        if cell["id"] == "setup" or ("plt.show(" in cell["text"] and "mystnb" in cell["metadata"]):
            assert "hide-input" in tags(cell), cell["id"]


@each_chapter
def test_a_live_widget_has_a_twin_that_needs_no_kernel(path: Path):
    """A widget that calls Python is dead on a built page: its output stays off the page, where strips or steps are."""
    text = [cell for cell in code(path) if "ipywidgets.interact" in cell["text"]]
    assert all("remove-output" in tags(cell) for cell in text)
    if text:
        twins = ("notebook.stepper(", "notebook.film_strip(")
        assert any(twin in cell["text"] for cell in code(path) for twin in twins)


@each_chapter
def test_citations_are_in_the_bibliography(path: Path):
    entries = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(), re.MULTILINE))
    cited = {key.strip() for group in re.findall(r"\{cite[:\w]*\}`([^`]+)`", prose(path)) for key in group.split(",")}
    assert cited and cited <= entries


@each_chapter
def test_functions_that_the_prose_names_exist(path: Path):
    """Read from the source, since importing every module would take longer than all other tests of the book."""
    names = re.findall(r"\{py:(?:func|class)\}`~?([\w.]+)`", prose(path))
    assert names
    for name in names:
        module, _, attribute = name.rpartition(".")
        path = ROOT / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert attribute in {part.name for part in body if isinstance(part, (ast.FunctionDef, ast.ClassDef))}, name
