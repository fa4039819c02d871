"""The command `generate`: prompts to clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ivtutorial.cli.options import Json, Model, Out, PromptFile, SamplingOptions, Texts, with_sampling_options
from ivtutorial.cli.support import (
    clip_length,
    default_processes,
    interruptible,
    prompts_given,
    quiet_loading,
    show,
)


@with_sampling_options
def generate(
    prompt: Texts = None,
    prompts: PromptFile = None,
    out: Out = Path("runs/clips"),
    model: Model = "reduced",
    *,
    options: SamplingOptions,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace clips in OUT that were made otherwise, instead of an error.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Make clips from prompts: the full DDIM chain from noise, with or without a fine-tuned adapter.

    Writes OUT/NNNN-SEED.mp4 (H.264), each as soon as it is made, captions.csv, which `score` and `finetune` read, and
    a contact sheet. Interrupted, the same command goes on with the clips that are missing. The same place in the list
    and seed give the same noise, so clips made with and without an adapter form pairs.

    \b
    Examples:
      ivtutorial generate "a red fox running through the snow"
      ivtutorial generate --prompts demo --seed 0 --seed 1 --out runs/base
      ivtutorial generate --prompts demo --lora runs/demo/run/lora --out runs/tuned
    """
    quiet_loading(model)
    from ivtutorial.sampling.clip_files import generate_files
    from ivtutorial.system.share import joined
    from ivtutorial.video.reader import read_video
    from ivtutorial.video.sheet import contact_sheet, save_picture

    texts = [item.text for item in prompts_given(prompt, prompts)]
    frames, fps = clip_length(model, options.frames, options.fps)
    sampling = options.sampling(model, frames)
    hint = f"The finished clips are in {out}; the same command makes the others."
    with interruptible(hint), joined() as first_process:
        clips = generate_files(
            model, texts, out, options.seed or [0], sampling, fps=fps, lora=options.lora,
            lora_scale=options.lora_scale, overwrite=overwrite, device=options.device,
            processes=default_processes(options.processes, options.device), progress=True,
        )  # fmt: skip
    if not first_process:
        return
    first = clips[:96]
    pictures = [read_video(clip.path, frames, fps) for clip in first]
    titles = [clip.caption for clip in first]
    save_picture(out / "sheet.png", contact_sheet(pictures, titles, columns=8, scale=2))
    rows = [
        {"file": str(clip.path), "prompt": clip.caption, "seed": int(clip.path.stem.partition("-")[2])}
        for clip in clips
    ]
    show(
        {"clips": rows, "sheet": str(out / "sheet.png")},
        f"{len(rows)} clips, captions.csv and sheet.png in {out}",
        json_output,
    )
