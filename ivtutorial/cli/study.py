"""The commands of a study with people: `study` asks, `study-result` counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivtutorial.cli.options import Json
from ivtutorial.cli.support import show

if TYPE_CHECKING:
    from ivtutorial.lab.study.result import Counts, StudyResult


def study(
    before: Annotated[Path, typer.Argument(help="Folder that `ivtutorial evaluate` wrote: the clips X.")],
    after: Annotated[Path, typer.Argument(help="The same prompts and seeds with another model: the clips Y.")],
    out: Annotated[Path, typer.Option(help="CSV file of the answers; an existing one of this study goes on.")] = Path(
        "answers.csv"
    ),
    pairs: Annotated[
        int | None, typer.Option(help="Number of pairs, drawn at random; default all (paper: 100).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of that draw; the same for everybody who takes part.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 is any free one.")] = 8765,
) -> None:
    """Ask people which of two clips is better, blind: a page on this machine, used with mouse or keys.

    Shows the clips of both folders in pairs, left and right by chance, in an order of each rater's own, and asks for
    quality and alignment: left, tie or right (the paper's Table 2). No name of a model or folder reaches the page.
    Each answer is in the CSV file before the next question comes; stop with Ctrl-C, and start again to go on. Several
    raters may use the page in turn or at once. From another machine: ssh -L 8765:127.0.0.1:8765 THIS-MACHINE.

    \b
    Examples:
      ivtutorial evaluate --prompts demo --out runs/before
      ivtutorial evaluate --prompts demo --lora runs/a/lora --out runs/after
      ivtutorial study runs/before runs/after --out runs/answers.csv
      ivtutorial study-result runs/answers.csv
    """
    from ivtutorial.lab.study.pairs import open_study
    from ivtutorial.lab.study.server import StudyServer

    opened = open_study(before, after, pairs, seed)
    with StudyServer(opened, out, port) as server:
        typer.echo(f"{len(opened.pairs)} pairs. Open http://127.0.0.1:{server.server_port}/ in a browser. Ctrl-C ends.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo(f"\nAnswers are in {out}. Count them: ivtutorial study-result {out}")


def study_result_command(
    answers: Annotated[Path, typer.Argument(help="CSV file that `ivtutorial study` wrote.")],
    json_output: Json = False,
) -> None:
    """Count the answers of a study: wins, ties and losses of the second folder (Y), and how far the raters agree.

    Intervals are 95 % over prompts. `net` is wins minus losses: if its interval does not hold 0, one model is
    preferred. `same` is how often two raters gave the same answer, `alpha` how far beyond chance (Krippendorff: 1 full
    agreement, 0 chance); `left` is the share of choices for the left side, near 50 % unless somebody has a habit.

    \b
    Example:
      ivtutorial study-result runs/answers.csv --json
    """
    from ivtutorial.lab.study.result import study_result

    result = study_result(answers)
    show(result.to_dict(), _table(result), json_output)


def _table(result: StudyResult) -> str:
    lines = [f"wins are of {result.Y} (Y) against {result.X} (X)", f"{'%':10} {'wins':>16} {'ties':>16} {'losses':>16}"]
    lines[1] += f" {'net':>18} {'left':>16}  same  alpha"
    lines += [_line(name, counts) for name, counts in result.questions.items()]
    first = next(iter(result.questions.values()))
    return "\n".join(
        [*lines, f"{first.raters} raters, {first.prompts} prompts, {first.answers} answers to {lines[2].split()[0]}"]
    )


def _line(name: str, counts: Counts) -> str:
    shares = [
        "-" if s is None else f"{100 * s.mean:.1f} ({100 * s.low:.0f} to {100 * s.high:.0f})"
        for s in (counts.win, counts.tie, counts.loss, counts.net, counts.left)
    ]
    cells = [f"{text:>{18 if k == 3 else 16}}" for k, text in enumerate(shares)]
    same = "   -" if counts.same is None else f"{counts.same:4.2f}"
    alpha = "    -" if counts.alpha is None else f"{counts.alpha:5.2f}"
    return f"{name:10} {' '.join(cells)}  {same}  {alpha}"
