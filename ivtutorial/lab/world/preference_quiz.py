"""Pairs of pictures to choose from: a quiz that needs no kernel, and its live twin.

| name             | what it is                                                                                      |
|------------------|-------------------------------------------------------------------------------------------------|
| `pair_quiz`      | HTML, alive on a built page: choose pair by pair, then see how annotators choose; gives letters |
| `PairLabels`     | a widget of ipywidgets that keeps the letters in the running kernel                             |
| `choices`        | letters such as "ABBA" to True (the first) and False (the second)                               |

A pair is anything with a `caption`, `frames` (2, H, W, 3) in [0, 1] and `utilities`, two numbers, as
:class:`ivtutorial.lab.world.annotators.Pair`.
"""

from __future__ import annotations

import html
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.pages.embed import picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from ivtutorial.lab.world.annotators import Pair

ENLARGED = 3  # screen pixels a pixel, without smoothing: blur and noise must stay visible

# Shows pair n, or after the last one all of them with the annotators' choices. `p` holds the letters so far.
_SHOW = (
    "g.dataset.picked=p;const n=p.length,q=[...g.querySelectorAll('[data-pair]')],end=n===q.length,"
    "a=JSON.parse(g.dataset.shares),on=s=>g.querySelector('[data-'+s+']');"
    "q.forEach((e,i)=>{e.style.display=end||i===n?'block':'none';"
    "e.querySelectorAll('button').forEach(b=>{b.disabled=end;"
    "b.style.borderStyle=end&&b.value!==p[i]?'dotted':'solid'});"
    "e.querySelector('output').textContent=end?"
    "'You chose '+p[i]+'. Of 100 annotators, '+a[i]+' choose A and '+(100-a[i])+' choose B.':''});"
    "on('end').style.display=end?'block':'none';"
    "on('count').textContent=end?'Done.':'Pair '+(n+1)+' of '+q.length;"
    "if(end){const c=a.filter((x,i)=>x!==50&&(x>50)===(p[i]==='A')).length,"
    "m=a.reduce((sum,x)=>sum+Math.max(x,100-x),0)/100;"
    "on('result').textContent='You side with most annotators in '+c+' of '+q.length+' pairs. A single annotator"
    " is expected to do so in '+m.toFixed(1)+'.';on('letters').textContent=p}"
    "else if(n)q[n].querySelector('button').focus({preventScroll:true})"
)
_PICK = "const g=this.closest('[data-shares]'),p=g.dataset.picked+this.value;" + _SHOW
_AGAIN = "const g=this.closest('[data-shares]'),p='';" + _SHOW
_BUTTON = "background:none;color:inherit;border:3px solid currentColor;border-radius:6px;padding:6px;cursor:pointer"


def pair_quiz(pairs: Sequence[Pair]) -> str:
    """Choose between two pictures, pair after pair, on a page without a kernel.

    At the end it shows what annotators choose, and the reader's letters, to copy into :func:`choices`.

    Args:
        pairs: at least one.

    Returns:
        HTML text with everything in it.

    Raises:
        InputError: no pairs.
    """
    if not pairs:
        raise InputError("no pairs to choose from: give at least one.")
    from ivtutorial.lab.world.annotators import preference

    shares = json.dumps([round(100 * preference(pair.utilities)) for pair in pairs])
    shown = "".join(_question(pair, k) for k, pair in enumerate(pairs))
    return (
        f'<div role="group" aria-label="Choose between two pictures" data-shares="{shares}" data-picked="">'
        f'<p><output data-count style="font-weight:bold">Pair 1 of {len(pairs)}</output></p>'
        '<div data-end style="display:none"><p><output data-result></output></p>'
        '<p>Your letters: <output data-letters style="font-weight:bold;user-select:all"></output></p>'
        f'<button type="button" style="{_BUTTON}" onclick="{html.escape(_AGAIN)}">Start again</button></div>'
        f"{shown}</div>"
    )


def _question(pair: Pair, k: int) -> str:
    caption = html.escape(pair.caption)
    buttons = "".join(
        f'<button type="button" value="{letter}" style="{_BUTTON}" onclick="{html.escape(_PICK)}">'
        f"{picture(_enlarged(frame), f'Picture {letter} for the caption: {pair.caption}')}"
        f'<span style="display:block">{letter}</span></button>'
        for letter, frame in zip("AB", pair.frames)
    )
    return (
        f'<div data-pair style="display:{"none" if k else "block"}"><p>Which fits better: <em>{caption}</em>?</p>'
        f'<div style="display:flex;flex-wrap:wrap;gap:12px">{buttons}</div><p><output></output></p></div>'
    )


def choices(letters: str, count: int) -> list[bool]:
    """Letters to choices: "A" is True, the first picture; "B" is False, the second.

    Args:
        letters: up to `count` letters A and B in the order of the pairs; small ones and spaces are fine. "" is no
            choice at all.
        count: number of pairs.

    Returns:
        A choice for each of the first pairs.

    Raises:
        InputError: another letter, or too many.

    Example:
        >>> choices("abB", 12)
        [True, False, False]
    """
    tidy = "".join(letters.split()).upper()
    if set(tidy) - set("AB") or len(tidy) > count:
        raise InputError(f"choices {letters!r}: expected at most {count} letters, A for the first, B for the second.")
    return [letter == "A" for letter in tidy]


class PairLabels:
    """Label pairs with two buttons in a notebook; `letters` holds what was chosen so far.

    Example:
        >>> labels = PairLabels(pairs)  # doctest: +SKIP
        >>> labels.widget  # doctest: +SKIP
        >>> labels.letters  # doctest: +SKIP
        'ABBA'
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        """Build the widget.

        Args:
            pairs: at least one.

        Raises:
            InputError: no pairs.
        """
        import ipywidgets  # type: ignore[import-untyped,unused-ignore]

        if not pairs:
            raise InputError("no pairs to label: give at least one.")
        self.letters, self._pairs = "", list(pairs)
        self._title = ipywidgets.HTML()
        side = f"{ENLARGED * pairs[0].frames.shape[2]}px"
        self._images = [ipywidgets.Image(format="png", layout={"width": side}) for _ in "AB"]
        self._buttons = [ipywidgets.Button(description=letter, layout={"width": side}) for letter in "AB"]
        undo = ipywidgets.Button(description="Undo")
        for button in self._buttons:
            button.on_click(lambda pressed: self.choose(pressed.description))
        undo.on_click(lambda _: self.undo())
        sides = [ipywidgets.VBox(both) for both in zip(self._images, self._buttons)]
        self.widget: Any = ipywidgets.VBox([self._title, ipywidgets.HBox(sides), undo])
        self._show()

    def choose(self, letter: str) -> None:
        """Choose for the pair that is shown: "A" or "B"; after the last pair nothing happens."""
        if len(self.letters) < len(self._pairs):
            self.letters += letter
            self._show()

    def undo(self) -> None:
        """Take the last choice back."""
        self.letters = self.letters[:-1]
        self._show()

    def _show(self) -> None:
        n, count = len(self.letters), len(self._pairs)
        for button in self._buttons:
            button.disabled = n == count
        if n == count:
            self._title.value = f"<b>Done.</b> Your letters: {self.letters}"
            return
        pair = self._pairs[n]
        self._title.value = f"<b>Pair {n + 1} of {count}.</b> Which fits better: <em>{html.escape(pair.caption)}</em>?"
        for image, frame in zip(self._images, pair.frames):
            file = io.BytesIO()
            _enlarged(frame).save(file, format="png")
            image.value = file.getvalue()


def _enlarged(frame: Any) -> Image:
    from PIL import Image

    pixels = (np.asarray(frame) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1))
