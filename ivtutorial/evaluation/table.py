"""The table that an evaluation makes: a row a clip, its columns with their means and intervals, as files and back."""

from __future__ import annotations

import csv
import io
import json
import sys
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
_NAMED: tuple[tuple[str, type[int] | type[str], str], ...] = (
    ("index", int, "a whole number"), ("prompt", str, "text"), ("seed", int, "a whole number"), ("clip", str, "text"),
)  # fmt: skip
_NAMES = tuple(name for name, _, _ in _NAMED)


@dataclass(frozen=True)
class Evaluation:
    """A table of clips and what was measured of each.

    Attributes:
        rows: one a clip, ordered by prompt, then seed: index (place of the prompt), prompt, seed, clip (file name, or
            ""), and the columns that `ivtutorial.evaluation.evaluation` lists.
        settings: model, adapter, sampling, reward and judge, as given, with the fingerprints of what scored and read.
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
        return [_key(row) for row in self.rows]

    def column(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """One column as an array (N,).

        Raises:
            InputError: there is no such column.
        """
        if name not in self.numbers:
            raise InputError(f"no column {name!r}: there are {', '.join(self.numbers)}.")
        return np.array([row[name] for row in self.rows], dtype=np.float64)

    def summary(self) -> dict[str, Estimate]:
        """Mean, standard deviation and bootstrap 95 % interval of every column.

        Raises:
            InputError: a column that holds a number that is not finite.
        """
        return {name: self._estimate(name) for name in self.numbers}

    def _estimate(self, name: str) -> Estimate:
        try:
            return estimate(self.column(name).tolist())
        except InputError as error:
            raise InputError(f"column {name!r}: {error}") from error

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
            InputError: there is none, it cannot be read, or a row of it is not one that `save` writes.
        """
        path = Path(folder) / RESULT_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
            raise _unreadable(path, "expected an object with settings and rows")
        rows = content.get("rows")
        if not isinstance(rows, list) or not rows:
            raise _unreadable(path, "expected one row or more")
        first_with: dict[tuple[int, str, int], int] = {}
        for number, row in enumerate(rows, 1):
            problem = _problem(row, rows[0])
            if problem is None and (other := first_with.setdefault(_key(row), number)) != number:
                problem = f"the same prompt and seed as row {other}"
            if problem is not None:
                raise _unreadable(path, f"row {number} of {len(rows)}: {problem}")
        return cls(rows, content["settings"])


def _unreadable(path: Path, reason: object) -> InputError:
    return InputError(f"no readable evaluation at {path} ({reason}). Give a folder that evaluate wrote.")


def _key(row: Mapping[str, Any]) -> tuple[int, str, int]:
    return row["index"], row["prompt"], row["seed"]


def _problem(row: Any, first: Any) -> str | None:
    """What is wrong with a row that was read, or None; `first` is the first row, which is looked at before others."""
    if not isinstance(row, dict):
        return "expected an object"
    for name, kind, words in _NAMED:
        if not isinstance(row.get(name), kind) or isinstance(row[name], bool):
            return f"{name} is {_shown(row, name)}, expected {words}"
    if other := sorted({"reward"} - row.keys() or set(row) ^ set(first)):
        return f"no column {other[0]!r}" if other[0] not in row else f"a column {other[0]!r} that row 1 lacks"
    for name in row.keys() - set(_NAMES):
        value = row[name]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not abs(value) <= sys.float_info.max:  # so is NaN refused, and a whole number too large
            return f"{name} is {_shown(row, name)}, expected a finite number"
    return None


def _shown(row: Mapping[str, Any], name: str) -> str:
    return json.dumps(row[name])[:40] if name in row else "missing"
