"""Run whatever is missing of the whole plan, block after block, for as long as there is time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.plans.blocks import BLOCKS, Block
from ivtutorial.lab.experiments.runner import run_experiment


def run_plan(
    root: str | Path,
    hours: float,
    processes: int = 1,
    models: str | Path | None = None,
    precision: str = "fp32",
    device: str = "cpu",
    blocks: Sequence[Block] = BLOCKS,
    progress: bool = True,
    publish: Callable[[Path], None] = lambda folder: None,
    results: str | Path | None = None,
) -> list[str]:
    """Walk through the blocks; runs that are there already are read, and nothing new begins when time is up.

    A run that has begun is finished, so this may take as long as one run more. Each block leaves a valid result with as
    many runs as were done; the same command goes on.

    Args:
        root: folder of all experiments.
        hours: time for this call.
        processes: as for :func:`ivtutorial.lab.experiments.runner.run_experiment`; so are models, precision, device and
            progress.
        models: see processes.
        precision: see processes.
        device: see processes.
        blocks: what to run, in this order.
        progress: see processes.
        publish: called with the folder of each result that was written.
        results: folder of stored results, see `run_experiment`.

    Returns:
        A line for each block that was reached: which, how many runs each of its arms has, and whether it is done.

    Raises:
        InputError: hours that are no positive number, or as for one experiment.
    """
    if not hours > 0:
        raise InputError(f"hours = {hours}: expected a positive number, such as 4.")
    until, lines = time.monotonic() + 3600 * hours, list[str]()
    for block in blocks:
        if time.monotonic() > until:
            break
        plan = block.plan()
        result = run_experiment(plan, root, processes, models, progress, precision, device, until, results)
        runs = {
            arm.name: len(result["arms"][arm.name]["seeds"]) if arm.name in result.get("arms", {}) else 0
            for arm in plan.arms
        }
        done = all(runs[arm.name] == len(plan.seeds_of(arm)) for arm in plan.arms)
        counted = ", ".join(f"{name} {count}" for name, count in runs.items())
        lines.append(f"{block.letter} {plan.name}: {'done' if done else 'to be continued'} ({counted})")
        if result:
            publish(Path(root) / plan.name)
    return lines
