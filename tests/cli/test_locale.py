"""What a command prints reaches a terminal or a pipe of any encoding."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from ivtutorial import cli
from ivtutorial.cli.support import prompts_given
from ivtutorial.errors import InputError


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_character_that_the_locale_has_not_is_written_as_its_number(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """Also half of a surrogate pair, as a file name that is not UTF-8 has it."""
    written = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, stream in written.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding, write_through=True))
    with pytest.raises(SystemExit) as ended:
        cli.main(["study-result", "🦊\udce9"])
    print("a 🦊\udce9")
    shown = "🦊" if encoding == "utf-8" else "\\U0001f98a"
    assert ended.value.code == 2
    assert f"{shown}\\udce9" in written["stderr"].getvalue().decode(encoding)
    assert written["stdout"].getvalue().decode(encoding) == f"a {shown}\\udce9\n"


def test_a_prompt_of_the_command_line_is_read_as_utf8_in_any_locale() -> None:
    """In a locale of ASCII an argument comes as bytes in disguise; those that are no UTF-8 are no prompt."""
    arguments = [b"a fox \xf0\x9f\xa6\x8a".decode("ascii", "surrogateescape"), "größer 🦊"]
    assert [prompt.text for prompt in prompts_given(arguments, None)] == ["a fox 🦊", "größer 🦊"]
    with pytest.raises(InputError, match="Unicode text"):
        prompts_given(["caf\udce9"], None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_behind_the_output_is_one_clear_error() -> None:
    """`ivtutorial score clips > scores.txt` where nothing can be written any more."""
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "ivtutorial.cli", "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "ivtutorial: error: cannot print the result (No space left on device).\n"
