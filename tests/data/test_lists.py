"""Which clips a list names: names of files in every spelling, several captions, links, folders with other things."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from ivtutorial.data.clips import read_clips
from ivtutorial.data.lists import Clip, read_entries
from ivtutorial.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that are not opened here."""
    (tmp_path / "sub").mkdir()
    for name in ("a.mp4", "b.mp4", "sub/c.mp4"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def write(folder: Path, text: str, name: str = "list.csv") -> Path:
    (folder / name).write_bytes(text.encode("utf-8"))
    return folder / name


def problems(source: Path, root: Path | None = None) -> list[str]:
    return [entry.problem for entry in read_entries(source, root) if entry.clip is None]


def test_a_comma_in_a_caption_without_quotes_is_reported(folder: Path) -> None:
    text = "video,caption\na.mp4,a red fox, running to the left\nb.mp4,a whale\n"
    entries = read_entries(write(folder, text))
    assert [entry.status for entry in entries] == ["undecodable", "ok"]
    assert "line 2: 3 cells where the header has 2" in entries[0].problem and "double quotes" in entries[0].problem


def test_a_quote_that_is_never_closed_costs_its_own_row(folder: Path) -> None:
    text = 'video,caption\na.mp4,"a man says hello\nb.mp4,a whale\nsub/c.mp4,a cat\n'
    entries = read_entries(write(folder, text))
    assert [entry.status for entry in entries] == ["undecodable", "ok", "ok"]


def test_a_quote_that_is_closed_in_another_row_is_reported(folder: Path) -> None:
    """It is well-formed CSV: one row whose caption holds the next one."""
    [problem] = problems(write(folder, 'video,caption\na.mp4,"a man says hello\nb.mp4,a whale"\n'))
    assert "the caption holds another row" in problem


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c"])
@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "list.txt"])
def test_other_line_separators_belong_to_the_caption(folder: Path, separator: str, name: str) -> None:
    caption = f"a red fox{separator}in the snow"
    text = {
        "list.csv": f"video,caption\na.mp4,{caption}\n",
        "list.jsonl": f'{{"video": "a.mp4", "caption": "{caption}"}}\n',
        "list.txt": f"a.mp4|||{caption}\n",
    }[name]
    if separator in "\x0b\x0c":  # a control character is no text, and not legal in JSON
        assert len(problems(write(folder, text, name))) == 1
    else:
        assert read_clips(write(folder, text, name)) == [Clip(folder / "a.mp4", caption)]


def test_several_captions_of_one_clip_are_several_entries_and_the_same_one_is_a_duplicate(folder: Path) -> None:
    text = "video,caption\na.mp4,a fox\na.mp4,a fox in the snow\nsub/../a.mp4,a fox\na.mp4,a fox \n"
    entries = read_entries(write(folder, text))
    assert [entry.status for entry in entries] == ["ok", "ok", "ok", "duplicate"]
    assert entries[3].problem == "line 5: a.mp4: the same clip and caption as line 2: a.mp4."


def test_two_names_of_a_column_must_agree(folder: Path) -> None:
    assert read_clips(write(folder, "video,caption,text\na.mp4,a fox,\nb.mp4,a hen,a hen\n"))[1].caption == "a hen"
    [problem] = problems(write(folder, "video,caption,text\na.mp4,a fox,a hen\n"))
    assert "'caption' and 'text' say different things" in problem


@pytest.mark.parametrize(
    "name",
    ["12:30:05.mp4", "100%d 5%.mp4", "q'uo\"te.mp4", "two\nlines.mp4", " leading.mp4", "#1 & more;.mp4", "狐狸 🦊.mp4"],
)  # fmt: skip
def test_any_name_of_a_file(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    quoted = '"' + name.replace('"', '""') + '"'
    if name != name.strip():
        assert problems(write(folder, f"video,caption\n{quoted},a fox\n"))
    else:
        assert read_clips(write(folder, f"video,caption\n{quoted},a fox\n")) == [Clip(folder / name, "a fox")]


@pytest.mark.parametrize(("typed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_the_other_unicode_form_of_a_name_is_found(folder: Path, typed: str, stored: str) -> None:
    path = folder / unicodedata.normalize(stored, "größe") / unicodedata.normalize(stored, "café.mp4")  # type: ignore[arg-type]
    path.parent.mkdir()
    path.write_bytes(b"")
    name = unicodedata.normalize(typed, "größe/café.mp4")  # type: ignore[arg-type]
    [clip] = read_clips(write(folder, f"video,caption\n{name},a fox\n"))
    assert clip.path.is_file()


def test_separators_of_windows(folder: Path) -> None:
    assert read_clips(write(folder, "video,caption\nsub\\c.mp4,a fox\n")) == [Clip(folder / "sub/c.mp4", "a fox")]
    [problem] = problems(write(folder, "video,caption\nsub\\..\\..\\x.mp4,a fox\n"))
    assert "no such file" in problem


def test_capitals_and_impossible_names(folder: Path) -> None:
    text = f"video,caption\nA.MP4,a fox\n{'x' * 300}.mp4,a fox\n"
    first, second = problems(write(folder, text))
    assert "no such file; there is a.mp4" in first and "no such file" in second


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes that are no text")
def test_a_name_that_is_not_utf8(folder: Path) -> None:
    path = os.fsencode(folder) + b"/caf\xe9.mp4"
    Path(os.fsdecode(path)).write_bytes(b"")
    for name in ("caf\udce9", "a", "b"):
        (folder / f"{name}.txt").write_text("a fox")
    entries = read_entries(folder)
    assert [entry.status for entry in entries] == ["ok"] * 3
    assert [entry.name.encode() for entry in entries][2] == b"caf\\udce9.mp4"


def test_a_path_that_leaves_says_what_to_do(folder: Path) -> None:
    text = f"video,caption\n{folder}/a.mp4,a fox\n"
    (folder / "lists").mkdir()
    [problem] = problems(write(folder / "lists", text))
    assert "--root FOLDER" in problem
    assert read_clips(folder / "lists" / "list.csv", root=folder) == [Clip(folder / "a.mp4", "a fox")]


def hub_cache(folder: Path) -> Path:
    """A snapshot of a data set as huggingface_hub lays it out: links to blobs beside it."""
    snapshot = folder / "datasets--me--clips" / "snapshots" / "0123abc"
    blobs = snapshot.parent.parent / "blobs"
    (snapshot / "videos").mkdir(parents=True)
    blobs.mkdir()
    (blobs / "f00d").write_bytes(b"")
    (snapshot / "videos" / "a.mp4").symlink_to("../../../blobs/f00d")
    return snapshot


def test_links_of_a_hub_cache_are_followed_and_no_others(folder: Path) -> None:
    snapshot = hub_cache(folder)
    write(snapshot, "file_name,text\nvideos/a.mp4,a fox\n", "metadata.csv")
    assert read_clips(snapshot) == [Clip(snapshot / "videos/a.mp4", "a fox")]
    (snapshot / "videos" / "b.mp4").symlink_to(folder / "b.mp4")
    write(snapshot, "file_name,text\nvideos/b.mp4,a fox\n", "metadata.csv")
    [problem] = problems(snapshot)
    assert "leaves" in problem and "cp -L" in problem


def test_a_loop_of_links_is_one_bad_row(folder: Path) -> None:
    (folder / "loop.mp4").symlink_to("loop.mp4")
    assert len(problems(write(folder, "video,caption\nloop.mp4,a fox\na.mp4,a hen\n"))) == 1


def test_videos_of_every_suffix_are_read_with_their_texts(folder: Path) -> None:
    names = ["B.MP4", "c.MOV", "d.mpg", "e.wmv", "f.ts", "g.mts", "h.3gp", "i.ogv", "j.flv", "k.m2ts"]
    for name in [*names, "a.mp4", "b.mp4"]:
        (folder / name).write_bytes(b"")
        (folder / Path(name).with_suffix(".TXT" if name == "c.MOV" else ".txt")).write_text("a fox")
    assert len(read_clips(folder)) == 12


def test_what_is_not_read_is_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every file but hidden ones and those that can hold neither clip nor caption nor list."""
    for name in ("a.txt", "b.txt", "B.TXT"):
        (folder / name).write_text("a fox")
    others = ("d.divx", "e.rmvb", "f", "g.webp", "h.m2v", "sub/i.divx", "odd.name with spaces")
    for name in ("train.csv", *others, "sheet.png", "facts.json", ".hidden.mp4.part", "._a.xml"):
        (folder / name).write_text("")
    kinds = "2 .divx, 1 .m2v, 1 .rmvb, 1 .webp, 2 without suffix"
    with caplog.at_level(logging.WARNING):
        read_clips(folder)
    assert f"not read: 1 video in its subfolders; train.csv; {kinds}." in caplog.text
    caplog.clear()
    write(folder, "video,caption\na.mp4,a fox\n", "captions.csv")
    with caplog.at_level(logging.WARNING):
        read_clips(folder)
    texts = sum(file.suffix.lower() == ".txt" for file in folder.iterdir())
    kinds = kinds.replace("1 .webp", f"{texts} .txt, 1 .webp")
    assert f"not read: 2 videos that no good row of captions.csv names; train.csv; {kinds}." in caplog.text
    caplog.clear()
    write(folder, "video,caption\na.mp4,a fox\nb.mp4,a hen\nsub/../sub\\c.mp4,a cat\n", "captions.csv")
    with caplog.at_level(logging.WARNING):
        read_clips(folder)
    assert f"not read: train.csv; {kinds}." in caplog.text


def test_a_warning_of_many_kinds_of_files_is_short(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for k in range(200):
        (folder / f"x.k{k:03}").write_text("")
        (folder / f"list{k:03}.csv").write_text("")
    write(folder, "video,caption\na.mp4,a fox\nb.mp4,a hen\nsub/c.mp4,a cat\n", "captions.csv")
    with caplog.at_level(logging.WARNING):
        read_clips(folder)
    [record] = caplog.records
    message = record.getMessage().removeprefix(f"{folder}: ")
    assert message.startswith("not read: list000.csv, ") and "list005.csv and 194 more lists; 1 .k000, " in message
    assert message.endswith("1 .k005 and 194 more kinds of files.")


def test_what_the_package_writes_beside_its_clips_is_no_reason_to_warn(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("sheet.png", "sampling.json", "index.html"):
        (folder / name).write_text("")
    write(folder, "video,caption\na.mp4,a fox\nb.mp4,a hen\nsub/c.mp4,a cat\n", "captions.csv")
    with caplog.at_level(logging.WARNING):
        assert len(read_clips(folder)) == 3
    assert caplog.records == []


def test_a_folder_without_clips_names_what_is_there(folder: Path) -> None:
    (folder / "a.mp4").unlink()
    (folder / "b.mp4").unlink()
    for name in ("prompts.txt", "videos.txt"):
        (folder / name).write_text("x")
    with pytest.raises(InputError, match=r"no clips in it \(not read: 1 video in its subf.*; prompts.txt, videos.txt"):
        read_clips(folder)


def test_a_line_without_three_bars_says_so(folder: Path) -> None:
    entries = read_entries(write(folder, "a.mp4|||a fox\nb.mp4|a whale\nsub/c.mp4\n", "list.txt"))
    assert [entry.status for entry in entries] == ["ok", "undecodable", "undecodable"]
    assert entries[1].problem.startswith("line 2: 'b.mp4|a whale' has no |||") and "three bars" in entries[1].problem
    with pytest.raises(InputError, match=r"path\|\|\|caption, with three bars; or name the file \.csv"):
        read_clips(write(folder, "a.mp4|a fox\n", "list.txt"))
    with pytest.raises(InputError, match="Bars divide no cells: commas, semicolons and tabs do"):
        read_clips(write(folder, "video|caption\na.mp4|a fox\n"))


def test_a_json_array_is_not_taken_for_lines(folder: Path) -> None:
    with pytest.raises(InputError, match="is one JSON array; write one object a line"):
        read_clips(write(folder, '[\n{"video": "a.mp4", "caption": "a fox"}\n]', "list.jsonl"))
    with pytest.raises(InputError, match=r"name the file \.csv, \.tsv or \.jsonl"):
        read_clips(write(folder, '[{"video": "a.mp4", "caption": "a fox"}]', "list.json"))


@pytest.mark.parametrize("caption", ["None", "null", "N/A", "<NA>", "inf", "\ud83d"])
def test_a_missing_value_is_no_caption(caption: str) -> None:
    with pytest.raises(InputError, match="caption"):
        Clip(Path("a.mp4"), caption)


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes in any locale")
def test_a_name_is_found_in_a_locale_without_its_characters(folder: Path) -> None:
    """By its bytes in UTF-8, in a list as in a folder."""
    (folder / "🦊 狐.mp4").write_bytes(b"")
    write(folder, '{"video": "🦊 狐.mp4", "caption": "a 🦊"}\n{"video": "🐋.mp4", "caption": "a 🐋"}\n', "list.jsonl")
    code = (
        "import os, sys; from ivtutorial.data.lists import read_entries\n"
        "assert sys.getfilesystemencoding() == 'ascii'\n"
        "for entry in read_entries(sys.argv[1]):\n"
        "    print(entry.status, entry.clip and os.path.isfile(entry.clip.path))"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, str(folder / "list.jsonl")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("ok True\nmissing None\n", "")
