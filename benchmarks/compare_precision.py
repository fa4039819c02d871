"""Is quality the same in bf16? The same prompts and noise in fp32, in bf16, and in fp32 once more in other batches.

    python benchmarks/compare_precision.py --processes 2

The third evaluation differs from the first in rounding only: how far the two lie apart is the spread that every change
of kernel has. The result holds, for bf16 and for it, the paired change of the reward and of every column of the judge.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ivtutorial.data import shipped_prompts
from ivtutorial.evaluation.comparison import compare
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.lab.world.judges.judge import open_judge
from ivtutorial.sampling.generation import Sampling
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.provenance import provenance

RESULT = Path("data/results/precision.json")


def main() -> None:
    """Evaluate three times and write the paired changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--ddim-steps", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/precision"))
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    prompts = shipped_prompts("demo", options.prompts)
    samplings = {
        "fp32": Sampling(options.ddim_steps),
        "bf16": Sampling(options.ddim_steps, precision="bf16"),
        "fp32, batches of 3": Sampling(options.ddim_steps, batch_size=3),
    }
    tables = {
        name: evaluate(
            "reduced", prompts, "reduced", options.work / name.replace(", ", "-").replace(" ", "-"), options.seed,
            sampling, judge=open_judge("reduced").columns, processes=options.processes,
        )
        for name, sampling in samplings.items()
    }  # fmt: skip
    changes: dict[str, Any] = {
        name: {
            column: asdict(change)
            for column, change in compare(tables["fp32"], tables[name], differing=("precision",)).columns.items()
        }
        for name in samplings
        if name != "fp32"
    }
    result = {"prompts": len(prompts), "D": options.ddim_steps, "changes": changes, **provenance(options.seed)}
    atomic_write_text(options.out, json.dumps(result, indent=1) + "\n")
    for name, columns in changes.items():
        for column, change in columns.items():
            print(f"{name:20s} {column:14s} {change['mean']:+.4f}  [{change['low']:+.4f}, {change['high']:+.4f}]")


if __name__ == "__main__":
    main()
