"""Clips that play by themselves: the frames are all there, in order, pixel for pixel."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from ivtutorial.errors import InputError
from ivtutorial.pages.film import html_film, html_reel, html_wipe
from tests.video.synthetic import moving_dot


def test_the_frames_lie_in_a_row_as_they_are() -> None:
    frames = moving_dot()
    text = html_film(frames, "a dot")
    [data] = re.findall(r"url\(data:image/webp;base64,([^)]*)\)", text)
    row = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    count, height, width = frames.shape[:3]
    assert row.shape == (height, count * width, 3)
    assert np.array_equal(np.stack(np.split(row, count, axis=1)), frames)


def test_a_film_states_what_moves_it() -> None:
    """The style sheet needs the number of frames and their shape, the script the number and the rate."""
    count, height, width = moving_dot().shape[:3]
    text = html_film(moving_dot(), "a dot", fps=4)
    assert f"--n:{count};" in text and f"--shape:{width}/{height};" in text
    assert f'data-frames="{count}" data-fps="4"' in text


def test_a_reel_has_one_button_and_one_slider_for_all_its_clips() -> None:
    text = html_reel(html_film(moving_dot(), "left") + html_film(moving_dot(), "right"))
    assert text.count("<button") == 1 and text.count('type="range"') == 1 and text.count('role="img"') == 2
    assert "controls" not in text and "<video" not in text


def test_a_smaller_picture_differs_little() -> None:
    frames = moving_dot()
    exact, small = (html_film(frames, "a dot", quality=quality) for quality in (None, 92))
    rows = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(float)
        for text in (exact, small)
        for data in re.findall(r"url\(data:image/webp;base64,([^)]*)\)", text)
    ]
    assert rows[0].shape == rows[1].shape and np.abs(rows[0] - rows[1]).mean() < 6


def test_labels_are_text() -> None:
    label = 'a "red" fox <b>& a hen</b>'
    text = html_wipe(moving_dot(), moving_dot(), label)
    assert "<b>" not in text and text.count("a &quot;red&quot; fox &lt;b&gt;&amp; a hen") == 3


def test_what_cannot_be_shown() -> None:
    with pytest.raises(InputError, match="needs a label"):
        html_film(moving_dot(), " ")
    with pytest.raises(InputError, match="wider than 16383 pixels"):
        html_film(np.zeros((81, 4, 256, 3), np.uint8), "a long clip")
    with pytest.raises(InputError, match="cannot be laid on top"):
        html_wipe(moving_dot(), moving_dot()[1:], "dots")
