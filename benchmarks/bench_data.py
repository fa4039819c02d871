"""Clips a second through each part of the data path, from a video file to a batch.

    python benchmarks/bench_data.py                                       # the shipped clips and model
    python benchmarks/bench_data.py --clips FOLDER --model FOLDER --device cuda
    python benchmarks/bench_data.py --show

`decode` reads 16 frames at 8 a second and scales them; `encode` is the VAE alone; `first start` and `next start` are
what a run does before its first step, without and with latents on disk; `batch` is what a step then waits for, against
`batch, encoded again`, which decodes and encodes in every step as the authors' code does. Each row has its own process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measure import Meter, in_own_process, save_table, show_tables

from ivtutorial.data.check import check_entries
from ivtutorial.data.clips import load_frames, read_clips
from ivtutorial.data.dataset import LatentDataset, encode_clips, positions
from ivtutorial.data.lists import read_entries
from ivtutorial.models.named import open_model
from ivtutorial.system.files import data_path

RESULT = Path("data/results/bench_data.json")
COLUMNS = {"name": "part", "clips_per_second": "clips/s", "seconds": "s", "step_mb": "MiB"}
CACHED, AGAIN, LIST = "batch", "batch, encoded again", "read the list"
ROWS = (LIST, "check and sheets", "decode", "encode", "first start", "next start", CACHED, AGAIN)
BATCH = 4


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time one part on all clips; the list whole, and the two rows of batches on as many batches as hold the clips."""
    torch.set_num_threads(options.threads)
    backbone = open_model(options.model, None, options.device)
    listed = read_clips(options.clips)[: options.count]
    size = tuple(cells * backbone.vae_factor for cells in backbone.latent_shape()[2:])
    with tempfile.TemporaryDirectory() as folder:
        run = _part(name, options, backbone, listed, (size[0], size[1]), Path(folder))
        meter = Meter(torch.device(options.device))
        meter.time(run)
    seconds = meter.seconds[0]
    clips = len(read_clips(options.clips)) if name == LIST else len(listed)
    return {"seconds": seconds, "clips_per_second": clips / seconds, **meter.memory()}


def _part(
    name: str, options: argparse.Namespace, backbone: Any, listed: Any, size: tuple[int, int], folder: Path
) -> Callable[[], Any]:
    """What is timed, with everything made ready that it needs."""
    if name == LIST:
        return lambda: read_clips(options.clips)
    if name == "check and sheets":
        entries = read_entries(options.clips)[: options.count]
        return lambda: check_entries(entries, folder, size=size, workers=options.workers)
    if name == "decode":
        return lambda: [load_frames([clip], size=size) for clip in listed]
    if name == "encode":
        frames = load_frames(listed[:BATCH], size=size)
        return lambda: [backbone.encode(frames[k % len(frames)][None]) for k in range(len(listed))]
    if name == "first start":
        return lambda: encode_clips(backbone, listed, folder)
    if name == AGAIN:
        return lambda: [
            backbone.encode(load_frames(listed[first : first + BATCH], size=size))
            for first in range(0, len(listed), BATCH)
        ]
    data = encode_clips(backbone, listed, folder)
    if name == "next start":
        return lambda: encode_clips(backbone, listed, folder)
    return lambda: _batches(data, backbone, options.seed)


def _batches(data: LatentDataset, backbone: Any, seed: int) -> None:
    for step in range(-(-len(data) // BATCH)):
        data.batch(backbone, positions(len(data), BATCH, step, 0, 1, seed))


def main() -> None:
    """Measure every row and write the table of this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reduced")
    parser.add_argument("--clips", type=Path, help="a list or folder; default the shipped clips")
    parser.add_argument("--count", type=int, default=100, help="use only the first clips, this many")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="files decoded at once while checking")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="only these rows")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--show", action="store_true", help="print the tables of --out and measure nothing")
    options = parser.parse_args()
    if options.show:
        print(show_tables(options.out, COLUMNS))
        return
    shipped = options.clips is None
    options.clips = options.clips or data_path("clips")
    began, rows = time.perf_counter(), []
    for name in options.only or ROWS:
        rows.append({"name": name, **in_own_process(measure, name, options)})
        print(f"{name:24s} {rows[-1]['clips_per_second']:10.1f} clips/s", flush=True)
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items() if k not in ("out", "show")}
    settings["clips"] = "shipped" if shipped else str(options.clips)
    speed = {row["name"]: row["clips_per_second"] for row in rows}
    comparisons = (
        {"speed-up of kept latents over encoding again": speed[CACHED] / speed[AGAIN]}
        if {CACHED, AGAIN} <= set(speed)
        else {}
    )
    table = {
        "settings": settings,
        "rows": rows,
        "comparisons": comparisons,
        "total_seconds": time.perf_counter() - began,
    }
    save_table(options.out, options.device, table, options.seed)


if __name__ == "__main__":
    main()
