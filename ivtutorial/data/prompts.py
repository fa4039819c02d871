"""Lists of prompts from files; in the reduced world with the facts a judge can check.

| file            | form                                                                                       |
|-----------------|--------------------------------------------------------------------------------------------|
| `.csv`, `.tsv`  | a column `prompt`; every other column is ignored (`ivtutorial.data.text.read_table`)       |
| `.json`         | a list of texts, or of objects with `prompt` and, optionally, `facts` (an object)          |
| `.jsonl`        | one such text or object a line                                                             |
| `.txt`, no name | one prompt a line; empty lines and lines that begin with # are left out                    |

All are UTF-8. A file of another kind is refused, also a table, JSON or YAML under the name .txt: read as text it would
give prompts that nobody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ivtutorial.data.captions import check_caption
from ivtutorial.data.text import DELIMITERS, bad_entries, lines, read_json, read_table, read_text
from ivtutorial.errors import InputError
from ivtutorial.system.files import data_path

Item = TypeVar("Item")
_COLUMNS = {"prompt", "prompts", "caption", "captions"}
_YAML = re.compile(r"""---$|%YAML|[-*]\s|["']?(prompt|caption)s?["']?\s*:""", re.IGNORECASE)


@dataclass(frozen=True)
class Prompt:
    """A text to generate from, and what must be seen then.

    Attributes:
        text: as `ivtutorial.data.captions.check_caption` allows.
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
    return _checked(_numbered(prompts), "the list of prompts")


def read_prompts(path: str | Path) -> list[Prompt]:
    """Prompts of a file, see the module's first lines.

    Raises:
        InputError: no such file, not UTF-8, no prompt in it, a missing column, another kind of file, or bad entries,
            all of which are named.

    Example:
        >>> read_prompts("data/prompts/in_domain.json")[0].text  # doctest: +SKIP
        'a red fox trotting through the snow'
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in ("", ".txt", ".csv", ".tsv", ".json", ".jsonl"):
        raise InputError(f"{path}: prompts are read from .txt, .csv, .tsv, .json and .jsonl; save it as one of them.")
    text = read_text(path)
    entries: list[tuple[str, Any]]
    if kind in (".csv", ".tsv"):
        rows = read_table(text, path, (("prompt",),))
        entries = [(f"line {line}", InputError(row) if isinstance(row, str) else row["prompt"]) for line, row in rows]
    elif kind == ".json":
        entries = _numbered(_array(text, path))
    elif kind == ".jsonl":
        entries = [(f"line {line}", _value(content)) for line, content in lines(text)]
    else:
        entries = [(f"line {line}", content) for line, content in lines(text) if not content.strip().startswith("#")]
        _refuse_other_forms([content for _, content in entries], path)
    return _checked(entries, str(path))


def _numbered(entries: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(f"entry {number}", entry) for number, entry in enumerate(entries, start=1)]


def _array(text: str, path: Path) -> list[Any]:
    entries = _value(text)
    if isinstance(entries, InputError):
        hint = " A file with one object a line is named .jsonl." if "is not JSON" in str(entries) else ""
        raise InputError(f"{path}: {entries}{hint}")
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of texts or of objects with 'prompt', got {type(entries).__name__}.")
    return entries


def _value(text: str) -> Any:
    """What a piece of JSON holds, or the error."""
    try:
        return read_json(text)
    except InputError as error:
        return error


def _refuse_other_forms(texts: Sequence[str], path: Path) -> None:
    """Plain text that begins as data of another form does is that form under a wrong name."""
    first = texts[0].strip() if texts else ""
    shown = repr(first[:60])
    if first[:1] in ("{", "[") and any(not _not_json(text) for text in (first, "\n".join(texts))):
        raise InputError(f"{path}: its first line is JSON, {shown}; name the file .jsonl or .json.")
    if _is_header(texts):
        raise InputError(
            f"{path}: its first line is a table's header, {shown}; name the file .csv or .tsv, and the column prompt."
        )
    if "|||" in first:
        raise InputError(f"{path}: is a list of clips (path|||caption), {shown}; give one prompt a line.")
    if _YAML.match(first) or (first.endswith(":") and texts[1:2] and _YAML.match(texts[1].strip())):
        raise InputError(f"{path}: its first line is one of YAML or of a list, {shown}; give one prompt a line, alone.")


def _not_json(text: str) -> bool:
    return "is not JSON" in str(_value(text))


def _is_header(texts: Sequence[str]) -> bool:
    """Whether the first line is names of columns: single words, one of them that of the texts.

    A line such as `neon, text, night` may be a prompt: with `text` alone the other lines must be divided as often.
    """
    for delimiter in DELIMITERS:
        names = [name.strip(" \t\"'").lower() for name in texts[0].split(delimiter)] if texts else []
        words = all(re.fullmatch(r"[\w-]*", name) for name in names)
        fits = all(line.count(delimiter) >= len(names) - 1 for line in texts[1:])
        if names[:1] == ["prompt"] or words and (_COLUMNS & set(names) or fits and "text" in names):
            return True
    return False


def shipped_prompts(name: str, count: int | None = None) -> list[Prompt]:
    """A shipped list, data/prompts/NAME.json: all of it, or `count` prompts evenly spread over it.

    Raises:
        InputError: there is no such list.

    Example:
        >>> len(shipped_prompts("demo", 8))
        8
    """
    prompts = read_prompts(data_path("prompts", f"{name}.json"))
    return prompts if count is None else spread(prompts, count)


def _checked(entries: Sequence[tuple[str, Any]], where: str) -> list[Prompt]:
    prompts, problems = [], []
    for name, entry in entries:
        try:
            prompts.append(_prompt(entry))
        except InputError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise bad_entries(where, problems, len(entries))
    if not prompts:
        raise InputError(f"{where}: no prompt in it. Give at least one, in words.")
    return prompts


def _prompt(entry: Any) -> Prompt:
    if isinstance(entry, InputError):
        raise entry
    if isinstance(entry, Prompt):
        return entry
    if isinstance(entry, Mapping):
        facts = entry.get("facts")
        if "prompt" not in entry or not (facts is None or isinstance(facts, Mapping)):
            raise InputError(f"expected 'prompt' and perhaps 'facts' (an object), got {dict(entry)!r}.")
        return Prompt(entry["prompt"], facts)
    return Prompt(entry)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """`count` items, evenly spread over the list; all of them where there are fewer.

    Example:
        >>> spread(range(10), 3)
        [0, 3, 6]
    """
    count = min(count, len(items))
    return [items[k * len(items) // count] for k in range(count)]
