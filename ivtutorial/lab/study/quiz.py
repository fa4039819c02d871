"""A study on a page without a kernel: what `ivtutorial study` asks, in the same order.

The answers come back as a row of letters (L, T, R), which `keep_letters` puts into the same file.
"""

from __future__ import annotations

from pathlib import Path

from ivtutorial.errors import InputError
from ivtutorial.lab.study.pairs import QUESTIONS, Choice, Study
from ivtutorial.lab.study.server import clip_address
from ivtutorial.lab.study.session import Session
from ivtutorial.pages.page import render_page

LETTERS: dict[str, Choice] = {"L": "left", "T": "tie", "R": "right"}


def study_quiz(study: Study, rater: str = "you") -> str:
    """The questions of a study: buttons, or arrow keys once the box has the focus.

    At the end it shows who won how often, and the letters for `keep_letters`.

    Args:
        study: what is compared; a dozen pairs at most, since the page holds all clips.
        rater: whose order and sides.

    Returns:
        HTML text with everything in it.

    Raises:
        InputError: a name that cannot be used, or a clip that cannot be read.
    """
    steps = study.steps(rater)[:: len(QUESTIONS)]
    return render_page(
        "study_quiz.html",
        data={"left": [step.left for step in steps], "questions": [*QUESTIONS.values()], "about": [*QUESTIONS]},
        pairs=[
            (step.pair.prompt, list(zip(("left", "right"), map(clip_address, step.clips), strict=True)))
            for step in steps
        ],
    )


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
    opened = [k for k in range(len(tidy)) if session.steps[k].key not in session.answers]
    for k in opened:
        session.answer(k, LETTERS[tidy[k]])
    return len(opened)
