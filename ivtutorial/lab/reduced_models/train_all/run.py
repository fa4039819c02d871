"""The command `ivtutorial zoo train-all`: carries out a plan, in processes on a CPU, or beside them on a GPU."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.train_all.budget import Budget
from ivtutorial.lab.reduced_models.train_all.drawing import Drawing
from ivtutorial.lab.reduced_models.train_all.loop import Group
from ivtutorial.lab.reduced_models.train_all.parcel import unpack
from ivtutorial.lab.reduced_models.train_all.plan import Plan
from ivtutorial.lab.reduced_models.train_all.stages import RUN, TOKENIZER
from ivtutorial.lab.reduced_models.train_all.states import read_stage_state
from ivtutorial.lab.reduced_models.train_all.work import Work
from ivtutorial.system.device import choose_device
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.processes import launch

LEAST_MINUTES, LEAST_CORE_HOURS = 0.5, 0.01  # of a budget: less cannot even draw and load


def run_stages(
    folder: Path, plan: Plan, budget: Budget, device: str, until: str | None = None, parcel: Path | None = None
) -> None:
    """Carry out what is missing, in this process, as one of its group.

    Args:
        folder: of everything.
        plan: what to train.
        budget: for all of it.
        device: "cpu" or "cuda".
        until: the last stage to carry out; all by default.
        parcel: see :mod:`.parcel`.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    work = Work(folder, plan, budget, Group.current(torch.device(device)), parcel)
    for stage in RUN:
        carry_out(work, stage)
        if stage == until:
            break


def run_beside_drawing(
    folder: Path, plan: Plan, budget: Budget, device: str, processes: int, until: str | None = None,
    parcel: Path | None = None,
) -> None:  # fmt: skip
    """Carry out what is missing in this process, while others draw what it learns from.

    Args:
        folder, plan, budget, device, until, parcel: as in :func:`run_stages`.
        processes: that draw.
    """
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
        # Its plans are made for each shape anew, and sequences of 16 frames are not what it is for.
        torch.backends.cuda.enable_cudnn_sdp(False)
    draw, drawing = "draw", None
    work = Work(folder, plan, budget, Group(device=torch.device(device)), parcel, beside=True)
    if draw not in work.finished():
        drawing = Drawing(folder, plan, processes)
        work.check_drawing = drawing.check
        drawing.wait_for(folder / TOKENIZER)
    # What does not need all pictures comes before the last of them.
    first = ("text", "features", "autoencoder")
    for stage in (*first, *(name for name in RUN if name not in first)):
        if stage == draw and drawing is not None:
            drawing.wait()
            work.finish(draw, seconds=round(time.monotonic() - work.start, 1), core_seconds=0.0)
        else:
            carry_out(work, stage)
        if stage == until:
            break


def carry_out(work: Work, stage: str) -> None:
    """Carry out a stage unless that is done."""
    if stage in work.finished():
        return
    if work.group.rank == 0:
        print(f"stage {stage}", flush=True)
    work.began = time.monotonic()
    RUN[stage](work)


@dataclass(frozen=True)
class Sizes:
    """What a command line may change in a plan; None leaves it.

    Attributes:
        seed: of everything random.
        frames, clips: sizes of the pools.
        compiled: see :class:`.Plan`.
    """

    seed: int | None = None
    frames: int | None = None
    clips: int | None = None
    compiled: bool | None = None


def chosen_plan(folder: Path, device: str, sizes: Sizes = Sizes(), rehearse: bool = False) -> Plan:
    """The plan of a folder that was begun, or one for the device, with the sizes that are given.

    Raises:
        InputError: the folder's plan cannot be read.
    """
    path = folder / "plan.json"
    if path.exists():
        plan = read_plan(path)
    elif rehearse:
        plan = Plan.rehearsal()
    else:
        plan = Plan.for_gpu() if device == "cuda" else Plan()
    return replace(plan, **{name: value for name, value in asdict(sizes).items() if value is not None})


def read_plan(path: Path) -> Plan:
    """The plan in a file.

    Raises:
        InputError: it is none.
    """
    try:
        return Plan.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"cannot read the plan {path} ({error}); restore it, or give another folder") from error


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


def begin_training(
    folder: Path, budget: Budget, processes: int = 1, device: str | None = None, until: str | None = None,
    sizes: Sizes = Sizes(), parcel: Path | None = None, resume_from: Path | None = None, rehearse: bool = False,
) -> None:  # fmt: skip
    """What the command line does: choose device and plan, take over a parcel, train.

    Args:
        folder, budget, processes, until, parcel: as in :func:`train_all`.
        device: as in :func:`~ivtutorial.system.device.choose_device`.
        sizes: what to change in the plan.
        resume_from: a parcel to go on from, unless the folder was begun already.
        rehearse: go through everything as on a GPU, on a CPU and with tiny networks.

    Raises:
        InputError: an unknown device, or as :func:`.parcel.unpack`, :func:`chosen_plan` and :func:`train_all`.
    """
    chosen = "cpu" if rehearse else choose_device(device).type
    if resume_from is not None:
        taken = unpack(resume_from, folder)
        print(f"{folder} " + (f"goes on from {resume_from}" if taken else "was begun already and goes on"), flush=True)
    plan = chosen_plan(folder, chosen, sizes, rehearse)
    train_all(folder, plan, budget, processes, chosen, until, rehearse or None, parcel)


def train_all(
    folder: Path, plan: Plan, budget: Budget, processes: int = 1, device: str = "cpu", until: str | None = None,
    beside: bool | None = None, parcel: Path | None = None,
) -> None:  # fmt: skip
    """Train everything that is missing; see the module's docstring.

    Args:
        folder: of everything; an earlier run in it is continued.
        plan: what to train.
        budget: for all of it; of minutes, for this call.
        processes: single-threaded processes that train together on the CPU; on a GPU they only draw.
        device: "cpu" or "cuda".
        until: the last stage to carry out.
        beside: whether one process trains beside those that draw; by default on a GPU.
        parcel: folder that is kept ready to go on from on another machine, see :mod:`.parcel`.

    Raises:
        InputError: an unknown stage, a plan unlike the folder's, or as :func:`check_start` and :func:`.loop.fit_part`.
    """
    if until is not None and until not in RUN:
        raise InputError(f"unknown stage {until!r}; there are {', '.join(RUN)}")
    check_start(folder, budget)
    _same_plan(folder, plan)
    if beside if beside is not None else device == "cuda":
        run_beside_drawing(folder, plan, budget, device, processes, until, parcel)
    else:
        launch(run_stages, processes, folder, plan, budget, device, until, parcel)


def _same_plan(folder: Path, plan: Plan) -> None:
    """Refuse to continue with another plan than the folder's; before anything is drawn, sizes of pools may change."""
    path = folder / "plan.json"
    if path.exists():
        before = read_plan(path)
        if before.to_json() == plan.to_json():
            return
        resized = replace(before, frames=plan.frames, clips=plan.clips)
        if (folder / "pool").exists() or resized.to_json() != plan.to_json():
            raise InputError(f"{folder} was begun with another plan ({path}); restore it, or give another folder")
    atomic_write_text(path, plan.to_json())
