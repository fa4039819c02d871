"""The command `experiment`: a figure or table of the paper, made again in the reduced world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ivtutorial.cli.options import Json, Precision, Processes
from ivtutorial.cli.support import chosen_precision, default_processes, interruptible, quiet_loading, show


def experiment_command(
    name: Annotated[
        str,
        typer.Argument(
            help="fig5a, fig5b, fig5c, fig7, fig8, fig9, table1, tableA1, figA1, figA7, guards, frontier or 'verdicts'."
        ),
    ],
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="A quarter of an hour instead of up to two hours: fewer seeds, steps and prompts."
        ),
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder of all experiments, which share runs; interrupted ones go on.")
    ] = Path("runs/experiments"),
    results: Annotated[
        Path | None,
        typer.Option(help="Also write NAME.json and NAME.png into this folder; with 'verdicts', read them."),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder with reduced, reward and judge; default the shipped models.")
    ] = None,
    precision: Precision = "auto",
    processes: Processes = None,
    json_output: Json = False,
) -> None:
    """Make a figure or table of the paper again, in the reduced world: from seeds to a plot and a JSON file.

    Every method is fine-tuned with the same budget, reward, adapter, clips and prompts. OUT/NAME/result.json
    holds every number, with intervals, costs, the learning rates tried and provenance; OUT/NAME/plot.png shows
    them. `verdicts` prints the paper's nine claims with what the results in RESULTS say of them.

    \b
    Examples:
      ivtutorial experiment fig5a --quick
      ivtutorial experiment table1 --results data/results
      ivtutorial experiment verdicts --results data/results
    """
    quiet_loading("reduced")
    if name == "verdicts":
        return _verdicts(results, json_output)
    from ivtutorial.lab.experiments.answers.frontier_table import frontier_text
    from ivtutorial.lab.experiments.answers.results import rates_tried, table
    from ivtutorial.lab.experiments.plans.catalogue import experiment
    from ivtutorial.lab.experiments.runner import run_experiment

    plan = experiment(name, quick)
    with interruptible(f"Run the command again to go on from what is in {out}."):
        result = run_experiment(
            plan, out, default_processes(processes, "cpu"), models, precision=chosen_precision(precision, "cpu")
        )
    folder = out / (plan.name + ("-quick" if quick else ""))
    if results is not None:
        _publish(folder, results / folder.name)
    text = frontier_text(result) if plan.kind == "frontier" else table(result)
    show(
        {"out": str(folder), **result},
        "\n".join([text, *rates_tried(result), f"{folder / 'result.json'}", f"{folder / 'plot.png'}"]),
        json_output,
    )


def _verdicts(results: Path | None, json_output: bool) -> None:
    from ivtutorial.lab.experiments.answers.verdicts import markdown, verdicts

    claims = verdicts(results or Path("data/results"))
    show({"claims": [claim.to_dict() for claim in claims]}, markdown(claims), json_output)


def _publish(folder: Path, target: Path) -> None:
    """Copy the result to where results are kept."""
    from ivtutorial.system.files import atomic_write, atomic_write_text

    atomic_write_text(target.with_suffix(".json"), (folder / "result.json").read_text(encoding="utf-8"))
    with atomic_write(target.with_suffix(".png")) as file:
        file.write((folder / "plot.png").read_bytes())
