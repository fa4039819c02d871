"""Processes that draw the pools while this one trains: on a GPU nothing waits for the last picture."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import torch

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.train_all.budget import Budget
from ivtutorial.lab.reduced_models.train_all.loop import Group
from ivtutorial.lab.reduced_models.train_all.plan import Plan
from ivtutorial.lab.reduced_models.train_all.pool import fill_all
from ivtutorial.lab.reduced_models.train_all.stages import TOKENIZER, ensure_tokenizer
from ivtutorial.lab.reduced_models.train_all.work import Work
from ivtutorial.system.processes import launch


def draw_alone(folder: Path, plan: Plan) -> None:
    """This process's share of the pools; the processes meet in the files alone, and the first makes the tokenizer."""
    torch.set_num_threads(1)
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    work = Work(folder, plan, Budget(steps=1), Group())
    if rank == 0:
        ensure_tokenizer(work)
    while not (folder / TOKENIZER).exists():
        time.sleep(0.1)
    fill_all(work.files(), work.tokenizer(), rank, size)


class Drawing:
    """Draws in the background."""

    def __init__(self, folder: Path, plan: Plan, processes: int) -> None:
        """Starts.

        Args:
            folder: of the training.
            plan: what to draw.
            processes: that draw; with one, this process's own thread draws.
        """
        self.error: BaseException | None = None
        self.call = (folder, plan, processes)
        # Not waited for at the end: the processes end with this one.
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        folder, plan, processes = self.call
        try:
            launch(draw_alone, processes, folder, plan, group=False)
        except BaseException as error:  # whatever it is, it is raised where somebody waits
            self.error = error

    def check(self) -> None:
        """Nothing, while all is well.

        Raises:
            InputError, RuntimeError: drawing failed.
        """
        if self.error is not None:
            raise self.error

    def wait(self) -> None:
        """Until everything is drawn.

        Raises:
            InputError, RuntimeError: as :meth:`check`.
        """
        self.thread.join()
        self.check()

    def wait_for(self, path: Path) -> None:
        """Until a file is there.

        Raises:
            InputError, RuntimeError: as :meth:`check`, or it is not made.
        """
        while not path.exists():
            self.check()
            self.thread.join(timeout=0.1)
            if not self.thread.is_alive() and not path.exists():
                self.check()
                raise InputError(f"drawing ended without {path}")
