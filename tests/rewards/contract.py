"""What every image reward must do, for the test of a new one."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.checks import check_scores
from ivtutorial.errors import InputError
from ivtutorial.rewards.base import ImageReward

CAPTIONS = ["a red fox", "the deer running", "snow"]


def assert_image_reward(reward: ImageReward, size: int = 32, tolerance: float = 0.02) -> None:
    """One finite score a frame, its own frame's alone, with the right gradient; frozen; wrong frames are refused.

    Args:
        reward: on the CPU, in float32.
        size: height and width of the frames.
        tolerance: relative error of the slope against a central difference.
    """
    frames = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    x = frames.clone().requires_grad_()
    scores = check_scores(reward(x, CAPTIONS), 3)
    assert scores.isfinite().all()
    (gradient,) = torch.autograd.grad(scores[1], x)
    assert not gradient[0].any() and not gradient[2].any(), "a score depends on another frame"
    step = 1e-2 * gradient[1] / gradient[1].abs().max()
    higher, lower = (reward(frames + sign * torch.stack([0 * step, step, 0 * step]), CAPTIONS)[1] for sign in (1, -1))
    assert (higher - lower).item() == pytest.approx(2 * (gradient[1] * step).sum().item(), rel=tolerance)
    if isinstance(reward, torch.nn.Module):
        assert not any(parameter.requires_grad for parameter in reward.parameters()), "a reward is frozen"
        assert not reward.train().training, "a reward stays in eval mode"
    with pytest.raises(InputError):
        reward(frames * 255, CAPTIONS)
    with pytest.raises(InputError):
        reward(frames, CAPTIONS[:2])
