"""Commands in the book are understood; those at full size name a card's preset."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from ivtutorial import cli
from ivtutorial.cli.training import merge_settings

ROOT = Path(__file__).resolve().parents[2]


def texts() -> dict[str, str]:
    """The book and README, notebooks cell by cell."""
    pages = {
        path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "book").glob("*.md")]
    }
    for path in (ROOT / "book").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            pages[f"{path.name} {cell['id']}"] = "".join(cell["source"])
    return pages


def blocks() -> list[tuple[str, str]]:
    """Page and command, on one line, of everything in a block of a shell."""
    result = [
        (page, block.replace("\\\n", " "))
        for page, text in texts().items()
        for block in re.findall(r"```(?:bash|sh|text)\n(.*?)```", text, re.DOTALL)
    ]
    return [(page, line) for page, block in result for line in block.splitlines()]


def commands() -> list[tuple[str, str]]:
    """Page and command of every `finetune` and `prepare` of a large model."""
    large = re.compile(
        r"(ivtutorial|ivtutorial\.cli) (finetune|prepare) .*(--model (modelscope|FOLDER)|--reward hpsv2)"
    )
    return [(page, line) for page, line in blocks() if large.search(line)]


CALLS = sorted({match[1] for _, line in blocks() if (match := re.search(r"ivtutorial(?:\.cli)? ([a-z][^|&]*)", line))})


@pytest.mark.parametrize("call", CALLS)
def test_a_command_of_the_book_is_understood(call: str) -> None:
    """Name, options, number of arguments, and the settings after --set; three dots stand for what is left out."""
    words = [word for word in shlex.split(call, comments=True) if word != "..."]
    command: Any = typer.main.get_command(cli.app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    if "..." in call and not words:
        return
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known
    parameters = command.make_context("ivtutorial", words).params
    if "settings" in parameters:
        method = {"name": parameters.get("method")}
        merge_settings(None, {}, method, parameters["settings"] or [], False, parameters["preset"])


def test_every_training_command_at_full_size_names_a_preset() -> None:
    assert len(commands()) >= 8
    assert [(page, line) for page, line in commands() if "--preset " not in line] == []
