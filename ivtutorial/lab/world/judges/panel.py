"""Two judges and the measure of artefacts as one: the columns that a table of the small world shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ivtutorial.lab.world.judges.artefacts import Artefacts, open_artefacts
from ivtutorial.lab.world.judges.judge import Judge, Verdict, open_judge
from ivtutorial.lab.world.judges.second import SecondNet
from ivtutorial.system.files import data_path

READ_BY_BOTH = ("subject", "colour", "scene", "movement")


@dataclass(frozen=True)
class Panel:
    """Who looks at a clip.

    Attributes:
        judge: the first judge, whose columns keep their names. second: one of another architecture, or None.
        artefacts: the measure of artefacts, or None.
    """

    judge: Judge
    second: Judge | None = None
    artefacts: Artefacts | None = None

    def columns(self, clips: Tensor, facts: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Tensor]:
        """What an evaluation's table shows: an `ivtutorial.evaluation.judging.ClipJudge`.

        Args:
            clips: float (N, 16, 3, 64, 64) in [0, 1].
            facts: fields of `ivtutorial.lab.world.facts.ClipFacts`, N of them; None where they are not known.

        Returns:
            The first judge's columns; with a second judge `disagreement`, the share of subject, colour, scene and
            movement in which the two read different things, and with facts `subject_2` and so on, its own readings,
            and `utility_2`; with facts and a measure of artefacts `artefact`.

        Raises:
            InputError: as `ivtutorial.lab.world.judges.judge.Judge.columns`.
        """
        first = self.judge.read(clips, facts)
        columns = first.columns()
        if self.second is not None:
            second = self.second.read(clips, facts)
            columns |= {f"{name}_2": values for name, values in second.columns().items()}
            columns["disagreement"] = disagreement(first, second)
        if self.artefacts is not None and facts is not None:
            columns["artefact"] = self.artefacts(clips, facts)
        return columns


def disagreement(a: Verdict, b: Verdict) -> Tensor:
    """Share of the readings in which two judges of the same N clips differ, (N,)."""
    differ = [
        torch.tensor([float(x != y) for x, y in zip(getattr(a, name), getattr(b, name))]) for name in READ_BY_BOTH
    ]
    return torch.stack(differ).mean(0)


def open_panel(models: str | Path = "reduced") -> Panel:
    """The shipped judges ("reduced"), or those in a folder with `judge`, and `judge_2` and `features` where they are.

    Raises:
        InputError: no judge there.
    """
    folder = data_path("models") if str(models) == "reduced" else Path(models)
    second = Judge.load(folder / "judge_2", SecondNet) if (folder / "judge_2").is_dir() else None
    artefacts = open_artefacts(folder / "features") if (folder / "features").is_dir() else None
    return Panel(open_judge(folder / "judge"), second, artefacts)
