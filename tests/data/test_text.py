"""Text files are read strictly: one bad row costs one row, and nothing is cut without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivtutorial.data.text import bad_entries, csv_text, json_line, lines, read_object, read_table, read_text
from ivtutorial.errors import InputError

NEEDED = (("video", "path"), ("caption",))
SEPARATORS = "\u2028\u2029\u0085\x0b\x0c\x1c"


def table(text: str) -> list[tuple[int, dict[str, str] | str]]:
    return list(read_table(text, "list.csv", NEEDED))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_unicode_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    text = "größer 🦊\r\n狐狸\u2028x"
    data = text.encode(encoding)
    (tmp_path / "a").write_bytes(b"\xfe\xff" + data if encoding == "utf-16-be" else data)
    assert read_text(tmp_path / "a") == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("größer".encode("latin-1"), r"is not UTF-8 text \(byte 2\); save it as UTF-8"),
        ("a fox".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("a fox".encode("utf-16-be"), "UTF-16 without a byte order mark"),
        (b"\xff\xfea", "is not UTF-8"),
    ],
)
def test_other_encodings_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_text(tmp_path / "a")


def test_no_such_text(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_text(path)


def test_only_line_ends_end_a_line() -> None:
    """str.splitlines would also break at each of six other characters, which may stand in a caption."""
    text = f"a{SEPARATORS}b\r\n\n  \rc\nd"
    assert lines(text) == [(1, f"a{SEPARATORS}b"), (4, "c"), (5, "d")]


def test_a_table_keeps_what_is_in_a_cell() -> None:
    text = f'video,caption,id\na.mp4,"one, ""two""\r\nthree",7\nb.mp4,x{SEPARATORS}y\n\nc.mp4, a 5" disc ,\n'
    assert table(text) == [
        (2, {"video": "a.mp4", "caption": 'one, "two"\r\nthree', "id": "7"}),
        (4, {"video": "b.mp4", "caption": f"x{SEPARATORS}y", "id": ""}),
        (6, {"video": "c.mp4", "caption": 'a 5" disc ', "id": ""}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_header_decides_what_divides_cells(delimiter: str) -> None:
    others = "".join({",", ";", "\t"} - {delimiter})
    text = f"caption{delimiter}path\n{others}fox{delimiter}a.mp4\n"
    assert table(text) == [(2, {"caption": f"{others}fox", "path": "a.mp4"})]


def test_each_bad_row_is_reported_and_the_next_one_is_read() -> None:
    """An open quote would swallow all that follows, an unquoted comma the rest of its caption."""
    text = (
        "video,caption\n"
        'a.mp4,"a man says hello\n'
        "b.mp4,a whale, asleep\n"
        'c.mp4,"a ""cat"", asleep"\n'
        'd.mp4,"quoted" twice\n'
        "e.mp4,fine\n"
    )
    rows = table(text)
    problems = {line: row for line, row in rows if isinstance(row, str)}
    assert {line for line, _ in rows} == {2, 3, 4, 5, 6} and problems.keys() == {2, 3, 5}
    assert "never closed" in problems[2]
    assert "3 cells where the header has 2, and 'asleep' is left over" in problems[3]
    assert "written twice" in problems[5]
    assert dict(rows)[4] == {"video": "c.mp4", "caption": 'a "cat", asleep'}


def test_a_cell_without_a_name_is_not_dropped() -> None:
    [(_, row)] = table("video,caption,\na.mp4,a fox, running\n")
    assert "'running' is left over" in str(row)


def test_a_huge_open_cell_is_one_bad_row() -> None:
    rows = table('video,caption\na.mp4,"' + "x\n" * 200_000 + "b.mp4,a hen\n")
    assert "never closed" in str(rows[0][1]) and rows[-1][1] == {"video": "b.mp4", "caption": "a hen"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs the columns video,caption; it has none"),
        ("file,caption\n", "it has file,caption"),
        ("video,caption,CAPTION\n", "has the column 'caption' twice"),
        ('"video,caption\n', "needs the columns"),
    ],
)
def test_a_header_that_does_not_do(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1 is not JSON"),
        ("[1]", "line 1 is not a JSON object"),
        ("[" * 100_000, "line 1 is not JSON"),
        ('{"a": 1, "a": 2}', "line 1 has 'a' twice"),
    ],
)
def test_what_is_no_object(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_object(text, "line 1")


def test_what_is_written_is_read_back() -> None:
    """Also where a writer of Python 3.12 or older would leave a carriage return without quotes."""
    captions = ["plain", 'says "hi", 🦊', "two\nlines", "old\rmac", f"odd{SEPARATORS}ends", "a;b\tc"]
    text = csv_text([("video", "caption"), *(("a.mp4", caption) for caption in captions)])
    assert [row["caption"] for _, row in table(text) if isinstance(row, dict)] == captions


def test_a_line_of_json_holds_any_name() -> None:
    for name in ("größer", "caf\udce9.mp4", "a\u2028b"):
        line = json_line({"video": name})
        assert read_object(line.encode().decode(), "x") == {"video": name} and line.count("\n") == 1


def test_all_bad_entries_are_named() -> None:
    assert str(bad_entries("list", ["one", "two"], 5)) == "list: 2 bad of 5:\n  one\n  two"
