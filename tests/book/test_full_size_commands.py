"""Every command at full size, wherever it is printed, names a card's preset; the recipe's hours are counted."""

from __future__ import annotations

import json
import re
from pathlib import Path

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


def commands() -> list[tuple[str, str]]:
    """Page and command, on one line, of every `finetune` and `prepare` of a large model in a block of a shell."""
    blocks = [
        (page, block.replace("\\\n", " "))
        for page, text in texts().items()
        for block in re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL)
    ]
    lines = [(page, line) for page, block in blocks for line in block.splitlines()]
    large = re.compile(
        r"(ivtutorial|ivtutorial\.cli) (finetune|prepare) .*(--model (modelscope|FOLDER)|--reward hpsv2)"
    )
    return [(page, line) for page, line in lines if large.search(line)]


def test_every_training_command_at_full_size_names_a_preset() -> None:
    assert len(commands()) >= 8
    assert [(page, line) for page, line in commands() if "--preset " not in line] == []


def test_the_hours_of_the_recipe_are_those_that_were_counted() -> None:
    """200 steps at the least time of a step, each card with its preset."""
    text = texts()["10_full_size.ipynb 10-60"]
    rows = {row["name"]: row for row in json.loads((ROOT / "data/results/count_step.json").read_text())["rows"]}
    hours = {
        (preset, card): f"{200 * rows[f'preset {preset}']['cards'][card]['floor'] / 3600:.1f}"
        for preset, card in (("t4", "T4"), ("24gb", "RTX 4090"), ("a100", "A100"))
    }
    recipe = text[text.index("**A recipe for 200 steps.**") :]
    stated = re.search(
        r"On a T4 that takes ([\d.]+) hours at least, on an RTX 4090 ([\d.]+), on an A100 ([\d.]+)", recipe
    )
    assert stated is not None and list(stated.groups()) == list(hours.values())
