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

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import Estimate, estimate
from ivtutorial.method.video_reward import VideoReward
from ivtutorial.rewards.named import open_reward
from ivtutorial.system.out_of_memory import SAMPLING_KNOBS, explain_out_of_memory

if TYPE_CHECKING:
    from ivtutorial.rewards.base import ImageReward


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
    frames: Tensor, captions: Sequence[str], reward: ImageReward | str | Path, S: int = 4, batch_size: int = 16
) -> Scores:
    """Score clips against their captions by the paper's protocol.

    Args:
        frames: clips (N, F, 3, H, W), float in [0, 1].
        captions: N texts.
        reward: any image reward, "reduced", or a folder.
        S: segments; must divide F.
        batch_size: clips scored together.

    Returns:
        Scores of each clip, and their mean with its uncertainty.

    Raises:
        InputError: no clips, another number of captions, frames outside [0, 1], S not dividing F, a reward that is not
            a finite number, or the GPU's memory is too small.

    Example:
        >>> score(clips, prompts, "reduced").total.mean  # doctest: +SKIP
    """
    if frames.ndim != 5 or len(frames) == 0 or len(captions) != len(frames):
        raise InputError(
            f"{len(captions)} captions for frames of shape {tuple(frames.shape)}: expected N captions for "
            "N >= 1 clips (N, F, 3, H, W)."
        )
    video_reward = VideoReward(open_reward(reward), S, lambda_tar=0.0, selection="first")
    with torch.no_grad(), explain_out_of_memory(SAMPLING_KNOBS):
        parts = [
            video_reward.of_frames(frames[i : i + batch_size], captions[i : i + batch_size]).frame_rewards.float().cpu()
            for i in range(0, len(frames), batch_size)
        ]
    frame_rewards = torch.cat(parts)
    if not frame_rewards.isfinite().all():
        bad = (~frame_rewards.isfinite()).any(dim=1).nonzero().flatten().tolist()
        raise InputError(f"the reward of {len(bad)} clips is not a finite number, e.g. of clip {bad[0]}.")
    return Scores(frame_rewards, estimate(frame_rewards.mean(dim=1).tolist()))
