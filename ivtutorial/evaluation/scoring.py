"""The paper's metric: the image reward of the first frame of each of S segments, averaged (Sec. 4.1).

No attenuation (that is for training only) and no random choice: the same clips always score the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ivtutorial.data.lists import Clip
from ivtutorial.data.text import bad_entries
from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import Estimate, estimate
from ivtutorial.method.video_reward import VideoReward
from ivtutorial.rewards.named import open_reward
from ivtutorial.system.device import choose_device
from ivtutorial.system.out_of_memory import SAMPLING_OPTIONS, explain_out_of_memory
from ivtutorial.system.progress import bar
from ivtutorial.video.pyav import need_pyav
from ivtutorial.video.reader import read_video

if TYPE_CHECKING:
    from ivtutorial.rewards.base import ImageReward

SCORED_TOGETHER = 16  # clips


@dataclass(frozen=True)
class Scores:
    """Rewards of N clips.

    Attributes:
        frame_rewards: of the first frame of each segment, float32 (N, S).
        total: mean over the clips, standard deviation, and bootstrap 95 % interval of the mean.
    """

    frame_rewards: Tensor
    total: Estimate

    @property
    def rewards(self) -> Tensor:
        """One number a clip, the mean over its segments, (N,)."""
        return self.frame_rewards.mean(dim=1)


def score(
    frames: Tensor,
    captions: Sequence[str],
    reward: ImageReward | str | Path,
    S: int = 4,
    batch_size: int = SCORED_TOGETHER,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
) -> Scores:
    """Score clips against their captions by the paper's protocol.

    Args:
        frames: clips (N, F, 3, H, W), float in [0, 1].
        captions: N texts.
        reward: any image reward, "reduced", or a folder.
        S: segments; must divide F.
        batch_size: clips scored together.
        device: "cpu" or "cuda", for a reward given by name; default the GPU if there is one.
        dtype: of the weights of a reward given by name; default half precision on a GPU, float32 on a CPU.

    Returns:
        Scores of each clip, and their mean with its uncertainty.

    Raises:
        InputError: no clips, no tensor, another number of captions, frames outside [0, 1], S not dividing F, a reward
            that is not a finite number, or the GPU's memory is too small.

    Example:
        >>> score(clips, prompts, "reduced").total.mean  # doctest: +SKIP
    """
    if not isinstance(frames, Tensor):
        raise InputError(
            f"frames are {type(frames).__module__}.{type(frames).__name__}: expected a torch tensor (N, F, 3, H, W), "
            "float in [0, 1]. Turn 8-bit arrays (N, F, H, W, 3) into one by "
            "torch.from_numpy(frames).permute(0, 1, 4, 2, 3).float() / 255."
        )
    if frames.ndim != 5 or len(frames) == 0 or len(captions) != len(frames):
        raise InputError(
            f"{len(captions)} captions for frames of shape {tuple(frames.shape)}: expected N captions for "
            "N >= 1 clips (N, F, 3, H, W)."
        )
    if not frames.is_floating_point():
        raise InputError(f"frames are {frames.dtype}: expected floats in [0, 1]. Divide 8-bit values by 255.")
    image_reward, target = _opened(reward, device, dtype)
    video_reward = VideoReward(image_reward, S=S, lambda_tar=0.0, selection="first")
    with torch.no_grad(), explain_out_of_memory(SAMPLING_OPTIONS):
        parts = [
            video_reward.of_frames(part.to(target or part.device), captions[i : i + batch_size]).frame_rewards
            for i, part in zip(range(0, len(frames), batch_size), frames.split(batch_size), strict=True)
        ]
    return _scores(torch.cat([part.float().cpu() for part in parts]))


def _opened(
    reward: ImageReward | str | Path, device: str | None, dtype: torch.dtype | None
) -> tuple[ImageReward, torch.device | None]:
    """A reward by name, and where it is; an object is used where it and the frames are."""
    if not isinstance(reward, (str, Path)):
        return open_reward(reward), None
    target = choose_device(device)
    return open_reward(reward, target, dtype or (torch.float16 if target.type == "cuda" else None)), target


def score_files(
    clips: Sequence[Clip],
    reward: ImageReward | str | Path,
    S: int = 4,
    *,
    frames: int = 16,
    fps: float = 8.0,
    size: tuple[int, int] = (64, 64),
    device: str | None = None,
    dtype: torch.dtype | None = None,
    progress: bool = False,
) -> Scores:
    """Score video files; each is read, scored and forgotten, so that a long list need not fit into memory.

    Args:
        clips: N >= 1 files with their captions.
        reward: any image reward, "reduced", or a folder.
        S: segments; must divide `frames`.
        frames: F, read of each file.
        fps: frames a second to sample at.
        size: (H, W) in pixels at which files are read; the paper's reward sees 256 x 256.
        device: as for `score`; so is dtype.
        dtype: see device.
        progress: show a progress bar.

    Returns:
        As `score`.

    Raises:
        InputError: as for `score`; or files that cannot be read or are too short, all of which are named.
    """
    need_pyav()
    image_reward, target = _opened(reward, device, dtype)
    rows, problems = [], []
    with bar(len(clips), progress) as advance:
        for clip in clips:
            try:
                pixels = torch.from_numpy(read_video(clip.path, frames, fps, size, clip.start))
            except InputError as error:
                problems.append(str(error))
            else:
                if not problems:  # else the scores would be lost
                    clip_frames = pixels.permute(0, 3, 1, 2)[None].float() / 255
                    rows.append(score(clip_frames.to(target or "cpu"), [clip.caption], image_reward, S).frame_rewards)
            advance(1)
    if problems:
        raise bad_entries("these clips", problems, len(clips))
    if not rows:
        raise InputError("no clips to score: the list is empty.")
    return _scores(torch.cat(rows))


def _scores(frame_rewards: Tensor) -> Scores:
    if not frame_rewards.isfinite().all():
        bad = (~frame_rewards.isfinite()).any(dim=1).nonzero().flatten().tolist()
        raise InputError(
            f"the reward is not a finite number for {len(bad)} of {len(frame_rewards)} clips, the first of them number "
            f"{bad[0]} (from 0)."
        )
    return Scores(frame_rewards, estimate(frame_rewards.mean(dim=1).tolist()))
