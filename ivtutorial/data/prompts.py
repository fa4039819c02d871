"""Lists of prompts from files: plain text, CSV or JSON; in the reduced world with the facts a judge can check.

| file    | form                                                                                   |
|---------|----------------------------------------------------------------------------------------|
| `.csv`  | a column `prompt`; every other column is ignored                                       |
| `.json` | a list of texts, or of objects with `prompt` and, optionally, `facts` (an object)      |
| other   | UTF-8 text, one prompt a line; empty lines and lines that begin with # are left out    |
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ivtutorial.data.clips import check_caption
from ivtutorial.errors import InputError


@dataclass(frozen=True)
class Prompt:
    """A text to generate from, and what must be seen then.

    Attributes:
        text: as `ivtutorial.data.clips.check_caption` allows.
        facts: fields of `ivtutorial.lab.world.facts.ClipFacts`, where the truth is known.

    Raises:
        InputError: the text is not one.
    """

    text: str
    facts: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", check_caption(self.text))


def as_prompts(prompts: str | Path | Sequence[str | Prompt]) -> list[Prompt]:
    """Prompts from a file, or from texts.

    Args:
        prompts: a file for `read_prompts` (a single text is not taken for one prompt), or a list.

    Raises:
        InputError: an empty list, or an entry that is not text; all bad entries are named.
    """
    if isinstance(prompts, (str, Path)):
        return read_prompts(prompts)
    return _checked(list(prompts), "the list of prompts")


def read_prompts(path: str | Path) -> list[Prompt]:
    """Prompts of a file, see the module's first lines.

    Raises:
        InputError: no such file, not UTF-8, no prompt in it, a missing column, or bad entries, all of which are named.

    Example:
        >>> read_prompts("data/prompts/in_domain.json")[0].text  # doctest: +SKIP
        'a red fox trotting through the snow'
    """
    path = Path(path)
    text = _read(path)
    readers = {".csv": _from_csv, ".json": _from_json}
    read = readers.get(path.suffix.lower(), _from_lines)
    return _checked(read(text, path), str(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start}). Give a text, CSV or JSON file.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}). Give a file with prompts.") from error


def _from_lines(text: str, path: Path) -> list[Any]:
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _from_csv(text: str, path: Path) -> list[Any]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or []]
    if "prompt" not in names:
        raise InputError(f"{path}: needs a column 'prompt', it has {', '.join(names) or 'none'}.")
    reader.fieldnames = names
    return [row["prompt"] for row in reader]


def _from_json(text: str, path: Path) -> list[Any]:
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}).") from error
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of texts or of objects with 'prompt', got {type(rows).__name__}.")
    return rows


def _checked(entries: list[Any], where: str) -> list[Prompt]:
    found, problems = [], []
    for number, entry in enumerate(entries, start=1):
        try:
            found.append(_prompt(entry))
        except InputError as error:
            problems.append(f"entry {number}: {error}")
    if problems:
        listed = "\n  ".join(problems)
        raise InputError(f"{where}: {len(problems)} bad of {len(entries)}:\n  {listed}")
    if not found:
        raise InputError(f"{where}: no prompt in it. Give at least one, in words.")
    return found


def _prompt(entry: Any) -> Prompt:
    if isinstance(entry, Prompt):
        return entry
    if isinstance(entry, Mapping):
        facts = entry.get("facts")
        if "prompt" not in entry or not (facts is None or isinstance(facts, Mapping)):
            raise InputError(f"expected 'prompt' and perhaps 'facts' (an object), got {dict(entry)!r}.")
        return Prompt(entry["prompt"], facts)
    return Prompt(entry)
