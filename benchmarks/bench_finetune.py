"""Seconds of the processor that a step of fine-tuning takes: stock blocks in fp32; ours in fp32, bf16, and compiled.

Whole steps are timed, as `finetune` takes them.

    python benchmarks/bench_finetune.py              # the demo's settings, 4 clips a step, one process, one thread
    python benchmarks/bench_finetune.py --profile    # and where the time of a step in bf16 goes
    python benchmarks/bench_finetune.py --show

Each variant has a process of its own. The processes take turns, a step each, so that whatever else the machine does
falls on all alike; shown is the median over the steps, without the first, which compiles. `loss` and `grad_norm` are
means over the same steps on the same clips with the same draws.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import torch
from bench_unet import as_stock
from measure import save_table, show_tables

from ivtutorial.data.clips import read_clips
from ivtutorial.data.prompts import spread
from ivtutorial.lab.demo.config import DemoConfig
from ivtutorial.models.named import open_model
from ivtutorial.rewards.named import open_reward
from ivtutorial.system.files import data_path
from ivtutorial.training.fit import fitted
from ivtutorial.training.start import load_data, make_accelerator, start, weights_dtypes
from ivtutorial.training.step import Evaluations, Run, take_step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ivtutorial.training.checkpoints import Progress

RESULT = Path("data/results/bench_finetune.json")
COLUMNS = {
    "name": "blocks, precision",
    "seconds": "s a step",
    "spread": "range, s",
    "loss": "loss",
    "grad_norm": "gradient norm",
}
VARIANTS = ("stock, fp32", "ours, fp32", "ours, bf16", "ours, bf16, compiled")


@contextmanager
def opened(variant: str, options: argparse.Namespace) -> Iterator[tuple[Run, Progress]]:
    """A run of the demo's settings that is ready to take steps."""
    device, (blocks, precision, *compiled) = torch.device("cpu"), variant.split(", ")
    demo = DemoConfig(clips_per_step=options.batch, seed=options.seed, precision=cast("Any", precision))
    config = demo.finetuning(1, [])
    config = replace(config, memory=replace(config.memory, compile=bool(compiled)))
    with TemporaryDirectory() as name:
        folder = Path(name)
        accelerator = make_accelerator(config, device, folder)
        dtypes = weights_dtypes(config, device)
        backbone = open_model("reduced", dtypes, device)
        if blocks == "stock":
            as_stock(backbone.unet)
        reward = open_reward("reduced", device, dtypes["reward"])
        with fitted(backbone, reward, config.memory) as scorer:
            clips = spread(read_clips(data_path("clips")), 2 * options.batch)
            data = load_data(clips, backbone, config, folder / "cache")  # type: ignore[arg-type]
            names = {"model": "reduced", "reward": "reduced"}
            yield start(folder, config, accelerator, backbone, scorer, data, Evaluations(), names)


def serve(pipe: Any, variant: str, options: argparse.Namespace) -> None:
    """Take a step for each message "step" of the parent; after the last, if wanted, one under the profiler."""
    torch.set_num_threads(1)
    with opened(variant, options) as (run, progress):
        pipe.send(None)
        while pipe.recv() == "step":
            began = time.process_time()
            numbers = take_step(run, progress)
            pipe.send({"seconds": time.process_time() - began, **{k: numbers[k] for k in ("loss", "grad_norm")}})
        if options.profile:
            with torch.profiler.profile() as profiler:
                take_step(run, progress)
            pipe.send(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every variant, a step each in turn; the first round is not counted."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for variant in VARIANTS:
        pipes[variant], other = context.Pipe()
        context.Process(target=serve, args=(other, variant, options), daemon=True).start()
        pipes[variant].recv()
    rounds: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(1 + options.repeats):
        for variant, pipe in pipes.items():
            pipe.send("step")
            rounds[variant].append(pipe.recv())
    for variant, pipe in pipes.items():
        pipe.send("end")
        if options.profile:
            print(variant, pipe.recv(), sep="\n")
    return [_row(variant, steps[1:]) for variant, steps in rounds.items()]


def _row(variant: str, steps: list[dict[str, float]]) -> dict[str, Any]:
    seconds = [step["seconds"] for step in steps]
    means = {name: statistics.mean(step[name] for step in steps) for name in ("loss", "grad_norm")}
    return {"name": variant, "seconds": statistics.median(seconds), "spread": max(seconds) - min(seconds), **means}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="print where the time of a step goes")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--show", action="store_true", help="print the table of --out and measure nothing")
    options = parser.parse_args()
    if not options.show:
        rows = measure(options)
        settings = {"batch": options.batch, "repeats": options.repeats, "seed": options.seed, "threads": 1}
        first, *rest = rows
        comparisons = {f"speed-up of {r['name']}, over {first['name']}": first["seconds"] / r["seconds"] for r in rest}
        save_table(options.out, "cpu", {"settings": settings, "rows": rows, "comparisons": comparisons}, options.seed)
    print(show_tables(options.out, COLUMNS))


if __name__ == "__main__":
    main()
