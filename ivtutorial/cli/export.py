"""The command `export`: what a run has learnt, for programs that do not know this package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ivtutorial.cli.options import Device, Json, LoraScale
from ivtutorial.cli.support import interruptible, show
from ivtutorial.errors import InputError

if TYPE_CHECKING:
    import torch


def export_command(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run; one that has not ended gives its newest checkpoint. Or an adapter.")
    ],
    merged: Annotated[
        Path | None, typer.Option(help="Write the model with the adapter merged in to this folder.")
    ] = None,
    adapter: Annotated[Path | None, typer.Option(help="Write the adapter alone to this folder, 7 MB.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Model to merge into; default the one that the run was made with.")
    ] = None,
    lora_scale: LoraScale = 1.0,
    precision: Annotated[
        str,
        typer.Option(help="Of the merged weights: 'fp16', 'bf16', 'fp32'; 'auto': fp16, and fp32 for 'reduced'."),
    ] = "auto",
    device: Device = None,
    json_output: Json = False,
) -> None:
    """Write a run's result for other programs: merged into the model, or as an adapter, or both.

    The merged folder is a pipeline of diffusers: stock TextToVideoSDPipeline.from_pretrained opens it. The adapter is
    in the format of load_lora_weights, for a pipeline that holds a VideoUNet: diffusers' own 3D UNet takes no adapter.
    At full size merging needs 5 GB of memory in half precision, on a CPU or a GPU.

    \b
    Examples:
      ivtutorial export runs/a --merged runs/a_merged
      ivtutorial export runs/a --adapter runs/a_adapter
    """
    if merged is None and adapter is None:
        raise InputError("nothing to write: give --merged FOLDER, --adapter FOLDER, or both.")
    if merged is None and lora_scale != 1:
        raise InputError(
            f"--lora-scale {lora_scale:g} applies to --merged only: an adapter is written as it was trained, and the "
            "program that loads it scales it, as `ivtutorial generate --lora-scale` does."
        )
    from ivtutorial.training.finetuning import export_adapter, export_merged
    from ivtutorial.training.run_folder import model_of

    written: dict[str, str] = {}
    with interruptible("Files are written whole or not at all; run the command again."):
        if adapter is not None:
            written["adapter"] = str(export_adapter(run, adapter))
        if merged is not None:
            name = model or model_of(run)
            dtype = merged_dtype(name, precision)
            written["merged"] = str(export_merged(name, run, merged, lora_scale, dtype, device))
    show(written, "\n".join(f"{kind}: {path}" for kind, path in written.items()), json_output)


def merged_dtype(model: str, precision: str) -> torch.dtype:
    """The precision of merged weights; "auto" is half precision, as the hub stores its models.

    Raises:
        InputError: an unknown precision.
    """
    from ivtutorial.models.memory import DTYPES

    chosen = ("fp32" if model == "reduced" else "fp16") if precision == "auto" else precision
    if chosen not in DTYPES:
        raise InputError(f"--precision {precision}: expected auto, {', '.join(DTYPES)}.")
    return DTYPES[chosen]
