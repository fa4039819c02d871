"""Eq. 7: how the chosen frames weigh."""

from __future__ import annotations

import itertools

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.segvr import choose_frames
from ivtutorial.method.tar import temporal_attenuation
from tests.tolerances import assert_close
from tests.toy import (
    seeded,
)


def test_eq7_by_hand():
    """F = 16: centre 8. Frames 0, 7, 8, 15 lie 8, 1, 0, 7 away; with lambda 0.5 the exponents halve."""
    indices = torch.tensor([[0, 7, 8, 15]])
    distance = torch.tensor([[8.0, 1.0, 0.0, 7.0]])
    assert_close(temporal_attenuation(indices, 16, 1.0), torch.exp(-distance))
    assert_close(temporal_attenuation(indices, 16, 0.5), torch.exp(-distance / 2))


def test_eq7_mean_weight_over_all_draws():
    """Over all 4^4 draws of F = 16, S = 4: segment means 0.003, 0.143, 0.388, 0.007, total mean 0.135.
    The mean of one draw runs from (e^-8 + e^-4 + e^-3 + e^-7) / 4 = 0.017 to
    (e^-5 + e^-1 + 1 + e^-4) / 4 = 0.348."""
    draws = torch.tensor([[a, 4 + b, 8 + c, 12 + d] for a, b, c, d in itertools.product(range(4), repeat=4)])
    weights = temporal_attenuation(draws, 16)
    torch.testing.assert_close(weights.mean(0), torch.tensor([0.0026, 0.1429, 0.3883, 0.0071]), atol=5e-4, rtol=0)
    means = weights.mean(1)
    expected = torch.tensor([0.0173, 0.1352, 0.3481])
    torch.testing.assert_close(torch.stack([means.min(), means.mean(), means.max()]), expected, atol=5e-4, rtol=0)


@pytest.mark.parametrize("lambda_tar", [0.0, 0.5, 2.0, 1000.0])
def test_normalised_weights_have_mean_1_in_each_clip_and_the_same_proportions(lambda_tar: float):
    """Even where every exp(-1000 distance) is 0 in float32."""
    indices = choose_frames(16, 4, 20, seeded(0))
    weights = temporal_attenuation(indices, 16, lambda_tar, normalise=True)
    assert_close(weights.mean(1), torch.ones(20))
    plain = temporal_attenuation(indices, 16, lambda_tar)
    assert_close(weights * plain.sum(1, keepdim=True), plain * weights.sum(1, keepdim=True))


@pytest.mark.parametrize("lambda_tar", [-0.1, float("nan")])
def test_negative_lambda_is_refused(lambda_tar: float):
    with pytest.raises(InputError, match="lambda_tar"):
        temporal_attenuation(torch.zeros(1, 1), 16, lambda_tar)
