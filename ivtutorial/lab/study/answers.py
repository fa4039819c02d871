"""The file of answers: CSV, one row an answer, only ever added to.

| column             | meaning                                                                    |
|--------------------|----------------------------------------------------------------------------|
| `study`            | which study this is an answer to                                           |
| `X`, `Y`           | the two folders as they were named                                         |
| `rater`            | who answered                                                               |
| `index`, `prompt`, `seed` | the pair                                                            |
| `question`         | quality or alignment                                                       |
| `left`             | whose clip stood on the left, X or Y                                       |
| `winner`           | X, Y or tie                                                                |
| `seconds`          | from showing the question to the answer                                    |
| `time`             | when, UTC                                                                  |

A row is on the disk (fsync) before the next question comes. A process that is killed while it writes leaves half a
row, which readers pass over and the next answer replaces. Who changes their mind adds a row; the last one counts.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from ivtutorial.errors import InputError
from ivtutorial.lab.study.pairs import QUESTIONS, Choice, Model, Step, Study, Winner

try:
    import fcntl
except ImportError:  # Windows: one process at a time writes there
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Answer:
    """One row of the file; see the module's table."""

    study: str
    X: str
    Y: str
    rater: str
    index: int
    prompt: str
    seed: int
    question: str
    left: Model
    winner: Winner
    seconds: float
    time: str

    @property
    def key(self) -> tuple[int, int, str]:
        """(index, seed, question), as that of a `Step`."""
        return self.index, self.seed, self.question

    @property
    def choice(self) -> Choice:
        """The side that was chosen."""
        return "tie" if self.winner == "tie" else "left" if self.winner == self.left else "right"


COLUMNS = tuple(field.name for field in fields(Answer))


def make_answer(study: Study, rater: str, step: Step, choice: Choice, seconds: float) -> Answer:
    """The row for an answer that is given now."""
    pair, now = step.pair, datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Answer(
        study.identity, *study.names, rater, pair.index, " ".join(pair.prompt.split()), pair.seed, step.question,
        step.left, step.winner(choice), round(seconds, 2), now,
    )  # fmt: skip


def append_answers(path: str | Path, answers: Sequence[Answer]) -> None:
    """Add rows, and wait until they are on the disk. Several processes may do so at once.

    Args:
        path: the file; made, with its header and the folders on the way, if absent.
        answers: the rows.

    Raises:
        InputError: the file is something else, or cannot be written. Whole rows in it stay as they are.
    """
    rows = b"".join(_line([str(value) for value in asdict(answer).values()]) for answer in answers)
    try:
        with _locked(Path(path)) as file:
            whole = _whole_lines(file.read(), Path(path))
            file.seek(len(whole))
            file.truncate()
            file.write(rows if whole else _line(COLUMNS) + rows)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"the answer was not kept: cannot write {path} ({error.strerror or error}).") from error


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, 0o644), "r+b") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
        yield file


def _whole_lines(data: bytes, path: Path) -> bytes:
    """The content without half a row at its end; nothing if not even the header is whole."""
    header = _line(COLUMNS)
    if not data.startswith(header):
        if header.startswith(data):
            return b""
        raise InputError(
            f"{path} is not a file of answers: its first line is {data[:60].splitlines()[:1]}, expected "
            f"{','.join(COLUMNS)}. Give another file to --out."
        )
    return data[: data.rfind(b"\n") + 1]


def _line(values: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8")


def read_answers(path: str | Path, study: str | None = None) -> list[Answer]:
    """The answers of a file, each rater's last one to a question; half a row at the end is passed over.

    Args:
        path: the file.
        study: identity that all rows must have; None takes that of the first row.

    Returns:
        Rows in the order of the file; none if there is no file yet and a study is named.

    Raises:
        InputError: no such file, another kind of file, a damaged row, or answers to another study.
    """
    path = Path(path)
    if study is not None and not path.exists():
        return []
    try:
        text = _whole_lines(path.read_bytes(), path).decode("utf-8")
        rows = [_parsed(row) for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]
    except OSError as error:
        raise InputError(f"no answers at {path} ({error.strerror or error}). Make some: ivtutorial study.") from error
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged: {error}. Mend or remove that row.") from error
    _one_study(rows, path, study)
    return list({(row.rater, *row.key): row for row in rows}.values())


def _parsed(row: dict[str, str]) -> Answer:
    if None in row or None in row.values() or "" in (row["study"], row["rater"]):
        raise ValueError(f"a row has not {len(COLUMNS)} values: {list(row.values())}")
    if row["question"] not in QUESTIONS or row["left"] not in ("X", "Y") or row["winner"] not in ("X", "Y", "tie"):
        raise ValueError(f"question, left or winner of the row {list(row.values())}")
    numbers = {"index": int(row["index"]), "seed": int(row["seed"]), "seconds": float(row["seconds"])}
    return Answer(**{**row, **numbers})  # type: ignore[arg-type]


def _one_study(rows: list[Answer], path: Path, study: str | None) -> None:
    wanted = study or (rows[0].study if rows else None)
    other = next((row for row in rows if row.study != wanted), None)
    if other is not None:
        raise InputError(
            f"{path} holds answers to another study ({other.study}, {other.X} against {other.Y}; expected {wanted}). "
            "Clips, prompts or the number of pairs differ. Keep one file for each study."
        )
