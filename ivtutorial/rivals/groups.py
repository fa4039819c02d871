"""What the methods without a gradient through the reward share: groups of samples of one caption, and their rewards.

RWR and DDPO learn from which samples are better than others. Two captions differ in reward far more than two samples of
one caption, and, with TAR, two draws of frames differ more than either. So a group of G clips is sampled for each
caption, all of them are scored on the same frames, and rewards are compared within the group only.

| name         | symbol | shape  | meaning                                                          |
|--------------|--------|--------|------------------------------------------------------------------|
| `group`      | G      | int    | samples of each caption                                          |
| `rewards`    | R      | (B, G) | video reward (Eq. 8) of sample g of caption b                    |
| `advantages` | adv    | (B, G) | (R - mean over the group) / (standard deviation of the group)    |
"""

from __future__ import annotations

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import BackboneLike, Batch
from ivtutorial.method.segvr import choose_frames
from ivtutorial.method.video_reward import VideoReward, VideoRewardOutput


def group_advantages(rewards: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Rewards (B, G) normalised within each row to mean 0 and standard deviation 1 (divisor G).

    A row of equal rewards teaches nothing: it becomes zeros.

    Raises:
        InputError: groups of one sample, which have no better one.

    Example:
        >>> group_advantages(torch.tensor([[1.0, 3.0]]))
        tensor([[-1.0000,  1.0000]])
    """
    if rewards.ndim != 2 or rewards.shape[1] < 2:
        raise InputError(f"rewards of shape {tuple(rewards.shape)}: expected (B, G) with groups of at least 2 samples.")
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True).sqrt() + epsilon)


def score_groups(
    backbone: BackboneLike,
    z0: Tensor,
    batch: Batch,
    video_reward: VideoReward,
    group: int,
    generator: torch.Generator | None = None,
) -> VideoRewardOutput:
    """Rewards of B * G samples; the samples of a caption are scored on the same frames. No gradient.

    Args:
        backbone: decodes.
        z0: samples (B * G, C, F, h, w), those of a caption beside each other.
        batch: the repeated batch, whose captions they are.
        video_reward: chooses the frames and scores them.
        group: G.
        generator: source of the choice.

    Returns:
        Rewards (B * G,), with their weights and frames.
    """
    F, groups = backbone.frame_count(z0.shape[2]), len(z0) // group
    choice = (video_reward.selection, video_reward.lambda_tar)
    frames = choose_frames(F, video_reward.S, groups, generator, *choice)
    with torch.no_grad():
        return video_reward(backbone, z0, batch.captions, generator, frames.repeat_interleave(group, 0))
