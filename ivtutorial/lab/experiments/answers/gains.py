"""What each arm gained and what it cost the truth: the columns that stand beside every reward.

| column       | what                                                                                            |
|--------------|-------------------------------------------------------------------------------------------------|
| reward       | what was trained for, change from the untouched model                                           |
| u            | the annotators' utility, from the judge's readings; u of the second judge                       |
| wins ... losses | shares of the annotators' choices between the tuned and the untouched clip (Table 2)         |
| subject      | clips whose subject the judge reads rightly, before and after; the second judge's               |
| disagreement | share of the readings in which the two judges differ                                            |
| artefact     | how far a clip is from every clean render of its facts                                          |

A column that a result does not have, for want of a second judge say, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.contrasts import BASE, change, digits, interval, own_prompts, with_ties

TRUTH = ("reward", "utility", "utility_2", "subject", "subject_2", "disagreement", "artefact")
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
            choices = with_ties(change(result, BASE, name, "utility", where=where))
        rows.append({"arm": name, "runs": _runs(result, name), "changes": changes, "choices": choices})
    return rows


def gain_text(result: Mapping[str, Any], where: str | None = None) -> str:
    """The rows as lines of text, each change with its 95 % interval."""
    rows = gain_rows(result, where)
    columns = [column for column in TRUTH if any(column in row["changes"] for row in rows)]
    head = f"{'':14} {'runs':>4}" + "".join(f"  {SHORT.get(column, column):>26}" for column in columns)
    lines = [head + f"  {'wins / ties / losses':>21}"]
    for row in rows:
        cells = "".join(f"  {_cell(row['changes'].get(column)):>26}" for column in columns)
        choices = "-" if row["choices"] is None else " / ".join(f"{share:.0%}" for share in row["choices"])
        lines.append(f"{row['arm']:14} {row['runs']:4}{cells}  {choices:>21}")
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
        body += f"<tr><th>{row['arm']}</th><td>{row['runs']}</td>{cells}<td>{choices}</td></tr>"
    return (
        '<div style="overflow-x: auto"><table><thead><tr><th>arm</th><th>runs</th>'
        f"{head}<th>wins / ties / losses</th></tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(numbers: tuple[float, float | None, float | None] | None) -> str:
    if numbers is None:
        return "-"
    mean, low, high = numbers
    if low is None or high is None:
        return f"{mean:+.4f}"
    places = digits(high - low)
    return f"{mean:+.{places}f} ({low:+.{places}f}, {high:+.{places}f})"


def _runs(result: Mapping[str, Any], name: str) -> int:
    arm = result["arms"][name]
    return (
        len(next(iter(next(iter(arm["by_run"].values())).values())))
        if "by_run" in arm
        else len(result["plan"]["seeds"])
    )
