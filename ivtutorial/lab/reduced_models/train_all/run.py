"""The command `ivtutorial zoo train-all`: carries out a plan, in one process or several, on CPU or GPU."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.train_all.budget import Budget
from ivtutorial.lab.reduced_models.train_all.loop import Group, read_stage_state
from ivtutorial.lab.reduced_models.train_all.stages import RUN
from ivtutorial.lab.reduced_models.train_all.work import Plan, Work
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.processes import launch

LEAST_MINUTES, LEAST_CORE_HOURS = 0.5, 0.01  # of a budget: less cannot even draw and load


def run_stages(folder: Path, plan: Plan, budget: Budget, device: str, until: str | None = None) -> None:
    """Carry out what is missing, in this process, as one of its group.

    Args:
        folder: of everything.
        plan: what to train.
        budget: for all of it.
        device: "cpu" or "cuda".
        until: the last stage to carry out; all by default.
    """
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    else:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
    work = Work(folder, plan, budget, Group.current(torch.device(device)))
    for stage, carry_out in RUN.items():
        if stage not in work.finished():
            if work.group.rank == 0:
                print(f"stage {stage}", flush=True)
            work.began = time.monotonic()
            carry_out(work)
        if stage == until:
            break


def chosen_plan(device: str, seed: int = 0, frames: int | None = None, clips: int | None = None) -> Plan:
    """The plan for a device, with other sizes of the pools where they are given."""
    sizes = {k: v for k, v in (("frames", frames), ("clips", clips)) if v is not None}
    plan = Plan.for_gpu() if device == "cuda" else Plan()
    return replace(plan, seed=seed, **sizes)  # type: ignore[arg-type]


def check_start(folder: Path, budget: Budget) -> None:
    """Refuse what cannot work before anything is done.

    Raises:
        InputError: a budget too small for anything, or states of an older generation in the folder.
    """
    if budget.minutes is not None and budget.minutes < LEAST_MINUTES:
        raise InputError(f"{budget.minutes} minutes are too few to train anything: give at least {LEAST_MINUTES}")
    if budget.core_hours is not None and budget.core_hours < LEAST_CORE_HOURS:
        raise InputError(f"{budget.core_hours} core-hours are too few to train anything: at least {LEAST_CORE_HOURS}")
    for path in sorted(folder.glob("*.state.pt")) if folder.is_dir() else []:
        read_stage_state(path)


def train_all(
    folder: Path, plan: Plan, budget: Budget, processes: int = 1, device: str = "cpu", until: str | None = None
) -> None:
    """Train everything that is missing; see the module's docstring.

    Args:
        folder: of everything; an earlier run in it is continued.
        plan: what to train.
        budget: for all of it.
        processes: single-threaded processes that train together on the CPU; on a GPU they only draw.
        device: "cpu" or "cuda".
        until: the last stage to carry out.

    Raises:
        InputError: an unknown stage, a plan unlike the folder's, or as :func:`check_start` and :func:`.loop.fit_part`.
    """
    if until is not None and until not in RUN:
        raise InputError(f"unknown stage {until!r}; there are {', '.join(RUN)}")
    check_start(folder, budget)
    _same_plan(folder, plan)
    if device == "cpu":
        launch(run_stages, processes, folder, plan, budget, device, until)
        return
    launch(run_stages, processes, folder, plan, budget, "cpu", "draw")
    run_stages(folder, plan, budget, device, until)


def _same_plan(folder: Path, plan: Plan) -> None:
    """Refuse to continue with another plan than the folder's; how often is saved and checked may change."""
    free = ("save_minutes", "check_minutes")
    text = json.dumps({k: v for k, v in asdict(plan).items() if k not in free}, indent=1)
    path = folder / "plan.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != json.loads(text):
        raise InputError(f"{folder} was begun with another plan ({path}); restore it, or give another folder")
    if not path.exists():
        atomic_write_text(path, text + "\n")
