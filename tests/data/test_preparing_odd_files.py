"""A clip's surprise costs that clip; what a file says of itself and what was converted is in the report."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from ivtutorial.data import check
from ivtutorial.data.clips import read_clips
from ivtutorial.data.dataset import encode_clips
from ivtutorial.data.lists import Clip, read_entries
from ivtutorial.data.preparation import prepare
from ivtutorial.errors import InputError
from ivtutorial.video.writer import write_video
from tests.toy import toy_backbone
from tests.video.synthetic import encode, quadrants, write

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three different clips of four frames."""
    (tmp_path / "clips").mkdir()
    for name, level in (("a", 40), ("b", 120), ("c", 200)):
        pixels = np.full((4, 16, 24, 3), level, np.uint8)
        pixels[:, :8, :, 0] = np.arange(4, dtype=np.uint8)[:, None, None] * 20
        write_video(tmp_path / "clips" / f"{name}.mp4", pixels)
    return tmp_path / "clips"


def report_of(out: Path) -> list[dict[str, str]]:
    with open(out / "report.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_an_unknown_codec_costs_one_clip(folder: Path, tmp_path: Path) -> None:
    data = (folder / "b.mp4").read_bytes()
    write(folder / "b.mp4", data.replace(b"avc1", b"zzzz"))
    (folder / "captions.csv").write_text("video,caption\na.mp4,a fox\nb.mp4,a hen\nc.mp4,a cat\n")
    result = prepare(folder, tmp_path / "out", None, frames=4, skip_bad=True)
    assert result.counts == {"ok": 2, "undecodable": 1}
    assert "codec is unknown" in report_of(tmp_path / "out")[1]["problem"]


def test_whatever_a_decoder_raises_costs_one_clip(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = check.read_video_with_notes

    def surprise(path: Path, *args: Any) -> Any:
        if path.name == "b.mp4":
            raise RuntimeError("never seen before")
        return read(path, *args)

    monkeypatch.setattr(check, "read_video_with_notes", surprise)
    (folder / "captions.csv").write_text("video,caption\na.mp4,a fox\nb.mp4,a hen\nc.mp4,a cat\n")
    result = prepare(folder, tmp_path / "out", None, frames=4, skip_bad=True)
    assert result.counts == {"ok": 2, "undecodable": 1}
    assert result.problems[0].endswith("unexpected RuntimeError: never seen before")


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes that are no text")
def test_a_name_that_is_not_utf8_is_prepared(toy: Backbone, folder: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (folder / "a.mp4").rename(folder / f"{name}.mp4")
    for stem in (name, "b", "c"):
        (folder / f"{stem}.txt").write_text("a fox")
    (folder / "c.mp4").write_bytes(b"no video")
    result = prepare(folder, tmp_path / "out", toy, frames=4, skip_bad=True)
    assert result.counts == {"ok": 2, "undecodable": 1}
    assert {row["entry"] for row in report_of(tmp_path / "out")} == {"b.mp4", "c.mp4", "caf\\udce9.mp4"}
    clips = read_clips(tmp_path / "out")
    assert all(clip.path.is_file() for clip in clips) and len(encode_clips(toy, clips, tmp_path / "x", frames=4)) == 2


def test_several_captions_of_one_clip_are_prepared_and_encoded_once(
    toy: Backbone, folder: Path, tmp_path: Path
) -> None:
    (folder / "captions.csv").write_text("video,caption\na.mp4,a fox\na.mp4,a fox in the snow\nb.mp4,a hen\n")
    assert prepare(folder, tmp_path / "out", toy, frames=4).counts == {"ok": 3}
    assert len(list((tmp_path / "out" / "latents").glob("*/*.safetensors"))) == 2
    data = encode_clips(toy, read_clips(tmp_path / "out"), tmp_path / "out" / "latents", frames=4)
    assert data.captions == ("a fox", "a fox in the snow", "a hen") and torch.equal(data.latents[0], data.latents[1])


def test_the_same_bytes_with_the_same_caption_are_a_duplicate_everywhere(
    toy: Backbone, folder: Path, tmp_path: Path
) -> None:
    write(folder / "copy.mp4", (folder / "a.mp4").read_bytes())
    clips = [Clip(folder / name, "a fox") for name in ("a.mp4", "copy.mp4", "b.mp4")]
    with pytest.raises(InputError, match=r"1 bad of 3:\n.*copy\.mp4: the same clip and caption as .*a\.mp4"):
        encode_clips(toy, clips, tmp_path / "cache", frames=4)
    (folder / "captions.csv").write_text("video,caption\na.mp4,a fox\ncopy.mp4,a fox\n")
    with pytest.raises(InputError, match="the same clip and caption as line 2: a.mp4"):
        prepare(folder, tmp_path / "out", None, frames=4)


def test_a_caption_with_another_line_separator_survives(toy: Backbone, folder: Path, tmp_path: Path) -> None:
    """Its manifest is lines of JSON, which must not break there."""
    captions = ["a red fox\u2028in the snow", "a\u0085whale", "two\nlines\rthree"]
    rows = [json.dumps({"video": f"{name}.mp4", "caption": text}) for name, text in zip("abc", captions, strict=True)]
    (folder / "captions.jsonl").write_text("\n".join(rows), encoding="utf-8")
    prepare(folder, tmp_path / "out", None, frames=4)
    assert [clip.caption for clip in read_clips(tmp_path / "out")] == captions
    assert [row["caption"] for row in report_of(tmp_path / "out")] == captions


def test_a_snapshot_of_the_hub_is_prepared(folder: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "datasets--x" / "snapshots" / "01", tmp_path / "datasets--x" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (folder / "a.mp4").rename(blobs / "f00d")
    (snapshot / "a.mp4").symlink_to("../../blobs/f00d")
    (snapshot / "metadata.csv").write_text("file_name,text\na.mp4,a fox\n")
    prepare(snapshot, tmp_path / "out", None, frames=4)
    [clip] = read_clips(tmp_path / "out")
    assert clip.path.is_file() and clip.path.name == "a.mp4"


def test_what_was_converted_is_in_the_report(toy: Backbone, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    encode(folder / "hdr.mkv", quadrants(), "ffv1", pixel_format="yuv444p10le", color_trc=16, color_primaries=9)
    clear = np.concatenate([quadrants(), np.zeros((4, 32, 48, 1), np.uint8)], axis=-1)
    encode(folder / "clear.mov", clear, "qtrle", pixel_format="argb")
    encode(folder / "plain.mp4", quadrants())
    captions = {"hdr": "a fox", "clear": "a hen", "plain": "a red fox running through the snow " * 40}
    for name, caption in captions.items():
        (folder / f"{name}.txt").write_text(caption)
    prepare(folder, tmp_path / "out", toy, frames=4)
    notes = {row["entry"]: row["notes"] for row in report_of(tmp_path / "out")}
    assert notes["hdr.mkv"] == "HDR (PQ) tone-mapped" and notes["clear.mov"] == "transparent parts laid on black"
    assert "tokens, the model reads" in notes["plain.mp4"]


def test_the_folder_of_the_clips_is_not_written_into(folder: Path, tmp_path: Path) -> None:
    """There the manifest would be read in place of the list: a clip added later would be left out without a word."""
    (folder / "captions.csv").write_text("video,caption\na.mp4,a fox\n")
    with pytest.raises(InputError, match="is the folder of the clips itself: give another one"):
        prepare(folder, folder / ".." / "clips", None, frames=4)
    assert sorted(path.name for path in folder.iterdir()) == ["a.mp4", "b.mp4", "c.mp4", "captions.csv"]
    prepare(folder, tmp_path / "out", None, frames=4)
    assert prepare(tmp_path / "out", tmp_path / "out", None, frames=4).counts == {"ok": 1}  # what it wrote itself


def test_sheets_of_a_longer_list_do_not_stay(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PAGE", 2)
    rows = ["a.mp4,a fox", "b.mp4,a hen", "c.mp4,a cat"]
    (folder / "captions.csv").write_text("\n".join(["video,caption", *rows]))
    prepare(folder, tmp_path / "out", None, frames=4)
    (tmp_path / "out" / "sheets" / "sheet-of-mine.png").write_bytes(b"mine")
    (folder / "captions.csv").write_text("\n".join(["video,caption", *rows[:2]]))
    prepare(folder, tmp_path / "out", None, frames=4)
    left = sorted(path.name for path in (tmp_path / "out" / "sheets").iterdir())
    assert left == ["sheet-000.png", "sheet-of-mine.png"]


def test_a_folder_under_a_videos_name_is_named_as_one(folder: Path, tmp_path: Path) -> None:
    for name in "abc":
        (folder / f"{name}.txt").write_text("a fox")
    (folder / "d.mp4").mkdir()
    (folder / "d.txt").write_text("a hen")
    result = prepare(folder, tmp_path / "out", None, frames=4, skip_bad=True)
    assert result.problems == ["d.mp4 is a folder under a video's name; rename it."]
    (folder / "captions.csv").write_text("video,caption\na.mp4,a fox\nd.mp4,a hen\n")
    assert read_entries(folder)[1].problem == "line 3: d.mp4: no such file; it is a folder."
