"""Sphinx extension: directives `verdicts`, the claims in a table, `verdict`, the evidence on one of them, `changes`,
what the arms of an experiment changed, and `simulated-study`, whose clips annotators would prefer.

All are computed from data/results when the book is built; see `ivtutorial.lab.experiments.answers.verdicts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from made_parts import MadeLines
from sphinx.util.docutils import SphinxDirective

from ivtutorial.lab.experiments.answers.gains import shown_changes, undecided_words
from ivtutorial.lab.experiments.answers.plots import claim_figure
from ivtutorial.lab.experiments.answers.results import read_result
from ivtutorial.lab.experiments.answers.simulated_study import shown_simulated_study
from ivtutorial.lab.experiments.answers.verdicts import MISSING, Claim, verdict, verdicts
from ivtutorial.pages.embed import vector_picture

RESULTS = Path(__file__).resolve().parents[2] / "data" / "results"


def summary(claims: Sequence[Claim]) -> list[str]:
    """Lines of Markdown: how many claims have which verdict, then one row a claim, with a link to its section."""
    counts = Counter(claim.verdict for claim in claims)
    lines = [f"Of {len(claims)} claims: {', '.join(f'{count} {word}' for word, count in counts.most_common())}.", ""]
    lines += ["| | the claim | shown in | in the small world |", "|---|---|---|---|"]
    return lines + [f"| [{c.number}](#claim-{c.number}) | {c.text} | {c.source} | **{c.verdict}** |" for c in claims]


def evidence(claim: Claim) -> list[str]:
    """Lines of Markdown: the claim, its verdict, and what it rests on, a line for each condition."""
    who = "This book" if claim.source == "ours" else f"The paper ({claim.source})"
    said = f"{who} says: {claim.text}. In the small world: **{claim.verdict}**."
    if claim.verdict == MISSING:
        said += " What will be asked:"
        items = [item.partition(f": {MISSING}")[0] for item in claim.evidence if f": {MISSING}" in item]
        return [said, "", *(f"- {item}" for item in items), ""]
    return [said, "", *(f"- {item}" for item in claim.evidence), ""]


class _FromResults(MadeLines):
    def sources(self) -> list[Path]:
        """All results."""
        return sorted(RESULTS.glob("*.json"))


class Verdicts(_FromResults):
    """`verdicts`, without arguments or content."""

    def lines(self) -> list[str]:
        """One row a claim."""
        return summary(verdicts(RESULTS))


class Verdict(_FromResults):
    """`verdict`, with the number of a claim."""

    required_arguments = 1

    def lines(self) -> list[str]:
        """Claim, verdict, evidence."""
        return evidence(verdict(int(self.arguments[0]), RESULTS))

    def run(self) -> list[nodes.Node]:
        """The lines, and a forest plot as soon as there are intervals to draw."""
        number = int(self.arguments[0])
        figure = claim_figure(number, RESULTS)
        if figure is None:
            return super().run()
        words = (
            f"The answers to the questions of claim {number}. The line is the bound; to its right a number speaks for "
            "the claim. Thin: the 95 % interval. Thick: that of 90 %, which decides on equivalent. Grey: the margin."
        )
        return [*super().run(), nodes.raw("", vector_picture(figure, words), format="html")]


def closed(title: str, content: list[nodes.Node]) -> list[nodes.Node]:
    """The content in a box that is closed until a reader opens it; as it is without a title."""
    box = nodes.admonition("", nodes.title(title, title), *content, classes=["dropdown", "note"])
    return [box] if title else content


def _table(directive: SphinxDirective, name: str, text: str) -> list[nodes.Node]:
    """HTML with a table, in the theme's style, in a closed box where its runs decide nothing.

    The page is made again when the result changes.
    """
    directive.env.note_dependency(str(RESULTS / f"{name}.json"))
    table = nodes.raw("", text.replace("<table>", '<table class="table">'), format="html")
    return closed(undecided_words(read_result(name, RESULTS)), [table])


class Changes(SphinxDirective):
    """`changes`, with the name of an experiment; `columns` and `where` as `shown_changes` takes them."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"columns": directives.unchanged_required, "where": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """The table as HTML."""
        name = self.arguments[0]
        columns = self.options["columns"].split()
        return _table(self, name, shown_changes(name, columns, where=self.options.get("where"), folder=RESULTS))


class SimulatedStudy(SphinxDirective):
    """`simulated-study`, with the name of an experiment; `first` and `arms` as `shown_simulated_study` takes them."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"first": directives.unchanged, "arms": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """The table as HTML."""
        name = self.arguments[0]
        arms = self.options.get("arms", "").split()
        return _table(self, name, shown_simulated_study(name, self.options.get("first", "base"), arms, folder=RESULTS))


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("verdicts", Verdicts)
    app.add_directive("verdict", Verdict)
    app.add_directive("changes", Changes)
    app.add_directive("simulated-study", SimulatedStudy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
