"""Answers that survive a kill."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ivtutorial import cli
from ivtutorial.errors import InputError
from ivtutorial.lab.study.answers import COLUMNS, append_answers, make_answer, read_answers
from ivtutorial.lab.study.pairs import Study
from ivtutorial.lab.study.result import study_result
from ivtutorial.lab.study.session import Session
from tests.lab.study.studies import answer, many

HEADER = ",".join(COLUMNS) + "\n"


def test_an_answer_is_one_row_on_the_disk(study: Study, tmp_path: Path) -> None:
    file, session = tmp_path / "new" / "answers.csv", Session(study, tmp_path / "new" / "answers.csv", "Ada, B.")
    session.answer(0, "left", 2.345)
    [row] = read_answers(file)
    step = session.steps[0]
    assert (row.study, row.X, row.Y) == (study.identity, *study.names) and row.rater == "Ada, B."
    assert row.key == step.key and row.left == step.left == row.winner and row.choice == "left"
    assert row.seconds in (2.34, 2.35) and row.prompt == step.pair.prompt
    assert file.read_text().startswith(HEADER) and file.read_text().count("\n") == 2


def test_a_rater_goes_on_where_they_stopped(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    first = Session(study, file, "Ada")
    for place in range(4):
        first.answer(place, ("left", "tie", "right")[place % 3])
    again, other = Session(study, file, "Ada"), Session(study, file, "Ben")
    assert again.position() == 4 and other.position() == 0
    assert [again.answers[step.key] for step in again.steps[:4]] == ["left", "tie", "right", "left"]
    again.answer(4, "tie")
    again.answer(5, "tie")
    assert again.position() == len(again.steps) == 6


def test_the_last_answer_to_a_question_counts(study: Study, tmp_path: Path) -> None:
    session = Session(study, tmp_path / "answers.csv", "Ada")
    session.answer(0, "left")
    session.answer(0, "tie")
    assert [row.winner for row in read_answers(session.path)] == ["tie"]
    assert session.path.read_text().count("\n") == 3, "nothing is overwritten"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_row_at_the_end_is_passed_over_and_replaced(study: Study, tmp_path: Path, cut: int) -> None:
    """Cut anywhere in the second row: the first stays, the second is asked again, and then both are whole."""
    session = Session(study, tmp_path / "answers.csv", "Ada")
    session.answer(0, "left")
    session.answer(1, "right")
    data = session.path.read_bytes()
    session.path.write_bytes(data[:-cut])
    again = Session(study, session.path, "Ada")
    assert again.position() == 1
    again.answer(1, "tie")
    assert [row.choice for row in read_answers(session.path)] == ["left", "tie"]
    assert session.path.read_bytes().startswith(data[: data[:-1].rfind(b"\n") + 1])


@pytest.mark.parametrize("kept", [0, 1, 20, len(HEADER) - 1, len(HEADER)])
def test_half_a_header_is_no_answer_yet(study: Study, tmp_path: Path, kept: int) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(HEADER[:kept])
    assert read_answers(file) == []
    Session(study, file, "Ada").answer(0, "tie")
    assert len(read_answers(file)) == 1 and file.read_text().startswith(HEADER)


KILLED = """
import os, sys
from pathlib import Path
from ivtutorial.lab.study import answers
from ivtutorial.lab.study.pairs import open_study
from ivtutorial.lab.study.session import Session
session = Session(open_study(sys.argv[1], sys.argv[2]), sys.argv[3], "Ada")
session.answer(0, "left")
def cut(descriptor):
    os.ftruncate(descriptor, os.fstat(descriptor).st_size - 9)
    os.kill(os.getpid(), 9)
answers.os.fsync = cut
session.answer(1, "right")
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_process_that_is_killed_in_the_middle_of_a_row(study: Study, tmp_path: Path) -> None:
    """Nine bytes of the second row are missing when the signal comes, and the lock dies with the process."""
    file = tmp_path / "answers.csv"
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", KILLED, *study.names, str(file)], env=environment, timeout=60)
    assert done.returncode == -9 and not file.read_bytes().endswith(b"\n")
    again = Session(study, file, "Ada")
    assert again.position() == 1
    again.answer(1, "right")
    assert [row.choice for row in read_answers(file, study.identity)] == ["left", "right"]


def test_rows_of_several_processes_do_not_mix(study: Study, tmp_path: Path) -> None:
    """Threads that each open the file for themselves stand in for processes."""
    file, steps = tmp_path / "answers.csv", study.steps("x")

    def work(rater: str) -> None:
        for step in steps:
            append_answers(file, [make_answer(study, rater, step, "tie", 0.0)])

    threads = [threading.Thread(target=work, args=(f"r{k}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_answers(file)) == 8 * len(steps) and file.read_text().count("study,X,Y") == 1


def test_files_of_something_else_are_refused_and_left_alone(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text("my notes\nwithout a last line end")
    for use in (lambda: Session(study, file, "Ada"), lambda: append_answers(file, [answer("Ada", 0, "X")])):
        with pytest.raises(InputError, match="is not a file of answers"):
            use()
    assert file.read_text() == "my notes\nwithout a last line end"
    with pytest.raises(InputError, match="no answers at"):
        read_answers(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="was not kept: cannot write"):
        append_answers(file / "below", [answer("Ada", 0, "X")])


def test_answers_to_another_study_are_refused(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    Session(many(2), file, "Ada").answer(0, "left")
    with pytest.raises(InputError, match="answers to another study"):
        Session(study, file, "Ada")
    append_answers(file, [answer("Ben", 0, "X")])
    with pytest.raises(InputError, match="answers to another study"):
        study_result(file)


@pytest.mark.parametrize(
    "row",
    ["s,a,b,Ada,0,p,0,quality,X", "s,a,b,Ada,0,p,0,beauty,X,Y,1,t", "s,a,b,Ada,x,p,0,quality,X,Y,1,t",
     "s,a,b,Ada,0,p,0,quality,C,Y,1,t", "s,a,b,Ada,0,p,0,quality,X,Y,1,t,more", "s,a,b,,0,p,0,quality,X,Y,1,t"],
)  # fmt: skip
def test_damaged_rows_are_named(tmp_path: Path, row: str) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(f"{HEADER}{row}\n")
    with pytest.raises(InputError, match="is damaged"):
        read_answers(file)


@pytest.mark.parametrize(("place", "choice", "seconds"), [(0, "up", 0.0), (6, "tie", 0.0), (-1, "tie", 0.0),
                                                          (0, "tie", -1.0), (0, "tie", math.nan)])  # fmt: skip
def test_answers_that_cannot_be(study: Study, tmp_path: Path, place: int, choice: str, seconds: float) -> None:
    session = Session(study, tmp_path / "answers.csv", "Ada")
    with pytest.raises(InputError, match="expected"):
        session.answer(place, choice, seconds)
    assert not session.path.exists()
