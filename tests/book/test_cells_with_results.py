"""The cells of chapters and the tables of pages that read results of experiments run on any result.

Results are replaced one experiment after another: by runs of other models, with other signs, of some arms only, of one
run or of six. No such result may stop a chapter. The cells are taken from the notebooks and run as they stand, with the
cells that they need and without a model.
"""

from __future__ import annotations

import ast
import json
import re
import symtable
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivtutorial.evaluation import intervals
from ivtutorial.lab.experiments.answers import plots, results, story, verdicts
from ivtutorial.lab.experiments.answers.simulated_study import simulated_studies
from ivtutorial.lab.experiments.plans.blocks import BLOCKS
from ivtutorial.lab.experiments.plans.catalogue import EXPERIMENTS, experiment
from tests.book.test_notebooks import CHAPTERS, Cell, code, python
from tests.lab.experiments.made_up import planned_result

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_extensions"))

import verdict_tables  # noqa: E402

READS = re.compile(r"\b(read_result|shown|shown_\w+|paired|frontier_text|frontier_rows|changes_of|courses)\(")
READ_NOTHING = {"arm_words", "change_by_run", "experiment", "list_words", "mean_course", "methods", "runs_words"}
GIVEN = {"os", "sys", "plt", "torch", "HTML", "iv", "notebook"}  # by the cell that every chapter begins with

Results = dict[str, dict[str, Any]]


def names_of(cell: Cell) -> tuple[set[str], set[str], set[str]]:
    """Names that a cell makes, those that it needs from other cells, and what it imports."""
    top = symtable.symtable(ast.unparse(python(cell)), cell["id"], "exec")
    symbols = top.get_symbols()
    made = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}
    used = {s.get_name() for s in symbols if s.is_referenced()}
    inner = list(top.get_children())
    while inner:
        table = inner.pop()
        inner += table.get_children()
        used |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return made, used - made - GIVEN, {s.get_name() for s in symbols if s.is_imported()}


def cells_with_results(path: Path) -> list[Cell]:
    """The cells that read a result, those that work on what these made, and those that either needs, in order."""
    every = code(path)[1:]
    names = [names_of(cell) for cell in every]

    def maker(k: int, name: str) -> int | None:
        return next((j for j in range(k - 1, -1, -1) if name in names[j][0]), None)

    def needed(k: int) -> dict[str, int]:
        return {name: j for name in names[k][1] if (j := maker(k, name)) is not None}

    chosen = {k for k, cell in enumerate(every) if READS.search(cell["text"])}
    for k in range(len(every)):  # what makes a name comes before what needs it
        if any(j in chosen and name not in names[j][2] for name, j in needed(k).items()):
            chosen.add(k)
    for k in range(len(every) - 1, -1, -1):
        chosen |= set(needed(k).values()) if k in chosen else set()
    return [every[k] for k in sorted(chosen)]


CELLS = {path.stem: chosen for path in CHAPTERS if (chosen := cells_with_results(path))}


def full(draw: np.random.Generator) -> Results:
    """Each experiment as far as the plan's first block of it goes: some of the arms of fig5a and of the frontier."""
    made: Results = {}
    for block in BLOCKS:
        plan = block.plan()
        if plan.name not in made:
            runs = 6 if plan.name in ("fig7", "fig5c") else 2
            made[plan.name] = planned_result(plan, draw, {arm.name: runs for arm in plan.arms})
    return made


def cut(draw: np.random.Generator) -> Results:
    """What is there when time was up: some arms of most experiments, with one run or two; gains that are lost again."""
    made: Results = {}
    for name in EXPERIMENTS:
        plan = experiment(name)
        arms = [arm.name for arm in plan.arms if draw.random() < 0.6] or [plan.arms[-1].name]
        if draw.random() < 0.8:
            made[name] = planned_result(plan, draw, {arm: int(draw.integers(1, 3)) for arm in arms}, scale=0.3)
    return made


def few(draw: np.random.Generator) -> Results:
    """A single arm with a single run of each experiment, in which nothing has changed at all."""
    return {
        name: planned_result(experiment(name), draw, {experiment(name).arms[-1].name: 1}, scale=0.0)
        for name in EXPERIMENTS
    }


STATES: dict[str, Callable[[np.random.Generator], Results]] = {
    "full": full,
    "cut": cut,
    "few": few,
    "none": lambda draw: {},
}


@pytest.fixture(scope="module", params=list(STATES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param)
    (path / "questions.json").write_text((ROOT / "data/results/questions.json").read_text(encoding="utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "RESAMPLES", 500)  # a tenth of the time; what intervals say is not the point
        made = STATES[request.param](np.random.default_rng(0))
    for name, content in made.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


@pytest.fixture
def results_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package reads its results from the folder; nothing is shown on a screen."""
    import matplotlib

    backend = matplotlib.get_backend()
    matplotlib.use("agg")
    monkeypatch.setattr(intervals, "RESAMPLES", 500)
    for module in (results, plots, verdicts):
        monkeypatch.setattr(module, "data_path", lambda *parts: folder)
    if not folder.name.startswith("full"):  # the rest is drawn, and not turned into pixels or lines
        for module in (plots, story):
            monkeypatch.setattr(module, "vector_picture", lambda figure, words: f"{figure} {words}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield folder
    matplotlib.use(backend)


@pytest.mark.parametrize("chapter", CELLS)
def test_no_result_stops_a_chapter(chapter: str, results_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import matplotlib.pyplot as plt
    import torch
    from IPython.display import HTML

    import ivtutorial as iv
    from ivtutorial import notebook

    given: Mapping[str, Any] = {"plt": plt, "torch": torch, "HTML": HTML, "iv": iv, "notebook": notebook}
    names = dict(given)
    for cell in CELLS[chapter]:
        try:
            exec(compile(python(cell), cell["id"], "exec"), names)
        except Exception as error:
            pytest.fail(f"{chapter}, cell {cell['id']}: {error!r}\n{cell['text']}")
        plt.close("all")
    assert not re.search(r"\bnan\b", capsys.readouterr().out), "numbers, not their absence, are printed"


def test_no_result_stops_the_page_of_verdicts(results_in: Path) -> None:
    """Every directive of the page has something to show, if only the command that makes the result."""
    page = (ROOT / "book" / "verdicts.md").read_text(encoding="utf-8")
    assert verdict_tables.summary(verdicts.verdicts(results_in))
    measured = {path.stem for path in results_in.glob("*.json")} - {"questions"}
    assert set(simulated_studies(list(EXPERIMENTS), results_in)) == measured
    for number in re.findall(r"```\{verdict\} (\d+)", page):
        claim = verdicts.verdict(int(number), results_in)
        assert verdict_tables.evidence(claim) and plots.shown_answers(int(number), "answers", results_in)
    for name, columns in re.findall(r"```\{changes\} (\w+)\n:columns: (.+)\n", page):
        shown = verdict_tables.shown_changes(name, columns.split(), folder=results_in)
        assert "<table>" in shown or f"ivtutorial experiment {name}" in shown
    for name, arms in re.findall(r"```\{simulated-study\} (\w+)\n(?::arms: (.+)\n)?", page):
        shown = verdict_tables.shown_simulated_study(name, arms=arms.split(), folder=results_in)
        assert "<table>" in shown or f"ivtutorial experiment {name}" in shown


def test_every_way_to_read_a_result_is_looked_for() -> None:
    """A cell that reads a result by a function that is in neither list would be run by nobody here."""
    for path in CHAPTERS:
        used = {call for cell in code(path) for call in re.findall(r"\bexperiments\.(\w+)\(", cell["text"])}
        assert {call for call in used if not READS.search(f"{call}(")} <= READ_NOTHING, path.stem
