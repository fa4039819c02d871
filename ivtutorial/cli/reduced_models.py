"""`ivtutorial zoo ...`: train the models of the reduced world, measure them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ivtutorial.cli.options import Json, Processes
from ivtutorial.cli.support import default_processes, interruptible, show
from ivtutorial.cli.world import Seed, app as app

Work = Annotated[Path, typer.Option(help="Folder of all trainings; parts that are trained already are found in it.")]
Models = Annotated[Path, typer.Option(help="Folder with the models: reduced, reward, judge.")]


@app.command("train-all", short_help="everything, from nothing")
def train_all(
    out: Work = Path("runs/zoo"),
    budget: Annotated[
        str | None, typer.Option(help="Processor time of all processes together, such as 30h or 90m; default 30h.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time on the clock of this call instead: what counts on a GPU.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Single frames to draw; default 160,000.")] = None,
    clips: Annotated[int | None, typer.Option(help="Clips to draw; default 24,000.")] = None,
    until: Annotated[str | None, typer.Option(help="Last stage: draw, text, features, autoencoder, ...")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default what there is.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; default 0.")] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the UNets first (needs a C++ compiler): a fifth faster on a CPU.")
    ] = False,
    processes: Processes = None,
    parcel: Annotated[
        Path | None, typer.Option(help="Folder kept ready to go on from elsewhere: at most 7 files of 9 MiB.")
    ] = None,
    resume_from: Annotated[Path | None, typer.Option(help="Parcel of an earlier call to go on from.")] = None,
    viewers_from: Annotated[
        Path | None, typer.Option(help="Folder of earlier models whose judge and reward the new ones start from.")
    ] = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Go through all of it as on a GPU, on a CPU, with tiny networks.")
    ] = False,
) -> None:
    """Draw the world and train text encoder, autoencoder, image and video model, decoder, and then judges and reward.

    All schedules follow the budget. Killed at any moment, the same command goes on from the last state, also with
    another number of processes, and with a larger budget. On a GPU one process trains while the others draw;
    judges and reward are trained on a CPU alone. OUT/models gets what is shipped.

    \b
    Examples:
      ivtutorial zoo train-all --budget 30h --processes 2
      ivtutorial zoo train-all --minutes 9 --device cuda --processes 15 --parcel parcel
      ivtutorial zoo train-all --minutes 9 --device cuda --processes 15 --resume-from parcel
    """
    began = time.monotonic()  # importing torch takes part of the minutes
    from ivtutorial.lab.reduced_models.train_all.budget import parse_budget
    from ivtutorial.lab.reduced_models.train_all.run import Sizes
    from ivtutorial.lab.reduced_models.viewers.from_nothing import train_from_nothing

    count = processes if processes is not None else default_processes(None, "cpu")
    with interruptible("Run the same command again to go on from the last state."):
        chosen, sizes = parse_budget(budget, minutes, since=began), Sizes(seed, frames, clips, compiled)
        train_from_nothing(out, chosen, count, device, until, sizes, parcel, resume_from, rehearse, viewers_from)
    typer.echo(f"trained: see {out}")


@app.command(short_help="measure the trained models")
def measure(
    models: Models = Path("data/models"),
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("data/results/reduced_models.json"),
    clips: Annotated[int, typer.Option(help="Fresh clips of each quality, for judge and autoencoder.")] = 510,
    prompts: Annotated[int, typer.Option(help="Prompts of each list, evenly spread over it.")] = 90,
    seeds: Annotated[int, typer.Option(help="Samples of each prompt.")] = 4,
    pairs: Annotated[int, typer.Option(help="Held-out pairs of each kind, for the reward.")] = 1000,
    sampled_pairs: Annotated[int, typer.Option(help="Held-out pairs of samples, for the reward.")] = 320,
    seed: Seed = 0,
    processes: Processes = None,
    json_output: Json = False,
) -> None:
    """Measure the reduced models: judges, autoencoder, base samples and their faults, reward. About an hour on
    two cores.

    The model cards are written from the result: ivtutorial zoo cards.
    """
    from ivtutorial.lab.reduced_models.measuring.cards import summary_lines
    from ivtutorial.lab.reduced_models.measuring.models import MeasureConfig, measure_models

    config = MeasureConfig(
        clips, prompts, seeds, pairs=pairs, sampled_pairs=sampled_pairs, processes=default_processes(processes, "cpu"),
        seed=seed,
    )  # fmt: skip
    with interruptible("Nothing was written; run the command again."):
        results = measure_models(models, out, config, progress=True)
    show(results, "\n".join([*summary_lines(results), f"all of it: {out}"]), json_output)


@app.command(short_help="write the model cards")
def cards(
    models: Models = Path("data/models"),
    results: Annotated[Path, typer.Option(help="What `ivtutorial zoo measure` wrote.")] = Path(
        "data/results/reduced_models.json"
    ),
) -> None:
    """Write the model cards, MODELS/*/README.md, from the measurements and from how each model was
    trained."""
    from ivtutorial.errors import InputError
    from ivtutorial.lab.reduced_models.measuring.cards import write_cards

    try:
        measured: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"no measurements at {results} ({error}): run 'ivtutorial zoo measure' first") from error
    for path in write_cards(models, measured):
        typer.echo(path)
