"""Prompts are what the file's form says, and a file of another form is refused, never read as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivtutorial.data.prompts import Prompt, as_prompts, read_prompts
from ivtutorial.errors import InputError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.jsonl", '{"prompt": "a red fox, running"}\n\n{"prompt": "a\u2028whale"}\n'),
        ("p.jsonl", '"a red fox, running"\n"a\u2028whale"\n'),
        ("p.json", '["a red fox, running", {"prompt": "a\u2028whale"}]'),
        ("p.csv", 'id,prompt\n1,"a red fox, running"\n2,a\u2028whale\n'),
        ("p.csv", "id;prompt\n1;a red fox, running\n2;a\u2028whale\n"),
        ("p.tsv", "prompt\tid\r\na red fox, running\t1\r\na\u2028whale\t2\r\n"),
        ("p.txt", "# two\ra red fox, running\ra\u2028whale"),
        ("prompts", "a red fox, running\na\u2028whale\n"),
    ],
)
def test_every_form_gives_the_same_prompts(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_prompts(tmp_path / name) == [Prompt("a red fox, running"), Prompt("a\u2028whale")]


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".md", ".xlsx", ".parquet", ".py", ".toml"])
def test_another_kind_of_file_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"p{suffix}").write_text("- a red fox\n")
    with pytest.raises(InputError, match=r"read from \.txt, \.csv, \.tsv, \.json and \.jsonl"):
        read_prompts(tmp_path / f"p{suffix}")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "prompt,id\na red fox, running, in the snow,1\na whale,2\n", r"1 bad of 2:\n  line 2: 4 cells where"),
        ("p.csv", 'prompt\n"a red fox\na whale\n', "1 bad of 2:\n  line 2: .*never closed"),
        ("p.txt", '{"prompt": "a fox"}\n{"prompt": "a whale"}\n', r"first line is JSON.*name the file \.jsonl"),
        ("p.txt", '["a fox", "a whale"]', "first line is JSON"),
        ("p.txt", "prompt,id\na fox,1\n", r"a table's header.*name the file \.csv"),
        ("p.txt", "caption\na fox\n", r"a table's header, 'caption'; name the file \.csv or \.tsv"),
        ("p.txt", '"id";"Prompt"\n1;a fox\n', "a table's header"),
        ("p.txt", "id,caption\n1,a fox, running\n2,a whale\n", "a table's header"),
        ("p.txt", "text\tid\na fox\t1\n", "a table's header"),
        ("p", ",prompts,seed\n0,a fox,1\n", "a table's header"),
        ("p.txt", "prompts:\n  - a fox\n  - a whale\n", "of YAML .*one prompt a line, alone"),
        ("p.txt", "animals:\n  - a fox\n", "of YAML"),
        ("p.txt", "- a fox\n- a whale\n", "of YAML or of a list"),
        ("p.txt", "---\n- a fox\n", "of YAML"),
        ("p.txt", "prompt: a fox\n", "of YAML"),
        ("p.txt", '[\n  "a fox",\n  "a whale"\n]\n', "its first line is JSON"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": "a", "prompt": "b"}\n', "1 bad of 2:\n  line 2: has 'prompt' twice"),
        ("p.json", '[{"prompt": "a", "prompt": "b"}]', r"p\.json: has 'prompt' twice; keep one\.$"),
        ("p.txt", "a.mp4|||a fox\n", "list of clips"),
        (
            "p.jsonl",
            '{"prompt": "a fox"}\n{"text": "b"}\nx\n',
            r"2 bad of 3:\n  line 2: expected.*\n  line 3: is not J",
        ),
        ("p.json", '{"prompt": "a"}\n{"prompt": "b"}', r"not JSON.*named \.jsonl"),
        ("p.json", "[" * 100_000, "not JSON"),
        ("p.txt", "a fox\nnan\n7\n", r"2 bad of 3:\n  line 2.*\n  line 3"),
    ],
)
def test_what_is_unclear_is_an_error(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_prompts(tmp_path / name)


def test_text_that_only_looks_like_data_is_a_prompt(tmp_path: Path) -> None:
    """A bracket, a comma and a quote alone make no table and no JSON."""
    texts = [
        "[close-up] a fox", "{a fox}", 'a "red" fox, running', "prompted by hunger, a fox hunts", "neon, text, night",
        "a caption, a fox", "text: a fox", "close-up: a fox", "-30 degrees, a fox", "in the snow:", "a fox,1",
    ]  # fmt: skip
    for first in range(len(texts)):
        turned = texts[first:] + texts[:first]
        (tmp_path / "p.txt").write_text("\n".join(turned), encoding="utf-8")
        assert [prompt.text for prompt in as_prompts(tmp_path / "p.txt")] == turned
