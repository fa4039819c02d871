"""The command `ivtutorial`: every function of the library from a shell.

Good input gives results, bad input one line on stderr and exit code 2. With `--json` stdout carries one JSON
object and nothing else; progress goes to stderr. Modules that take long to import are imported inside the
commands, so that `ivtutorial --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import ivtutorial
from ivtutorial.cli.convert import convert
from ivtutorial.cli.data import prepare
from ivtutorial.cli.experiment import experiment
from ivtutorial.cli.options import (
    BatchSize,
    D,
    Device,
    Eta,
    Fps,
    Frames,
    Guidance,
    Height,
    Json,
    Lora,
    LoraScale,
    Model,
    Out,
    Processes,
    PromptFile,
    Reward,
    Seeds,
    Segments,
    Texts,
    Width,
)
from ivtutorial.cli.study import study, study_result
from ivtutorial.cli.support import (
    default_processes,
    estimate_line,
    interruptible,
    model_for,
    prompts_given,
    quiet_loading,
    save_json,
    show,
)
from ivtutorial.cli.training import demo, finetune
from ivtutorial.cli.world import app as zoo_app
from ivtutorial.errors import InputError

app = typer.Typer(
    name="ivtutorial",
    help="InstructVideo (CVPR 2024): fine-tune text-to-video diffusion models on human feedback, by editing.",
    epilog="Start with `ivtutorial demo`. Each command explains itself: ivtutorial COMMAND --help.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the entry point `ivtutorial`.

    Args:
        arguments: instead of those of the process.

    Raises:
        SystemExit: always, with 0 (done), 2 (bad input) or 130 (interrupted).
    """
    try:
        app(args=None if arguments is None else list(arguments), prog_name="ivtutorial")
    except InputError as error:
        print(f"ivtutorial: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ivtutorial {ivtutorial.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def generate(
    prompt: Texts = None,
    prompts: PromptFile = None,
    out: Out = Path("runs/clips"),
    model: Model = "reduced",
    lora: Lora = None,
    lora_scale: LoraScale = 1.0,
    seed: Seeds = None,
    ddim_steps: D = 20,
    guidance: Guidance = 3.0,
    frames: Frames = 16,
    height: Height = None,
    width: Width = None,
    eta: Eta = 0.0,
    fps: Fps = 8.0,
    batch_size: BatchSize = 8,
    processes: Processes = None,
    device: Device = None,
    json_output: Json = False,
) -> None:
    """Make clips from prompts: the full DDIM chain from noise, with or without a fine-tuned adapter.

    Writes OUT/NNNN-SEED.mp4 (H.264), a contact sheet and clips.json. The same place in the list and seed give
    the same noise, so clips made with and without an adapter form pairs.

    \b
    Examples:
      ivtutorial generate "a red fox running through the snow"
      ivtutorial generate --prompts demo --seed 0 --seed 1 --out runs/base
      ivtutorial generate --prompts demo --lora runs/demo/run/lora --out runs/tuned
    """
    quiet_loading(model)
    from ivtutorial.sampling.generation import generate as make, make_jobs
    from ivtutorial.video.sheet import contact_sheet, save_picture
    from ivtutorial.video.writer import write_video

    texts = [one.text for one in prompts_given(prompt, prompts)]
    seeds, count = seed or [0], default_processes(processes, device)
    jobs = make_jobs(texts, seeds)
    with interruptible("No clip was written; run the command again."):
        clips = make(
            model_for(model, device), texts, seeds, D=ddim_steps, guidance=guidance, frames=frames,
            height=height, width=width, eta=eta, lora=lora, lora_scale=lora_scale,
            batch_size=batch_size, processes=count, progress=True,
        )  # fmt: skip
    files = [out / f"{job.index:04d}-{job.seed}.mp4" for job in jobs]
    for file, clip in zip(files, clips, strict=True):
        write_video(file, clip, fps)
    save_picture(
        out / "sheet.png",
        contact_sheet(list(clips[:96]), [job.prompt for job in jobs[:96]], columns=8, scale=2),
    )
    rows = [{"file": str(file), "prompt": job.prompt, "seed": job.seed} for file, job in zip(files, jobs, strict=True)]
    save_json(out / "clips.json", rows)
    show(
        {"clips": rows, "sheet": str(out / "sheet.png")},
        f"{len(rows)} clips and sheet.png in {out}",
        json_output,
    )


def score(
    clips: Annotated[Path, typer.Argument(help="CSV (video,caption) or folder of clips.")],
    reward: Reward = "reduced",
    segments: Segments = 4,
    frames: Frames = 16,
    fps: Fps = 8.0,
    size: Annotated[int, typer.Option(help="Height and width in pixels at which clips are read (paper: 256).")] = 64,
    json_output: Json = False,
) -> None:
    """Score video files against their captions by the paper's protocol: the reward of each segment's first
    frame.

    No attenuation and no random choice: the same clips always score the same. Scores of different rewards,
    sizes or preprocessing are not comparable.

    \b
    Example:
      ivtutorial score my_clips.csv --reward reduced --json
    """
    from ivtutorial.data.clips import load_frames, read_clips
    from ivtutorial.evaluation.scoring import score as rate

    listed = read_clips(clips)
    captions = [one.caption for one in listed]
    with interruptible("Nothing was written."):
        found = rate(load_frames(listed, frames, fps, (size, size)), captions, reward, segments)
    rows = [
        {"video": str(one.path), "caption": one.caption, "reward": r, "frame_rewards": each}
        for one, r, each in zip(listed, found.rewards.tolist(), found.frame_rewards.tolist(), strict=True)
    ]
    lines = [f"{row['reward']:.4f}  {row['video']}  {row['caption']}" for row in rows]
    text = "\n".join([*lines, estimate_line("mean reward", asdict(found.total))])
    show({"reward": asdict(found.total), "clips": rows}, text, json_output)


def evaluate(
    prompt: Texts = None,
    prompts: PromptFile = None,
    out: Out = Path("runs/evaluation"),
    model: Model = "reduced",
    reward: Reward = "reduced",
    judge: Annotated[
        str,
        typer.Option(help="Judge of the reduced world: 'reduced', its folder, 'none'; 'auto': with the reduced model."),
    ] = "auto",
    lora: Lora = None,
    lora_scale: LoraScale = 1.0,
    seed: Seeds = None,
    ddim_steps: D = 20,
    guidance: Guidance = 3.0,
    frames: Frames = 16,
    height: Height = None,
    width: Width = None,
    eta: Eta = 0.0,
    segments: Segments = 4,
    fps: Fps = 8.0,
    batch_size: BatchSize = 8,
    processes: Processes = None,
    device: Device = None,
    json_output: Json = False,
) -> None:
    """Make clips and measure them: the reward by the paper's protocol, plain measurements, and what a judge
    sees.

    Writes OUT/evaluation.json, scores.csv, sheet.png, index.html (a page) and the clips. Evaluate two models with
    the same prompts and seeds, then compare the two folders.

    \b
    Examples:
      ivtutorial evaluate --prompts demo --out runs/before
      ivtutorial evaluate --prompts demo --lora runs/a/lora --out runs/after
      ivtutorial compare runs/before runs/after
    """
    quiet_loading(model)
    from ivtutorial.evaluation.evaluation import evaluate as run
    from ivtutorial.lab.world.judge import open_judge

    asked = prompts_given(prompt, prompts)
    read_by = {"none": None, "auto": "reduced" if model == "reduced" else None}.get(judge, judge)
    columns = None if read_by is None else open_judge(read_by).columns
    count = default_processes(processes, device)
    with interruptible("Run the command again; it starts from the beginning."):
        found = run(
            model_for(model, device), asked, reward, out, seed or [0], D=ddim_steps, guidance=guidance,
            frames=frames, height=height, width=width, eta=eta, lora=lora, lora_scale=lora_scale,
            judge=columns, S=segments, fps=fps, batch_size=batch_size, processes=count, progress=True,
        )  # fmt: skip
    summary = {name: asdict(one) for name, one in found.summary().items()}
    text = "\n".join([*(estimate_line(name, one) for name, one in summary.items()), f"clips and tables in {out}"])
    show({"out": str(out), "settings": dict(found.settings), "summary": summary}, text, json_output)


def compare(
    before: Annotated[Path, typer.Argument(help="Folder that `ivtutorial evaluate` wrote.")],
    after: Annotated[Path, typer.Argument(help="The same prompts and seeds with another model.")],
    json_output: Json = False,
) -> None:
    """Compare two evaluations pair by pair: mean change with its bootstrap 95 % interval, the share of wins, and
    the effect size (mean change in standard deviations of the changes).

    \b
    Example:
      ivtutorial compare runs/before runs/after --json
    """
    from ivtutorial.evaluation.comparison import compare as run

    columns = run(before, after).to_dict()
    lines = [f"{'':14} {'before':>9} {'after':>9} {'change':>9}   95 % interval        wins  effect"]
    for name, d in columns.items():
        numbers = f"{d['before']:9.4f} {d['after']:9.4f} {d['mean']:+9.4f}"
        effect = "inf" if d["effect_size"] is None else f"{d['effect_size']:+.2f}"
        lines.append(f"{name:14} {numbers}   {d['low']:+.4f} to {d['high']:+.4f}   {d['wins']:.2f}  {effect:>6}")
    show({"columns": columns}, "\n".join(lines), json_output)


app.command(short_help="the main job: fine-tune, compare before and after")(demo)
app.command(short_help="make clips from prompts")(generate)
app.command(short_help="check your clips and encode them once")(prepare)
app.command(short_help="fine-tune an adapter on your clips by InstructVideo")(finetune)
app.command(short_help="score video files by the paper's protocol")(score)
app.command(short_help="make clips and measure them")(evaluate)
app.command(short_help="compare two evaluations pair by pair")(compare)
app.command(short_help="ask people which clips are better, blind")(study)
app.command(short_help="count the answers of a study")(study_result)
app.command(short_help="make a figure or table of the paper again")(experiment)
app.command(short_help="turn the authors' weights into diffusers' format")(convert)
app.add_typer(zoo_app, name="zoo", short_help="the reduced world: draw, train, measure")
