"""What the results of the experiments say of the paper's nine claims, and of two that are ours.

    python -m ivtutorial.lab.experiments.answers.verdicts data/results        prints the table as Markdown

A claim is a list of questions (see `questions`), each answered with one of four words (see `contrasts`):

| claim            | when                                                                                          |
|------------------|-----------------------------------------------------------------------------------------------|
| reproduced       | every question is                                                                             |
| equivalent       | every question is reproduced or equivalent: what differs, differs by less than the margin     |
| not reproduced   | some question lies below its bound, at a level that holds for all of the claim (Holm)         |
| not yet measured | no question has its six runs                                                                  |
| undecided        | none of these                                                                                 |

Quick results are read where there is no full one, and marked as such.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import holm
from ivtutorial.lab.experiments.answers.contrasts import MISSING, WORDS, Contrast
from ivtutorial.lab.experiments.answers.questions import Rule, read_questions
from ivtutorial.lab.experiments.answers.results import read_result
from ivtutorial.system.files import data_path

REPRODUCED, EQUIVALENT, NOT, OPEN = WORDS


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict.

    Attributes:
        number: of section 6 of the summary of the paper; 10 and 11 are ours. text: what is claimed.
        source: figure or table.
        verdict: one of the five words. evidence: the questions, in words and numbers.
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
        """The claim, its verdict, and a line for each question."""
        lines = [f"Claim {self.number} ({self.source}): {self.text}", f"In the reduced world: {self.verdict}"]
        return "\n".join([*lines, *(f"- {line}" for line in self.evidence)])


def verdicts(folder: str | Path) -> list[Claim]:
    """Verdicts on the claims from the JSON files in a folder; the questions are the shipped ones.

    Raises:
        InputError: a file there cannot be read as the result of an experiment.
    """
    return [_judge(rule, Path(folder)) for rule in read_questions()]


def verdict(number: int, folder: str | Path | None = None) -> Claim:
    """Verdict on one claim.

    Args:
        number: 1 to 11.
        folder: with the JSON files; default the shipped `data/results`.

    Raises:
        InputError: no such claim, or a file that is not a result.

    Example:
        >>> print(verdict(1))  # doctest: +SKIP
    """
    rules = read_questions()
    chosen = [rule for rule in rules if rule.number == number]
    if not chosen:
        raise InputError(f"claim {number}: expected a number from 1 to {len(rules)}.")
    return _judge(chosen[0], data_path("results") if folder is None else Path(folder))


def markdown(claims: Sequence[Claim]) -> str:
    """The table of verdicts as Markdown."""
    lines = ["| | the claim | shown in | reduced world | evidence |", "|-|-|-|-|-|"]
    for claim in claims:
        evidence = "<br>".join(claim.evidence) or "-"
        lines.append(f"| {claim.number} | {claim.text} | {claim.source} | {claim.verdict} | {evidence} |")
    return "\n".join(lines)


def answers_to(rule: Rule, folder: Path) -> list[Contrast]:
    """The answers to a claim's questions from the results in a folder; a missing result leaves a question open."""
    results = {name: read_result(name, folder) for name in rule.needs}
    answers = []
    for question in rule.questions:
        result = results[question.experiment]
        missing = Contrast(question.text, None, note=f"no result of {question.experiment}")
        answers.append(missing if result is None else question.ask(result))
    return answers


def decide(answers: Sequence[Contrast]) -> str:
    """The word for a claim, see the module."""
    words = [answer.word for answer in answers]
    if set(words) <= {MISSING}:
        return MISSING
    if set(words) == {REPRODUCED}:
        return REPRODUCED
    if set(words) <= {REPRODUCED, EQUIVALENT}:
        return EQUIVALENT
    p = [
        answer.difference.below(answer.bound)
        if answer.difference is not None and answer.word not in (MISSING, EQUIVALENT)
        else 1.0
        for answer in answers
    ]
    return NOT if any(holm(p)) else OPEN


def _judge(rule: Rule, folder: Path) -> Claim:
    results = {name: read_result(name, folder) for name in rule.needs}
    missing = [name for name, result in results.items() if result is None]
    if len(missing) == len(results):
        return Claim(rule.number, rule.text, rule.source, MISSING, (f"no result of {', '.join(missing)}",))
    quick = [name for name, result in results.items() if result is not None and result["quick"]]
    note = (f"all of it from the quick version of {', '.join(quick)}: one short run",) if quick else ()
    answers = answers_to(rule, folder)
    return Claim(rule.number, rule.text, rule.source, decide(answers), (*map(str, answers), *note))


if __name__ == "__main__":
    print(markdown(verdicts(sys.argv[1] if len(sys.argv) > 1 else "data/results")))
