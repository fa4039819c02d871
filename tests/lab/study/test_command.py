"""`ivtutorial study` and `ivtutorial study-result`."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ivtutorial import cli
from ivtutorial.lab.study.pairs import Study
from ivtutorial.lab.study.result import study_result
from ivtutorial.lab.study.simulated import simulate
from ivtutorial.pages.page import render_page
from tests.lab.study.studies import folder, many

PAGE = render_page("study.html", title="Which clip is better?")


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
    assert "wins are of b (Y) against a (X)" in text and "2 raters, 20 prompts, 40 answers" in text
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
