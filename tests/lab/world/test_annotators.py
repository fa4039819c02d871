"""The annotators' answers where ties are allowed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ivtutorial.lab.world.annotators import preferred, with_ties

LEADS = np.linspace(-6, 6, 25)


def test_shares_by_hand() -> None:
    """Lead 2 ln 3, as many ties: 3 : 1 : 1/3 = 9 : 3 : 1 of 13."""
    assert with_ties(2 * math.log(3)) == pytest.approx(np.array([9, 3, 1]) / 13)


@pytest.mark.parametrize("ties", [0.0, 0.5, 1.0, 4.0])
def test_whoever_does_not_tie_chooses_as_always(ties: float) -> None:
    """Shares sum to 1; of two clips with a lead wins / (wins + losses) is Bradley-Terry's choice, whatever nu is."""
    wins, tied, losses = with_ties(LEADS, ties)
    assert np.allclose(wins + tied + losses, 1) and (tied > 0).all() == (ties > 0)
    assert np.allclose(wins / (wins + losses), preferred(0.0, LEADS))


def test_a_clone_ties_most_and_wins_as_often_as_it_loses() -> None:
    wins, ties, losses = with_ties(0.0)
    assert wins == losses and ties == pytest.approx(1 / 3)
    assert (with_ties(LEADS)[1] <= ties).all()


def test_swapped_clips_swap_wins_and_losses() -> None:
    assert np.allclose(with_ties(-LEADS), with_ties(LEADS)[::-1])


def test_no_lead_is_too_large() -> None:
    assert with_ties(np.array([-2000.0, 2000.0])).tolist() == [[0, 1], [0, 0], [1, 0]]
