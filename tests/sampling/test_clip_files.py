"""Clips as files: each is written when it is made, and what was cut off goes on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from ivtutorial.data.clips import read_clips
from ivtutorial.errors import InputError
from ivtutorial.evaluation.scoring import score_files
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.sampling.clip_files import generate_files
from ivtutorial.sampling.generation import Sampling, generate
from ivtutorial.video.writer import encode_video
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from collections.abc import Callable

PROMPTS = ["a red fox", "a deer", "a deer"]
SHORT = Sampling(D=2, frames=4, batch_size=1)


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames[:, 0].mean(dim=(1, 2))


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


def interrupted_after(count: int, decode: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Ctrl-C while the clip after so many is being decoded."""
    calls = []

    def decode_clips(self: Backbone, z: Tensor, *args: Any) -> Tensor:
        calls.append(z)
        if len(calls) > count:
            raise KeyboardInterrupt
        return decode(self, z, *args)

    return decode_clips


def test_files_are_the_clips_of_generation_with_their_prompts(toy: Backbone, tmp_path: Path) -> None:
    clips = generate_files(toy, PROMPTS, tmp_path, [0, 7], SHORT)
    expected = [encode_video(clip) for clip in generate(toy, PROMPTS, [0, 7], SHORT)]
    assert [clip.path.read_bytes() for clip in clips] == expected and len(set(expected)) == 6
    assert [clip.path.name for clip in clips[:3]] == ["0000-0.mp4", "0000-7.mp4", "0001-0.mp4"]
    assert [clip.caption for clip in clips] == [text for text in PROMPTS for _ in range(2)]


def test_ctrl_c_leaves_the_finished_clips_and_the_same_call_makes_the_others(
    toy: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Backbone, "decode_clips", interrupted_after(2, Backbone.decode_clips))
        generate_files(toy, PROMPTS, tmp_path / "cut", 3, SHORT)
    kept = sorted((tmp_path / "cut").glob("*.mp4"))
    assert [path.name for path in kept] == ["0000-3.mp4", "0001-3.mp4"]
    written = [path.stat().st_mtime_ns for path in kept]
    clips = generate_files(toy, PROMPTS, tmp_path / "cut", 3, SHORT)
    assert [path.stat().st_mtime_ns for path in kept] == written
    whole = generate_files(toy, PROMPTS, tmp_path / "whole", 3, SHORT)
    assert [clip.path.read_bytes() for clip in clips] == [clip.path.read_bytes() for clip in whole]


def test_what_was_generated_can_be_scored(toy: Backbone, tmp_path: Path) -> None:
    clips = generate_files(toy, PROMPTS, tmp_path, 0, SHORT)
    assert read_clips(tmp_path) == clips
    scores = score_files(read_clips(tmp_path), redness, S=2, frames=4, size=(16, 16))
    assert scores.frame_rewards.shape == (3, 2)


def test_clips_made_otherwise_are_not_mixed_in(toy: Backbone, tmp_path: Path) -> None:
    first = generate_files(toy, PROMPTS[:1], tmp_path, 0, SHORT)[0].path.read_bytes()
    with pytest.raises(InputError, match="made with another D: choose another folder"):
        generate_files(toy, PROMPTS[:1], tmp_path, 0, Sampling(D=3, frames=4))
    generate_files(toy, PROMPTS[:1], tmp_path, 0, Sampling(D=3, frames=4), overwrite=True)
    assert (tmp_path / "0000-0.mp4").read_bytes() != first
    (tmp_path / "sampling.json").unlink()
    with pytest.raises(InputError, match="unknown origin"):
        generate_files(toy, PROMPTS[:1], tmp_path, 0, SHORT)


def test_a_list_of_ones_own_is_not_replaced(toy: Backbone, tmp_path: Path) -> None:
    """A folder of clips under other names, with their captions: no file of `generate` is in the way but the list."""
    own = "video,caption\nfox.mp4,a red fox\n"
    (tmp_path / "captions.csv").write_text(own)
    (tmp_path / "fox.mp4").write_bytes(b"a clip")
    with pytest.raises(InputError, match="unknown origin .*choose another folder"):
        generate_files(toy, PROMPTS[:1], tmp_path, 0, SHORT)
    assert (tmp_path / "captions.csv").read_text() == own
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.csv", "fox.mp4"]


@pytest.mark.parametrize("part", ["weights", "text_encoder", "autoencoder", "noise_schedule"])
def test_no_part_of_the_model_may_change_below_clips_that_are_kept(toy: Backbone, tmp_path: Path, part: str) -> None:
    """One bias, or what the network's output means: the clip would be another, so the one that is there is not kept."""
    first = generate_files(toy, PROMPTS[:1], tmp_path, 0, SHORT)[0].path.read_bytes()
    other = copy.deepcopy(toy)
    other._embeddings.clear()
    if part == "noise_schedule":
        other.scheduler = make_scheduler("v_prediction")
    else:
        network = {"weights": other.unet, "text_encoder": other.text_encoder, "autoencoder": other.vae.decoder}[part]
        bias = [weight for name, weight in network.named_parameters() if name.endswith("bias")][-1]
        bias.data += torch.arange(len(bias)) + 1.0
    with pytest.raises(InputError, match=f"made with another {part}: choose another folder"):
        generate_files(other, PROMPTS[:1], tmp_path, 0, SHORT)
    [clip] = generate_files(other, PROMPTS[:1], tmp_path, 0, SHORT, overwrite=True)
    assert clip.path.read_bytes() != first
    written = clip.path.stat().st_mtime_ns
    generate_files(other, PROMPTS[:1], tmp_path, 0, SHORT, overwrite=True)
    assert clip.path.stat().st_mtime_ns == written


@pytest.mark.parametrize(("fps", "inside", "message"), [(0.0, "", "fps=0"), (8.0, "file", "cannot write")])
def test_what_cannot_be_written_is_refused_before_a_model_is_opened(
    tmp_path: Path, fps: float, inside: str, message: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=message):
        generate_files("no such model", PROMPTS, tmp_path / inside / "out", fps=fps)
