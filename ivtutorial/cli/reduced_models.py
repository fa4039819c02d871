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
    processes: Processes = None,
    parcel: Annotated[
        Path | None, typer.Option(help="Folder kept ready to go on from elsewhere: at most 7 files of 9 MiB.")
    ] = None,
    resume_from: Annotated[Path | None, typer.Option(help="Parcel of an earlier call to go on from.")] = None,
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
        chosen, sizes = parse_budget(budget, minutes, since=began), Sizes(seed, frames, clips)
        train_from_nothing(out, chosen, count, device, until, sizes, parcel, resume_from, rehearse)
    typer.echo(f"trained: see {out}")


@app.command(short_help="one part of the shipped models")
def train(
    part: Annotated[str, typer.Argument(help="text, vae, judge, reward, image or video, see above.")],
    out: Work = Path("runs/zoo"),
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps; default, as for the next two, that of the shipped model.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Samples a step and process.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    seed: Seed = 0,
    processes: Processes = None,
    init: Annotated[Path | None, typer.Option(help="Folder of a trained model of the kind to start from.")] = None,
) -> None:
    """Train one part as the shipped models were trained; it goes on from its last checkpoint.

    \b
      text    first: tokenizer and text encoder (a stock CLIPTextModel), OUT/tokenizer and OUT/text_encoder
      vae     autoencoder (a stock AutoencoderKL), 64 x 64 frames <-> 8 x 8 latents, OUT/vae
      judge   reads subject, colour, scene, movement and faults; never trained against; OUT/judge
      reward  reduced HPS (an open_clip model; needs the tokenizer): captions, then choices; OUT/reward
      image   text-to-video, stage 1: a UNet for single frames (needs text and `latents`), OUT/image_unet
      video   stage 2: inflated into a UNet3DConditionModel, time starts as identity (needs image), OUT/unet

    \b
    Examples:
      ivtutorial zoo train judge --steps 700
      ivtutorial zoo train reward --init data/models/reward --steps 2000
    """
    from dataclasses import replace

    from ivtutorial.lab.reduced_models.recipe import RECIPE
    from ivtutorial.lab.reduced_models.stages import check_stage, train_model
    from ivtutorial.system.processes import launch

    check_stage(part, out, init)
    chosen: dict[str, Any] = {"steps": steps, "batch": batch, "lr": lr}
    config = replace(RECIPE[part], seed=seed, **{name: value for name, value in chosen.items() if value is not None})
    with interruptible("Run the same command again to go on from the last checkpoint."):
        launch(train_model, default_processes(processes), part, out, config, init)
    typer.echo(f"trained {part}: see {out}")


@app.command("mix-reward", short_help="average a reward's weights before and after tuning")
def mix_reward(
    before: Annotated[Path, typer.Argument(help="Folder of the reward that the other one started from.")],
    after: Annotated[Path, typer.Argument(help="Folder of the tuned reward.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("runs/zoo/mixed_reward"),
    share: Annotated[float, typer.Option(help="Share of the tuned weights, 0 to 1.")] = 0.75,
) -> None:
    """Average the weights of a reward before and after tuning: what tuning on choices forgot about captions
    comes back."""
    from ivtutorial.lab.reduced_models.reward import mix_weights

    mix_weights(before, after, share, out)
    typer.echo(f"mixed reward: see {out}")


@app.command(short_help="encode clips for the next two trainings")
def latents(
    out: Work = Path("runs/zoo"),
    count: Annotated[
        int | None, typer.Option("--clips", help="Clips to encode; default that of the shipped model.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the clips.")] = 1,
    processes: Processes = None,
) -> None:
    """Draw and encode clips of web quality for the next two trainings (needs the autoencoder), to
    OUT/store."""
    from ivtutorial.lab.reduced_models.recipe import STORE_CLIPS
    from ivtutorial.lab.reduced_models.stages import build_latents
    from ivtutorial.system.processes import launch

    with interruptible("Run the same command again to go on."):
        launch(build_latents, default_processes(processes), out, count or STORE_CLIPS, seed)
    typer.echo(f"encoded clips in {out / 'store'}")


@app.command(short_help="gather the trained parts")
def export(
    work: Work = Path("runs/zoo"),
    models: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("runs/zoo/models"),
) -> None:
    """Gather the trained parts into MODELS/reduced (a diffusers pipeline, fp16), MODELS/reward and
    MODELS/judge."""
    from ivtutorial.lab.reduced_models.export import export_models

    for folder in export_models(work, models):
        typer.echo(folder)


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
