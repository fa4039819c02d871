"""Everything from nothing: the text-to-video model, then those who look at its clips."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from ivtutorial.lab.reduced_models.train_all.budget import Budget
from ivtutorial.lab.reduced_models.train_all.run import Sizes, begin_training, read_plan
from ivtutorial.system.device import choose_device
from ivtutorial.system.files import atomic_write_text, check_writable

VIEWERS_SHARE = 0.15  # of a budget, for judges and reward


def train_from_nothing(
    folder: Path, budget: Budget, processes: int = 1, device: str | None = None, until: str | None = None,
    sizes: Sizes | None = None, parcel: Path | None = None, resume_from: Path | None = None, rehearse: bool = False,
    viewers_from: Path | None = None,
) -> None:  # fmt: skip
    """Train everything that is missing, as `ivtutorial zoo train-all`.

    Judges and reward come last, and on a CPU: they draw what they learn from step by step, and a GPU would wait for it.

    Args:
        folder, processes, device, until, sizes, parcel, resume_from, rehearse: as
            `ivtutorial.lab.reduced_models.train_all.run.begin_training`.
        budget: for all of it; with ``until``, ``rehearse`` or a GPU for the text-to-video model alone.

        viewers_from: folder with the judge and the reward of an earlier training to start theirs from.

    Raises:
        InputError: as `begin_training` and `ivtutorial.lab.reduced_models.viewers.run.train_viewers`.
    """
    for place in filter(None, (folder, parcel)):
        check_writable(place)
    alone = until is not None or rehearse or choose_device(device).type != "cpu"
    own = budget if alone else replace(budget.part(1 - VIEWERS_SHARE), since=budget.since)
    begin_training(folder, own, processes, device, until, sizes or Sizes(), parcel, resume_from, rehearse)
    if alone:
        return
    # Imported here, since a GPU's minutes count from the first import on.
    from ivtutorial.lab.reduced_models.viewers.run import Viewers, train_viewers

    viewers = Viewers(seed=read_plan(folder / "plan.json").seed, start=viewers_from)
    train_viewers(folder / "models" / "reduced", folder / "viewers", viewers, budget.part(VIEWERS_SHARE), processes)
    ship_viewers(folder)


def ship_viewers(work: Path) -> None:
    """Put judges, reward and features beside the pipeline, in WORK/models, each with how it was trained."""
    viewers, models = work / "viewers", work / "models"
    stages = json.loads((viewers / "stages.json").read_text(encoding="utf-8"))
    parts = {"judge": ["judge"], "judge_2": ["judge_2"], "reward": ["words", "samples", "taste"]}
    for name, made_by in parts.items():
        shutil.copytree(viewers / name, models / name, dirs_exist_ok=True)
        rows = {stage: stages[stage] for stage in made_by}
        atomic_write_text(models / name / "training.json", json.dumps(rows, indent=1) + "\n")
    shutil.copytree(work / "features", models / "features", dirs_exist_ok=True)
