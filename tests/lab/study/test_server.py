"""The page of a study and the server behind it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.study.answers import read_answers
from ivtutorial.lab.study.pairs import QUESTIONS, Study, open_study
from ivtutorial.lab.study.server import StudyServer
from ivtutorial.lab.study.session import Session
from ivtutorial.pages.page import render_page
from tests.lab.study.studies import folder, many

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
PAGE = render_page("study.html", title="Which clip is better?")


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
    result = ask("GET", "/question?rater=Ada")[1]
    seen = []
    while result["place"] < result["places"]:
        seen.append((result["prompt"], result["question"]))
        sent = {"rater": "Ada", "place": result["place"], "choice": "right", "seconds": 1.0}
        status, result, _ = ask("POST", "/answer", sent)
        assert status == 200
    expected = [(step.pair.prompt, QUESTIONS[step.question]) for step in study.steps("Ada")]
    assert seen == expected and result["answered"] == 6
    assert [row.choice for row in read_answers(server.path)] == ["right"] * 6
    assert ask("GET", "/question?rater=Ada&place=2")[1]["given"] == "right"
    assert ask("GET", "/question?rater=Ben")[1]["answered"] == 0


def test_the_page_shows_the_clips_of_the_step(ask: Ask, study: Study) -> None:
    import base64

    result, step = ask("GET", "/question?rater=Ada")[1], study.steps("Ada")[0]
    shown = tuple(base64.b64decode(result[side].partition(",")[2]) for side in ("left", "right"))
    assert shown == tuple(clip.read_bytes() for clip in step.clips)


def test_nothing_on_the_way_to_the_browser_names_a_model(tmp_path: Path) -> None:
    """Folders with telling names and equal clips: no name, file or side appears, and X left looks like Y left."""
    base, tuned = (folder(tmp_path / f"zebra-{name}", 8, clip=b"same") for name in ("base", "tuned"))
    study = open_study(base, tuned)
    with StudyServer(study, tmp_path / "answers.csv", 0) as server:
        questions = [server.question("Ada", place) for place in range(17)]
    assert {step.left for step in study.steps("Ada")} == {"X", "Y"}
    for result in questions:
        text = json.dumps(result)
        assert "zebra" not in text and ".mp4" not in text and study.identity not in text
        assert set(result) <= {"place", "places", "answered", "pair", "pairs", "prompt", "question", "given", "left",
                              "right"}  # fmt: skip
    assert len({result["left"] for result in questions[:16]}) == 1
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
    result = ask(method, path, sent, **headers)
    assert result[0] == status and result[1]["error"]
    assert not server.path.exists() and ask("GET", "/question?rater=Ada")[0] == 200


def test_a_port_that_is_taken_and_a_file_of_another_study(server: StudyServer, study: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"port {server.server_port} is in use: give another one, or --port 0"):
        StudyServer(study, tmp_path / "other.csv", server.server_port)
    Session(many(1), tmp_path / "old.csv", "Ada").answer(0, "tie")
    with pytest.raises(InputError, match="another study"):
        StudyServer(study, tmp_path / "old.csv", 0)


def test_an_answer_that_cannot_be_kept_is_said(ask: Ask, server: StudyServer) -> None:
    server.path.mkdir()
    status, result, _ = ask("POST", "/answer", {"rater": "Ada", "place": 0, "choice": "tie", "seconds": 0})
    assert status == 400 and "cannot be used any more" in result["error"]


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
