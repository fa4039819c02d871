"""The command that converts the authors' weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ivtutorial.cli.options import Json, Out
from ivtutorial.cli.support import interruptible, show


def convert_command(
    source: Annotated[
        Path, typer.Argument(help="The authors' UNet file (.pth or .safetensors), LoRA included or not.")
    ],
    out: Out = Path("runs/official"),
    base: Annotated[
        str,
        typer.Option(
            help="Gives VAE, text encoder, tokenizer: 'modelscope', a folder, a hub name; 'none': UNet alone."
        ),
    ] = "modelscope",
    half: Annotated[bool, typer.Option("--half", help="Store the weights in half precision (fp16).")] = False,
    json_output: Json = False,
) -> None:
    """Turn a UNet file of the authors' code (InstructVideo, ModelScope v1.4) into diffusers' format.

    Writes OUT/model, a folder for --model and for stock diffusers, and OUT/lora, a folder for --lora, if the file has
    an adapter. Names that do not fit are listed, and then nothing is written.

    \b
    Examples:
      ivtutorial convert non_ema_0620000.pth --out runs/official
      ivtutorial generate --model runs/official/model --lora runs/official/lora "a red fox"
    """
    import torch

    from ivtutorial.models.named import model_location
    from ivtutorial.models.official.checkpoint import convert_checkpoint

    folder = None if base == "none" else model_location(base)
    with interruptible("Nothing that was there has changed; run the command again."):
        made = convert_checkpoint(source, out, folder, torch.float16 if half else None)
    content = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(made).items()}
    text = f"{made.parameters:,} parameters\nmodel: {made.model}\nadapter: {made.lora or 'the file has none'}"
    show(content, text, json_output)
