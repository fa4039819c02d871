"""Preparing clips: every fault has its name, what was encoded stays encoded, and sets made from no clips at all."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from ivtutorial.data.clips import read_clips
from ivtutorial.data.dataset import encode_clips
from ivtutorial.data.lists import Clip
from ivtutorial.data.preparation import prepare
from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.sampling.generation import Sampling, generate
from ivtutorial.sampling.training_clips import NEARLY_LOSSLESS, sample_clips
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from ivtutorial.video.reader import read_video
from ivtutorial.video.writer import encode_video, write_video
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

TRAINING = FinetuneConfig(InstructVideo(tau=0.5, D=4, S=2), steps=1, frames=4)


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


def brightness(frames: torch.Tensor, captions: Sequence[str]) -> torch.Tensor:
    return frames.mean(dim=(1, 2, 3))


def write_sound(path: Path) -> None:
    """A second of silence as AAC in an MP4 file: no video stream at all."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for index in range(40):
            frame.pts = index * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def make_clip(path: Path, level: int, frames: int = 4) -> None:
    pixels = np.full((frames, 16, 24, 3), level, np.uint8)
    pixels[:, :8, :, 0] = np.arange(frames, dtype=np.uint8)[:, None, None] * 20
    write_video(path, pixels)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two good clips among one of each bad kind."""
    folder = tmp_path / "clips"
    folder.mkdir()
    make_clip(folder / "dark.mp4", 40)
    make_clip(folder / "light.mp4", 200)
    make_clip(folder / "short.mp4", 90, frames=3)
    shutil.copy(folder / "dark.mp4", folder / "copy.mp4")
    write_sound(folder / "sound.mp4")
    Image.new("RGB", (16, 16)).save(folder / "picture.mp4", format="PNG")
    whole = (folder / "light.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    make_clip(folder / "silent.mp4", 150)
    rows = [
        "video,caption",
        "dark.mp4,a fox",
        "light.mp4,a deer",
        "short.mp4,snow",
        "copy.mp4,a fox",
        "sound.mp4,a song",
        "picture.mp4,a picture",
        "cut.mp4,half a clip",
        "silent.mp4,",
        "absent.mp4,nothing",
        "../outside.mp4,elsewhere",
    ]
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    return folder


STATUSES = ["ok", "ok", "too short", "duplicate", *["undecodable"] * 3, "no caption", "missing", "refused"]


def report_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "report.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_bad_clip_is_named_and_has_its_status(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError) as caught:
        prepare(mixed, out, None, frames=4)
    message = str(caught.value)
    messages = [
        "8 bad of 10",
        "line 4: short.mp4: ",
        "too few frames: 3 of the 4 needed",
        "line 5: copy.mp4: the same clip and caption as line 2: dark.mp4",
        "holds no video stream, only audio",
        "is a picture (png), not a video",
        "cut.mp4: not a video that can be read, or damaged",
        "line 9: silent.mp4: the caption is empty",
        "line 10: absent.mp4: no such file",
        "line 11: ../outside.mp4 leaves the list's folder",
        "skip_bad",
    ]
    assert [says for says in messages if says not in message] == []
    rows = report_of(out)
    assert [row["status"] for row in rows] == STATUSES
    # 4 frames at 8 a second are 0.5 s
    assert (rows[0]["seconds"], rows[0]["fps"], rows[0]["height"], rows[0]["codec"]) == ("0.500", "8.000", "16", "h264")
    assert not (out / "manifest.jsonl").exists()


def test_bad_clips_can_be_left_out_and_are_counted(toy: Backbone, mixed: Path, tmp_path: Path) -> None:
    """The prepared folder is a list of the two good clips; their latents are the VAE's of the frames as read."""
    result = prepare(mixed, tmp_path / "out", toy, frames=4, skip_bad=True)
    expected = {"ok": 2, "duplicate": 1, "missing": 1, "no caption": 1, "refused": 1, "too short": 1, "undecodable": 3}
    assert result.counts == expected and len(result.problems) == 8
    clips = read_clips(tmp_path / "out")
    assert [clip.caption for clip in clips] == ["a fox", "a deer"]
    assert [clip.path.resolve() for clip in clips] == [mixed / "dark.mp4", mixed / "light.mp4"]
    sheet = Image.open(tmp_path / "out" / "sheets" / "sheet-000.png")
    assert sheet.width > 2 * 4 * 96 and not (tmp_path / "out" / "sheets" / "sheet-001.png").exists()
    data = encode_clips(toy, clips, tmp_path / "out" / "latents", frames=4)
    pixels = torch.from_numpy(read_video(mixed / "light.mp4", 4, 8, (16, 16))).permute(0, 3, 1, 2)[None].float() / 255
    assert_close(data.latents[1:], toy.encode(pixels), n=roundings(toy.vae))


def test_finetuning_on_a_prepared_set_needs_no_video(toy: Backbone, mixed: Path, tmp_path: Path) -> None:
    """The files are gone, the latents are there. Another number of frames would need the files: that is said."""
    prepare(mixed, tmp_path / "out", toy, frames=4, skip_bad=True)
    shutil.rmtree(mixed)
    finetune(toy, tmp_path / "out", brightness, tmp_path / "run", TRAINING, progress=False)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["clips"] == 2
    assert not (tmp_path / "run" / "cache").exists()
    with pytest.raises(InputError, match=r"2 bad of 2:\n.*cannot read .*dark\.mp4"):
        finetune(toy, tmp_path / "out", brightness, tmp_path / "two", replace(TRAINING, frames=2), progress=False)


def test_a_file_that_changed_after_it_was_checked_is_refused(toy: Backbone, mixed: Path, tmp_path: Path) -> None:
    prepare(mixed, tmp_path / "out", None, frames=4, skip_bad=True)
    make_clip(mixed / "dark.mp4", 99)
    with pytest.raises(InputError, match=r"dark\.mp4: has changed since it was prepared"):
        finetune(toy, tmp_path / "out", brightness, tmp_path / "run", TRAINING, progress=False)


def test_finetuning_can_leave_bad_clips_out(toy: Backbone, mixed: Path, tmp_path: Path) -> None:
    """Without it one error names the rows that are no clips; with it the four that cannot be read and the duplicate."""
    with pytest.raises(InputError, match=r"3 bad of 10:\n.*silent.*\n.*absent.*\n.*outside"):
        finetune(toy, mixed, brightness, tmp_path / "run", TRAINING, progress=False)
    finetune(toy, mixed, brightness, tmp_path / "run", TRAINING, progress=False, skip_bad=True)
    data = json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    assert data["clips"] == 2 and len(data["left_out"]) == 5


def test_a_list_of_bad_clips_only_is_an_error_also_when_they_may_be_left_out(toy: Backbone, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    (tmp_path / "list.txt").write_text("a.mp4|||a fox\n")
    for skip in (True, False):
        with pytest.raises(InputError, match="1 bad of 1") as caught:
            prepare(tmp_path / "list.txt", tmp_path / "out", None, skip_bad=skip)
        assert "without them no clip is left" in str(caught.value) and "skip_bad" not in str(caught.value)
    with pytest.raises(InputError, match="1 bad of 1"):
        finetune(toy, tmp_path / "list.txt", brightness, tmp_path / "run", TRAINING, skip_bad=True, progress=False)


def test_only_what_is_new_is_encoded(toy: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of three clips is renamed, one added: one encoding."""
    for name, level in (("a", 40), ("b", 120), ("c", 200)):
        make_clip(tmp_path / f"{name}.mp4", level)
    clips = [Clip(tmp_path / f"{name}.mp4", name) for name in "abc"]
    first = encode_clips(toy, clips, tmp_path / "cache", frames=4)
    encoded: list[int] = []
    monkeypatch.setattr(type(toy), "encode", _counting(type(toy).encode, encoded))
    (tmp_path / "c.mp4").rename(tmp_path / "z.mp4")
    make_clip(tmp_path / "d.mp4", 250)
    changed = [Clip(tmp_path / f"{name}.mp4", name) for name in "abzd"]
    second = encode_clips(toy, changed, tmp_path / "cache", frames=4)
    assert len(encoded) == 1 and torch.equal(second.latents[:3], first.latents)
    # 0.125 s later is another clip of three frames
    later = [replace(clip, start=0.125) for clip in clips[:1]]
    moved = encode_clips(toy, later, tmp_path / "cache", frames=3)
    assert len(encoded) == 2 and moved.latents.shape[2] == 3


def _counting(encode: Any, calls: list[int]) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return encode(*args, **kwargs)

    return counted


@pytest.mark.parametrize("way", ["prepare", "encode_clips"])
def test_a_clip_too_large_for_the_gpu_is_an_error_with_advice_and_costs_no_other(
    toy: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The second of two clips is too much: it alone is encoded when the call is repeated."""
    for name, level in (("a", 40), ("b", 120)):
        make_clip(tmp_path / f"{name}.mp4", level)
    (tmp_path / "list.txt").write_text("a.mp4|||a fox\nb.mp4|||snow\n")
    encode, encoded = type(toy).encode, [0]

    def too_much_once(*args: Any) -> torch.Tensor:
        encoded[0] += 1
        if encoded[0] == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return encode(*args)

    def run() -> Any:
        if way == "prepare":
            return prepare(tmp_path / "list.txt", tmp_path / "out", toy, frames=4)
        return encode_clips(toy, read_clips(tmp_path / "list.txt"), tmp_path / "cache", frames=4)

    monkeypatch.setattr(type(toy), "encode", too_much_once)
    with pytest.raises(InputError, match=r"2\. half precision: .*same precision of prepare; 3\. .* smaller height"):
        run()
    run()
    assert encoded == [3]


def test_processes_share_the_encoding_and_read_the_same(toy: Backbone, tmp_path: Path) -> None:
    """Rank 1 of 2 encodes the second of three clips; rank 0 then finds it, and both have what one process has."""
    clips = []
    for name, level in (("a", 40), ("b", 120), ("c", 200)):
        make_clip(tmp_path / f"{name}.mp4", level)
        clips.append(Clip(tmp_path / f"{name}.mp4", name))
    alone = encode_clips(toy, clips, tmp_path / "alone", frames=4)
    stored: list[int] = []

    def gather(mine: list[Any]) -> list[Any]:
        stored.append(len(list((tmp_path / "shared").glob("*/*.safetensors"))))
        return mine

    for rank in (1, 0):
        data = encode_clips(toy, clips, tmp_path / "shared", frames=4, rank=rank, world=2, gather=gather)
        assert torch.equal(data.latents, alone.latents)
    assert stored[0] == 1


def test_real_clips_are_prepared(toy: Backbone, real_clips: Path, tmp_path: Path) -> None:
    """Four files of 16 frames at 8 a second, 256 x 256: all good, in the order of their list."""
    result = prepare(real_clips, tmp_path / "out", toy)
    assert result.counts == {"ok": 4}
    rows = report_of(tmp_path / "out")
    assert {(row["fps"], row["seconds"], row["height"], row["width"]) for row in rows} == {
        ("8.000", "2.000", "256", "256")
    }
    assert encode_clips(toy, read_clips(tmp_path / "out"), tmp_path / "out" / "latents").latents.shape == (
        (4, 4, 16, 8, 8)
    )


@pytest.mark.parametrize(
    ("arguments", "message"), [({"height": 15}, "multiples of 2"), ({"source": "empty.csv"}, "no clips in it")]
)
def test_what_cannot_be_prepared(toy: Backbone, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    make_clip(tmp_path / "a.mp4", 40)
    (tmp_path / "list.txt").write_text("a.mp4|||a fox\n")
    (tmp_path / "empty.csv").write_text("video,caption\n")
    source = tmp_path / arguments.pop("source", "list.txt")
    with pytest.raises(InputError, match=message):
        prepare(source, tmp_path / "out", toy, frames=4, **arguments)


def test_a_folder_that_cannot_be_written_is_found_before_the_work(toy: Backbone, mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        prepare(mixed, tmp_path / "file" / "out", None, frames=4)


# --- sets from no clips -----------------------------------------------------------------------------------------------

CAPTIONS = ["a red fox", "a deer", "the snow", "a deer"]
SAMPLING = Sampling(D=2, frames=4, batch_size=1)


def test_a_sampled_set_is_what_generation_makes_and_goes_on_where_it_stopped(toy: Backbone, tmp_path: Path) -> None:
    """Two files are lost: only they are sampled again, with the same bytes. Equal captions give different clips."""
    place = sample_clips(toy, CAPTIONS, tmp_path / "own", SAMPLING, seed=3)
    clips = read_clips(place)
    assert [clip.caption for clip in clips] == CAPTIONS
    expected = [encode_video(clip, 8, NEARLY_LOSSLESS) for clip in generate(toy, CAPTIONS, 3, SAMPLING)]
    assert [clip.path.read_bytes() for clip in clips] == expected and len(set(expected)) == 4
    clips[0].path.unlink()
    clips[3].path.unlink()
    kept = clips[1].path.stat().st_mtime_ns
    sample_clips(toy, CAPTIONS, tmp_path / "own", SAMPLING, seed=3)
    assert clips[1].path.stat().st_mtime_ns == kept
    assert [clip.path.read_bytes() for clip in clips] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [({"seed": 4}, "another seeds"), ({"fps": 4}, "another fps"), ({"captions": ["a fox"]}, "another captions")],
)
def test_samples_made_otherwise_are_not_mixed(
    toy: Backbone, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    sample_clips(toy, ["a deer"], tmp_path / "own", SAMPLING)
    with pytest.raises(InputError, match=message):
        sample_clips(toy, change.pop("captions", ["a deer"]), tmp_path / "own", SAMPLING, **change)


def test_a_sampled_set_can_be_prepared_and_trained_on(toy: Backbone, tmp_path: Path) -> None:
    place = sample_clips(toy, CAPTIONS[:3], tmp_path / "own", SAMPLING)
    prepare(place, tmp_path / "own", toy, frames=4)
    result = finetune(toy, tmp_path / "own", brightness, tmp_path / "run", TRAINING, progress=False)
    assert result.steps == 1
