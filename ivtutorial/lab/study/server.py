"""The local page of a study: a small server of the standard library, for this machine only.

| request                          | answer                                                                            |
|----------------------------------|-----------------------------------------------------------------------------------|
| `GET /`                          | the page                                                                          |
| `GET /question?rater=R&place=K`  | a question; without `place` the first open one                                    |
| `POST /answer`                   | keeps `{"rater", "place", "choice", "seconds"}`; the next open question           |

The clips travel inside the answers, under no name, so that neither the page nor an address reveals whose they are. A
request that does not name this machine is refused, so that other pages in the browser can neither read nor answer.
"""

from __future__ import annotations

import errno
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ivtutorial.errors import InputError
from ivtutorial.lab.study.pairs import QUESTIONS, Study, rater_name
from ivtutorial.lab.study.session import Session
from ivtutorial.pages.embed import data_address
from ivtutorial.pages.page import render_page

LOCAL = ("127.0.0.1", "localhost")
LARGEST = 10_000  # bytes of an answer
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; media-src data:; img-src data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'"
)


class StudyServer(ThreadingHTTPServer):
    """Serves one study; `serve_forever` runs it, `server_port` is where."""

    daemon_threads = True

    def __init__(self, study: Study, path: str | Path, port: int = 8765) -> None:
        """Take the port and look at the file.

        Args:
            study: what is compared.
            path: the file of answers.
            port: 0 is any free one.

        Raises:
            InputError: the port cannot be had, or the file is another study's or no file of answers.
        """
        self.study, self.path, self.lock = study, Path(path), threading.Lock()
        Session(study, path, "nobody")  # complains now rather than after the first answer
        try:
            super().__init__((LOCAL[0], port), _Handler)
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror or error})"
            raise InputError(f"port {port} {reason}: give another one, or --port 0 for any that is free.") from error

    def question(self, rater: str, position: int | None) -> dict[str, Any]:
        """What the page needs to ask a question.

        Args:
            rater: who answers.
            position: which question; None for the first open one.

        Raises:
            InputError: a name or position that cannot be used.
        """
        session = self._session(rater)
        at = session.position() if position is None else position
        if not 0 <= at <= len(session.steps):
            raise InputError(f"question {at}: there are {len(session.steps)}.")
        counts = {"place": at, "places": len(session.steps), "answered": len(session.answers)}
        if at == len(session.steps):
            return counts
        step = session.steps[at]
        left, right = (clip_address(clip) for clip in step.clips)
        pair = {"pair": at // len(QUESTIONS) + 1, "pairs": len(self.study.pairs), "prompt": step.pair.prompt}
        question = {"question": QUESTIONS[step.question], "given": session.answers.get(step.key)}
        return {**counts, **pair, **question, "left": left, "right": right}

    def answer(self, sent: Any) -> dict[str, Any]:
        """Keep an answer.

        Raises:
            InputError: something is missing or wrong, or the file cannot be written.
        """
        try:
            rater, position, choice, seconds = sent["rater"], sent["place"], sent["choice"], float(sent["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"an answer needs rater, place, choice and seconds ({error!r}).") from error
        if not isinstance(rater, str) or not isinstance(position, int):
            raise InputError(f"rater {rater!r}, place {position!r}: expected a name and a number.")
        self._session(rater).answer(position, choice, seconds)
        return self.question(rater, None)

    def _session(self, rater: str) -> Session:
        name = rater_name(rater)
        try:
            return Session(self.study, self.path, name)  # read anew: other programs may add to the file, too
        except InputError as error:  # which may name the folders
            raise InputError("the file of answers cannot be used any more: start the program again.") from error


def clip_address(clip: Path) -> str:
    """The clip itself as an address.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return data_address(clip.read_bytes(), "video/mp4")
    except OSError as error:
        raise InputError(f"a clip cannot be read any more ({error.strerror or error}).") from error


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802, D102
        address = urlsplit(self.path)
        if not self._local():
            return
        if address.path == "/":
            page = render_page("study.html", title="Which clip is better?")
            return self._send(200, "text/html; charset=utf-8", page.encode("utf-8"))
        if address.path != "/question":
            return self._json(404, {"error": "There is nothing at this address."})
        fields = parse_qs(address.query)
        position = fields.get("place", [None])[0]
        if position is not None and not position.isdecimal():
            return self._json(400, {"error": f"question {position!r}: expected a number."})
        self._reply(
            lambda: self.server.question(fields.get("rater", [""])[0], None if position is None else int(position))
        )

    def do_POST(self) -> None:  # noqa: N802, D102
        length = self.headers.get("Content-Length", "")
        if not self._local():
            return
        if self.path != "/answer" or not length.isdecimal() or int(length) > LARGEST:
            self.close_connection = True
            return self._json(404, {"error": "Answers go to /answer and are short."})
        body = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            return self._json(415, {"error": "An answer is JSON."})
        try:
            sent = json.loads(body)
        except ValueError:
            return self._json(400, {"error": "An answer is JSON."})
        self._reply(lambda: self.server.answer(sent))

    def _local(self) -> bool:
        """Whether the request names this machine; others are answered with an error."""
        if (self.headers.get("Host") or "").partition(":")[0] in LOCAL:
            return True
        self.close_connection = True
        self._json(403, {"error": "This page is for this machine only: open http://127.0.0.1 with the port."})
        return False

    def _reply(self, work: Any) -> None:
        try:
            with self.server.lock:
                content = work()
        except InputError as error:
            return self._json(400, {"error": str(error)})
        self._json(200, content)

    def _json(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode("utf-8"))

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
