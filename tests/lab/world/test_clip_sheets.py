"""Clips to use and clips to avoid show what is said of them."""

from __future__ import annotations

import re

import numpy as np

from ivtutorial.lab.world.clip_sheets import bad_clips, clips_to_avoid, clips_to_use, good_clips


def test_a_sheet_shows_every_clip_with_its_caption_and_says_it_in_words():
    for sheet, clips in ((clips_to_use(), good_clips()), (clips_to_avoid(), bad_clips())):
        assert re.findall(r'alt="Four frames: ([^"]+)\."', sheet) == [clip.seen for clip in clips]
        assert re.findall(r"<q>([^<]+)</q>", sheet) == [clip.caption for clip in clips]
        assert re.findall(r"<b>([^<]+)\.</b>", sheet) == [clip.name for clip in clips]


def test_the_sheets_are_small():
    assert len(clips_to_use() + clips_to_avoid()) < 300_000


def test_a_good_clip_moves_and_its_caption_has_five_words_or_more():
    """The advice of the page."""
    for clip in good_clips():
        assert np.abs(np.diff(clip.frames, axis=0)).max() > 0.2 and 5 <= len(clip.caption.split()) <= 20


def test_each_bad_clip_has_its_fault():
    cut, bars, title, caption, still = bad_clips()
    clean = good_clips()[0]
    steps = np.abs(np.diff(cut.frames, axis=0)).mean(axis=(1, 2, 3))
    assert steps.argmax() == 7 and steps[7] > 2 * np.delete(steps, 7).max()
    assert bars.frames[:, :16].max() == bars.frames[:, -16:].max() == 0
    assert bars.frames[:, 16:48].max(axis=-1).min() > 0.05
    changed = np.abs(title.frames - clean.frames).max(axis=(0, 3)) > 0.1
    assert 0.05 < changed.mean() < 0.5, "letters over the middle"
    assert np.array_equal(caption.frames, clean.frames) and caption.caption != clean.caption
    assert np.ptp(still.frames, axis=0).max() == 0
