"""Table 2 with simulated annotators: which of two models' clips they prefer, made from any result.

Two people compared the paper's clips and answered two questions. Here the annotators of the small world answer, from
what the judge reads in both clips of a pair, drawn from the same noise:

| question  | the lead of a clip over its rival, in units of u             |
|-----------|--------------------------------------------------------------|
| quality   | -4 times the difference of the severity of faults            |
| alignment | 3 times the difference of the match with the caption         |
| overall   | both together, the difference of u                           |

A lead becomes shares of wins, ties and losses by :func:`ivtutorial.lab.world.annotators.with_ties`, as for the raters
of `ivtutorial.lab.study.simulated`: two equal clips get a third of each. The shares are those of infinitely many
annotators: nothing is drawn, and intervals hold for other prompts and other runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import bootstrap_interval
from ivtutorial.lab.experiments.answers.contrasts import BASE, Rows, interval, own_prompts, table_of
from ivtutorial.lab.experiments.answers.course import cost_words, difference_of, pairs_at_equal_cost
from ivtutorial.lab.experiments.answers.gains import measured_pairs, missing_arms, missing_words, runs_words
from ivtutorial.lab.experiments.answers.results import read_result, to_be_measured
from ivtutorial.lab.experiments.answers.words import arm_words, wide_table
from ivtutorial.lab.world.annotators import ALIGNMENT_WEIGHT, FACT_WEIGHTS, with_ties

PERFECT = "perfect"  # side: a clip that shows all that its caption names, without a fault
Interval = tuple[float, float, float]


@dataclass(frozen=True)
class SimulatedAnswers:
    """What the simulated annotators answer to one question about two models, in shares.

    Attributes:
        first: side that is compared with, see `ivtutorial.lab.experiments.answers.course`. second: side that wins or
            loses. question: see the module.
        wins, ties, losses: of the second side, each as mean, low and high of the 95 % interval; the means sum to 1.
        net: wins minus losses, 0 where nobody is preferred.
    """

    first: str
    second: str
    question: str
    wins: Interval
    ties: Interval
    losses: Interval
    net: Interval

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def simulated_study(
    result: Mapping[str, Any], first: str = BASE, arms: Sequence[str] = (), where: str | None = None
) -> list[SimulatedAnswers]:
    """The answers about each arm and what it is compared with, at equal cost.

    Args:
        result: content of result.json.
        first, arms, where: as for `pairs_at_equal_cost`.

    Returns:
        For each arm quality, alignment and overall; overall alone where the readings of the facts were not kept. Below
        the arms, against the untouched model, the most that is possible: a perfect clip. Intervals hold for other
        runs and other prompts; of a single run, for other prompts only.

    Raises:
        InputError: no such arm; no utility; or averages over runs, for the choice between two averages is not the
            average choice.
    """
    sides = [side for pair in pairs_at_equal_cost(result, first, arms, where) for side in pair]
    averages = [name for name in sides if name != BASE and "by_run" not in result["arms"][name.partition("@")[0]]]
    if averages:
        raise InputError(
            f"the result of {result.get('experiment')} keeps averages over its runs, and no single choice can be made "
            f"of averages. Make it again: ivtutorial experiment {result.get('experiment')} --results data/results"
        )
    pairs = list(zip(sides[::2], sides[1::2])) + ([(BASE, PERFECT)] if first == BASE else [])
    own = own_prompts(result, where)
    return [
        _answers(a, b, question, lead, own) for a, b in pairs for question, lead in _leads(result, a, b, where).items()
    ]


def simulated_studies(
    names: Sequence[str], folder: str | Path | None = None
) -> dict[str, list[SimulatedAnswers] | str]:
    """The answers of every result that there is: each arm against the untouched model, then against the first arm.

    Args:
        names: of experiments.
        folder: with the JSON files; default the shipped `data/results`.

    Returns:
        Name -> answers, or in words why there are none; experiments without a result are left out.

    Raises:
        InputError: a file that is not a result.
    """
    studies: dict[str, list[SimulatedAnswers] | str] = {}
    for name in names:
        result = read_result(name, folder)
        if result is None:
            continue
        try:
            studies[name] = simulated_study(result) + simulated_study(result, next(iter(result["arms"])))
        except InputError as error:
            studies[name] = str(error)
    return studies


def simulated_study_text(rows: Sequence[SimulatedAnswers]) -> str:
    """Answers as a Markdown table, in per cent; each net preference with its 95 % interval."""
    lines = ["| | against | question | wins | ties | losses | net |", "|-|-|-|-|-|-|-|"]
    for row in rows:
        cells = " | ".join([_side_words(row.second), _side_words(row.first), row.question, *_cells(row)])
        lines.append(f"| {cells} |")
    return "\n".join(lines)


def shown_simulated_study(
    name: str,
    first: str = BASE,
    arms: Sequence[str] = (),
    where: str | None = None,
    folder: str | Path | None = None,
) -> str:
    """The answers of a simulated study as a table for a page; below it, what the numbers hold for.

    Args:
        name: of the experiment.
        first, arms, where: as for `pairs_at_equal_cost`.
        folder: with the JSON files; default the shipped `data/results`.

    Returns:
        HTML text; a sentence where there is no result, or one without the columns that it takes.

    Raises:
        InputError: a file that is not a result, or an arm that neither it nor the plan has.
    """
    result = read_result(name, folder)
    if result is None:
        return f"<p><em>{to_be_measured(name)}</em></p>"
    missing = missing_arms(name, result, (first, *arms))
    pairs = measured_pairs(result, first, arms, where)
    if not pairs:
        return f"<p><em>{to_be_measured(name)}</em></p>"
    try:
        rows = simulated_study(result, first, [arm for arm in arms if arm in result["arms"]], where)
    except InputError:
        return f"<p><em>Not yet measured for {name}: its stored runs do not hold what this table takes.</em></p>"
    body = ""
    for second, group in groupby(rows, key=lambda row: row.second):
        body += f'<tr><th colspan="5" scope="rowgroup">{_side_words(second)}</th></tr>'
        for row in group:
            cells = "".join(f"<td>{cell}</td>" for cell in _cells(row))
            body += f'<tr><th scope="row" style="font-weight: normal">{row.question}</th>{cells}</tr>'
    head = "".join(f"<th>{word}</th>" for word in ("question", "wins", "ties", "losses", "net"))
    return (
        f"{wide_table(head, body)}"
        f"<p>Answers in per cent, against {_side_words(first)}{cost_words(result, pairs)}; {runs_words(result)}."
        f"{missing_words(missing)}</p>"
    )


def _leads(result: Mapping[str, Any], first: str, second: str, where: str | None) -> dict[str, Rows]:
    """Question -> lead of the second side, (R, P)."""

    def lead(column: str, best: float) -> Rows:
        if second == PERFECT:
            return best - table_of(result, first, column, where=where)
        return difference_of(result, first, second, column, where)

    overall = lead("utility", ALIGNMENT_WEIGHT)
    try:
        facts = {fact: lead(fact, 1.0) for fact in FACT_WEIGHTS}
    except InputError:
        return {"overall": overall}
    alignment = np.asarray(ALIGNMENT_WEIGHT * sum(FACT_WEIGHTS[fact] * rows for fact, rows in facts.items()))
    return {"quality": overall - alignment, "alignment": alignment, "overall": overall}


def _answers(first: str, second: str, question: str, lead: Rows, own: bool) -> SimulatedAnswers:
    wins, ties, losses = with_ties(lead)
    tables = ((wins, 0.0), (ties, 0.0), (losses, 0.0), (wins - losses, -1.0))
    return SimulatedAnswers(first, second, question, *(_with_interval(rows, own, least) for rows, least in tables))


def _with_interval(rows: Rows, own: bool, least: float) -> Interval:
    both = interval(rows, own)
    low, high = bootstrap_interval(rows.mean(axis=0).tolist()) if both is None else (both.low, both.high)
    return float(rows.mean()), max(low, least), min(high, 1.0)


def _side_words(side: str) -> str:
    return "the untouched model" if side == BASE else arm_words(side.partition("@")[0])


def _cells(row: SimulatedAnswers) -> list[str]:
    shares = [f"{100 * share[0]:.0f}" for share in (row.wins, row.ties, row.losses)]
    net, low, high = (f"{round(100 * value):+d}".replace("+0", "0") for value in row.net)
    return [*shares, f"{net} ({low}, {high})"]
