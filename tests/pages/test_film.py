"""Clips that play by themselves: the frames are all there, in order, pixel for pixel."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from ivtutorial.errors import InputError
from ivtutorial.pages.film import html_film, html_wipe
from tests.video.synthetic import moving_dot


def test_the_frames_lie_in_a_row_as_they_are() -> None:
    frames = moving_dot()
    text = html_film(frames, "a dot")
    [data] = re.findall(r"url\(data:image/webp;base64,([^)]*)\)", text)
    row = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    count, height, width = frames.shape[:3]
    assert row.shape == (height, count * width, 3)
    assert np.array_equal(np.stack(np.split(row, count, axis=1)), frames)


def test_every_frame_is_shown_equally_long() -> None:
    """F positions from 0 to 100 % of a picture F times as wide as the window are the F frames, in F / fps seconds."""
    count = len(moving_dot())
    text = html_film(moving_dot(), "a dot", fps=4)
    assert f"steps({count},jump-none)" in text and f"background-size:{100 * count}%" in text
    assert f"animation-duration:{count / 4:g}s" in text


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
