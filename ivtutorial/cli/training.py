"""The command `finetune`, with all its settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ivtutorial.cli.export import merged_dtype
from ivtutorial.cli.options import Device, Json, Method, Model, Out, Precision, Processes, Reward, Root, Trackers
from ivtutorial.cli.support import chosen_precision, default_processes, quiet_loading, show
from ivtutorial.data.captions import number
from ivtutorial.errors import InputError


def finetune_command(
    clips: Annotated[
        Path | None, typer.Argument(help="Your clips: a list, a folder, or what `prepare` wrote.", show_default=False)
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Another way to give CLIPS.", show_default=False)] = None,
    root: Root = None,
    out: Out = Path("runs/finetune"),
    model: Model = "reduced",
    reward: Reward = "reduced",
    config: Annotated[Path | None, typer.Option(help="JSON file with settings, or the folder of another run.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other setting; method.NAME, memory.NAME and guards.NAME for theirs.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Memory and batch for a GPU: t4, 8gb, 24gb, a100, h100; transformers 16gb, 16gb-fp16, 80gb."),
    ] = None,
    method: Method = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps in all (paper: 20000).")] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Learning rate (paper: 1e-5, quickedit 0.4 of it; the reduced model moves at 1e-3)."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Clips a step in each process (paper: 8 in all).")] = None,
    tau: Annotated[
        float | None,
        typer.Option(
            help="Share tau in (0, 1] of the steps that the edit takes (Eq. 4; paper: 0.6; flow models: as noisy). "
            "--set method.tau=noise:0.66 asks for a noise level."
        ),
    ] = None,
    ddim_steps: Annotated[
        int | None, typer.Option("--ddim-steps", "-D", help="DDIM steps D (Eq. 3; paper: 20).")
    ] = None,
    k: Annotated[
        int | None, typer.Option("--grad-steps", "-K", help="Last DDIM steps with gradient, K (paper: 1).")
    ] = None,
    segments: Annotated[int | None, typer.Option("--segments", "-S", help="Segments S (Eq. 6; paper: 4).")] = None,
    lambda_tar: Annotated[float | None, typer.Option(help="Steepness lambda_tar of TAR (Eq. 7; paper: 1).")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Guidance scale in the edit; default that of the model's authors (paper: 3).")
    ] = None,
    rank: Annotated[int | None, typer.Option("--lora-rank", help="Rank of the adapter (paper: 4).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    official: Annotated[
        bool, typer.Option("--official", help="Offset noise and dropout as in the authors' code.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad clips out and count them, instead of an error.")
    ] = False,
    trackers: Trackers = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in OUT from its last checkpoint.")] = False,
    merged: Annotated[
        Path | None, typer.Option(help="Also write the model with the adapter merged in, to this folder.")
    ] = None,
    processes: Processes = None,
    device: Device = None,
    precision: Precision = "auto",
    json_output: Json = False,
) -> None:
    """Fine-tune a LoRA adapter, by InstructVideo unless --method names another: edit clips, reward the edits,
    follow the gradient (Eq. 2-9).

    Without CLIPS the shipped ones are used: 45 species x 20 clips of web quality. Every setting is stored in
    OUT/config.json, every step in OUT/metrics.jsonl; the adapter is OUT/lora. A run that was cut off goes on
    with --resume, bit for bit on a CPU, up to rounding on a GPU.

    \b
    Examples:
      ivtutorial finetune --steps 100 --lr 1e-3 --out runs/a
      ivtutorial finetune --method draft --steps 100 --lr 1e-3 --out runs/draft
      ivtutorial finetune my_clips --config runs/a --set method.normalise=true --out runs/b
      ivtutorial finetune my_clips --model modelscope --reward hpsv2 --preset t4 --trackers tensorboard,wandb
      ivtutorial finetune my_clips --model wan2.1-1.3b --reward hpsv2 --preset 16gb --method quickedit
    """
    quiet_loading(model)
    from ivtutorial.system.files import data_path
    from ivtutorial.training.config import read_settings
    from ivtutorial.training.finetuning import check_merged_folder, export_merged, finetune
    from ivtutorial.training.presets import card_settings, rate_line

    chosen_method = {
        "name": method,
        "tau": tau,
        "D": ddim_steps,
        "K": k,
        "S": segments,
        "lambda_tar": lambda_tar,
        "guidance": guidance,
    }
    start = out if config is None and resume and (out / "config.json").is_file() else config
    given = {} if start is None else read_settings(start)
    card = {} if preset else card_settings(model, "cpu" if (processes or 1) > 1 else device, given)
    chosen: dict[str, Any] = _precision(precision, device, bool(preset or config or resume or card)) | {
        "steps": steps,
        "lr": lr,
        "batch_size": batch_size,
        "lora_rank": rank,
        "seed": seed,
    }
    if trackers is not None:
        chosen["trackers"] = [] if trackers == "none" else [name.strip() for name in trackers.split(",")]
    if clips is not None and data is not None:
        raise InputError(f"the clips are given twice: {clips} and --data {data}.")
    cfg = merge_settings(start, chosen, chosen_method, settings or [], official, preset, model, card)
    if line := rate_line(cfg):
        typer.echo(line, err=True)
    if steps is None and start is None and (line := length_line(cfg, model)):
        typer.echo(line, err=True)
    if resume and not (out / "config.json").is_file():
        typer.echo(f"there is no run in {out} to resume: a new one starts, with the settings of this command", err=True)
    if merged is not None:
        check_merged_folder(model, merged)
    count = default_processes(processes, device)
    with resumable(out):
        result = finetune(
            model,
            clips or data or data_path("clips"),
            reward,
            out,
            cfg,
            resume=resume,
            processes=count,
            device=device,
            skip_bad=skip_bad,
            root=root,
        )
    content = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(result).items()}
    if merged is not None:
        dtype = merged_dtype(model, "auto")
        content["merged"] = str(export_merged(model, result.lora, merged, dtype=dtype, device=device))
    spent = f"{result.steps} steps, {result.unet_evaluations} UNet evaluations, {result.seconds:.0f} s"
    if result.skipped:
        spent += f"; {result.skipped} steps changed nothing, since loss or gradient was not finite"
    use = f"use it: ivtutorial generate --model {model} --lora {result.lora} 'a prompt'"
    show(content, f"{spent}\nadapter: {result.lora}\n{use}", json_output)


def length_line(config: Any, model: str) -> str | None:
    """What the command reports about a run that is as long as the paper's; None of any other."""
    if config.steps != type(config)().steps:
        return None
    small = " (the small model learns in 24 steps at 1e-3)" if model == "reduced" else ""
    line = f"{config.steps} steps at learning rate {config.lr:g}, as many as the paper takes"
    return f"{line}; --steps and --lr set others{small}"


def _precision(setting: str, device: str | None, is_given: bool) -> dict[str, str]:
    """`--precision` as a setting; "auto" leaves alone what a preset or file gives, and what GPUs compute in."""
    if setting == "auto" and (is_given or chosen_precision(setting, device) == "fp16"):
        return {}
    return {"precision": chosen_precision(setting, device)}


@contextmanager
def resumable(out: Path) -> Iterator[None]:
    """Reports, when the user presses Ctrl-C, where the run stands and how to go on; ends with exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        from ivtutorial.training.checkpoints import latest_checkpoint

        last = latest_checkpoint(out)
        kept = "there is no checkpoint yet" if last is None else f"the last checkpoint is {last}"
        if os.environ.get("RANK", "0") == "0":
            typer.echo(f"\nivtutorial: interrupted; {kept}. Add --resume to continue the run in {out}.", err=True)
        raise typer.Exit(130) from None


def merge_settings(
    source: Path | None,
    chosen: dict[str, Any],
    method: dict[str, Any],
    assignments: Sequence[str],
    official: bool,
    preset: str | None = None,
    model: str = "reduced",
    card: Mapping[str, Any] | None = None,
) -> Any:
    """A `FinetuneConfig` from what the GPU decides (`card`, see `ivtutorial.training.presets.card_settings`), a file, a
    preset and options; each wins over those before it, `--set` over all.

    Another method than the file's (`method["name"]`) begins with its own defaults. What nobody sets follows from the
    model, see `ivtutorial.training.presets.with_defaults`.

    Raises:
        InputError: an unreadable file, an unknown name, a value out of range, or an assignment without "=".
    """
    from ivtutorial.method.instructvideo import InstructVideo
    from ivtutorial.training import presets
    from ivtutorial.training.config import FinetuneConfig, method_settings, read_config, read_settings

    base = FinetuneConfig().to_dict()
    del base["lr"], base["frames"], base["fps"], base["method"]["tau"], base["method"]["guidance"]
    base |= card or {}
    if source is not None:
        name, values = type(read_config(source).method).__name__, read_settings(source)
        base |= {**values, "method": {**values.get("method", {}), "name": name}}
    if preset is not None:
        base |= presets.preset(preset)
    if (method.get("name") or base["method"]["name"]).lower() != base["method"]["name"].lower():
        base["method"] = {"name": method["name"]}
    if official:
        if not {"offset_noise", "train_mode"} <= method_settings(base["method"]["name"]):
            raise InputError(
                f"--official belongs to instructvideo: leave it out with the method {base['method']['name']}."
            )
        switches = asdict(InstructVideo.official())
        base["method"] |= {name: switches[name] for name in ("offset_noise", "train_mode")}
    base |= {name: value for name, value in chosen.items() if value is not None}
    base["method"] |= {name: value for name, value in method.items() if value is not None}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment}: expected NAME=VALUE, such as grad_clip=1 or method.normalise=true.")
        if name == "method.name":
            raise InputError(f"--set {assignment}: the method is chosen by --method {value}.")
        part, dot, rest = name.partition(".")
        target = base[part] if dot and isinstance(base.get(part), dict) else base
        target[rest if target is not base else name] = _value(value)
    return FinetuneConfig.from_dict(presets.with_defaults(base, model))


def _value(text: str) -> Any:
    """A JSON value, or True, False, None or a number as Python writes it (.5, +1), or else the text itself.

    A number without a fraction is a whole one, however it is written: 1e4 steps are 10,000.
    """
    known = {"True": True, "False": False, "None": None}
    try:
        value = known[text] if text in known else json.loads(text)
    except ValueError:
        given = number(text)
        value = text if given is None else given
    return int(value) if isinstance(value, float) and value.is_integer() else value
