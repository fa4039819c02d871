"""The commands that measure: `score`, `evaluate` and `compare`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ivtutorial.cli.options import (
    Device,
    Fps,
    Frames,
    Json,
    Model,
    Out,
    PromptFile,
    Reward,
    Root,
    SamplingOptions,
    Segments,
    Texts,
    with_sampling_options,
)
from ivtutorial.cli.support import (
    clip_length,
    default_processes,
    estimate_line,
    interruptible,
    prompts_given,
    quiet_loading,
    show,
)
from ivtutorial.errors import InputError


def score_command(
    clips: Annotated[
        Path, typer.Argument(help="Clips with captions: a CSV (video,caption), a folder, or what `generate` wrote.")
    ],
    reward: Reward = "reduced",
    root: Root = None,
    segments: Segments = 4,
    frames: Frames = None,
    fps: Fps = None,
    size: Annotated[int, typer.Option(help="Height and width in pixels at which clips are read (paper: 256).")] = 64,
    device: Device = None,
    precision: Annotated[
        str, typer.Option(help="Of the reward: 'fp32', 'bf16' or 'fp16'; 'auto': fp16 on a GPU, fp32 on a CPU.")
    ] = "auto",
    json_output: Json = False,
) -> None:
    """Score video files against their captions by the paper's protocol: the reward of each segment's first
    frame.

    No attenuation and no random choice: the same clips always score the same. Scores of different rewards,
    sizes or preprocessing are not comparable.

    \b
    Examples:
      ivtutorial score my_clips.csv --reward reduced --json
      ivtutorial score runs/clips
    """
    from ivtutorial.data.clips import read_clips
    from ivtutorial.evaluation.scoring import score_files
    from ivtutorial.models.memory import DTYPES

    if precision not in ("auto", *DTYPES):
        raise InputError(f"--precision {precision}: expected auto, {', '.join(DTYPES)}.")
    listed = read_clips(clips, root)
    with interruptible("Nothing was written."):
        scores = score_files(
            listed, reward, segments, frames=16 if frames is None else frames, fps=8.0 if fps is None else fps,
            size=(size, size), device=device, dtype=DTYPES.get(precision), progress=True,
        )  # fmt: skip
    rows = [
        {"video": str(clip.path), "caption": clip.caption, "reward": mean, "frame_rewards": each}
        for clip, mean, each in zip(listed, scores.rewards.tolist(), scores.frame_rewards.tolist(), strict=True)
    ]
    lines = [f"{row['reward']:.4f}  {row['video']}  {row['caption']}" for row in rows]
    text = "\n".join([*lines, estimate_line("mean reward", asdict(scores.total))])
    show({"reward": asdict(scores.total), "clips": rows}, text, json_output)


@with_sampling_options
def evaluate_command(
    prompt: Texts = None,
    prompts: PromptFile = None,
    out: Out = Path("runs/evaluation"),
    model: Model = "reduced",
    reward: Reward = "reduced",
    judge: Annotated[
        str,
        typer.Option(help="Judge of the reduced world: 'reduced', its folder, 'none'; 'auto': with the reduced model."),
    ] = "auto",
    *,
    options: SamplingOptions,
    segments: Segments = 4,
    json_output: Json = False,
) -> None:
    """Make clips and measure them: the reward by the paper's protocol, plain measurements, and what a judge
    sees.

    Writes OUT/evaluation.json, scores.csv, sheet.png, index.html (a page) and the clips. The tables are written
    last; interrupted, the same command goes on with the batches that are missing. Evaluate two models with the same
    prompts and seeds, then compare the two folders.

    \b
    Examples:
      ivtutorial evaluate --prompts demo --out runs/before
      ivtutorial evaluate --prompts demo --lora runs/a/lora --out runs/after
      ivtutorial compare runs/before runs/after
    """
    quiet_loading(model)
    from ivtutorial.evaluation.evaluation import evaluate
    from ivtutorial.lab.world.judges.judge import open_judge
    from ivtutorial.lab.world.judges.panel import open_panel
    from ivtutorial.system.files import check_writable
    from ivtutorial.system.share import joined

    listed = prompts_given(prompt, prompts)
    check_writable(out)
    name = {"none": None, "auto": "reduced" if model == "reduced" else None}.get(judge, judge)
    columns = None if name is None else (open_panel() if name == "reduced" else open_judge(name)).columns
    frames, fps = clip_length(model, options.frames, options.fps)
    sampling = options.sampling(model, frames)
    hint = f"What was measured is in {out}; the same command goes on with the other clips and writes the table."
    with interruptible(hint), joined() as first_process:
        result = evaluate(
            model, listed, reward, out, options.seed or [0], sampling, lora=options.lora,
            lora_scale=options.lora_scale, judge=columns, S=segments, fps=fps, device=options.device,
            processes=default_processes(options.processes, options.device), progress=True,
        )  # fmt: skip
    if not first_process:
        return
    summary = {name: asdict(column) for name, column in result.summary().items()}
    lines = [estimate_line(name, column) for name, column in summary.items()]
    show(
        {"out": str(out), "settings": dict(result.settings), "summary": summary},
        "\n".join([*lines, f"clips and tables in {out}"]),
        json_output,
    )


def compare_command(
    before: Annotated[Path, typer.Argument(help="Folder that `ivtutorial evaluate` wrote.")],
    after: Annotated[Path, typer.Argument(help="The same prompts and seeds with another model.")],
    differing: Annotated[
        list[str] | None,
        typer.Option(help="A setting that may differ besides model and adapter, such as D; repeat it for several."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Compare two evaluations pair by pair: mean change with its bootstrap 95 % interval, the share of wins, and
    the effect size (mean change in standard deviations of the changes).

    Prompts, seeds, reward, judge and sampling must be the same; otherwise a change would not be the model's.

    \b
    Example:
      ivtutorial compare runs/before runs/after --json
    """
    from ivtutorial.evaluation.comparison import compare

    result = compare(before, after, differing or ())
    columns = result.to_dict()
    lines = [f"{'':14} {'before':>9} {'after':>9} {'change':>9}   95 % interval        wins  effect"]
    for name, d in columns.items():
        numbers = f"{d['before']:9.4f} {d['after']:9.4f} {d['mean']:+9.4f}"
        effect = "inf" if d["effect_size"] is None else f"{d['effect_size']:+.2f}"
        lines.append(f"{name:14} {numbers}   {d['low']:+.4f} to {d['high']:+.4f}   {d['wins']:.2f}  {effect:>6}")
    left_out = {"only_before": list(result.only_before), "only_after": list(result.only_after)}
    for folder, names in zip((before, after), left_out.values(), strict=True):
        if names:
            lines.append(f"not compared, since only {folder} has it: {', '.join(names)}")
    show({"columns": columns, **left_out, "notes": list(result.notes)}, "\n".join([*lines, *result.notes]), json_output)
