"""Seconds and memory of one fine-tuning step, against each setting that matters, in one run on one machine.

    python benchmarks/bench_step.py --out data/results/bench_step.json            # the reduced model
    python benchmarks/bench_step.py --model FOLDER --reward FOLDER --device cuda  # any other

Every row changes one setting of the base row. The first step of a row is not timed. Memory is what the step needs on
top of the models: peak allocation on a GPU; on a CPU, the largest growth of the process. Each row has its own process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ivtutorial.chain import network_mode
from ivtutorial.files import atomic_write_text
from ivtutorial.lora import attach_lora
from ivtutorial.methods import InstructVideo, instructvideo
from ivtutorial.methods.batch import Batch
from ivtutorial.provenance import peak_memory_mb, provenance
from ivtutorial.scales import open_model, open_reward

ROWS: dict[str, dict[str, Any]] = {
    "base: tau 0.6, D 20, K 1, S 4": {},
    "tau 0.3": {"tau": 0.3},
    "tau 1.0 (full chain)": {"tau": 1.0},
    "K 2": {"K": 2},
    "K 12 (all steps)": {"K": 12},
    "K 12, recomputed in the backward pass": {"K": 12, "checkpoint": True},
    "S 8": {"S": 8},
    "dense (every frame scored)": {"selection": "dense"},
    "guidance off": {"guidance": 1.0},
}


def measure(name: str, changes: dict[str, Any], options: argparse.Namespace, pipe: Any) -> None:
    """Time one row and send what was found."""
    torch.set_num_threads(options.threads)
    backbone = open_model(options.model, device=options.device)
    reward = open_reward(options.reward, backbone.device)
    attach_lora(backbone.unet)
    config = replace(InstructVideo(), **changes)
    generator = torch.Generator().manual_seed(options.seed)
    latents = torch.randn(options.batch, *backbone.latent_shape(options.frames), generator=generator)
    captions = [f"clip {i}" for i in range(options.batch)]
    batch = Batch(latents.to(backbone.device), backbone.embed(captions), backbone.embed([""]), captions)
    cuda = backbone.device.type == "cuda"
    before = torch.cuda.memory_allocated() / 2**20 if cuda else peak_memory_mb()
    seconds = []
    for step in range(1 + options.repeats):
        if cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        with network_mode(backbone.unet, config.train_mode):
            loss, _ = instructvideo.loss(backbone, batch, config.video_reward(reward), config, generator)
            loss.backward()
        if cuda:
            torch.cuda.synchronize()
        if step:
            seconds.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else peak_memory_mb()
    pipe.send({"name": name, "seconds": statistics.median(seconds), "spread": max(seconds) - min(seconds),
               "memory_mb": round(peak - before, 1)})  # fmt: skip


def main() -> None:
    """Measure every row, each in a fresh process, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reduced")
    parser.add_argument("--reward", default="reduced")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("data/results/bench_step.json"))
    options = parser.parse_args()
    context, rows = multiprocessing.get_context("spawn"), []
    for name, changes in ROWS.items():
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=measure, args=(name, changes, options, sender))
        process.start()
        sender.close()
        row = receiver.recv()
        process.join()
        row["relative"] = row["seconds"] / (rows[0]["seconds"] if rows else row["seconds"])
        rows.append(row)
        print(f"{name:40s} {row['seconds']:8.2f} s  {row['relative']:5.2f}x  {row['memory_mb']:9.1f} MB", flush=True)
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items() if k != "out"}
    atomic_write_text(
        options.out, json.dumps({"settings": settings, "rows": rows, **provenance(options.seed)}, indent=1)
    )


if __name__ == "__main__":
    main()
