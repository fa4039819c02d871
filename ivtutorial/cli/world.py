"""`ivtutorial zoo ...`: draw the reduced world. Its models are trained in `ivtutorial.cli.reduced_models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ivtutorial.cli.options import Json
from ivtutorial.cli.support import interruptible, save_json, show

app = typer.Typer(
    help="The reduced world: draw it, write its clips and prompts, train and measure its models.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


@app.command(short_help="a contact sheet of subjects")
def sheet(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SUBJECT]...", help="Subjects; default all.")] = None,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("runs/zoo.png"),
    web: Annotated[
        bool, typer.Option("--web", help="Web quality: blur, washed-out colour, noise, watermark, ...")
    ] = False,
    strip: Annotated[int, typer.Option(help="Frames of each clip, side by side.")] = 3,
    columns: Annotated[int, typer.Option(help="Clips in a row.")] = 4,
    scale: Annotated[int, typer.Option(help="Screen pixels a pixel, in each direction.")] = 2,
    seed: Seed = 0,
) -> None:
    """Draw a contact sheet of subjects, each in a random scene doing something.

    \b
    Examples:
      ivtutorial zoo sheet
      ivtutorial zoo sheet fox deer --web --strip 8 --columns 1 --out foxes.png
    """
    from ivtutorial.lab.world.drawing.subjects import ALL
    from ivtutorial.lab.world.showcase import showcase
    from ivtutorial.video.sheet import contact_sheet, save_picture

    clips, titles = showcase(names or [s.name for s in ALL], web, seed)
    save_picture(out, contact_sheet(clips, titles, columns=columns, strip=strip, scale=scale))
    typer.echo(f"{len(clips)} subjects in {out}")


@app.command(short_help="write the fine-tuning clips")
def clips(
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("data/clips"),
    per_species: Annotated[int, typer.Option(help="Clips of each of the 45 species (paper: about 20).")] = 20,
    seed: Annotated[int | None, typer.Option(help="Default that of the shipped clips.")] = None,
    json_output: Json = False,
) -> None:
    """Write the fine-tuning set: H.264 clips of web quality, captions.csv, and facts.json with what is true
    of each."""
    from ivtutorial.lab.world.clip_set import CLIP_SEED, make_clips

    with interruptible("Run the command again; it starts from the beginning."):
        made = make_clips(out, per_species, CLIP_SEED if seed is None else seed)
    size = sum(clip.path.stat().st_size for clip in made)
    show(
        {"clips": len(made), "bytes": size, "out": str(out)},
        f"{len(made)} clips, {size / 1e6:.1f} MB, in {out}",
        json_output,
    )


@app.command(short_help="write the evaluation prompts")
def prompts(
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("data/prompts"),
    seed: Annotated[int | None, typer.Option(help="Default that of the shipped lists.")] = None,
    json_output: Json = False,
) -> None:
    """Write the evaluation prompts with their facts: in_domain, new_animals, things, unseen, demo."""
    from ivtutorial.lab.world.prompt_lists import PROMPT_SEED, write_prompts

    counts = write_prompts(out, PROMPT_SEED if seed is None else seed)
    show(counts, ", ".join(f"{name} {count}" for name, count in counts.items()) + f" in {out}", json_output)


@app.command(short_help="draw preference pairs")
def pairs(
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("runs/pairs"),
    count: Annotated[int, typer.Option(help="How many pairs.")] = 24,
    seed: Seed = 0,
) -> None:
    """Draw preference pairs as the reward learns from: a caption, two frames, an annotator's choice.

    Writes pairs.json (caption, kind, noise-free utilities, probability and choice) and sheet.png, where a
    star marks the preferred frame.
    """
    from ivtutorial.lab.world.showcase import show_pairs
    from ivtutorial.video.sheet import contact_sheet, save_picture

    rows, frames, titles = show_pairs(count, seed)
    save_json(out / "pairs.json", rows)
    save_picture(out / "sheet.png", contact_sheet(frames, titles, columns=4, scale=2))
    typer.echo(f"{len(rows)} pairs in {out}")
