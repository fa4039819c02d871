"""Groups of samples of one caption, and their rewards."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.batch import repeated
from ivtutorial.rivals.groups import group_advantages, score_groups
from ivtutorial.rivals.rwr import RWR
from tests.tolerances import assert_close
from tests.toy import (
    brightness,
    clips,
    line,
    seeded,
)


def test_advantages_compare_within_a_caption_only() -> None:
    """Rows 1, 3 and 101, 103 differ by a hundred, and their advantages not at all; equal rewards teach nothing."""
    result = group_advantages(torch.tensor([[1.0, 3.0], [101.0, 103.0], [5.0, 5.0]]))
    torch.testing.assert_close(result, torch.tensor([[-1.0, 1.0], [-1.0, 1.0], [0.0, 0.0]]), atol=1e-4, rtol=0)
    with pytest.raises(InputError, match="at least 2"):
        group_advantages(torch.ones(4, 1))


def test_a_group_is_scored_on_the_same_frames() -> None:
    """Equal clips of a group get equal rewards, although frames are drawn at random for each caption."""
    backbone, config = line(), RWR(S=2, group=3)
    same = clips(2, (1, 8, 2, 2)).latents.repeat_interleave(3, 0)
    batch = repeated(clips(2, (1, 8, 2, 2)), 3)
    output = score_groups(backbone, same, batch, config.video_reward(brightness), 3, seeded(0))
    rewards, frames = output.reward.view(2, 3), output.indices.view(2, 3, 2)
    assert_close(rewards, rewards[:, :1].expand(2, 3))
    assert torch.equal(frames, frames[:, :1].expand(2, 3, 2))
    assert not torch.equal(frames[0], frames[1]), "captions have draws of their own"
