"""TAR as a distribution: frames drawn in proportion to their weight. Every draw is enumerated, none is sampled."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.segvr import choose_frames
from ivtutorial.method.tar import temporal_attenuation
from ivtutorial.method.video_reward import VideoReward
from ivtutorial.rivals.direct_align import DirectAlign
from tests.tolerances import assert_close
from tests.toy import Decoder, brightness, seeded, text_backbone, text_batch

F = 16


def mass(lambda_tar: float) -> Tensor:
    """p_g = f_g / sum f, float64 (F,)."""
    f = torch.exp(-lambda_tar * (torch.arange(F) - F // 2).abs().double())
    return f / f.sum()


def chances(low: float, high: float, lambda_tar: float) -> Tensor:
    """P(g) for u uniform in [low, high): the share of it that overlaps [C_{g-1}, C_g)."""
    p = mass(lambda_tar)
    ends = p.cumsum(0)
    overlap = torch.minimum(ends, torch.tensor(high)) - torch.maximum(ends - p, torch.tensor(low))
    return overlap.clamp(min=0) / (high - low)


def moments(draws: Sequence[Sequence[int]], weights: Sequence[float], value: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean and variance of a video reward over draws with their probabilities."""
    p, x = torch.tensor(weights, dtype=torch.float64), value(torch.tensor(draws)).double()
    mean = (p * x).sum()
    return torch.stack([mean, (p * (x - mean).square()).sum()])


def drawn(S: int, scores: Tensor, lambda_tar: float) -> Tensor:
    """Moments of R over all S-tuples of frames of equal TAR mass, each with its probability."""
    parts = [chances(i / S, (i + 1) / S, lambda_tar) for i in range(S)]
    draws = list(itertools.product(*[part.nonzero().flatten().tolist() for part in parts]))
    weights = [math.prod(float(part[g]) for part, g in zip(parts, draw, strict=True)) for draw in draws]

    def value(g: Tensor) -> Tensor:
        return (temporal_attenuation(g, F, lambda_tar, drawn=True) * scores[g]).mean(1)

    return moments(draws, weights, value)


def weighted(S: int, scores: Tensor, lambda_tar: float) -> Tensor:
    """Moments of R over all draws of SegVR, weighted by TAR: the paper's."""
    draws = list(itertools.product(*torch.arange(F).view(S, -1).tolist()))

    def value(g: Tensor) -> Tensor:
        return (temporal_attenuation(g, F, lambda_tar) * scores[g]).mean(1)

    return moments(draws, [1 / len(draws)] * len(draws), value)


SCORES = {
    "equal": torch.ones(F, dtype=torch.float64),
    "rising": torch.linspace(0.5, 0.7, F, dtype=torch.float64),
    "scattered": 0.6 + 0.05 * torch.randn(F, generator=seeded(0), dtype=torch.float64),
    "around zero": torch.randn(F, generator=seeded(1), dtype=torch.float64),
}


@pytest.mark.parametrize("lambda_tar", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("scores", SCORES.values(), ids=SCORES)
def test_all_draws_give_the_expectation_of_the_paper(scores: Tensor, lambda_tar: float) -> None:
    """And, where the scores of a clip are alike, half the segments have less variance."""
    two, four = drawn(2, scores, lambda_tar), weighted(4, scores, lambda_tar)
    torch.testing.assert_close(two[0], four[0], rtol=1e-5, atol=1e-8)
    if scores is not SCORES["around zero"]:  # whose spread exceeds their mean: the draw matters, not the weight
        assert two[1] < four[1]


def test_a_reward_of_ordinary_spread_has_a_hundredth_of_the_variance() -> None:
    """By hand: weights .017 to .348 around .135 make a standard deviation of .099 for scores of 1."""
    assert weighted(4, SCORES["equal"], 1.0)[1].sqrt().item() == pytest.approx(0.0991, abs=1e-4)
    assert drawn(2, SCORES["equal"], 1.0)[1].item() < 1e-12
    assert drawn(2, SCORES["scattered"], 1.0)[1] < weighted(4, SCORES["scattered"], 1.0)[1] / 100


def test_draws_are_as_often_as_their_probability() -> None:
    """20,000 clips; four standard deviations of a count."""
    count = 20_000
    g = choose_frames(F, 2, count, seeded(0), "attenuated", 0.5)
    for i in range(2):
        p = chances(i / 2, (i + 1) / 2, 0.5)
        seen = g[:, i].bincount(minlength=F).double() / count
        assert bool(((seen - p).abs() <= 4 * (p * (1 - p) / count).sqrt()).all())


def test_without_attenuation_it_is_segvr() -> None:
    """lambda_tar = 0: equal masses are equal lengths, every weight is 1."""
    g = choose_frames(F, 4, 50, seeded(0), "attenuated", 0.0)
    assert torch.equal(g // 4, torch.arange(4).expand(50, 4))
    assert torch.equal(temporal_attenuation(g, F, 0.0, drawn=True), torch.ones(50, 4))


@pytest.mark.parametrize("B", [2, 3])
def test_joint_draws_leave_each_clip_its_distribution_and_lower_the_variance_of_the_batch(B: int) -> None:
    """Every order of the B parts of a segment, every frame of each part: marginals, and the variance of the mean."""
    scores, parts = SCORES["scattered"], [chances(k / (2 * B), (k + 1) / (2 * B), 1.0) for k in range(B)]
    orders = list(itertools.permutations(range(B)))
    marginal = sum(parts[order[0]] for order in orders) / len(orders)  # of the first clip, first segment of two
    torch.testing.assert_close(marginal, chances(0.0, 0.5, 1.0))
    means = torch.stack([part @ scores for part in parts])
    within = sum(part @ scores.square() - mean**2 for part, mean in zip(parts, means, strict=True)) / B**2
    alone = (marginal @ scores.square() - (marginal @ scores) ** 2) / B
    assert within < alone
    u = choose_frames(F, 2, B, seeded(3), "attenuated", 1.0)
    assert u.shape == (B, 2)


def test_a_batch_covers_each_segment_evenly() -> None:
    """lambda_tar = 0, S = 1, B = F: each clip has another frame, whatever the draw."""
    for seed in range(5):
        g = choose_frames(F, 1, F, seeded(seed), "attenuated", 0.0)
        assert g.flatten().sort().values.tolist() == list(range(F))


def test_a_frame_that_was_drawn_twice_is_decoded_and_scored_once() -> None:
    decoded: list[int] = []

    def decode(z: Tensor) -> Tensor:
        decoded.append(len(z))
        return torch.sigmoid(z[:, :3])

    z, g = torch.randn(2, 4, F, 3, 3, generator=seeded(0)).requires_grad_(), torch.tensor([[8, 8], [7, 8]])
    reward = VideoReward(brightness, S=2, selection="attenuated")
    output = reward(Decoder(decode), z, ["a", "b"], indices=g)
    assert decoded == [3]
    frames = torch.sigmoid(z[:, :3].transpose(1, 2)).mean((2, 3, 4))
    expected = frames.gather(1, g)
    assert_close(output.frame_rewards, expected)
    w = torch.exp(-(torch.arange(F) - 8).abs().float()).mean()
    assert_close(output.reward, w * expected.mean(1))
    gradient = torch.autograd.grad(output.reward.sum(), z)[0]
    assert_close(gradient, torch.autograd.grad((w * expected.mean(1)).sum(), z)[0], n=16)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("kind", [InstructVideo, DirectAlign])
def test_methods_log_the_constant_weight_and_count_frames_once(kind: type, prediction_type: str) -> None:
    """Eight frames, centre 4: w = (1 + 2 (e^-1 + e^-2 + e^-3) + e^-4) / 8 = 0.2655."""
    backbone = text_backbone(prediction_type)
    [(loss, metrics)] = kind(S=2, selection="attenuated").losses(backbone, text_batch(), brightness, seeded(0))
    metrics = {name: float(value) for name, value in metrics.items()}
    assert metrics["frame_weight"] == pytest.approx(0.2655, abs=1e-4)
    assert metrics["reward"] == pytest.approx(metrics["frame_weight"] * metrics["frame_reward"], rel=1e-5)
    assert metrics["reward_calls"] in (2.0, 3.0, 4.0) and loss.requires_grad
