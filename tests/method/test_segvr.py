"""Eq. 6: which frames are scored."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.segvr import choose_frames
from tests.toy import seeded


@pytest.mark.parametrize(("F", "S"), [(16, 4), (16, 1), (8, 2), (9, 3), (16, 16)])
def test_eq6_one_frame_of_each_segment(F: int, S: int):
    indices = choose_frames(F, S, batch=50, generator=seeded(0))
    assert indices.shape == (50, S)
    assert torch.equal(indices // (F // S), torch.arange(S).expand(50, S))


@pytest.mark.parametrize(("F", "S"), [(17, 4), (17, 16), (81, 20), (81, 4)])
def test_with_4k_plus_1_frames_the_segments_follow_frame_0(F: int, S: int):
    """As of frames 1 .. F - 1, numbered from 0; with S = k each segment is a chunk of four."""
    indices = choose_frames(F, S, batch=50, generator=seeded(0))
    assert torch.equal(indices - 1, choose_frames(F - 1, S, batch=50, generator=seeded(0)))
    assert indices.min() >= 1 and indices.max() <= F - 1


def test_where_s_divides_f_frame_0_stays_in_its_segment():
    """Frames 0 .. 8 in three segments; one segment is the whole clip."""
    assert choose_frames(9, 3, 1, selection="first").tolist() == [[0, 3, 6]]
    assert choose_frames(17, 1, 500, seeded(0)).min() == 0
    assert choose_frames(17, 4, 1, selection="dense").tolist() == [list(range(17))]


def test_eq6_is_uniform_and_drawn_for_each_clip():
    """8000 clips, segments of 4: every frame is expected 2000 times, deviation sqrt(8000 3/16) = 39."""
    indices = choose_frames(16, 4, batch=8000, generator=seeded(0))
    assert int((indices.flatten().bincount(minlength=16) - 2000).abs().max()) < 4 * 39


def test_choice_is_seeded():
    assert torch.equal(choose_frames(16, 4, 9, seeded(1)), choose_frames(16, 4, 9, seeded(1)))
    assert not torch.equal(choose_frames(16, 4, 9, seeded(1)), choose_frames(16, 4, 9, seeded(2)))


def test_s_equal_to_f_sees_each_frame_once_whatever_the_draw():
    assert torch.equal(choose_frames(8, 8, 1, seeded(3)), torch.arange(8)[None])
    assert torch.equal(choose_frames(8, 4, 1, selection="dense"), torch.arange(8)[None])


def test_first_and_middle_by_hand():
    """16 frames in 4 segments begin at 0, 4, 8, 12; the middle frame is 4 // 2 = 2 further on."""
    assert choose_frames(16, 4, 2, selection="first").tolist() == [[0, 4, 8, 12]] * 2
    assert choose_frames(16, 4, 2, selection="middle").tolist() == [[2, 6, 10, 14]] * 2


@pytest.mark.parametrize("S", [3, 5, 32, 0, -4])
def test_segments_that_do_not_divide_the_clip_are_refused(S: int):
    with pytest.raises(InputError, match="use one of 1, 2, 4, 8, 16"):
        choose_frames(16, S, 1)


def test_segments_of_4k_plus_1_frames_that_fit_are_listed():
    with pytest.raises(InputError, match="use one of 1, 2, 4, 8, 16, 17"):
        choose_frames(17, 3, 1)
    with pytest.raises(InputError, match="use one of 1, 2, 3, 6, 9, 18"):  # 18 = 1 + 17 frames are no such clip
        choose_frames(18, 17, 1)


def test_unknown_selection_is_refused():
    with pytest.raises(InputError, match="random, first, middle, dense, attenuated"):
        choose_frames(16, 4, 1, selection="last")  # type: ignore[arg-type]
