"""A batch fits together, moves as one, and is measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.batch import motion
from tests.toy import (
    text_batch,
)


def test_motion_by_hand():
    """Frames 0, 2, 1 in every cell: steps of 2 and 1, mean 1.5. One frame does not move."""
    clip = torch.tensor([0.0, 2.0, 1.0]).view(1, 1, 3, 1, 1).expand(2, 4, 3, 5, 5)
    assert motion(clip) == pytest.approx(1.5)
    assert motion(clip[:, :, :1]) == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"captions": ("a red fox",)},
        {"captions": "ab"},
        {"captions": ("fox", 3)},
        {"latents": torch.zeros(3, 4, 8, 3, 3)},
        {"latents": torch.zeros(4, 8, 3, 3)},
        {"embeds": torch.zeros(1, 5, 6)},
        {"embeds": torch.zeros(2, 30)},
        {"uncond_embeds": torch.zeros(1, 5, 7)},
        {"uncond_embeds": torch.zeros(3, 5, 6)},
    ],
)
def test_batches_that_do_not_fit_together_are_refused(changes: dict[str, Any]):
    with pytest.raises(InputError):
        replace(text_batch(), **changes)


def test_a_batch_moves_as_one():
    moved = text_batch().to("meta")
    assert {moved.latents.device.type, moved.embeds.device.type, moved.uncond_embeds.device.type} == {"meta"}
    assert moved.captions == text_batch().captions
