"""Contact sheets show the frames that they are to show."""

from __future__ import annotations

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.video import sheet
from ivtutorial.video.sheet import contact_sheet
from tests.video.synthetic import numbered, numbers


def test_a_sheet_shows_the_chosen_frame_of_each_clip() -> None:
    """Cells of 32 + 4 pixels from (4, 4) on: three clips in two columns are 4 + 2 * 36 = 76 pixels high."""
    clips = [numbered(16), numbered(16) + 100, numbered(16)[:, :16]]
    sheet = np.asarray(contact_sheet(clips, columns=2, frame=3))
    assert sheet.shape == (76, 76, 3)
    assert np.array_equal(sheet[4:36, 4:36], clips[0][3])
    assert np.array_equal(sheet[4:36, 40:72], clips[1][3])
    assert np.array_equal(sheet[40:56, 4:36], clips[2][3])
    assert (sheet[40:, 40:] == 255).all()
    middle = np.asarray(contact_sheet(clips[:1]))
    assert np.array_equal(middle[4:36, 4:36], clips[0][8])


def test_a_film_strip_runs_from_the_first_frame_to_the_last() -> None:
    """4 of 16 frames, evenly: 0, 5, 10, 15; enlarged by 2, each is 64 pixels wide."""
    clip = numbered(16)
    sheet = np.asarray(contact_sheet([clip], strip=4, scale=2))
    assert sheet.shape == (64 + 8, 4 * 64 + 8, 3)
    assert numbers(np.stack([sheet[4:-4, 4 + 64 * k : 68 + 64 * k] for k in range(4)])) == [0, 5, 10, 15]


def test_titles_are_printed_below_and_cut_to_the_cell() -> None:
    """A long title may not run into the next cell: with and without it the neighbour's cell is the same."""
    clips = [numbered(2), numbered(2)]
    short = np.asarray(contact_sheet(clips, ["fox", "hen 🐔"]))
    long = np.asarray(contact_sheet(clips, ["a very long title\n" * 9, "hen 🐔"]))
    assert (short[36:, :40] != 255).any() and not np.array_equal(short[:, :40], long[:, :40])
    assert np.array_equal(short[:, 40:], long[:, 40:])


def test_a_title_on_several_lines_is_whole_and_makes_the_row_higher() -> None:
    """Three words of a cell's width take three lines of 15 pixels; two lines are cut as one is."""
    heights = {
        lines: np.asarray(contact_sheet([numbered(2)], ["horse horse horse"], lines=lines)) for lines in (1, 2, 3, 9)
    }
    assert [len(heights[lines]) - len(np.asarray(contact_sheet([numbered(2)]))) for lines in (1, 2, 3, 9)] == [
        15,
        30,
        45,
        45,
    ]
    whole = heights[3]
    assert all((whole[36 + 15 * k : 51 + 15 * k, 4:36] < 128).any() for k in range(3))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"clips": []}, "at least one clip"),
        ({"titles": ["a", "b"]}, "2 titles for 1 clips"),
        ({"frame": 16}, "no frame 16 in a clip of 16"),
        ({"columns": 0}, "columns >= 1"),
        ({"lines": 0}, "lines >= 1"),
    ],
)
def test_a_sheet_that_cannot_be_laid_out_is_refused(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        contact_sheet(**{"clips": [numbered(16)], **arguments})  # type: ignore[arg-type]


def test_a_title_of_a_books_length_is_cut_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letter by letter from its end, 100,000 letters were measured as often: prepare stood still at one caption."""
    measured: list[int] = []
    font = sheet.ImageFont.load_default(size=11)
    length = type(font).getlength

    def counted(self: object, text: str, *arguments: object) -> float:
        measured.append(len(text))
        return float(length(self, text, *arguments))

    monkeypatch.setattr(type(font), "getlength", counted)
    clip = numbered(2)
    long = contact_sheet([clip], ["very " * 20_000 + "long"])
    assert len(measured) < 100
    assert long.tobytes() == contact_sheet([clip], ["very " * 9 + "long"]).tobytes()
