"""The table that an evaluation makes: a row a clip, its columns with their means and intervals, as files and back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import Estimate, estimate
from ivtutorial.evaluation.page import write_page
from ivtutorial.system.files import atomic_write_text

RESULT_FILE, TABLE_FILE = "evaluation.json", "scores.csv"
_NAMES = ("index", "prompt", "seed", "clip")


@dataclass(frozen=True)
class Evaluation:
    """A table of clips and what was measured of each.

    Attributes:
        rows: one a clip, ordered by prompt, then seed: index (place of the prompt), prompt, seed, clip (file name, or
            ""), and the columns that `ivtutorial.evaluation.evaluation` lists.
        settings: model, adapter, sampling, reward, as given.
    """

    rows: Sequence[dict[str, Any]]
    settings: Mapping[str, Any]

    @cached_property
    def numbers(self) -> list[str]:
        """Names of the columns that hold numbers; "reward" comes first."""
        return [name for name in self.rows[0] if name not in _NAMES]

    @property
    def keys(self) -> list[tuple[int, str, int]]:
        """(index, prompt, seed) of each clip: what makes a pair."""
        return [(row["index"], row["prompt"], row["seed"]) for row in self.rows]

    def column(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """One column as an array (N,).

        Raises:
            InputError: there is no such column.
        """
        if name not in self.numbers:
            raise InputError(f"no column {name!r}: there are {', '.join(self.numbers)}.")
        return np.array([row[name] for row in self.rows], dtype=np.float64)

    def summary(self) -> dict[str, Estimate]:
        """Mean, standard deviation and bootstrap 95 % interval of every column."""
        return {name: estimate(self.column(name).tolist()) for name in self.numbers}

    def save(self, folder: str | Path) -> None:
        """Write evaluation.json (everything), scores.csv (the table) and index.html (a page with the clips).

        Raises:
            InputError: the folder cannot be written.
        """
        summary = self.summary()
        means = {name: asdict(column) for name, column in summary.items()}
        content = {"settings": dict(self.settings), "summary": means, "rows": list(self.rows)}
        table = io.StringIO()
        writer = csv.DictWriter(table, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        atomic_write_text(Path(folder) / TABLE_FILE, table.getvalue())
        write_page(folder, self.rows, summary, self.settings)
        atomic_write_text(Path(folder) / RESULT_FILE, json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """Read what `save` wrote.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        path = Path(folder) / RESULT_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(content["rows"], content["settings"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"no readable evaluation at {path} ({error}). Give a folder that evaluate wrote."
            ) from error
