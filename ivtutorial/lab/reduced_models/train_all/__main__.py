"""`python -m ivtutorial.lab.reduced_models.train_all`: what `ivtutorial zoo train-all` does, on a bare machine.

For a GPU machine that has torch, numpy, safetensors, transformers and diffusers, but not the command line's own
packages.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.train_all.budget import parse_budget
from ivtutorial.lab.reduced_models.train_all.run import chosen_plan, train_all
from ivtutorial.system.device import choose_device


def main(arguments: list[str] | None = None) -> int:
    """Parse the arguments and train; 2 after bad input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/zoo"), help="folder of everything")
    parser.add_argument("--budget", help="processor time, such as 30h")
    parser.add_argument("--minutes", type=float, help="time on the clock instead")
    parser.add_argument("--frames", type=int, help="single frames to draw")
    parser.add_argument("--clips", type=int, help="clips to draw")
    parser.add_argument("--until", help="the last stage")
    parser.add_argument("--device", help="cpu or cuda")
    parser.add_argument("--processes", type=int, default=1, help="processes; on a GPU they only draw")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        device = choose_device(options.device).type
        plan = chosen_plan(device, options.seed, options.frames, options.clips)
        train_all(
            options.out, plan, parse_budget(options.budget, options.minutes), options.processes, device, options.until
        )
    except InputError as error:
        print(f"train_all: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
