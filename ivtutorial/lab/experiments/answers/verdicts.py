"""What the results of the experiments say of the paper's nine claims.

    python -m ivtutorial.lab.experiments.answers.verdicts data/results        prints the table as Markdown

A claim is a list of conditions (see `claims`). It is *reproduced* if all of them hold, *not reproduced* if one fails,
*undecided* if one is open, and *not yet measured* where a result is missing. Quick results are read where there is no
full one, and marked as such.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.claims import RULES, Condition, Rule
from ivtutorial.lab.experiments.answers.results import read_result
from ivtutorial.system.files import data_path

REPRODUCED, NOT, OPEN, MISSING = "reproduced", "not reproduced", "undecided", "not yet measured"


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict.

    Attributes:
        number: of section 6 of the summary of the paper. text: what the paper says. source: figure or table.
        verdict: one of the four words. evidence: the conditions, in words and numbers.
    """

    number: int
    text: str
    source: str
    verdict: str
    evidence: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """The claim, its verdict, and a line for each condition."""
        lines = [f"Claim {self.number} ({self.source}): {self.text}", f"In the reduced world: {self.verdict}"]
        return "\n".join([*lines, *(f"- {line}" for line in self.evidence)])


def verdicts(folder: str | Path) -> list[Claim]:
    """Verdicts on the nine claims from the JSON files in a folder.

    Raises:
        InputError: a file there cannot be read as the result of an experiment.
    """
    return [_judge(rule, Path(folder)) for rule in RULES]


def verdict(number: int, folder: str | Path | None = None) -> Claim:
    """Verdict on one claim.

    Args:
        number: 1 to 9.
        folder: with the JSON files; default the shipped `data/results`.

    Raises:
        InputError: no such claim, or a file that is not a result.

    Example:
        >>> print(verdict(1))  # doctest: +SKIP
    """
    rules = [rule for rule in RULES if rule.number == number]
    if not rules:
        raise InputError(f"claim {number}: expected a number from 1 to {len(RULES)}.")
    return _judge(rules[0], data_path("results") if folder is None else Path(folder))


def markdown(claims: Sequence[Claim]) -> str:
    """The table of verdicts as Markdown."""
    lines = ["| | the paper says | shown in | reduced world | evidence |", "|-|-|-|-|-|"]
    for claim in claims:
        evidence = "<br>".join(claim.evidence) or "-"
        lines.append(f"| {claim.number} | {claim.text} | {claim.source} | {claim.verdict} | {evidence} |")
    return "\n".join(lines)


def _judge(rule: Rule, folder: Path) -> Claim:
    results = [read_result(name, folder) for name in rule.needs]
    missing = [name for name, result in zip(rule.needs, results, strict=True) if result is None]
    if missing:
        evidence = (f"no result of {', '.join(missing)}",)
        return Claim(rule.number, rule.text, rule.source, MISSING, evidence)
    conditions = rule.conditions(*results)
    quick = [name for name, result in zip(rule.needs, results, strict=True) if result is not None and result["quick"]]
    note = (f"from the quick version of {', '.join(quick)}",) if quick else ()
    return Claim(rule.number, rule.text, rule.source, decide(conditions), (*map(str, conditions), *note))


def decide(conditions: Sequence[Condition]) -> str:
    """All hold: reproduced; one fails: not reproduced; else undecided."""
    held = [condition.holds for condition in conditions]
    return NOT if False in held else OPEN if None in held else REPRODUCED


if __name__ == "__main__":
    print(markdown(verdicts(sys.argv[1] if len(sys.argv) > 1 else "data/results")))
