"""The page of verdicts has a section for every claim, and shows what the results say."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

from docutils import nodes

from ivtutorial.lab.experiments.answers.questions import read_questions
from ivtutorial.lab.experiments.answers.verdicts import MISSING, Claim
from ivtutorial.lab.experiments.plans.catalogue import EXPERIMENTS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_extensions"))

import verdict_tables as tables  # noqa: E402

PAGE = (ROOT / "book" / "verdicts.md").read_text(encoding="utf-8")

CLAIM = Claim(3, "lambda = 1 is best", "Fig. 5c", "undecided", ("one: reproduced (+0.1)", "two: undecided (+0.0)"))


def test_a_claim_is_shown_with_its_verdict_and_all_its_evidence():
    lines = tables.evidence(CLAIM)
    assert lines[0] == "The paper (Fig. 5c) says: lambda = 1 is best. In the small world: **undecided**."
    assert tables.evidence(replace(CLAIM, source="ours"))[0].startswith("This book says: ")
    assert [line for line in lines if line.startswith("- ")] == [f"- {one}" for one in CLAIM.evidence]
    assert tables.summary([CLAIM])[-1] == "| [3](#claim-3) | lambda = 1 is best | Fig. 5c | **undecided** |"
    assert tables.summary([CLAIM, CLAIM])[0] == "Of 2 claims: 2 undecided."


def test_every_claim_has_its_section():
    """In order, each with a place to link to, its evidence, and the commands that make its results."""
    rules = read_questions()
    sections = re.findall(r"^\(claim-(\d+)\)=\n## [^\n]+\n(.*?)(?=^\(|\Z)", PAGE, re.M | re.S)
    assert [int(number) for number, _ in sections] == [rule.number for rule in rules]
    for rule, (number, text) in zip(rules, sections, strict=True):
        assert f"```{{verdict}} {number}\n```" in text
        assert all(f"`{name}`" in text for name in rule.needs), number


def test_of_what_is_not_yet_measured_the_questions_are_listed():
    """Not that each of them lacks its runs, which the verdict says once."""
    claim = Claim(1, "a claim", "Fig. 1", MISSING, (f"is it so?: {MISSING} (+0.1; a single run)", "of a quick version"))
    lines = tables.evidence(claim)
    assert lines[2:3] == ["- is it so?"] and not any("quick" in line or "single" in line for line in lines)


def test_runs_that_decide_nothing_stand_in_a_closed_box():
    table = nodes.raw("", "<table>", format="html")
    assert tables.closed("", [table]) == [table]
    [box] = tables.closed("Older runs", [table])
    assert box["classes"] == ["dropdown", "note"] and box.children[0].astext() == "Older runs" and table in box.children


def test_every_experiment_is_named():
    assert all(f"`{name}`" in PAGE for name in EXPERIMENTS)


def test_the_page_asks_whose_clips_annotators_prefer():
    """Experiments and arms that there are, so that the page can be built from any of their results."""
    section = PAGE[PAGE.index("(simulated-study)=") :]
    asked = re.findall(r"^```\{simulated-study\} (\S+)\n(?::arms: ([^\n]+)\n)?```", section, re.M)
    assert [name for name, _ in asked] == ["fig8", "frontier"]
    for name, arms in asked:
        assert set(arms.split()) <= {arm.name for arm in EXPERIMENTS[name]().arms}
