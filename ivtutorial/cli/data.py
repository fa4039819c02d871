"""The command `prepare`: from your clips, or from none, to a training set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ivtutorial.cli.options import (
    BatchSize,
    D,
    Device,
    Fps,
    Frames,
    Guidance,
    Height,
    Json,
    Model,
    Processes,
    Root,
    Width,
)
from ivtutorial.cli.support import (
    clip_length,
    default_processes,
    guidance_for,
    interruptible,
    prompts_given,
    quiet_loading,
    show,
)
from ivtutorial.errors import InputError

if TYPE_CHECKING:
    import torch


def prepare_command(
    clips: Annotated[
        Path | None,
        typer.Argument(help="Your clips: CSV, JSONL or path|||caption list, or a folder.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write into; `finetune` takes it as its clips.")] = Path(
        "runs/prepared"
    ),
    model: Model = "reduced",
    root: Root = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave bad clips out and count them, instead of an error.")
    ] = False,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Report, sheets and manifest, but no latents: needs no model.")
    ] = False,
    frames: Frames = None,
    fps: Fps = None,
    height: Height = None,
    width: Width = None,
    preset: Annotated[
        str | None, typer.Option(help="That of `finetune`, for its precision and size; default by the card's memory.")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(help="Of the encoder on a GPU: 'fp32', 'bf16' or 'fp16'; 'auto': that of the preset."),
    ] = "auto",
    from_prompts: Annotated[
        bool, typer.Option("--from-prompts", help="Make the clips by sampling the model itself; resumable.")
    ] = False,
    prompts: Annotated[
        str | None,
        typer.Option(help="With --from-prompts: file or shipped list; default 45 species x 20 captions."),
    ] = None,
    per_species: Annotated[int, typer.Option(help="With --from-prompts: captions of each of the 45 species.")] = 20,
    ddim_steps: D = 20,
    guidance: Guidance = None,
    seed: Annotated[int, typer.Option(help="With --from-prompts: seed of the noise.")] = 0,
    batch_size: BatchSize = 8,
    processes: Processes = None,
    device: Device = None,
    json_output: Json = False,
) -> None:
    """Check clips, name every bad one, and encode the good ones once, so that `finetune OUT` starts at once.

    Writes OUT/report.csv (ok, too short, undecodable, no caption, duplicate, missing, refused), OUT/sheets,
    OUT/manifest.jsonl and OUT/latents. A clip is the first 16 frames at 8 fps (--frames, --fps), scaled to the model's
    size by its shorter side and cut in the centre. Latents of one precision are not those of another: encode as
    `finetune` computes, and it need not encode again. Only the model's autoencoder is downloaded and opened.

    \b
    Examples:
      ivtutorial prepare my_clips --out runs/my_clips
      ivtutorial prepare list.txt --root /data/videos --skip-bad --check-only
      ivtutorial prepare --from-prompts --out runs/own
      ivtutorial finetune runs/my_clips --steps 100 --lr 1e-3
    """
    quiet_loading(model)
    from ivtutorial.system.share import joined

    if (clips is None) != from_prompts or (prompts is not None and not from_prompts):
        raise InputError("give either CLIPS, or --from-prompts (and then perhaps --prompts FILE).")
    usual = (16 if frames is None else frames, 8.0 if fps is None else fps)
    frames, fps = usual if check_only else clip_length(model, frames, fps)
    count, dtype = default_processes(processes, device), encoder_dtype(model, preset, precision, device)
    if not check_only:
        height, width = clip_size(model, preset, device, height, width)
    with interruptible("Run the command again: it goes on where it stopped."), joined() as first_process:
        if from_prompts:
            clips = _sampled(
                model, prompts, per_species, out, seed, fps, count, device, D=ddim_steps,
                guidance=guidance_for(model, guidance), frames=frames, height=height, width=width,
                batch_size=batch_size,
            )  # fmt: skip
        result = _prepared(
            clips, out, model, check_only, dtype, device, count, frames=frames, fps=fps, height=height, width=width,
            root=root, skip_bad=skip_bad,
        )  # fmt: skip
    if not first_process:
        return
    counts = ", ".join(f"{n} {status}" for status, n in result.counts.items())
    lines = [*result.problems, f"{counts}; report, sheets and manifest in {out}"]
    content = {"out": str(out), "counts": result.counts, "problems": list(result.problems)}
    given = {"--model": None if model == "reduced" else model, "--preset": preset}
    options = "".join(f" {option} {value}" for option, value in given.items() if value)
    show(content, "\n".join([*lines, f"use them: ivtutorial finetune {out}{options}"]), json_output)


def _sampled(
    model: str,
    prompts: str | None,
    per_species: int,
    out: Path,
    seed: int,
    fps: float,
    processes: int,
    device: str | None,
    **settings: Any,
) -> Path:
    from ivtutorial.sampling.generation import Sampling
    from ivtutorial.sampling.training_clips import sample_clips

    if prompts is None:
        from ivtutorial.lab.world.clip_set import plan_clips

        captions = [plan.caption for plan in plan_clips(per_species)]
    else:
        captions = [prompt.text for prompt in prompts_given(None, prompts)]
    return sample_clips(
        model, captions, out, Sampling(**settings), seed=seed, fps=fps, processes=processes, device=device,
        progress=True,
    )  # fmt: skip


def _prepared(
    clips: Path | None,
    out: Path,
    model: str,
    check_only: bool,
    dtype: torch.dtype,
    device: str | None,
    processes: int,
    **settings: Any,
) -> Any:
    from ivtutorial.data.preparation import prepare
    from ivtutorial.system.device import choose_device

    kind = choose_device(device).type
    return prepare(
        clips or out, out, None if check_only else model, dtype=dtype,
        device=kind, processes=1 if kind == "cuda" else processes, progress=True, **settings,
    )  # fmt: skip


def encoder_dtype(model: str, preset: str | None, precision: str, device: str | None) -> torch.dtype:
    """The precision in which `finetune` encodes: on a CPU fp32; on a GPU as given, or else that of the preset.

    Without a preset it is the one that `finetune` chooses by the card's memory; the small model has none.

    Raises:
        InputError: an unknown precision or preset, or bf16 on a GPU without it.
    """
    from ivtutorial.models.memory import DTYPES, Memory
    from ivtutorial.system.device import check_bf16, choose_device

    if precision not in ("auto", *DTYPES):
        raise InputError(f"--precision {precision}: expected auto, {', '.join(DTYPES)}.")
    settings = preset_settings(model, preset, device)
    if choose_device(device).type == "cpu":
        return DTYPES["fp32"]
    memory = Memory(**settings.get("memory", {}))
    chosen = (memory.vae or settings.get("precision", "fp32")) if precision == "auto" else precision
    check_bf16(chosen, choose_device(device))
    return DTYPES[chosen]


def clip_size(
    model: str, preset: str | None, device: str | None, height: int | None, width: int | None
) -> tuple[int | None, int | None]:
    """Height and width in pixels at which `finetune` encodes: as given, or else those of the preset, if it has any.

    Raises:
        InputError: an unknown preset.
    """
    settings = preset_settings(model, preset, device)
    return height or settings.get("height"), width or settings.get("width")


def preset_settings(model: str, preset: str | None, device: str | None) -> dict[str, Any]:
    """The settings of a preset, or of the one that `finetune` chooses by the GPU's memory; none for the small model."""
    from ivtutorial.training.presets import preset as settings_of, preset_of_card

    name = preset or preset_of_card(model, device)
    return {} if name is None else settings_of(name)
