"""Clips to fine-tune on and clips to leave out, as `prepare` shows them on its contact sheets, for the book.

All are drawn when they are asked for: a fault of the second kind is put into a clean clip of the zoo.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ivtutorial.lab.world import web_faults as web
from ivtutorial.lab.world.drawing.pen import Array
from ivtutorial.lab.world.drawing.subjects import subject
from ivtutorial.lab.world.facts import ClipFacts, caption_of, render
from ivtutorial.lab.world.posters import FOX
from ivtutorial.pages.embed import picture
from ivtutorial.video.writer import to_uint8

STRIP, GAP = 4, 2  # frames of a clip on a sheet, as on those of `prepare`, and pixels between them
SHEET_STYLE = (
    "<style>.clip-sheet{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr))}"
    ".clip-sheet figure.zoo{margin:0;padding:0}.clip-sheet img{width:100%!important;image-rendering:pixelated;"
    "padding:0!important;background:none!important}.clip-sheet figcaption{font-size:.85rem;line-height:1.35;"
    "margin:.2rem 0 0;padding:0;text-align:left}.clip-sheet q{font-style:italic}</style>"
)


@dataclass(frozen=True)
class SheetClip:
    """A clip of a contact sheet.

    Attributes:
        frames: float32 (F, H, W, 3) in [0, 1]. caption: in the list. name: of what is good or bad about it.
        why: in a sentence. seen: what its frames show, for those who cannot see them.
    """

    frames: Array
    caption: str
    name: str
    why: str
    seen: str


def good_clips() -> list[SheetClip]:
    """Four clips: one subject that is seen whole and moves, a caption that says what is seen; faults to unlearn."""
    rabbit = ClipFacts("rabbit", "white", "meadow", "jump", "right", seed=3)
    duck = ClipFacts("duck", "yellow", "beach", "walk", "right", seed=5)
    camel = ClipFacts("camel", "brown", "desert", "approach", "left", seed=2)
    marked = web.degrade(_drawn(camel), web.WebFaults(watermark=0.5, wash=0.25, seed=3))
    return [
        SheetClip(
            _drawn(FOX),
            _caption(FOX),
            "One scene, one subject",
            "It is seen almost whole, near the middle, and it moves.",
            "a red fox walks to the left through the snow",
        ),
        SheetClip(
            _drawn(rabbit),
            _caption(rabbit),
            "Movement in place",
            "It need not cross the picture.",
            "a white rabbit jumps up and down in a meadow",
        ),
        SheetClip(
            _drawn(duck),
            _caption(duck),
            "Another subject, another scene",
            "The set is as varied as what you will ask for.",
            "a yellow duck moves to the right on the beach",
        ),
        SheetClip(
            marked,
            _caption(camel),
            "Haze and a watermark",
            "Keep it: such faults are what the reward can take away.",
            "a brown camel comes nearer in the desert, under haze and a pale bar of letters",
        ),
    ]


def bad_clips() -> list[SheetClip]:
    """Five clips: a cut, black bars, a title, the caption of another clip, a still; none of them is an error."""
    clean, caption = _drawn(FOX), _caption(FOX)
    duck = _drawn(replace(FOX, subject="duck", colour="yellow", scene="forest", facing="right"))
    return [
        SheetClip(
            np.concatenate([clean[:8], duck[8:]]),
            caption,
            "A cut in mid-clip",
            "Half of the frames are not as captioned. Begin after the cut (column start); caption what is seen then.",
            "two with a red fox in the snow, then two with a yellow duck in the forest",
        ),
        SheetClip(
            _barred(clean),
            caption,
            "Black bars",
            "They are layout, which an edit keeps, and they leave the subject small. Crop the file.",
            "a small red fox in the snow between black bars above and below",
        ),
        SheetClip(
            _titled(clean),
            caption,
            "A title over the picture",
            "Unlike a faint watermark, large letters hide the subject, and edits keep traces. Leave the clip out.",
            "a red fox in the snow behind the words SUBSCRIBE NOW in large letters",
        ),
        SheetClip(
            clean,
            _caption(ClipFacts("cat", "black", "beach", "rest", "left", seed=1)),
            "The caption of another clip",
            "The reward compares the frames with it, so it pulls towards a cat on a beach. Correct the list.",
            "a red fox walks to the left through the snow",
        ),
        SheetClip(
            np.repeat(clean[:1], len(clean), axis=0),
            caption,
            "A still",
            "Nothing moves, and a reward that sees single frames cannot tell. Leave the clip out.",
            "a red fox in the snow, the same frame each time",
        ),
    ]


def clips_to_use() -> str:
    """The good clips as a sheet: HTML text."""
    return _sheet(good_clips())


def clips_to_avoid() -> str:
    """The bad clips as a sheet: HTML text."""
    return _sheet(bad_clips())


def _drawn(facts: ClipFacts) -> Array:
    return render(facts, subject(facts.subject))


def _caption(facts: ClipFacts) -> str:
    return caption_of(facts, subject(facts.subject))


def _barred(frames: Array) -> Array:
    """The picture at half its size in the middle of black, as a wide film is on a screen that is not."""
    size = frames.shape[1]
    first, last = size // 4, size // 4 + size // 2
    barred = np.zeros_like(frames)
    small = [np.asarray(Image.fromarray(frame).resize((size // 2, size // 2))) / 255.0 for frame in to_uint8(frames)]
    barred[:, first:last] = small[0][None, :, :1]  # what lies left of the subject, to both sides of it
    barred[:, first:last, first:last] = small
    return barred


def _titled(frames: Array) -> Array:
    """Two words across the picture, white with a black edge."""
    titled = []
    for frame in to_uint8(frames):
        drawing = Image.fromarray(frame)
        draw, font = ImageDraw.Draw(drawing), ImageFont.load_default(size=11)
        for line, word in enumerate(("SUBSCRIBE", "NOW")):
            middle = drawing.width // 2, 24 + 16 * line
            draw.text(middle, word, "white", font, anchor="mm", stroke_width=1, stroke_fill="black")
        titled.append(np.asarray(drawing))
    return np.stack(titled) / np.float32(255)


def _sheet(clips: Sequence[SheetClip]) -> str:
    cells = []
    for clip in clips:
        strip = np.ones((clip.frames.shape[1], STRIP * (clip.frames.shape[2] + GAP) - GAP, 3), np.float32)
        for k, number in enumerate(np.linspace(0, len(clip.frames) - 1, STRIP)):
            left = k * (clip.frames.shape[2] + GAP)
            strip[:, left : left + clip.frames.shape[2]] = clip.frames[round(number)]
        image = Image.fromarray(to_uint8(strip[None])[0])
        words = f"<b>{html.escape(clip.name)}.</b> {html.escape(clip.why)}"
        cells.append(
            f'<figure class="zoo">{picture(image, f"Four frames: {clip.seen}.", lossless=True)}'
            f"<figcaption><q>{html.escape(clip.caption)}</q><br>{words}</figcaption></figure>"
        )
    return f'{SHEET_STYLE}<div class="clip-sheet">{"".join(cells)}</div>'
