"""Seconds and memory of opening the models: what a user waits for before the first step.

    python benchmarks/bench_load.py                                     # the shipped models
    python benchmarks/bench_load.py --model FOLDER --reward hpsv2:FILE  # any others
    python benchmarks/bench_load.py --show

Each row opens one thing in a process of its own, after the libraries are imported; `import` is the time for those.
Files that were read before are in the system's cache: what is measured is the work, not the disk.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from measure import Meter, in_own_process, save_table, show_tables

RESULT = Path("data/results/bench_load.json")
COLUMNS = {"name": "what", "seconds": "s", "step_mb": "MiB", "parameters": "parameters"}
ROWS = ("import", "model fp32", "model fp16", "reward fp32", "reward fp16", "first caption", "adapter")


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time one row."""
    torch.set_num_threads(options.threads)
    meter = Meter(torch.device(options.device))
    began = meter.clock()
    from ivtutorial.models.backbone import Backbone  # noqa: F401
    from ivtutorial.models.lora import attach_lora, lora_parameters
    from ivtutorial.models.named import open_model
    from ivtutorial.rewards.clip import ClipReward  # noqa: F401
    from ivtutorial.rewards.named import open_reward

    if name == "import":
        return {"seconds": meter.clock() - began, **meter.memory()}
    kind, _, precision = name.partition(" ")
    dtype = torch.float16 if precision == "fp16" else torch.float32
    if kind in ("model", "reward"):
        meter, opened = Meter(torch.device(options.device)), []
        place = options.model if kind == "model" else options.reward
        open_it = open_model if kind == "model" else lambda p, dtype, device: open_reward(p, device, dtype)
        meter.time(lambda: opened.append(open_it(place, dtype, options.device)))
        parts = [opened[0].unet, opened[0].vae, opened[0].text_encoder] if kind == "model" else [opened[0]]
        return _result(meter, [p for part in parts for p in part.parameters()])
    backbone = open_model(options.model, None, options.device)
    meter = Meter(torch.device(options.device))
    if name == "adapter":
        meter.time(lambda: attach_lora(backbone.unet))
        return _result(meter, lora_parameters(backbone.unet))
    meter.time(lambda: backbone.embed(["a red fox"]))
    return _result(meter, [])


def _result(meter: Meter, parameters: list[Any]) -> dict[str, Any]:
    return {"seconds": meter.seconds[0], **meter.memory(), "parameters": sum(p.numel() for p in parameters)}


def main() -> None:
    """Measure every row and write the table of this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reduced")
    parser.add_argument("--reward", default="reduced")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="only these rows")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--show", action="store_true", help="print the tables of --out and measure nothing")
    options = parser.parse_args()
    if options.show:
        print(show_tables(options.out, COLUMNS))
        return
    rows = []
    for name in options.only or ROWS:
        rows.append({"name": name, **in_own_process(measure, name, options)})
        print(rows[-1], flush=True)
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items() if k not in ("out", "show")}
    save_table(options.out, options.device, {"settings": settings, "rows": rows}, options.seed)


if __name__ == "__main__":
    main()
