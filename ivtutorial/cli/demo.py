"""The command `demo`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ivtutorial.cli.options import Json, Out, Precision, Processes
from ivtutorial.cli.support import chosen_precision, default_processes, interruptible, quiet_loading, show


def demo(
    out: Out = Path("runs/demo"),
    steps: Annotated[int | None, typer.Option(help="Fine-tuning steps; default what suits the reduced model.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; default what suits the reduced model.")] = None,
    paper: Annotated[
        bool,
        typer.Option("--paper", help="The paper's own gradient, through the chain's last step, not the one before it."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    processes: Processes = None,
    precision: Precision = "auto",
    json_output: Json = False,
) -> None:
    """The main job on the shipped models: fine-tune by reward on edited clips, sample before and after, measure,
    report.

    Ten minutes on two CPU cores. Writes OUT/summary.json and OUT/report.html, one page with everything in it.
    Interrupted, it goes on where it stopped.

    \b
    Examples:
      ivtutorial demo
      ivtutorial demo --paper --out runs/paper
    """
    quiet_loading("reduced")
    from ivtutorial.lab.demo.config import PAPER, DemoConfig
    from ivtutorial.lab.demo.run import run_demo

    given: dict[str, Any] = {"steps": steps, "lr": lr, "precision": chosen_precision(precision, "cpu"), "seed": seed}
    cfg = DemoConfig(
        **{**(PAPER if paper else {}), **{name: value for name, value in given.items() if value is not None}}
    )
    with interruptible(f"Run the command again to go on from what is in {out}."):
        summary = run_demo(out, cfg, processes=default_processes(processes, "cpu"))
    low, high = summary["ci95"]
    means = f"{summary['reward_before']:.4f} -> {summary['reward_after']:.4f}"
    text = f"reward {means} (95 % interval of the rise {low:+.4f} to {high:+.4f})"
    show(summary, f"{text}\nopen {out / 'report.html'} in a browser", json_output)
