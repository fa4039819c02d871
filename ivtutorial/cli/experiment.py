"""The command `experiment`: a figure or table of the paper, made again in the reduced world."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from ivtutorial.cli.options import Json, Precision, Processes
from ivtutorial.cli.support import chosen_precision, default_processes, interruptible, quiet_loading, show
from ivtutorial.errors import InputError


def experiment_command(
    name: Annotated[
        str,
        typer.Argument(
            help="fig5a, fig5b, fig5c, fig7, fig8, fig9, table1, tableA1, figA1, figA7, guards, frontier, late-step; "
            "or 'all', 'plan', 'verdicts'."
        ),
    ],
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A quarter of an hour instead of hours: fewer seeds, steps and prompts."),
    ] = False,
    hours: Annotated[
        float, typer.Option(help="Begin nothing new after that time; the same command goes on another day.")
    ] = 2.0,
    out: Annotated[
        Path, typer.Option(help="Folder of all experiments, which share runs; interrupted ones go on.")
    ] = Path("runs/experiments"),
    results: Annotated[
        Path | None,
        typer.Option(
            help="Also write NAME.json and the picture into this folder, unless the file there holds runs that the new "
            "result lacks, and take over the runs that its files hold of the same settings, weights and precision; "
            "with 'verdicts', read them."
        ),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder with reduced, reward and judge; default the shipped models.")
    ] = None,
    precision: Precision = "auto",
    processes: Processes = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda with a single process.")] = "cpu",
    json_output: Json = False,
) -> None:
    """Make a figure or table of the paper again, in the reduced world: from seeds to a plot and a JSON file.

    All arms of an experiment are trained with a seed before the next seed begins, so what is there when the time is up
    is a result, with its own number of runs; a verdict needs six. OUT/NAME/result.json holds every value by run and
    prompt, costs, the learning rates tried and provenance. `all` walks through the whole plan in order of worth, `plan`
    prints it with its cost, and `verdicts` prints what the results in RESULTS say of the claims, and whose clips
    simulated annotators would prefer.

    \b
    Examples:
      ivtutorial experiment fig5a --quick
      ivtutorial experiment plan
      ivtutorial experiment all --hours 4 --results data/results
      ivtutorial experiment verdicts --results data/results
    """
    quiet_loading("reduced")
    if name == "verdicts":
        return _verdicts(results, json_output)
    if name == "plan":
        return _plan(processes, json_output)
    if not hours > 0:
        raise InputError(f"--hours {hours:g}: expected a positive number, such as 2.")
    if quick and name == "all":
        raise InputError(
            "--quick works with one experiment, and 'all' is the whole plan: name one, or leave --quick out."
        )
    from ivtutorial.system.files import check_writable

    for folder in filter(None, (out, results)):
        check_writable(folder)
    workers = 1 if device == "cuda" else default_processes(processes, "cpu")
    how = (workers, models, chosen_precision(precision, device), device, hours)
    with interruptible(f"Run the command again to go on from what is in {out}."):
        if name == "all":
            return _all(out, results, how, json_output)
        _one(name, quick, out, results, how, json_output)


def _one(
    name: str, quick: bool, out: Path, results: Path | None, how: tuple[int, Path | None, str, str, float],
    json_output: bool,
) -> None:  # fmt: skip
    from ivtutorial.lab.experiments.answers.frontier_table import frontier_text
    from ivtutorial.lab.experiments.answers.gains import gain_text
    from ivtutorial.lab.experiments.answers.results import rates_tried
    from ivtutorial.lab.experiments.plans.catalogue import experiment
    from ivtutorial.lab.experiments.runner import run_experiment

    plan, (workers, models, precision, device, hours) = experiment(name, quick), how
    until = time.monotonic() + 3600 * hours
    result = run_experiment(
        plan, out, workers, models, precision=precision, device=device, until=until, results=results
    )
    if not result:
        return show(
            {"out": str(out)}, f"No run was finished within {hours:g} hours: give more time with --hours.", json_output
        )
    folder = out / (plan.name + ("-quick" if quick else ""))
    kept = "" if results is None else _publish(folder, results / folder.name)
    text = frontier_text(result) if plan.kind == "frontier" else gain_text(result)
    lines = [text, *rates_tried(result), f"{folder / 'result.json'}", f"{folder / 'plot.png'}", *filter(None, [kept])]
    show({"out": str(folder), "kept": kept, **result}, "\n".join(lines), json_output)


def _all(out: Path, results: Path | None, how: tuple[int, Path | None, str, str, float], json_output: bool) -> None:
    from ivtutorial.lab.experiments.whole_plan import run_plan

    kept: dict[str, str] = {}  # of an experiment with several blocks, what its last one says

    def publish(folder: Path) -> None:
        if results is not None:
            kept[folder.name] = _publish(folder, results / folder.name)

    workers, models, precision, device, hours = how
    lines = run_plan(out, hours, workers, models, precision, device, publish=publish, results=results)
    stay = [*filter(None, kept.values())]
    show({"blocks": lines, "kept": stay}, "\n".join([*lines, *stay]), json_output)


def _plan(processes: int | None, json_output: bool) -> None:
    from ivtutorial.lab.experiments.plans.blocks import cost_text, costs

    table = costs()
    rows = [
        {
            "block": cost.block.letter, "experiment": cost.block.experiment, "runs": cost.block.runs,
            "arms": list(cost.block.arms), "passes": round(cost.passes), "core_hours": round(cost.hours, 2),
        }
        for cost in table
    ]  # fmt: skip
    show({"blocks": rows}, cost_text(table, default_processes(processes, "cpu")), json_output)


def _verdicts(results: Path | None, json_output: bool) -> None:
    from ivtutorial.lab.experiments.answers.simulated_study import simulated_studies, simulated_study_text
    from ivtutorial.lab.experiments.answers.verdicts import markdown, verdicts
    from ivtutorial.lab.experiments.plans.catalogue import EXPERIMENTS

    folder = results or Path("data/results")
    claims, studies = verdicts(folder), simulated_studies(list(EXPERIMENTS), folder)
    lines = ["", "Simulated user study (the paper's Table 2), answers in per cent:"]
    for name, study in studies.items():
        lines += ["", f"{name}: {study}" if isinstance(study, str) else f"{name}\n\n{simulated_study_text(study)}"]
    content = {
        "claims": [claim.to_dict() for claim in claims],
        "simulated_study": {
            name: study if isinstance(study, str) else [row.to_dict() for row in study]
            for name, study in studies.items()
        },
    }
    show(content, "\n".join([markdown(claims), *lines]), json_output)


def _publish(folder: Path, target: Path) -> str:
    """Copy the result, and its picture as SVG, or as PNG where it shows frames, in place of those that are stored.

    A stored result with runs that the new one lacks is not replaced; a sentence about it is then returned, else "".
    """
    from ivtutorial.lab.experiments.answers.results import read_result
    from ivtutorial.lab.experiments.carried import lost_runs
    from ivtutorial.system.files import atomic_write, atomic_write_text

    text, stored = (folder / "result.json").read_text(encoding="utf-8"), target.with_suffix(".json")
    before = read_result(target.name, target.parent) if stored.is_file() else None
    if before is not None and (lost := lost_runs(before, new := json.loads(text))):
        was, now = before.get("precision"), new.get("precision")
        same = was == now or before.get("weights") != new.get("weights")
        why = "" if same else f" It was made in {was}, this one in {now}: --precision {was} reuses its runs."
        return f"{stored} was not replaced: it holds more runs ({'; '.join(lost)}). The new result is in {folder}.{why}"
    atomic_write_text(stored, text)
    plot = next(folder / f"plot{end}" for end in (".svg", ".png") if (folder / f"plot{end}").is_file())
    with atomic_write(target.with_suffix(plot.suffix)) as file:
        file.write(plot.read_bytes())
    for end in {".svg", ".png"} - {plot.suffix}:
        target.with_suffix(end).unlink(missing_ok=True)  # of an earlier result
    return ""
