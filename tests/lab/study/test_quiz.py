"""A study on a page without a kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.study.answers import read_answers
from ivtutorial.lab.study.pairs import QUESTIONS, Study
from ivtutorial.lab.study.quiz import LETTERS, keep_letters, study_quiz

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def test_letters_of_the_quiz_are_kept_once(study: Study, tmp_path: Path) -> None:
    file, steps = tmp_path / "answers.csv", study.steps("you")
    assert keep_letters(study, file, "you", "lT r") == 3 and keep_letters(study, file, "you", "LTRT") == 1
    rows = {row.key: row.choice for row in read_answers(file)}
    assert [rows[step.key] for step in steps[:4]] == ["left", "tie", "right", "tie"]
    for letters in ("LX", "LTRLTRL"):
        with pytest.raises(InputError, match="at most 6 of L, T and R"):
            keep_letters(study, file, "you", letters)


def test_the_quiz_needs_no_other_file_and_names_no_folder(study: Study) -> None:
    page = study_quiz(study)
    assert page.count("<video") == 6 and "<script" not in page and "http" not in page
    assert str(study.pairs[0].a.parent) not in page and "tuned" not in page


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to press keys in")
def test_the_quiz_counts_in_a_browser(study: Study, tmp_path: Path) -> None:
    """L, T, then back and R, and so on; Y won quality where the side chosen was Y's."""
    letters = "LTRLTR"
    press = "for(const v of ['L','T','back',...'TRLTR'])document.querySelector(`button[value=${v}]`).click()"
    file = tmp_path / "quiz.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{study_quiz(study)}<script>{press}</script>")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    count = {q: dict.fromkeys(("Y", "tie", "X"), 0) for q in QUESTIONS}
    for step, letter in zip(study.steps("you"), letters):
        count[step.question][step.winner(LETTERS[letter])] += 1
    message = "; ".join(f"{q}: Y won {c['Y']}, ties {c['tie']}, X won {c['X']}" for q, c in count.items())
    assert f">{message}.</output>" in dom and f">{letters}</output>" in dom
