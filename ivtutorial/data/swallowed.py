"""A row inside a cell: what a CSV file holds where a double quote is closed in a later row than it should be.

`a.mp4,"a fox` and `b.mp4,a whale"` are two rows with a slip, and well-formed CSV: one row, whose caption has two lines.
The clip of one would be trained on with the text of both. But a caption may have several lines, and commas in them,
so the cells that such lines would have decide:

| table   | a line in a cell is another row if                                                                    |
|---------|-------------------------------------------------------------------------------------------------------|
| clips   | what would stand in a column of file names is one: it has the suffix of a video, or there is such a   |
|         | file, or it looks like any file's name and the line has just as many cells as a row would             |
| prompts | all lines of the cell have just as many cells as rows would, without a space after any comma          |

In the first line of a cell its row goes on, in the last one it begins. A table of one column has no such signs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

IsFile = Callable[[str, bool], bool]
LINE_END = re.compile(r"\r\n|\n|\r")
_FILE_NAME = re.compile(r"\S+\.[a-z][a-z0-9]{1,4}", re.IGNORECASE)


def names_video(root: Path, video_suffixes: Collection[str]) -> IsFile:
    """The rule for lists of clips, see the module's first lines.

    Args:
        root: folder that names are relative to.
        video_suffixes: of files that are videos.

    Returns:
        Whether a text is the name of a video, given also whether its line has as many cells as a row.
    """

    def is_video(text: str, fits: bool) -> bool:
        name = text.strip(" \"'")
        suffix = Path(name).suffix.lower()
        if suffix in video_suffixes or (suffix or fits) and name and os.path.isfile(root / name):
            return True
        return fits and _FILE_NAME.fullmatch(name) is not None

    return is_video


def swallowed_row(
    cells: Sequence[str], columns: int, delimiter: str, files: Collection[int], is_file: IsFile | None
) -> tuple[int, str] | None:
    """Where a row of a table holds another one.

    Args:
        cells: of the row.
        columns: of the table.
        delimiter: between cells.
        files: the columns that hold names of files; these cells are not searched, for a name may have several lines.
        is_file: says what is such a name, see `names_video`; None in a table of prompts.

    Returns:
        The column, and the line in its cell that is another row; None if there is none.
    """
    for column, cell in enumerate(cells):
        lines = LINE_END.split(cell)
        if len(lines) == 1 or (is_file is not None and column in files):
            continue
        inner = [line.split(delimiter) for line in lines]
        offsets = [column] + [0] * (len(lines) - 1)
        fits = [offset + len(parts) == columns for offset, parts in zip(offsets, inner)]
        fits[-1] = len(inner[-1]) == column + 1
        if is_file is None:
            if columns > 1 and all(fits) and not re.search(rf"{re.escape(delimiter)}\s", cell):
                return column, next(line for line in lines if delimiter in line)
            continue
        for line, parts, offset, fit in zip(lines, inner, offsets, fits):
            if any(0 <= k - offset < len(parts) and is_file(parts[k - offset], fit) for k in files):
                return column, line
    return None
