"""The paper's metric: which frames are scored, what is refused, and files one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ivtutorial.data.clips import Clip
from ivtutorial.errors import InputError
from ivtutorial.evaluation import scoring
from ivtutorial.evaluation.scoring import score, score_files
from ivtutorial.video.writer import write_video
from tests.tolerances import assert_close


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames[:, 0].mean(dim=(1, 2))


def test_score_is_the_mean_over_the_first_frames_of_the_segments() -> None:
    """Frame k of clip n is k / 16 + n / 100 grey; S = 4 of 16 frames looks at 0, 4, 8, 12: mean 6 / 16 = 0.375."""
    level = torch.arange(16) / 16 + torch.tensor([[0.0], [0.01]])
    result = score(level[:, :, None, None, None].expand(2, 16, 3, 4, 4), ["a", "b"], redness, S=4, batch_size=1)
    assert_close(result.frame_rewards[0], torch.tensor([0, 4, 8, 12]) / 16)
    assert_close(result.rewards, torch.tensor([0.375, 0.385]))
    assert_close(result.total.mean, 0.38)
    assert_close(result.total.std, 0.01 / 2**0.5, size=0.38)


@pytest.mark.parametrize(
    ("frames", "captions", "message"),
    [
        (torch.zeros(2, 4, 3, 8, 8), ["a"], "1 captions"),
        (torch.zeros(0, 4, 3, 8, 8), [], "N >= 1"),
        (torch.zeros(1, 4, 3, 8, 8) - 1, ["a"], r"\[0, 1\]"),
        (torch.zeros(1, 6, 3, 8, 8), ["a"], "S = 4"),
        (torch.full((1, 4, 3, 8, 8), torch.nan), ["a"], "not a finite number"),
    ],
)
def test_what_cannot_be_scored(frames: Tensor, captions: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(frames, captions, redness)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 4, 8, 8, 3), np.uint8), "numpy.ndarray: expected a torch tensor"),
        ([torch.zeros(4, 3, 8, 8)], "list: expected a torch tensor"),
        (torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8), "torch.uint8: expected floats.*255"),
    ],
)
def test_frames_of_another_kind_are_named(frames: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(frames, ["a"], redness)  # type: ignore[arg-type]


def test_a_reward_that_returns_a_list_is_an_error_with_what_is_expected() -> None:
    with pytest.raises(InputError, match="list: expected a torch tensor"):
        score(torch.zeros(1, 4, 3, 8, 8), ["a"], lambda frames, captions: [0.0] * len(captions))  # type: ignore


def test_files_are_scored_one_by_one(tmp_path: Path) -> None:
    """No call sees more than one clip, and the scores are those of the clips together (up to H.264)."""
    seen = []

    def reward(frames: Tensor, captions: Sequence[str]) -> Tensor:
        seen.append(len(frames))
        return redness(frames, captions)

    levels = (0.2, 0.5, 0.9)
    for k, level in enumerate(levels):
        write_video(tmp_path / f"{k}.mp4", np.full((4, 16, 16, 3), level), crf=1)
    clips = [Clip(tmp_path / f"{k}.mp4", "grey") for k in range(3)]
    scores = score_files(clips, reward, S=2, frames=4, size=(16, 16))
    assert seen == [2, 2, 2]
    torch.testing.assert_close(scores.rewards, torch.tensor(levels), atol=0.02, rtol=0)


def test_every_file_that_cannot_be_scored_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "good.mp4", np.zeros((4, 16, 16, 3)))
    write_video(tmp_path / "short.mp4", np.zeros((2, 16, 16, 3)))
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    clips = [Clip(tmp_path / name, "grey") for name in ("short.mp4", "good.mp4", "broken.mp4")]
    with pytest.raises(InputError, match="2 bad of 3(.|\\n)*short.mp4(.|\\n)*broken.mp4"):
        score_files(clips, redness, S=2, frames=4, size=(16, 16))


def test_a_reward_by_name_is_opened_where_and_as_finetune_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the GPU where there is one, there in half precision unless told otherwise; on a CPU in single precision."""
    opened: list[object] = []

    def spy(reward: object, *where: object) -> object:
        opened.append(where)
        return redness

    monkeypatch.setattr(scoring, "open_reward", spy)
    clips, captions = torch.rand(2, 4, 3, 8, 8), ["a", "b"]
    score(clips, captions, "hpsv2", device="cpu")
    score(clips, captions, "hpsv2", device="cpu", dtype=torch.bfloat16)
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(scoring, "choose_device", lambda name=None: gpu)
    monkeypatch.setattr(Tensor, "to", lambda tensor, *_, **__: tensor)  # there is no GPU here
    score(clips, captions, "hpsv2")
    score(clips, captions, redness)
    cpu = torch.device("cpu")
    assert opened == [(cpu, None), (cpu, torch.bfloat16), (gpu, torch.float16), ()]
