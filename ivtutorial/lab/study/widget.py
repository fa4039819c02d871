"""A study in a notebook: a widget of ipywidgets, and a twin that is alive on a page without a kernel.

Both ask what the page of `ivtutorial study` asks, in the same order, and their answers go into the same file: the
widget's at once, the twin's as a row of letters (L, T, R) that is handed to :func:`keep_letters`.
"""

from __future__ import annotations

import html
import json
import time
from pathlib import Path
from typing import Any, cast

from ivtutorial.errors import InputError
from ivtutorial.lab.study.pairs import QUESTIONS, Choice, Study
from ivtutorial.lab.study.server import data_address
from ivtutorial.lab.study.session import Session

LETTERS: dict[str, Choice] = {"L": "left", "T": "tie", "R": "right"}
_BUTTON = "background:none;color:inherit;border:2px solid currentColor;border-radius:6px;padding:6px 14px;margin:4px"

# Shows the question after the letters `p`, or behind the last one whom they prefer. d.left tells who stood where.
_SHOW = (
    "g.dataset.picked=p;const d=JSON.parse(g.dataset.study),Q=d.questions.length,n=p.length,"
    "k=Math.floor(n/Q),end=n===d.left.length*Q,on=s=>g.querySelector('[data-'+s+']');"
    "g.querySelectorAll('[data-pair]').forEach((e,i)=>{e.style.display=!end&&i===k?'block':'none';"
    "e.querySelectorAll('video').forEach(v=>{if(end||i!==k)v.pause()})});"
    "on('ask').style.display=end?'none':'block';on('end').style.display=end?'block':'none';"
    "if(!end)on('question').textContent='Pair '+(k+1)+' of '+d.left.length+': '+d.questions[n%Q][1];"
    "else{on('letters').textContent=p;on('result').textContent=d.questions.map((q,j)=>{const c={A:0,T:0,B:0};"
    "d.left.forEach((l,i)=>{const x=p[i*Q+j];c[x==='T'?'T':(x==='L')===(l==='B')?'B':'A']++});"
    "return q[0]+': B won '+c.B+', ties '+c.T+', A won '+c.A}).join('; ')+'.'}"
)
_GROUP = "const g=this.closest('[data-study]');"
_PLAY = "g.querySelectorAll('video').forEach(v=>{if(v.offsetParent){v.currentTime=0;v.play().catch(()=>{})}})"
_PICK = f"{_GROUP}const p=g.dataset.picked+this.value;{_SHOW};if(n%Q===0&&!end){{{_PLAY}}}"
_BACK = f"{_GROUP}const p=g.dataset.picked.slice(0,-1);{_SHOW}"
_KEYS = (
    "const b={ArrowLeft:'L',ArrowDown:'T',ArrowRight:'R',Backspace:'back'}[event.key],"
    "e=b&&this.querySelector('[value='+b+']');if(e&&e.offsetParent){event.preventDefault();if(!event.repeat)e.click()}"
)


def study_quiz(study: Study, rater: str = "you") -> str:
    """The questions of a study on a page without a kernel: buttons, or arrow keys once the box has the focus.

    At the end it says who won how often, and gives the letters for :func:`keep_letters`.

    Args:
        study: what is compared; a dozen pairs at most, since the page holds all clips.
        rater: whose order and sides.

    Returns:
        HTML text with everything in it.

    Raises:
        InputError: a name that cannot be used, or a clip that cannot be read.
    """
    steps = study.steps(rater)[:: len(QUESTIONS)]
    data = html.escape(json.dumps({"left": [step.left for step in steps], "questions": list(QUESTIONS.items())}))
    pairs = "".join(
        f'<div data-pair style="display:{"none" if k else "block"}"><p><em>{html.escape(step.pair.prompt)}</em></p>'
        f"{_two(step.clips)}</div>"
        for k, step in enumerate(steps)
    )
    first = html.escape(f"Pair 1 of {len(steps)}: {next(iter(QUESTIONS.values()))}")
    return (
        f'<div role="group" aria-label="A blind study" tabindex="0" data-study="{data}" data-picked="" '
        f'style="padding:8px;border:1px solid" onkeydown="{html.escape(_KEYS)}">'
        f'<p><output data-question style="font-weight:bold">{first}</output></p>'
        f"{pairs}<p>Click, or click here and use the keys &larr;, &darr;, &rarr; and Backspace.</p>"
        f"<div data-ask>{_button('L', '&larr; Left', _PICK)}{_button('T', '&darr; Tie', _PICK)}"
        f"{_button('R', 'Right &rarr;', _PICK)}{_button('play', 'Play both', _GROUP + _PLAY)}</div>"
        '<div data-end style="display:none"><p><output data-result></output></p><p>Your letters: '
        '<output data-letters style="font-weight:bold;user-select:all"></output></p></div>'
        f"{_button('back', 'Question before', _BACK)}</div>"
    )


def _button(value: str, text: str, script: str) -> str:
    return f'<button type="button" value="{value}" style="{_BUTTON}" onclick="{html.escape(script)}">{text}</button>'


def _two(clips: tuple[Path, Path]) -> str:
    videos = "".join(
        f'<video controls loop muted playsinline aria-label="The clip on the {side}" src="{data_address(clip)}" '
        'style="width:min(48%,256px);image-rendering:pixelated"></video>'
        for side, clip in zip(("left", "right"), clips)
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{videos}</div>'


def keep_letters(study: Study, path: str | Path, rater: str, letters: str) -> int:
    """Add the answers that a quiz gave as letters to the file; what was answered before stays.

    Args:
        study: the one the quiz was made from.
        path: the file of answers.
        rater: the quiz's.
        letters: L, T and R in the order of the questions; small ones and spaces are fine.

    Returns:
        Number of answers added.

    Raises:
        InputError: another letter, too many, or as for `Session`.

    Example:
        >>> keep_letters(study, "answers.csv", "you", "LTRR")  # doctest: +SKIP
        4
    """
    session, tidy = Session(study, path, rater), "".join(letters.split()).upper()
    if set(tidy) - set(LETTERS) or len(tidy) > len(session.steps):
        raise InputError(f"letters {letters!r}: expected at most {len(session.steps)} of L, T and R.")
    opened = [k for k in range(len(tidy)) if session.steps[k].key not in session.given]
    for k in opened:
        session.answer(k, LETTERS[tidy[k]])
    return len(opened)


class StudyWidget:
    """The questions of a study in a notebook with a kernel; each answer is in the file before the next comes.

    Example:
        >>> StudyWidget(study, "answers.csv", "Ada").widget  # doctest: +SKIP
    """

    def __init__(self, study: Study, path: str | Path, rater: str) -> None:
        """Begin, or go on where this rater stopped.

        Args:
            study: what is compared.
            path: the file of answers.
            rater: who answers.

        Raises:
            InputError: as for `Session`.
        """
        import ipywidgets  # type: ignore[import-untyped,unused-ignore]

        self.session = Session(study, path, rater)
        self._title, self._clips = ipywidgets.HTML(), ipywidgets.HTML()
        self._buttons = [ipywidgets.Button(description=text) for text in ("← Left", "Tie", "Right →")]
        self._back = ipywidgets.Button(description="Question before")
        for button, choice in zip(self._buttons, LETTERS.values()):
            button.on_click(lambda _, choice=choice: self.choose(choice))
        self._back.on_click(lambda _: self.back())
        row = ipywidgets.HBox([*self._buttons, self._back])
        self.widget: Any = ipywidgets.VBox([self._title, self._clips, row])
        self._show(self.session.place())

    def choose(self, choice: str) -> None:
        """Answer the question that is shown: "left", "tie" or "right"; after the last one nothing happens."""
        if self._place < len(self.session.steps):
            self.session.answer(self._place, cast(Choice, choice), time.monotonic() - self._since)
            self._show(self.session.place())

    def back(self) -> None:
        """Show the question before, to answer it anew."""
        self._show(max(0, self._place - 1))

    def _show(self, place: int) -> None:
        self._place, self._since = place, time.monotonic()
        done = place == len(self.session.steps)
        for button in self._buttons:
            button.disabled = done
        if done:
            self._title.value, self._clips.value = "<b>Done.</b> All answers are in the file.", ""
            return
        step = self.session.steps[place]
        pairs = len(self.session.study.pairs)
        self._title.value = (
            f"<b>Pair {place // len(QUESTIONS) + 1} of {pairs}: {html.escape(QUESTIONS[step.question])}</b> "
            f"<em>{html.escape(step.pair.prompt)}</em>"
        )
        shown = _two(step.clips)
        if self._clips.value != shown:
            self._clips.value = shown
