"""A row inside a cell is refused whatever its file is called; a caption of several lines with commas is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivtutorial.data.clips import read_clips
from ivtutorial.data.lists import read_entries
from ivtutorial.data.prompts import read_prompts
from ivtutorial.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that are not opened here, one of a suffix that is none of a video, two without any."""
    for name in ("a.mp4", "b.mp4", "a.divx", "b.divx", "clipA", "clipB"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('video,caption\na.mp4,"a fox\nb.mp4,a whale"\n', "b.mp4,a whale"),
        ('caption,video\n"a fox,a.mp4\na whale",b.mp4\n', "a fox,a.mp4"),
        ('video,caption\na.divx,"a fox\nb.divx,a whale"\n', "b.divx,a whale"),
        ('video,caption\nclipA,"a fox\nclipB,a whale"\n', "clipB,a whale"),
        ('id;video;caption;start\n1;a.mp4;"a fox;0\n2;b.mp4;a whale";1\n', "2;b.mp4;a whale"),
        ('caption\tid\tvideo\n"a fox\t1\ta.mp4\r\na whale"\t2\tb.mp4\r\n', "a fox\t1\ta.mp4"),
        ('video,caption\na.mp4,"a fox\ngone.rmvb,a whale"\n', "gone.rmvb,a whale"),
        ('video,caption\na.mp4,"a fox\nmy gone clip.mov,a whale, asleep"\n', "my gone clip.mov,a whale, asleep"),
        ('video,note,caption\na.mp4,"one\nb.mp4,two",a whale\n', "b.mp4,two"),
        ('video,caption\na.mp4,"a fox\nb.mp4,a whale\nb.divx,a cat"\n', "b.mp4,a whale"),
    ],
)
def test_a_row_in_a_cell_is_refused_by_its_line(folder: Path, text: str, line: str) -> None:
    """Each is well-formed CSV, and one row where two were meant: no clip may have the text of both."""
    (folder / "list.csv").write_bytes(text.encode())
    [entry] = read_entries(folder / "list.csv")
    assert entry.clip is None and entry.problem.startswith("line 2: ")
    assert f"holds another row, {line!r}" in entry.problem and "a double quote is closed too late" in entry.problem


def test_the_rows_that_follow_and_the_count_of_lines_are_not_lost(folder: Path) -> None:
    (folder / "list.csv").write_text('caption,video\n"a fox,a.mp4\na cat,a.divx\na whale",b.mp4\na hen,b.divx\n')
    first, second = read_entries(folder / "list.csv")
    assert "in its 3 lines" in first.problem
    assert second.clip is not None and (second.name, second.clip.caption) == ("line 5: b.divx", "a hen")


def test_a_row_in_the_header_is_an_error(folder: Path) -> None:
    (folder / "list.csv").write_text('video,caption,"note\na.mp4,a fox,one"\nb.mp4,a whale,two\n')
    with pytest.raises(InputError, match="the header holds another row, 'a.mp4,a fox,one'"):
        read_clips(folder / "list.csv")


@pytest.mark.parametrize(
    "caption",
    [
        "a red fox, running\nin the snow, at night",
        "a fox\nred, quick",
        "fox,snow\nforest,night",
        "In summer, i.e.,\n3.5m, a whale\n2.0,1.5",
        "a fox\r\n\r\nb, mp4",
        "clipA\nis no row",
    ],
)
@pytest.mark.parametrize(
    "form", ['video,caption\na.mp4,"{}"\n', 'caption,video\n"{}",a.mp4\n', 'id,text,path\n1,"{}",a.mp4']
)
def test_a_caption_of_several_lines_with_commas_is_kept(folder: Path, form: str, caption: str) -> None:
    (folder / "list.csv").write_bytes(form.format(caption).encode())
    assert [clip.caption for clip in read_clips(folder / "list.csv")] == [caption]


def test_a_row_in_a_prompt_is_refused_and_prose_is_not(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    for text in ('prompt,id\n"a fox,1\na whale",2\n', 'id,prompt\n1,"a fox\n2,a cat\n3,a whale"\n'):
        path.write_text(text)
        with pytest.raises(InputError, match="line 2: the prompt holds another row"):
            read_prompts(path)
    for caption in ("a fox, red\nand a whale", "a fox\nred, quick", "a fox\na whale"):
        path.write_text(f'id,prompt,style\n1,"{caption}",none\n')
        assert [prompt.text for prompt in read_prompts(path)] == [caption]
