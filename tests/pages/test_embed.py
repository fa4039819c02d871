"""Media inside a page: the clip itself, and what it shows in words."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.pages.embed import html_video
from ivtutorial.video.reader import read_video
from ivtutorial.video.writer import encode_video
from tests.video.synthetic import moving_dot, write


class Tag(HTMLParser):
    """Remembers the attributes of the tags it meets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_an_embedded_video_holds_the_clip_and_says_what_it_shows(tmp_path: Path) -> None:
    label = 'a "red" fox <b>& a hen</b> 🦊'
    text = html_video(moving_dot(), label, width=256, pixelated=True)
    [(tag, attributes)] = Tag(text).seen  # the label's <b> is text, so there is one tag only
    assert tag == "video" and attributes["aria-label"] == label and attributes["width"] == "256"
    assert {"controls", "loop", "muted", "playsinline"} <= attributes.keys() and "autoplay" not in attributes
    assert "image-rendering:pixelated" in (attributes["style"] or "")
    kind, _, data = (attributes["src"] or "").partition(",")
    assert kind == "data:video/mp4;base64"
    path = write(tmp_path / "a.mp4", base64.b64decode(data))
    assert np.array_equal(read_video(path), read_video(write(path, encode_video(moving_dot()))))


def test_an_embedded_video_shows_its_own_size_and_needs_a_label() -> None:
    [(_, attributes)] = Tag(html_video(moving_dot(), "a dot", autoplay=True)).seen
    assert attributes["width"] == "64" and "autoplay" in attributes
    with pytest.raises(InputError, match="needs a label"):
        html_video(moving_dot(), "  ")
