"""The clips and the second reward."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ivtutorial.data.prompts import spread
from ivtutorial.evaluation.looks import measure
from ivtutorial.lab.experiments.plans.clip_sets import clip_set
from ivtutorial.lab.experiments.plans.vivid import vivid
from ivtutorial.video.reader import read_video
from tests.tolerances import assert_close

if TYPE_CHECKING:
    pass


def test_clean_clips_show_the_same_without_faults(tmp_path: Path) -> None:
    """Three of the shipped clips and their clean twins: same captions; drawn once, then read."""
    web, clean = clip_set("web", 3, tmp_path), clip_set("clean", 3, tmp_path)
    assert [one.caption for one in web] == [one.caption for one in clean] and len(web) == 3
    made = clean[0].path.stat().st_mtime_ns
    assert clip_set("clean", 3, tmp_path)[0].path.stat().st_mtime_ns == made
    light = clip_set("light", 3, tmp_path)
    assert [clip.caption for clip in light] == [clip.caption for clip in web]
    far = [[np.abs(read_video(a.path) - read_video(b.path)).mean() for a, b in zip(clean, other, strict=True)]
           for other in (light, web)]  # fmt: skip
    assert np.mean(far[0]) < np.mean(far[1]), "half of the faults is nearer to none"
    assert spread(list(range(10)), 3) == [0, 3, 6] and spread([1, 2], 9) == [1, 2]


def test_the_second_reward_is_what_the_columns_measure() -> None:
    """Of a still clip it is sharpness plus colourfulness as `measure` has them; blur and greyness lower it."""
    frame = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
    result = vivid(frame, ["a fox"])
    columns = measure(frame.detach()[None])
    assert_close(result.item(), (columns["sharpness"] + columns["colourfulness"]).item(), n=frame.numel())
    result.sum().backward()
    assert frame.grad is not None and frame.grad.isfinite().all() and frame.grad.abs().sum() > 0
    grey = frame.detach().mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert vivid(grey, ["a fox"]) < result
    flat = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
    vivid(flat, ["a fox"]).sum().backward()
    assert flat.grad is not None and flat.grad.isfinite().all(), "a flat frame has a gradient, too"
