"""Movement: flow of a known shift, travel of a known walk, clips that freeze, twitch or repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.evaluation.flow import asked_travel, diversity, measure_movement, optical_flow, thumbnail, travel, warp
from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.subjects import subject
from tests.tolerances import assert_close


def texture(size: int = 64, seed: int = 0) -> Tensor:
    """A smooth random picture (size, size) in [0, 1]."""
    coarse = torch.rand(1, 1, size // 4, size // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False).clamp(0, 1)[0, 0]


def moved(picture: Tensor, right: int, down: int = 0) -> Tensor:
    return picture.roll((down, right), (0, 1))


def square(step: float, frames: int = 16, size: int = 64) -> Tensor:
    """A bright square of 12 pixels that moves `step` pixels to the right a frame, as a clip (1, F, 3, H, W)."""
    xs = torch.arange(size)
    places = size / 2 - 6 + step * (torch.arange(frames) - (frames - 1) / 2)
    clip = torch.zeros(frames, size, size)
    for k, left in enumerate(places.tolist()):
        inside = ((xs + 1 - left).clamp(0, 1) * (left + 12 - xs).clamp(0, 1))[None]  # edges to fractions of a pixel
        clip[k, 26:38] = inside
    return clip[None, :, None].expand(1, frames, 3, size, size)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (1, 0), (3, -2), (-4, 1)])
def test_flow_of_a_shifted_picture(right: int, down: int) -> None:
    """Away from the edges, over which the picture is rolled, flow is the shift to a quarter of a pixel."""
    one = texture()
    flow = optical_flow(one[None], moved(one, right, down)[None])[0, :, 12:-12, 12:-12]
    assert flow[0].median().item() == pytest.approx(right, abs=0.25)
    assert flow[1].median().item() == pytest.approx(down, abs=0.25)


def test_warping_undoes_the_shift() -> None:
    one = texture()
    exact = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 64, 64)
    back = warp(moved(one, 3, -2)[None, None], exact)[0, 0]
    assert_close(back[8:-8, 8:-8], one[8:-8, 8:-8], size=64.0)  # places of up to 64 pixels were rounded


@pytest.mark.parametrize("step", [0.6, 1.5, 3.0, -1.5, -3.0])
def test_travel_of_a_walking_square(step: float) -> None:
    """15 steps of so many pixels in a picture of 64: travel 15 step / 64."""
    result = travel(square(step).mean(2)).item()
    assert result == pytest.approx(15 * step / 64, rel=0.1)


def test_a_still_clip_does_not_move() -> None:
    result = measure_movement(square(0.0))
    assert all(value.abs().max().item() < 1e-6 for value in result.values())


def test_twitching_is_what_flow_cannot_explain() -> None:
    """A picture that glides has motion and little warping error; pictures that have nothing to do with each other
    leave more than three times as much."""
    glide = torch.stack([moved(texture(), k) for k in range(6)])
    jump = torch.stack([texture(seed=k) for k in range(6)])
    both = torch.stack([glide, jump])[:, :, None].expand(2, 6, 3, 64, 64)
    result = measure_movement(both)
    assert result["warp_error"][1] > 3 * result["warp_error"][0]
    assert result["flow"][0].item() == pytest.approx(1 / 64, rel=0.3)


@pytest.mark.parametrize("facing", ["left", "right"])
@pytest.mark.parametrize("action", ["run", "walk", "rest"])
def test_travel_of_rendered_animals(action: str, facing: str) -> None:
    """Clean renders of three species, on average: runners travel what running asks for, to a quarter of the width; a
    clip is nearer to its own caption than one that asks for the opposite."""
    clips, facts = [], []
    for k, name in enumerate(("fox", "cow", "turtle")):
        one = world.ClipFacts(name, subject(name).colours[0], "meadow", action, facing, k)
        clips.append(world.render(one, subject(name)))
        facts.append({"action": action, "facing": facing})
    frames = torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3)
    error = measure_movement(frames, facts)["travel_error"].mean().item()
    assert error < 0.25
    if action == "run":
        turned = [{**one, "facing": "left" if facing == "right" else "right"} for one in facts]
        assert measure_movement(frames, turned)["travel_error"].mean().item() > 2 * error + 0.3


def test_what_captions_ask_for() -> None:
    """Running: 24 of 64 pixels a second for 15 / 8 seconds, 0.703; who stands does not travel."""
    assert asked_travel({"action": "run", "facing": "right"}) == pytest.approx(0.703, abs=1e-3)
    assert asked_travel({"action": "walk", "facing": "left"}) == pytest.approx(-0.264, abs=1e-3)
    assert asked_travel({"action": "dance", "facing": "left"}) == 0.0


def test_diversity_by_hand() -> None:
    """0, 1 and 3 in one group: distances 1 and 3; 1 and 2; 3 and 2, averaged. Another group does not count."""
    marks = [torch.full((4,), float(v)) for v in (0, 1, 3, 9, 9)]
    assert diversity(marks, [0, 0, 0, 1, 1]) == pytest.approx([2.0, 1.5, 2.5, 0.0, 0.0])
    assert diversity(marks[:1], [0]) is None


def test_clips_that_are_too_short_or_no_clips() -> None:
    result = measure_movement(torch.rand(2, 1, 3, 16, 16))
    assert {name: value.tolist() for name, value in result.items()} == {
        name: [0.0, 0.0] for name in ("flow", "warp_error", "travel")
    }
    assert thumbnail(torch.rand(2, 3, 16, 16)).shape == (3, 2, 8, 8)
    with pytest.raises(InputError, match=r"\(N, F, 3, H, W\)"):
        measure_movement(torch.rand(2, 3, 16, 16))
    with pytest.raises(InputError, match=r"\(N, H, W\)"):
        optical_flow(torch.rand(1, 8, 8), torch.rand(1, 8, 9))
