"""The study with people: blind and balanced pairs, answers that survive a kill, statistics with known answers."""

from __future__ import annotations

import http.client
import json
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ivtutorial import cli
from ivtutorial.errors import InputError
from ivtutorial.lab.study.answers import COLUMNS, Answer, append_answers, make_answer, read_answers
from ivtutorial.lab.study.page import PAGE
from ivtutorial.lab.study.pairs import QUESTIONS, ClipPair, Step, Study, open_study, rater_name
from ivtutorial.lab.study.result import krippendorff_alpha, raw_agreement, study_result
from ivtutorial.lab.study.server import StudyServer
from ivtutorial.lab.study.session import Session
from ivtutorial.lab.study.simulated import choice_shares, simulate
from ivtutorial.lab.study.widget import LETTERS, StudyWidget, keep_letters, study_quiz

HEADER = ",".join(COLUMNS) + "\n"


def folder(path: Path, prompts: int = 3, seeds: tuple[int, ...] = (0,), clip: bytes | None = None) -> Path:
    """An evaluation folder whose clips are a few bytes, different in every folder."""
    (path / "clips").mkdir(parents=True)
    rows = []
    for index in range(prompts):
        for seed in seeds:
            name = f"clips/{index:04d}-{seed}.mp4"
            (path / name).write_bytes(clip or f"{path.name} {index} {seed}".encode())
            rows.append({"index": index, "prompt": f"fox number {index}", "seed": seed, "clip": name, "reward": 0.0})
    (path / "evaluation.json").write_text(json.dumps({"settings": {}, "rows": rows}))
    return path


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(folder(tmp_path / "untuned"), folder(tmp_path / "tuned"))


def many(count: int) -> Study:
    """A study without files, for statistics."""
    return Study([ClipPair(k, f"prompt {k}", 0, Path("a"), Path("b")) for k in range(count)], ("a", "b"), "many")


def answer(rater: str, index: int, winner: str, question: str = "quality", left: str = "A", seed: int = 0) -> Answer:
    return Answer("s", "a", "b", rater, index, "p", seed, question, left, winner, 1.0, "t")  # type: ignore[arg-type]


# --- pairs ----------------------------------------------------------------------------------------


def test_pairs_are_the_clips_of_the_same_prompt_and_seed(tmp_path: Path) -> None:
    study = open_study(folder(tmp_path / "a", 2, (5, 3)), folder(tmp_path / "b", 2, (5, 3)))
    assert [(pair.index, pair.seed) for pair in study.pairs] == [(0, 3), (0, 5), (1, 3), (1, 5)]
    assert [pair.a.read_text() for pair in study.pairs[:2]] == ["a 0 3", "a 0 5"]
    assert study.pairs[3].b.read_text() == "b 1 5"


def test_half_of_the_pairs_have_a_on_the_left() -> None:
    """8 pairs: 4 and 4 for everybody. 7 pairs: 3 and 4, or 4 and 3. Each place has either side for some rater."""
    raters = [f"rater {k}" for k in range(20)]
    for count in (8, 7):
        orders = [many(count).steps(rater)[:: len(QUESTIONS)] for rater in raters]
        lefts = [[step.left for step in order] for order in orders]
        assert {left.count("A") for left in lefts} == ({4} if count == 8 else {3, 4})
        assert all({left[place] for left in lefts} == {"A", "B"} for place in range(count))


def test_each_rater_has_an_order_of_their_own_that_does_not_change() -> None:
    study = many(10)
    ada, ben = study.steps("Ada"), study.steps("Ben")
    assert ada == study.steps("  Ada ") and ada != ben
    assert [s.key for s in ada] != [s.key for s in ben]
    assert sorted(s.key for s in ada) == sorted(s.key for s in ben) and len(ada) == 20
    assert all(one.pair == two.pair and one.left == two.left for one, two in zip(ada[::2], ada[1::2]))


def test_the_winner_by_hand() -> None:
    pair = ClipPair(0, "p", 0, Path("a"), Path("b"))
    for left, clips in (("A", ("a", "b")), ("B", ("b", "a"))):
        step = Step(pair, left, "quality")  # type: ignore[arg-type]
        assert tuple(map(str, step.clips)) == clips
        other = "B" if left == "A" else "A"
        assert [step.winner(c) for c in ("left", "tie", "right")] == [left, "tie", other]  # type: ignore[arg-type]


def test_some_of_the_pairs(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", 9), folder(tmp_path / "b", 9)
    some = open_study(a, b, count=4, seed=1)
    assert len(some.pairs) == 4 and some == open_study(a, b, count=4, seed=1)
    assert some.identity != open_study(a, b, count=4, seed=3).identity
    for count in (0, 10):
        with pytest.raises(InputError, match=f"{count} pairs asked for: the two folders share 9"):
            open_study(a, b, count=count)


def test_a_changed_clip_is_another_study(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a"), folder(tmp_path / "b")
    before = open_study(a, b).identity
    (b / "clips" / "0001-0.mp4").write_bytes(b"other")
    assert open_study(a, b).identity != before


def test_folders_that_make_no_study_are_refused(tmp_path: Path) -> None:
    a, fewer, noisy = folder(tmp_path / "a"), folder(tmp_path / "fewer", 2), folder(tmp_path / "noisy", seeds=(1,))
    with pytest.raises(InputError, match=r"only .*a has prompt 2 \('fox number 2'\) with seed 0"):
        open_study(a, fewer)
    with pytest.raises(InputError, match="do not hold the same prompts and seeds"):
        open_study(a, noisy)
    with pytest.raises(InputError, match="twice"):
        open_study(a, a)
    with pytest.raises(InputError, match="no readable evaluation"):
        open_study(a, tmp_path / "nothing")
    (fewer / "clips" / "0001-0.mp4").unlink()
    with pytest.raises(InputError, match="lacks .*0001-0.mp4"):
        open_study(fewer, a)
    rows = {"rows": [{"index": 0, "prompt": "p", "seed": 0, "clip": ""}]}
    (fewer / "evaluation.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match="written without clips"):
        open_study(a, fewer)


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "a\0b"])
def test_names_of_raters(name: str) -> None:
    with pytest.raises(InputError, match="as the name of a rater"):
        rater_name(name)
    assert rater_name(" Zoë  Q. ") == "Zoë Q."


# --- answers --------------------------------------------------------------------------------------


def test_an_answer_is_one_row_on_the_disk(study: Study, tmp_path: Path) -> None:
    file, session = tmp_path / "new" / "answers.csv", Session(study, tmp_path / "new" / "answers.csv", "Ada, B.")
    session.answer(0, "left", 2.345)
    [row] = read_answers(file)
    step = session.steps[0]
    assert (row.study, row.A, row.B) == (study.identity, *study.names) and row.rater == "Ada, B."
    assert row.key == step.key and row.left == step.left == row.winner and row.choice == "left"
    assert row.seconds in (2.34, 2.35) and row.prompt == step.pair.prompt
    assert file.read_text().startswith(HEADER) and file.read_text().count("\n") == 2


def test_a_rater_goes_on_where_they_stopped(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    first = Session(study, file, "Ada")
    for place in range(4):
        first.answer(place, ("left", "tie", "right")[place % 3])
    again, other = Session(study, file, "Ada"), Session(study, file, "Ben")
    assert again.place() == 4 and other.place() == 0
    assert [again.given[step.key] for step in again.steps[:4]] == ["left", "tie", "right", "left"]
    again.answer(4, "tie")
    again.answer(5, "tie")
    assert again.place() == len(again.steps) == 6


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
    assert again.place() == 1
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
    assert again.place() == 1
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
    assert len(read_answers(file)) == 8 * len(steps) and file.read_text().count("study,A,B") == 1


def test_files_of_something_else_are_refused_and_left_alone(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text("my notes\nwithout a last line end")
    for use in (lambda: Session(study, file, "Ada"), lambda: append_answers(file, [answer("Ada", 0, "A")])):
        with pytest.raises(InputError, match="is not a file of answers"):
            use()
    assert file.read_text() == "my notes\nwithout a last line end"
    with pytest.raises(InputError, match="no answers at"):
        read_answers(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="was not kept: cannot write"):
        append_answers(file / "below", [answer("Ada", 0, "A")])


def test_answers_to_another_study_are_refused(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    Session(many(2), file, "Ada").answer(0, "left")
    with pytest.raises(InputError, match="answers to another study"):
        Session(study, file, "Ada")
    append_answers(file, [answer("Ben", 0, "A")])
    with pytest.raises(InputError, match="answers to another study"):
        study_result(file)


@pytest.mark.parametrize(
    "row",
    ["s,a,b,Ada,0,p,0,quality,A", "s,a,b,Ada,0,p,0,beauty,A,B,1,t", "s,a,b,Ada,x,p,0,quality,A,B,1,t",
     "s,a,b,Ada,0,p,0,quality,C,B,1,t", "s,a,b,Ada,0,p,0,quality,A,B,1,t,more", "s,a,b,,0,p,0,quality,A,B,1,t"],
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


# --- result ---------------------------------------------------------------------------------------


def test_wins_ties_and_losses_by_hand() -> None:
    """Prompt 0: B, B. Prompt 1: B, tie. Prompt 2: A, tie. Prompt 3: tie, tie.

    Shares of B by prompt are 1, 1/2, 0, 0: mean 3/8. Ties 0, 1/2, 1/2, 1: 1/2. A 0, 0, 1/2, 0: 1/8. Net 3/8 - 1/8 =
    1/4. Two raters agree in prompts 0 and 3 of 4.
    """
    winners = {0: "BB", 1: ("B", "tie"), 2: ("A", "tie"), 3: ("tie", "tie")}
    rows = [answer(rater, index, w) for index, both in winners.items() for rater, w in zip("xy", both)]
    found = study_result(rows).questions
    one = found["quality"]
    assert list(found) == ["quality"]
    assert (one.win.mean, one.tie.mean, one.loss.mean, one.net.mean) == (3 / 8, 1 / 2, 1 / 8, 1 / 4)
    assert (one.answers, one.raters, one.prompts, one.same) == (8, 2, 4, 0.5)
    assert one.win.low == 0.0 and 0.75 <= one.win.high <= 1 and one.net.low < 0 < one.net.high


def test_seeds_of_one_prompt_count_as_one_prompt() -> None:
    """Ten clips of prompt 0 that B wins and one of prompt 1 that A wins: each prompt weighs one half."""
    rows = [answer("x", 0, "B", seed=k) for k in range(10)] + [answer("x", 1, "A")]
    one = study_result(rows).questions["quality"]
    assert one.win.mean == one.loss.mean == 0.5 and one.prompts == 2 and one.net.mean == 0


def test_a_share_of_none_or_all_has_the_exact_interval() -> None:
    """0 of 10: the largest p with (1 - p)^10 = 0.025 is 0.3085, Clopper and Pearson's bound; all of 10 mirrors it."""
    one = study_result([answer("x", k, "B") for k in range(10)]).questions["quality"]
    assert one.win.mean == 1 and one.win.low == pytest.approx(1 - 0.3085, abs=1e-4) and one.win.high == 1
    assert one.loss.low == 0 and one.loss.high == pytest.approx(0.3085, abs=1e-4)
    assert one.net.low == pytest.approx(1 - 2 * 0.3085, abs=2e-4) and one.net.high == 1
    ties = study_result([answer("x", k, "tie") for k in range(10)]).questions["quality"]
    assert ties.left is None and ties.net.low == pytest.approx(-0.3085, abs=1e-4) == -ties.net.high


def test_krippendorffs_alpha_by_hand() -> None:
    """Units AA, AB, BB, and C rated once, which does not count. n = 6 values, 3 A and 3 B.

    Observed disagreement: only AB, 1 * 1 / 1 for A and for B: 2. Expected: (3 * 3 + 3 * 3) / 5 = 3.6.
    alpha = 1 - 2 / 3.6 = 4 / 9.
    """
    assert krippendorff_alpha(["AA", "AB", "BB", "C"]) == pytest.approx(4 / 9)
    assert raw_agreement(["AA", "AB", "BB", "C"]) == pytest.approx(2 / 3)
    assert raw_agreement(["AAB"]) == pytest.approx(1 / 3)


def test_krippendorffs_own_example() -> None:
    """His text's data with gaps ("Computing Krippendorff's Alpha-Reliability", 2011, C): 4 observers, alpha 0.743."""
    told = ["1.2.3.3.2.1.4.1.2.*.*.*", "1.2.3.3.2.2.4.1.2.5.*.3", "*.3.3.3.2.3.4.2.2.5.1.*", "1.2.3.3.2.4.4.1.2.5.1.*"]
    units = [[v for v in unit if v != "*"] for unit in zip(*(row.split(".") for row in told))]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_chance_is_near_zero_and_of_nothing_is_none() -> None:
    """Independent raters: alpha scatters around 0 by about 1 / sqrt(500)."""
    study = many(500)
    import random

    draw = random.Random(0)
    units = [[draw.choice("AB"), draw.choice("AB")] for _ in study.pairs]
    assert abs(krippendorff_alpha(units) or 1) < 0.15
    assert krippendorff_alpha(["AA", "AA"]) is None and krippendorff_alpha(["A"]) is None
    assert raw_agreement(["A", "B"]) is None


# --- simulated raters -----------------------------------------------------------------------------


def test_choices_by_hand() -> None:
    """Lead 2 ln 3, ties 2: 3 : 2 : 1/3 = 9 : 6 : 1 of 16."""
    found = choice_shares(2 * math.log(3), ties=2.0)
    assert [found[c] for c in ("left", "tie", "right")] == pytest.approx([9 / 16, 6 / 16, 1 / 16])  # type: ignore[index]


def test_a_known_preference_is_found_within_its_interval(tmp_path: Path) -> None:
    """Quality: lead 1.5 of B. Alignment: none. 150 prompts, three raters; the truth is `choice_shares`."""
    study, file = many(150), tmp_path / "answers.csv"
    for rater in ("x", "y", "z"):
        assert simulate(study, file, rater, lambda step: 1.5 if step.question == "quality" else 0.0) == 300
    found = study_result(file).questions
    truth = choice_shares(1.5)
    for share, name in (
        (found["quality"].win, "left"),
        (found["quality"].tie, "tie"),
        (found["quality"].loss, "right"),
    ):
        assert share.low <= truth[name] <= share.high  # type: ignore[index]
    assert found["quality"].net.low > 0.3
    assert found["alignment"].net.low < 0 < found["alignment"].net.high
    assert abs(found["alignment"].alpha or 1) < 0.15, "independent raters agree by chance only"


def test_intervals_hold_the_truth_as_often_as_they_say(tmp_path: Path) -> None:
    """40 studies of 60 prompts: at 95 % one expects 38 intervals to hold it; fewer than 33 happens in 1 of 500."""
    truth = choice_shares(0.8)
    held = 0
    for number in range(40):
        rows = _simulated_rows(60, number, 0.8)
        share = study_result(rows).questions["quality"].win
        held += share.low <= truth["left"] <= share.high
    assert held >= 33


def _simulated_rows(count: int, number: int, lead: float) -> list[Answer]:
    import random

    draw, shares = random.Random(number), choice_shares(lead)
    names = {"left": "B", "tie": "tie", "right": "A"}
    return [answer("x", k, names[draw.choices(list(shares), list(shares.values()))[0]]) for k in range(count)]


def test_a_habit_of_choosing_the_left_favours_no_model(tmp_path: Path) -> None:
    """Equal models, a strong habit: nearly all choices go left, and B still wins as often as A."""
    study, file = many(200), tmp_path / "answers.csv"
    simulate(study, file, "lefty", lambda step: 0.0, left_bias=3.0)
    for one in study_result(file).questions.values():
        assert one.left is not None and one.left.low > 0.85
        assert one.net.low < 0 < one.net.high and abs(one.net.mean) < 0.1


def test_without_randomised_sides_the_habit_would_decide() -> None:
    """The same habit with A always on the left: A wins 200 of 200. That is what the drawing of sides is for."""
    rows = [answer("lefty", k, "A", left="A") for k in range(200)]
    assert study_result(rows).questions["quality"].net.high < -0.9


# --- the page -------------------------------------------------------------------------------------

Ask = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def server(study: Study, tmp_path: Path) -> Iterator[StudyServer]:
    with StudyServer(study, tmp_path / "answers.csv", port=0) as one:
        thread = threading.Thread(target=one.serve_forever, daemon=True)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def ask(server: StudyServer) -> Ask:
    """`ask("GET", "/question?rater=Ada")` gives status, content and the raw text."""

    def send(method: str, path: str, sent: Any = None, **headers: str) -> tuple[int, dict[str, Any], str]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        body = None if sent is None else sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        kind = {"Content-Type": "application/json"} if sent is not None else {}
        connection.request(method, path, body, {**kind, **headers})
        answered = connection.getresponse()
        text = answered.read().decode()
        connection.close()
        plain = answered.getheader("Content-Type") == "application/json"
        return answered.status, json.loads(text) if plain else {}, text

    return send


def test_the_page_leads_through_all_questions(ask: Ask, server: StudyServer, study: Study) -> None:
    found = ask("GET", "/question?rater=Ada")[1]
    seen = []
    while found["place"] < found["places"]:
        seen.append((found["prompt"], found["question"]))
        sent = {"rater": "Ada", "place": found["place"], "choice": "right", "seconds": 1.0}
        status, found, _ = ask("POST", "/answer", sent)
        assert status == 200
    expected = [(step.pair.prompt, QUESTIONS[step.question]) for step in study.steps("Ada")]
    assert seen == expected and found["answered"] == 6
    assert [row.choice for row in read_answers(server.path)] == ["right"] * 6
    assert ask("GET", "/question?rater=Ada&place=2")[1]["given"] == "right"
    assert ask("GET", "/question?rater=Ben")[1]["answered"] == 0


def test_the_page_shows_the_clips_of_the_step(ask: Ask, study: Study) -> None:
    import base64

    found, step = ask("GET", "/question?rater=Ada")[1], study.steps("Ada")[0]
    shown = tuple(base64.b64decode(found[side].partition(",")[2]) for side in ("left", "right"))
    assert shown == tuple(clip.read_bytes() for clip in step.clips)


def test_nothing_on_the_way_to_the_browser_names_a_model(tmp_path: Path) -> None:
    """Folders with telling names and equal clips: no name, file or side appears, and A left looks like B left."""
    base, tuned = (folder(tmp_path / f"zebra-{name}", 8, clip=b"same") for name in ("base", "tuned"))
    study = open_study(base, tuned)
    with StudyServer(study, tmp_path / "answers.csv", 0) as server:
        told = [server.question("Ada", place) for place in range(17)]
    assert {step.left for step in study.steps("Ada")} == {"A", "B"}
    for found in told:
        text = json.dumps(found)
        assert "zebra" not in text and ".mp4" not in text and study.identity not in text
        assert set(found) <= {"place", "places", "answered", "pair", "pairs", "prompt", "question", "given", "left",
                              "right"}  # fmt: skip
    assert len({found["left"] for found in told[:16]}) == 1
    assert "zebra" not in PAGE and "http" not in PAGE.replace("http-equiv", "")


def test_the_page_asks_nobody_else() -> None:
    assert "src=" not in PAGE.replace(".src=", "") and "@import" not in PAGE and "url(" not in PAGE


@pytest.mark.parametrize(
    ("method", "path", "sent", "headers", "status"),
    [
        ("GET", "/", None, {"Host": "evil.example:80"}, 403),
        ("POST", "/answer", {}, {"Host": "evil.example"}, 403),
        ("GET", "/../evaluation.json", None, {}, 404),
        ("GET", "/clips/0000-0.mp4", None, {}, 404),
        ("GET", "/question?rater=", None, {}, 400),
        ("GET", "/question?rater=Ada&place=7", None, {}, 400),
        ("GET", "/question?rater=Ada&place=-1", None, {}, 400),
        ("POST", "/question", {}, {}, 404),
        ("POST", "/answer", b"x" * 10_001, {}, 404),
        ("POST", "/answer", b"no json", {}, 400),
        ("POST", "/answer", [], {}, 400),
        ("POST", "/answer", {"rater": 1, "place": 0, "choice": "tie", "seconds": 0}, {}, 400),
        ("POST", "/answer", {"rater": "Ada", "place": 99, "choice": "tie", "seconds": 0}, {}, 400),
        ("POST", "/answer", {"rater": "Ada", "place": 0, "choice": "tie", "seconds": 0},
         {"Content-Type": "text/plain"}, 415),
    ],
)  # fmt: skip
def test_strange_requests_get_an_error_and_change_nothing(
    ask: Ask, server: StudyServer, method: str, path: str, sent: Any, headers: dict[str, str], status: int
) -> None:
    found = ask(method, path, sent, **headers)
    assert found[0] == status and found[1]["error"]
    assert not server.path.exists() and ask("GET", "/question?rater=Ada")[0] == 200


def test_a_port_that_is_taken_and_a_file_of_another_study(server: StudyServer, study: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"port {server.server_port} is in use: give another one, or --port 0"):
        StudyServer(study, tmp_path / "other.csv", server.server_port)
    Session(many(1), tmp_path / "old.csv", "Ada").answer(0, "tie")
    with pytest.raises(InputError, match="another study"):
        StudyServer(study, tmp_path / "old.csv", 0)


def test_an_answer_that_cannot_be_kept_is_said(ask: Ask, server: StudyServer) -> None:
    server.path.mkdir()
    status, found, _ = ask("POST", "/answer", {"rater": "Ada", "place": 0, "choice": "tie", "seconds": 0})
    assert status == 400 and "cannot be used any more" in found["error"]


BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to press keys in")
def test_a_study_by_keys_alone_in_a_browser(tmp_path: Path) -> None:
    """A name, Enter, then arrows; Backspace and another answer; a phone's width; no problem, and axe finds none."""
    api, axe = pytest.importorskip("playwright.sync_api"), pytest.importorskip("axe_playwright_python.sync_playwright")
    np = pytest.importorskip("numpy")
    from ivtutorial.video.writer import encode_video

    grey = [encode_video(np.full((4, 32, 32, 3), level, np.uint8), 8.0) for level in (60, 200)]
    study = open_study(folder(tmp_path / "a", 2, clip=grey[0]), folder(tmp_path / "b", 2, clip=grey[1]))
    problems: list[str] = []
    with StudyServer(study, tmp_path / "answers.csv", 0) as server, api.sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda sent: problems.append(sent.url) if "127.0.0.1" not in sent.url[:20] and
                not sent.url.startswith("data:") else None)  # fmt: skip
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        faults = axe.Axe().run(page).response["violations"]
        page.keyboard.press("Tab")
        page.keyboard.type("Ada")
        page.keyboard.press("Enter")
        for place, key in enumerate(["ArrowLeft", "ArrowRight", "Backspace", "ArrowDown", "ArrowRight", "ArrowDown"]):
            page.wait_for_function(f"() => now && now.place === {[0, 1, 2, 1, 2, 3][place]} && !busy")
            page.wait_for_timeout(250)
            wide = page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= 390
            page.keyboard.press(key)
            faults += axe.Axe().run(page).response["violations"] if place == 1 else []
        page.wait_for_selector("#done:not([hidden])")
        sizes = page.evaluate("() => videos.map(v => v.videoWidth)")
        browser.close()
        server.shutdown()
    assert problems == [] and faults == [] and sizes == [32, 32]
    rows = read_answers(tmp_path / "answers.csv")
    assert {row.key: row.choice for row in rows} == {
        step.key: choice for step, choice in zip(study.steps("Ada"), ["left", "tie", "right", "tie"])
    }
    assert all(row.seconds > 0.2 for row in rows)


# --- in a notebook --------------------------------------------------------------------------------


def test_the_widget_keeps_each_answer_and_goes_on(study: Study, tmp_path: Path) -> None:
    pytest.importorskip("ipywidgets")
    file = tmp_path / "answers.csv"
    one = StudyWidget(study, file, "Ada")
    title, clips, row = one.widget.children
    assert "Pair 1 of 3" in title.value and clips.value.count("<video") == 2 and "tuned" not in clips.value
    row.children[0].click()
    assert QUESTIONS["alignment"] in title.value
    one.back()
    one.choose("tie")
    assert [r.choice for r in read_answers(file)] == ["tie"]
    again = StudyWidget(study, file, "Ada")
    for _ in range(7):
        again.choose("right")
    assert "Done" in again.widget.children[0].value and len(read_answers(file)) == 6
    assert again.session.given[study.steps("Ada")[0].key] == "tie"


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
    """L, T, then back and R, and so on; B won quality where the side chosen was B's."""
    letters = "LTRLTR"
    press = "for(const v of ['L','T','back',...'TRLTR'])document.querySelector(`button[value=${v}]`).click()"
    file = tmp_path / "quiz.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{study_quiz(study)}<script>{press}</script>")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    count = {q: dict.fromkeys(("B", "tie", "A"), 0) for q in QUESTIONS}
    for step, letter in zip(study.steps("you"), letters):
        count[step.question][step.winner(LETTERS[letter])] += 1
    told = "; ".join(f"{q}: B won {c['B']}, ties {c['tie']}, A won {c['A']}" for q, c in count.items())
    assert f">{told}.</output>" in dom and f">{letters}</output>" in dom


# --- the command line -----------------------------------------------------------------------------


def test_study_result_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "answers.csv"
    for rater in ("x", "y"):
        simulate(many(20), file, rater, lambda step: 1.0)
    expected = study_result(file)
    for arguments in (["study-result", str(file), "--json"], ["study-result", str(file)]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
    out = capsys.readouterr().out
    content, _, text = out.partition("\n}\n")
    assert json.loads(content + "}") == expected.to_dict()
    assert "wins are of b (B) against a (A)" in text and "2 raters, 20 prompts, 40 answers" in text
    assert f"{100 * expected.questions['quality'].win.mean:.1f} (" in text


def test_bad_input_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = folder(tmp_path / "a")
    for arguments in (["study", str(a), str(tmp_path / "none")], ["study-result", str(tmp_path / "none.csv")]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_command_serves_and_ends_with_ctrl_c(study: Study, tmp_path: Path) -> None:
    import signal

    command = [sys.executable, "-m", "ivtutorial.cli", "study", *study.names, "--out", str(tmp_path / "x.csv")]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # else ignored in background shells
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = int(line.split("127.0.0.1:")[1].split("/")[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().read().decode() == PAGE
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
    assert line.startswith("3 pairs. Open") and "ivtutorial study-result" in rest
