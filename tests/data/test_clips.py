"""Lists of clips: every form is read, one error names every bad entry, nothing leaves the list's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ivtutorial.data.captions import check_caption
from ivtutorial.data.clips import Clip, load_frames, read_clips, write_clips
from ivtutorial.errors import InputError
from ivtutorial.video.reader import read_video
from ivtutorial.video.writer import write_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three readable clips of 16 grey frames, b.mp4 lighter than a.mp4, sub/c.mp4 lighter still."""
    (tmp_path / "sub").mkdir()
    for name, level in (("a.mp4", 40), ("b.mp4", 120), ("sub/c.mp4", 200)):
        write_video(tmp_path / name, np.full((16, 32, 48, 3), level, np.uint8))
    return tmp_path


def csv_file(folder: Path, text: str | bytes, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv_gives_clips_in_its_order(folder: Path) -> None:
    text = 'video,caption,split\nsub/c.mp4,"a fox, running",train\na.mp4,  a hen 🐔 ,test\n\n'
    assert read_clips(csv_file(folder, text)) == [
        Clip(folder / "sub/c.mp4", "a fox, running"),
        Clip(folder / "a.mp4", "a hen 🐔"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffvideo,caption\r\na.mp4,größer als ein Löwe\r\n",  # as spreadsheets write it
        "path,caption\na.mp4,größer als ein Löwe\n",
        "caption, video\ngrößer als ein Löwe, a.mp4\n",
        "video;caption\r\na.mp4;größer als ein Löwe\r\n",  # as European spreadsheets write it
        "Video\tCaption\na.mp4\tgrößer als ein Löwe\n",
        "\n\nvideo,caption,,\na.mp4,größer als ein Löwe,,\n,,,\n",  # empty cells and rows of a spreadsheet
        "video,caption\ra.mp4,größer als ein Löwe\r",
    ],
)
def test_common_ways_to_write_a_csv_are_understood(folder: Path, text: str) -> None:
    assert read_clips(csv_file(folder, text)) == [Clip(folder / "a.mp4", "größer als ein Löwe")]


def test_a_folder_with_captions_csv_is_that_list(folder: Path) -> None:
    csv_file(folder, "video,caption\nb.mp4,a hen\n", "captions.csv")
    assert read_clips(folder) == [Clip(folder / "b.mp4", "a hen")]


def test_a_folder_of_videos_takes_captions_from_text_files(folder: Path) -> None:
    (folder / "b.txt").write_text("\ufeffa hen\n", encoding="utf-8")
    (folder / "a.txt").write_text("a fox", encoding="utf-8")
    (folder / "notes.md").write_text("not a clip")
    assert read_clips(str(folder)) == [Clip(folder / "a.mp4", "a fox"), Clip(folder / "b.mp4", "a hen")]


def test_every_bad_row_is_named_at_once(folder: Path) -> None:
    rows = [
        "video,caption",
        "a.mp4,a good one",
        "absent.mp4,a fox",
        "b.mp4,   ",
        "b.mp4,nan",
        "b.mp4",
        ",a caption without a video",
        "../outside.mp4,a fox",
        "/etc/hostname,a fox",
        'b.mp4,"binary \x07 text"',
        "sub,a folder",
    ]
    with pytest.raises(InputError) as caught:
        read_clips(csv_file(folder, "\n".join(rows)))
    message = str(caught.value)
    expected = [
        "9 bad of 10",
        "line 3: absent.mp4: no such file",
        "line 4: b.mp4: the caption is empty",
        "line 5: b.mp4: a caption is words, got the number 'nan'",
        "line 6: b.mp4: the caption is empty",
        "line 7: no video is named",
        "line 8: ../outside.mp4 leaves the list's folder",
        "line 9: /etc/hostname leaves the list's folder",
        "line 10: b.mp4: a caption is text, got control characters",
        "line 11: sub: no such file",
    ]
    assert [says for says in expected if says not in message] == []
    assert "a good one" not in message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "sub/c.mp4|||a fox, running\n\na.mp4|||a hen ||| two\n"),
        (
            "captions.jsonl",
            '{"path": "sub/c.mp4", "text": "a fox, running"}\n{"file_name": "a.mp4", "caption": "a hen ||| two"}',
        ),
        ("list.csv", "file_name,text\nsub/c.mp4,\"a fox, running\"\na.mp4,a hen ||| two\n"),
    ],
)  # fmt: skip
def test_all_forms_give_the_same_clips(folder: Path, name: str, text: str) -> None:
    path = csv_file(folder, text, name)
    expected = [Clip(folder / "sub/c.mp4", "a fox, running"), Clip(folder / "a.mp4", "a hen ||| two")]
    assert read_clips(path) == expected
    if name.startswith("captions"):
        assert read_clips(folder) == expected


def test_a_list_may_lie_elsewhere_than_its_videos(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With the data root given; and then paths may not leave that."""
    path = csv_file(tmp_path_factory.mktemp("lists"), "c.mp4|||a fox\n../a.mp4|||a hen\n", "list.txt")
    with pytest.raises(InputError, match=r"1 bad of 2:\n  line 2: \.\./a\.mp4 leaves"):
        read_clips(path, root=folder / "sub")
    assert read_clips(path, root=folder / "sub", skip_bad=True) == [Clip(folder / "sub" / "c.mp4", "a fox")]


def test_a_clip_may_start_later_in_its_file(folder: Path) -> None:
    """Frame 0 of the clip is frame 4 of the file, at 0.5 s and 8 frames a second."""
    pixels = np.zeros((16, 32, 48, 3), np.uint8) + np.arange(16, dtype=np.uint8)[:, None, None, None] * 15
    write_video(folder / "a.mp4", pixels)
    clips = read_clips(csv_file(folder, "video,caption,start\na.mp4,a fox,0.5\n"))
    assert clips == [Clip(folder / "a.mp4", "a fox", 0.5)]
    level = load_frames(clips, frames=1, size=(32, 48)).mean().item() * 255
    assert level == pytest.approx(60, abs=3)
    write_clips(folder / "again.csv", clips)
    assert read_clips(folder / "again.csv") == clips
    with pytest.raises(InputError, match="start = '-1'"):
        read_clips(csv_file(folder, "video,caption,start\na.mp4,a fox,-1\n"))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("list.jsonl", '{"video": "a.mp4", "caption": "a fox"}\n{"video"\n[1]\n', "2 bad of 3"),
        ("list.jsonl", '{"video": "a.mp4", "caption": 7}\n', "a caption is text, got 7 of type int"),
        ("list.txt", "a.mp4 a fox\n", r"no line has the form path\|\|\|caption"),
        ("list.txt", "a.mp4|||\nb.mp4|||a hen\n", "1 bad of 2"),
        ("list.txt", "\n", "no clips in it"),
        ("list.jsonl", "", "no clips in it"),
        ("list.txt", "a.mp4\0|||a fox\n", "leaves the list's folder"),
    ],
)
def test_other_forms_that_are_damaged_are_refused(folder: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_clips(csv_file(folder, text, name))


def test_a_link_out_of_the_folder_leaves_it_too(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.mp4"
    outside.write_bytes(b"")
    (folder / "link.mp4").symlink_to(outside)
    with pytest.raises(InputError, match="link.mp4 leaves the list's folder"):
        read_clips(csv_file(folder, "video,caption\nlink.mp4,a fox\n"))
    for name in ("a", "b", "link"):
        (folder / f"{name}.txt").write_text("a fox")
    with pytest.raises(InputError, match=r"1 bad of 3:\n  link.mp4 is a link that leaves"):
        read_clips(folder)


def test_every_video_without_a_good_caption_is_named_at_once(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"\xff\xff not UTF-8")
    with pytest.raises(InputError, match=r"2 bad of 2(.|\n)*a\.txt: is not UTF-8(.|\n)*b\.mp4: no caption: b\.txt"):
        read_clips(folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,caption\na.mp4,a fox\n", "needs the columns video,caption; it has file,caption"),
        ("video:caption\na.mp4:a fox\n", "it has video:caption"),
        ("video,caption,caption\na.mp4,a fox,a hen\n", "has the column 'caption' twice"),
        ("", "needs the columns video,caption; it has none"),
        ("video,caption\n", "no clips in it"),
        (b"video,caption\na.mp4,\xe4\n", "is not UTF-8 text"),
    ],
)
def test_a_csv_of_another_form_is_refused(folder: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(InputError, match=f"list.csv: .*{says}"):
        read_clips(csv_file(folder, text))


def test_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: no such file or folder"):
        read_clips(tmp_path / "absent")
    with pytest.raises(InputError, match="no clips in it"):
        read_clips(tmp_path)


@pytest.mark.parametrize("caption", [None, 3, 2.5, b"a fox", ["a fox"], "", " \n", "nan", "7", "-1e3", "a\0b"])
def test_what_is_no_text_is_no_caption(caption: object) -> None:
    with pytest.raises(InputError, match="caption"):
        Clip(Path("a.mp4"), caption)  # type: ignore[arg-type]


@pytest.mark.parametrize("caption", ["a fox", "🦊", "狐狸在雪地里奔跑", "7 foxes", "line\nbreak"])
def test_text_in_any_script_is_a_caption(caption: str) -> None:
    assert check_caption(f" {caption}\n") == caption


def test_a_written_list_is_read_back(folder: Path) -> None:
    clips = [Clip(folder / "sub/c.mp4", 'says "hi", 🦊'), Clip(folder / "a.mp4", "two\nlines")]
    write_clips(folder / "new.csv", clips)
    assert read_clips(folder / "new.csv") == clips
    with pytest.raises(InputError, match="is not below"):
        write_clips(folder / "sub" / "new.csv", clips)


def test_frames_are_what_the_reader_reads_scaled_to_one(folder: Path) -> None:
    clips = [Clip(folder / "a.mp4", "dark"), Clip(folder / "sub/c.mp4", "light")]
    frames = load_frames(clips, frames=8, size=(24, 40))
    assert frames.shape == (2, 8, 3, 24, 40) and frames.dtype == torch.float32
    assert frames.is_contiguous()
    expected = torch.from_numpy(read_video(clips[1].path, 8, 8, (24, 40))).permute(0, 3, 1, 2) / 255
    assert torch.equal(frames[1], expected)
    assert frames.mean(dim=(1, 2, 3, 4)) == pytest.approx([40 / 255, 200 / 255], abs=0.01)


def test_every_clip_that_cannot_be_read_is_named_at_once(folder: Path) -> None:
    (folder / "broken.mp4").write_bytes(b"no video")
    write_video(folder / "short.mp4", np.zeros((3, 32, 32, 3), np.uint8))
    clips = [Clip(folder / name, "a fox") for name in ("a.mp4", "broken.mp4", "short.mp4", "gone.mp4")]
    with pytest.raises(InputError) as caught:
        load_frames(clips)
    message = str(caught.value)
    expected = [
        "3 bad of 4",
        "broken.mp4: not a video",
        "short.mp4: too few frames: 3",
        "gone.mp4: no such file",
    ]
    assert [says for says in expected if says not in message] == []
    with pytest.raises(InputError, match="no clips to load"):
        load_frames([])


def test_the_real_clips_are_a_list(real_clips: Path) -> None:
    clips = read_clips(real_clips)
    assert "cat walking" in [clip.caption for clip in clips]
    assert load_frames(clips[:2], size=(32, 32)).shape == (2, 16, 3, 32, 32)
