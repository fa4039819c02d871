"""Options that several commands share, each said once: what it does, its unit, the paper's symbol and
value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ivtutorial.rewards.shipped import SHIPPED

Model = Annotated[
    str, typer.Option(help="Text-to-video model: 'reduced', 'modelscope', a diffusers folder or a hub name.")
]
Reward = Annotated[
    str,
    typer.Option(
        help=f"Image reward r: reduced, {', '.join(SHIPPED)}, NAME:FILE-OR-FOLDER, a folder, package.module:function, "
        "or a sum like '0.7*hpsv2 + 0.02*aesthetic'."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder to write into; made if absent.")]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", help="Seed of the noise, default 0; repeat it for several samples a prompt."),
]
Texts = Annotated[
    list[str] | None, typer.Argument(metavar="[PROMPT]...", help="Texts, each in quotes.", show_default=False)
]
D = Annotated[
    int,
    typer.Option("--ddim-steps", "-D", help="DDIM steps D of the full chain (paper: 20; 50 as a variant)."),
]
Guidance = Annotated[float, typer.Option(help="Classifier-free guidance scale; 1 is none (authors: 3, diffusers: 9).")]
Frames = Annotated[int, typer.Option(help="Frames F of a clip (paper: 16).")]
Fps = Annotated[float, typer.Option(help="Frames a second of video files (paper: 8).")]
Height = Annotated[int | None, typer.Option(help="Height in pixels; default the model's own.")]
Width = Annotated[int | None, typer.Option(help="Width in pixels; default the model's own.")]
Eta = Annotated[float, typer.Option(help="0 is deterministic DDIM, 1 as noisy as DDPM.")]
Lora = Annotated[
    Path | None,
    typer.Option(help="Adapter to use: a run (its result, or its newest checkpoint so far) or the folder of one."),
]
LoraScale = Annotated[float, typer.Option(help="How much of the adapter: 0 the base model, 1 as trained.")]
BatchSize = Annotated[int, typer.Option(help="Clips sampled together; changes speed and memory only.")]
Processes = Annotated[
    int | None, typer.Option(help="Single-threaded CPU processes; default 2, or 1 on a GPU or a single core.")
]
Device = Annotated[str | None, typer.Option(help="'cpu' or 'cuda'; default the GPU if there is one.")]
Precision = Annotated[
    str,
    typer.Option(help="Of the UNet: 'fp32', 'bf16', or 'auto': bf16 where the processor has instructions for it."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Segments = Annotated[int, typer.Option("--segments", "-S", help="Segments S, must divide F (Eq. 6; paper: 4).")]
PromptFile = Annotated[
    str | None,
    typer.Option(help="Text, CSV or JSON file, or a shipped list: in_domain, new_animals, things, unseen, demo."),
]
