"""What each arm gained and what it cost the truth: the columns that stand beside every reward.

| column       | what                                                                                            |
|--------------|-------------------------------------------------------------------------------------------------|
| reward       | what was trained for, change from the untouched model                                           |
| u            | the annotators' utility, from the judge's readings; u of the second judge                       |
| wins ... losses | shares of the annotators' choices between the tuned and the untouched clip, see `simulated_study` |
| subject      | clips whose subject the judge reads rightly, before and after; the second judge's               |
| disagreement | share of the readings in which the two judges differ                                            |
| artefact     | how far a clip is from every render of its facts                                                |

A column that a result does not have, for want of a second judge say, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import Difference
from ivtutorial.lab.experiments.answers.contrasts import (
    BASE,
    LEAST_RUNS,
    change,
    digits,
    interval,
    own_prompts,
)
from ivtutorial.lab.experiments.answers.course import cost_words, pairs_at_equal_cost, steps_of
from ivtutorial.lab.experiments.answers.results import paired, read_result, to_be_measured
from ivtutorial.lab.experiments.answers.words import arm_words, column_words, wide_table
from ivtutorial.lab.experiments.plans.catalogue import EXPERIMENTS
from ivtutorial.lab.world.annotators import with_ties

TRUTH = ("reward", "utility", "utility_2", "subject", "subject_2", "disagreement", "artefact")
MOST_PLACES = {"reward": 3}  # decimals in tables of changes; more say nothing that a reader needs
SHORT = {"utility": "u", "utility_2": "u (2nd)", "subject_2": "subject (2nd)", "disagreement": "disagree"}


def gain_rows(result: Mapping[str, Any], where: str | None = None) -> list[dict[str, Any]]:
    """A row of plain values for each arm at the end of its runs.

    Args:
        result: content of result.json.
        where: "LIST-D"; default the first.

    Returns:
        arm, runs; `changes`, column -> (mean, low, high) of its change from the untouched model, the last two None with
        a single run; `choices`, (wins, ties, losses), or None without utility.
    """
    own, rows = own_prompts(result, where), []
    for name in result["arms"]:
        changes = {}
        for column in TRUTH:
            try:
                table = change(result, BASE, name, column, where=where)
            except InputError:
                continue
            both = interval(table, own)
            ends = (None, None) if both is None else (both.low, both.high)
            changes[column] = (float(table.mean()), *ends)
        choices = None
        if "utility" in changes:
            lead = change(result, BASE, name, "utility", where=where)
            choices = tuple(with_ties(lead).mean(axis=(1, 2)).tolist())
        rows.append({"arm": name, "runs": _runs(result, name), "changes": changes, "choices": choices})
    return rows


def gain_text(result: Mapping[str, Any], where: str | None = None) -> str:
    """The rows as lines of text, each change with its 95 % interval."""
    rows = gain_rows(result, where)
    columns = [column for column in TRUTH if any(column in row["changes"] for row in rows)]
    head = f"{'':23} {'runs':>4}" + "".join(f"  {SHORT.get(column, column):>26}" for column in columns)
    lines = [head + f"  {'wins / ties / losses':>21}"]
    for row in rows:
        cells = "".join(f"  {_cell(row['changes'].get(column)):>26}" for column in columns)
        choices = "-" if row["choices"] is None else " / ".join(f"{share:.0%}" for share in row["choices"])
        lines.append(f"{arm_words(row['arm']):23} {row['runs']:4}{cells}  {choices:>21}")
    return "\n".join(lines)


def gain_html(result: Mapping[str, Any], where: str | None = None) -> str:
    """The rows as a table for a page, which a narrow screen scrolls."""
    rows = gain_rows(result, where)
    columns = [column for column in TRUTH if any(column in row["changes"] for row in rows)]
    head = "".join(f"<th>{SHORT.get(column, column)}</th>" for column in columns)
    body = ""
    for row in rows:
        cells = "".join(f"<td>{_cell(row['changes'].get(column))}</td>" for column in columns)
        choices = "-" if row["choices"] is None else " / ".join(f"{share:.0%}" for share in row["choices"])
        body += f"<tr><th>{arm_words(row['arm'])}</th><td>{row['runs']}</td>{cells}<td>{choices}</td></tr>"
    return wide_table(f"<th>arm</th><th>runs</th>{head}<th>wins / ties / losses</th>", body)


def changes_of(
    result: Mapping[str, Any] | None, column: str, first: str = BASE, arms: Sequence[str] = (), where: str | None = None
) -> dict[str, Difference]:
    """What each arm changed in a column, at equal cost, as far as it was measured.

    Args:
        result: content of result.json, or None where there is none yet.
        column: what is compared.
        first: what every arm is compared with, see :func:`shown_changes`.
        arms: which; default all but `first`.
        where: "LIST-D"; default the first.

    Returns:
        Arm -> paired change, without arms that the result does not have; empty if it lacks `first` or the column.
    """
    if result is None or not _has(result, column, where):
        return {}
    pairs = measured_pairs(result, first, arms, where)
    return {b.partition("@")[0]: paired(result, a, b, column, where) for a, b in pairs}


def shown_changes(
    name: str,
    columns: Sequence[str],
    first: str = BASE,
    arms: Sequence[str] = (),
    where: str | None = None,
    folder: str | Path | None = None,
) -> str:
    """What the arms of an experiment changed, at equal cost, as a table for a page; below it, what the intervals say.

    Args:
        name: of the experiment.
        columns: what is compared; those that the result does not have are left out.
        first: what every arm is compared with: another arm, where both have cost the same, or the untouched model,
            where all rows have, and whose own values are the first row.
        arms: the rows; default all but `first`. Those that are still to be measured are named below the table.
        where: "LIST-D"; default the first.
        folder: with the JSON files; default the shipped `data/results`.

    Returns:
        HTML text, or the command that makes the result where it is still to be measured.

    Raises:
        InputError: a file that is not a result, or an arm that neither it nor the experiment's plan has.
    """
    result = read_result(name, folder)
    if result is None:
        return f"<p><em>{to_be_measured(name)}</em></p>"
    missing = missing_arms(name, result, (first, *arms))
    kept = [column for column in columns if _has(result, column, where)]
    pairs = measured_pairs(result, first, arms, where)
    if not pairs or not kept:
        return f"<p><em>{to_be_measured(name)}</em></p>"
    head = "".join(f"<th>{column_words(column)}</th>" for column in kept)
    columns_of = {column: [paired(result, a, b, column, where) for a, b in pairs] for column in kept}
    places = {column: _places(column, changes) for column, changes in columns_of.items()}
    body = ""
    if first == BASE:
        cells = "".join(f"<td>{changes[0].before:.{places[c]}f}</td>" for c, changes in columns_of.items())
        body = f"<tr><th>untouched, its values</th><td>0</td>{cells}</tr>"
    for k, (_, b) in enumerate(pairs):
        numbers = {c: (changes[k].mean, changes[k].low, changes[k].high) for c, changes in columns_of.items()}
        cells = "".join(f"<td>{_cell(values, places[c])}</td>" for c, values in numbers.items())
        body += f"<tr><th>{arm_words(b.partition('@')[0])}</th><td>{steps_of(result, b)}</td>{cells}</tr>"
    against = "the untouched model" if first == BASE else arm_words(first)
    return (
        f"{wide_table(f'<th></th><th>steps</th>{head}', body)}"
        f"<p>Change against {against}{cost_words(result, pairs)}; {runs_words(result)}."
        f"{missing_words(missing)}</p>"
    )


def undecided_words(result: Mapping[str, Any] | None) -> str:
    """Why the runs of a result decide nothing, as the title of a box; empty where they may, or where there is none.

    Args:
        result: content of result.json, or None where there is none yet.
    """
    if result is None:
        return ""
    if not any("by_run" in arm for arm in result["arms"].values()):
        return "Older runs, which decide nothing"
    few = result["quick"] or max(_runs(result, name) for name in result["arms"]) < LEAST_RUNS
    return "Too few runs to decide anything" if few else ""


def runs_words(result: Mapping[str, Any] | None) -> str:
    """How many runs a result has and what its intervals hold for, in words.

    Args:
        result: content of result.json, or None where there is none yet.
    """
    if result is None:
        return "still to be measured"
    counts = [_runs(result, name) for name in result["arms"]]
    runs = str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
    prompts = "95 % intervals over prompts only (other runs may differ by more)"
    if not any("by_run" in arm for arm in result["arms"].values()):
        models = "an earlier version of the small models, whose rewards cannot be compared with the present ones"
        words = f"averages of {runs} runs of {models}; {prompts}"
    elif max(counts) == 1:
        words = f"a single run, {prompts}"
    else:
        few = "" if min(counts) >= LEAST_RUNS else f" (of fewer than {LEAST_RUNS} runs, they decide nothing)"
        words = f"{runs} runs, 95 % intervals over prompts and runs{few}"
    return f"quick version, {words}" if result["quick"] else words


def measured_pairs(
    result: Mapping[str, Any], first: str = BASE, arms: Sequence[str] = (), where: str | None = None
) -> list[tuple[str, str]]:
    """The pairs of `pairs_at_equal_cost` whose arms were measured; none where `first` was not."""
    rows = [arm for arm in arms or result["arms"] if arm in result["arms"] and arm != first]
    return pairs_at_equal_cost(result, first, rows, where) if rows and first in (BASE, *result["arms"]) else []


def missing_arms(name: str, result: Mapping[str, Any], asked: Sequence[str]) -> list[str]:
    """Arms of the plan that were asked for and not measured yet.

    Args:
        name: of the experiment. result: content of result.json.
        asked: names of arms. One alone, what the others are compared with, asks for all arms of a full result.

    Raises:
        InputError: an arm that neither the result nor the plan has.
    """
    planned = [arm.name for arm in EXPERIMENTS[name]().arms] if name in EXPERIMENTS else []
    unknown = sorted({*asked} - {BASE, *result["arms"], *planned})
    if unknown:
        raise InputError(f"{name} has no arm {unknown[0]!r}: expected {BASE}, {', '.join(result['arms'])}.")
    full = not result["quick"] and any("by_run" in arm for arm in result["arms"].values())
    named = {*asked} - {BASE} if len(asked) > 1 or not full else {*planned}
    return [arm for arm in planned if arm in named and arm not in result["arms"]]


def missing_words(missing: Sequence[str]) -> str:
    """A sentence that names the arms of `missing_arms`, with a space before it; nothing where there is none."""
    return f" Still to be measured: {', '.join(map(arm_words, missing))}." if missing else ""


def _has(result: Mapping[str, Any], column: str, where: str | None) -> bool:
    try:
        change(result, BASE, next(iter(result["arms"])), column, where=where)
    except InputError:
        return False
    return True


def _places(column: str, changes: Sequence[Difference]) -> int:
    """Decimals of a column: as many as its widest interval bears; two where nothing has changed."""
    bear = [digits(d.high - d.low) for d in changes if d.high > d.low]
    return min([*bear, MOST_PLACES.get(column, 7)]) if bear else 2


def _cell(numbers: tuple[float, float | None, float | None] | None, places: int | None = None) -> str:
    if numbers is None:
        return "-"
    mean, low, high = numbers
    if low is None or high is None:
        return f"{mean:+.4f}"
    places = digits(high - low) if places is None else places
    mean_text, *ends = (_signed(value, places) for value in (mean, low, high))
    return f"{mean_text} ({', '.join(ends)})"


def _signed(value: float, places: int) -> str:
    """With its sign, which a zero has not."""
    text = f"{round(value, 9):+.{places}f}"  # halves are not told apart by rounding in binary
    return text if float(text) else text[1:]


def _runs(result: Mapping[str, Any], name: str) -> int:
    arm = result["arms"][name]
    return (
        len(next(iter(next(iter(arm["by_run"].values())).values())))
        if "by_run" in arm
        else len(result["plan"]["seeds"])
    )
