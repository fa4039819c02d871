"""Text files that people and programs write: Unicode, lines, tables, JSON. Read strictly: what is unclear is an error.

| function       | what it does                                                                             |
|----------------|------------------------------------------------------------------------------------------|
| `read_text`    | a file as text: UTF-8, with or without a byte order mark, or UTF-16 with one              |
| `lines`        | its lines; only \\n, \\r and \\r\\n end one, for a caption may hold other line separators |
| `read_table`   | rows of a CSV file, divided by comma, semicolon or tab; each bad row has its reason      |
| `read_json`    | one value of JSON; `read_object`: one object                                             |
| `csv_text`     | rows as CSV that `read_table` reads back                                                 |
| `json_line`    | a row as a line of JSON                                                                  |
| `bad_entries`  | the error that names every bad entry at once                                             |
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ivtutorial.data.swallowed import LINE_END, IsFile, swallowed_row
from ivtutorial.errors import InputError

Cells = dict[str, str]
DELIMITERS = (",", ";", "\t")


def read_text(file: str | Path) -> str:
    """The text of a file, without a byte order mark, which spreadsheets write.

    Raises:
        InputError: no such file, or not UTF-8 text.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}.") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    if data[1:2] + data[3:4] == b"\0\0" or data[:1] + data[2:3] == b"\0\0":
        raise InputError(f"{file}: is UTF-16 without a byte order mark; save it as UTF-8.")
    return text


def lines(text: str) -> list[tuple[int, str]]:
    """(number, line) of each line with something on it; numbers count all lines, from 1."""
    numbered = enumerate(LINE_END.split(text), start=1)
    return [(number, line) for number, line in numbered if line.strip()]


def read_table(
    text: str, file: str | Path, needed: Sequence[Sequence[str]], is_file: IsFile | None = None
) -> Iterator[tuple[int, Cells | str]]:
    """Rows of a CSV file whose first row names the columns.

    The header decides what divides cells: the first of comma, semicolon and tab with which it holds the needed columns.
    Names are compared without case and space at their ends. A cell that is missing at the end of a row is empty. A row
    that is not well formed does not spoil the next line. A row with another one in a cell is refused
    (`ivtutorial.data.swallowed`).

    Args:
        text: of the file.
        file: for the error message.
        needed: groups of names; one of each group must be a column.
        is_file: what a column of the first group holds are names of files; says whether a text is one.

    Yields:
        (line, cells by name), or (line, what is wrong with this row).

    Raises:
        InputError: a column is missing, or is there twice, or the header holds a row.
    """
    physical = io.StringIO(text, newline="").readlines()
    delimiter, names = _header(physical, file, needed, is_file)
    rows = _records(physical, delimiter)
    next(rows, None)
    for line, cells in rows:
        if isinstance(cells, str):
            yield line, cells
            continue
        if problem := _swallowed(cells, names, names, delimiter, needed[0], is_file):
            yield line, problem
            continue
        nameless = [cell for k, cell in enumerate(cells) if cell.strip() and (k >= len(names) or not names[k])]
        if nameless:
            count = f"{len(cells)} cells where the header has {len(names)}, and {nameless[0]!r} is left over"
            yield line, f"{count}: a cell that holds {_word(delimiter)} stands in double quotes."
        elif any(cell.strip() for cell in cells):
            yield line, dict(zip(names, cells + [""] * (len(names) - len(cells))))


def read_json(text: str) -> Any:
    """A value of JSON.

    Raises:
        InputError: not JSON, or a name that is twice in an object; the message is the end of a sentence.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON ({error}).") from error


def read_object(text: str, where: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: not JSON, not an object, or a name that is in it twice.
    """
    try:
        value = read_json(text)
    except InputError as error:
        raise InputError(f"{where} {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{where} is not a JSON object.")
    return value


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, ended by \\n; in a row with a \\r every cell is quoted, for older writers leave it bare."""
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoted if any("\r" in str(cell) for cell in row) else plain).writerow(row)
    return text.getvalue()


def json_line(row: Mapping[str, Any]) -> str:
    """One line of JSON, in plain Unicode unless a file name in it is not (see `ivtutorial.data.places.printable`)."""
    line = json.dumps(row, ensure_ascii=False)
    is_unicode = not any("\ud800" <= character <= "\udfff" for character in line)
    return (line if is_unicode else json.dumps(row)) + "\n"


def bad_entries(where: str, problems: Sequence[str], total: int) -> InputError:
    """The error that names every bad entry at once."""
    listed = "\n  ".join(problems)
    return InputError(f"{where}: {len(problems)} bad of {total}:\n  {listed}")


def _header(
    physical: Sequence[str], file: str | Path, needed: Sequence[Sequence[str]], is_file: IsFile | None
) -> tuple[str, list[str]]:
    for delimiter in DELIMITERS:
        _, cells = next(_records(physical, delimiter), (0, []))
        names = [name.strip().lower() for name in cells] if isinstance(cells, list) else []
        if all(set(group) & set(names) for group in needed):
            twice = sorted({name for name in names if name and names.count(name) > 1})
            if twice:
                raise InputError(f"{file}: has the column {twice[0]!r} twice; keep one.")
            if problem := _swallowed(names, names, ["header"] * len(names), delimiter, needed[0], is_file):
                raise InputError(f"{file}: {problem}")
            return delimiter, names
    wanted = ",".join(group[0] for group in needed)
    first = next((line.strip() for line in physical if line.strip()), "")
    bars = " Bars divide no cells: commas, semicolons and tabs do." if "|" in first else ""
    raise InputError(f"{file}: needs the columns {wanted}; it has {first[:80] or 'none'}.{bars}")


def _swallowed(
    cells: Sequence[str],
    names: Sequence[str],
    shown: Sequence[str],
    delimiter: str,
    of_files: Sequence[str],
    is_file: IsFile | None,
) -> str:
    """What is wrong with a row that holds another one in a cell, with the cells' names as they are shown; else ""."""
    files = [k for k, name in enumerate(names) if name in of_files]
    found = swallowed_row(cells, len(names), delimiter, files, is_file)
    if found is None:
        return ""
    column, line = found
    name = shown[column] if column < len(shown) and shown[column] else "cell"
    return (
        f"the {name} holds another row, {line.strip()[:60]!r}, in its {len(LINE_END.split(cells[column]))} lines: a "
        f"double quote is closed too late. Close it in its own row; if all of this is the {name}, write it on one line."
    )


def _records(physical: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """(number of its first line, cells or what is wrong) of each row; after a bad one it goes on at the next line."""
    begin = 0
    while begin < len(physical):
        reader = csv.reader(islice(physical, begin, None), delimiter=delimiter, skipinitialspace=True, strict=True)
        done = 0
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield begin + done + 1, cells
                done = reader.line_num
            return
        except csv.Error as error:
            yield begin + done + 1, f"{_reason(error)}."
            begin += done + 1


def _reason(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text or "field larger" in text:
        return "a double quote opens a cell and is never closed"
    if "expected after" in text:
        return "a double quote inside a quoted cell is written twice, or the quote before it is never closed"
    return f"is not CSV ({text})"


def _word(delimiter: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab"}[delimiter]


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"has {twice!r} twice; keep one.")
    return dict(pairs)
