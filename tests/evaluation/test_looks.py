"""Plain measurements of pixels, by hand."""

from __future__ import annotations

import pytest
import torch

from ivtutorial.evaluation.looks import measure


def test_a_still_grey_clip_has_no_looks() -> None:
    columns = measure(torch.full((2, 4, 3, 8, 8), 0.5))
    assert list(columns) == ["sharpness", "colourfulness", "flicker", "motion"]
    assert all(values.tolist() == [0.0, 0.0] for values in columns.values())


def test_sharpness_of_an_edge() -> None:
    """Left half 0, right half 0.6: the 40 x 40 picture has 39 edge pixels of 39 * 39, fewer than a twentieth (76)."""
    clip = torch.zeros(1, 2, 3, 40, 40)
    clip[..., 20:] = 0.6
    assert measure(clip)["sharpness"].item() == pytest.approx(0.6 * 39 / 76)


def test_colourfulness_of_a_flat_colour() -> None:
    """Red (1, 0, 0): red - green = 1, yellow - blue = 0.5, no spread: 0.3 * sqrt(1.25)."""
    clip = torch.zeros(1, 2, 3, 8, 8)
    clip[:, :, 0] = 1
    assert measure(clip)["colourfulness"].item() == pytest.approx(0.3 * 1.25**0.5)


def test_flicker_is_not_motion() -> None:
    """Brightness that jumps as a whole flickers without motion; a bar that glides moves without flicker."""
    jumping = torch.zeros(1, 4, 3, 8, 8)
    jumping[:, 1::2] = 0.3
    gliding = torch.zeros(1, 4, 3, 8, 8)
    for frame in range(4):
        gliding[:, frame, :, :, 2 * frame : 2 * frame + 2] = 1.0
    first, second = measure(jumping), measure(gliding)
    assert first["flicker"].item() > 0.05 and first["motion"].item() == pytest.approx(0, abs=1e-6)
    assert second["flicker"].item() == pytest.approx(0, abs=1e-6)
    assert second["motion"].item() == pytest.approx(0.5)  # 2 of 8 columns darken, 2 brighten
