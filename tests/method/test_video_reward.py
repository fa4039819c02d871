"""Eq. 6-8: which frames are scored, how they weigh, and that choosing before decoding changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.method.video_reward import VideoReward, choose_frames, temporal_attenuation
from tests.tolerances import assert_close, roundings

CAPTIONS = ["a red fox", "a bear by the river"]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents(dtype: torch.dtype = torch.float32, F: int = 8) -> Tensor:
    return torch.randn(2, 4, F, 3, 3, generator=seeded(0), dtype=dtype)


def decoder(dtype: torch.dtype = torch.float32) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = nn.Sequential(nn.Conv2d(4, 12, 3, padding=1, dtype=dtype), nn.PixelShuffle(2), nn.Sigmoid())
    return net.requires_grad_(False)


def taste(frames: Tensor, captions: Sequence[str]) -> Tensor:
    """A smooth reward that depends on the frame and on the length of its caption."""
    lengths = torch.tensor([len(c) for c in captions], dtype=frames.dtype)
    return (frames.square() * frames.roll(1, dims=-1)).mean(dim=(1, 2, 3)) * lengths


# ---------------------------------------------------------------- Eq. 6


@pytest.mark.parametrize(("F", "S"), [(16, 4), (16, 1), (8, 2), (9, 3), (16, 16)])
def test_eq6_one_frame_of_each_segment(F: int, S: int):
    indices = choose_frames(F, S, batch=50, generator=seeded(0))
    assert indices.shape == (50, S)
    assert torch.equal(indices // (F // S), torch.arange(S).expand(50, S))


def test_eq6_is_uniform_and_drawn_for_each_clip():
    """8000 clips, segments of 4: every frame is expected 2000 times, deviation sqrt(8000 3/16) = 39."""
    indices = choose_frames(16, 4, batch=8000, generator=seeded(0))
    assert int((indices.flatten().bincount(minlength=16) - 2000).abs().max()) < 4 * 39


def test_choice_is_seeded():
    assert torch.equal(choose_frames(16, 4, 9, seeded(1)), choose_frames(16, 4, 9, seeded(1)))
    assert not torch.equal(choose_frames(16, 4, 9, seeded(1)), choose_frames(16, 4, 9, seeded(2)))


def test_s_equal_to_f_sees_each_frame_once_whatever_the_draw():
    assert torch.equal(choose_frames(8, 8, 1, seeded(3)), torch.arange(8)[None])
    assert torch.equal(choose_frames(8, 4, 1, selection="dense"), torch.arange(8)[None])


def test_first_and_middle_by_hand():
    """16 frames in 4 segments begin at 0, 4, 8, 12; the middle frame is 4 // 2 = 2 further on."""
    assert choose_frames(16, 4, 2, selection="first").tolist() == [[0, 4, 8, 12]] * 2
    assert choose_frames(16, 4, 2, selection="middle").tolist() == [[2, 6, 10, 14]] * 2


@pytest.mark.parametrize("S", [3, 5, 32, 0, -4])
def test_segments_that_do_not_divide_the_clip_are_refused(S: int):
    with pytest.raises(InputError, match="use one of 1, 2, 4, 8, 16"):
        choose_frames(16, S, 1)


def test_unknown_selection_is_refused():
    with pytest.raises(InputError, match="random, first, middle, dense"):
        choose_frames(16, 4, 1, selection="last")  # type: ignore[arg-type]


# ---------------------------------------------------------------- Eq. 7


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


# ---------------------------------------------------------------- Eq. 8


def test_eq8_by_hand():
    """Frame g has brightness g / 10. S = 2 of F = 4, frames 1 and 3, lambda 1, centre 2: both weights e^-1,
    R = (e^-1 0.1 + e^-1 0.3) / 2 = 0.2 e^-1. Normalised, both weights are 1 and R = 0.2."""
    frames = (torch.arange(4) / 10).view(1, 4, 1, 1, 1).expand(1, 4, 3, 2, 2)
    chosen = torch.tensor([[1, 3]])
    for normalise, expected in ((False, 0.2 * 0.36788), (True, 0.2)):
        reward = VideoReward(lambda x, c: x.mean(dim=(1, 2, 3)), S=2, normalise=normalise)
        assert float(reward.of_frames(frames, ["x"], indices=chosen).reward) == pytest.approx(expected, rel=1e-4)


def test_lambda_0_is_the_plain_segvr_mean():
    output = VideoReward(taste, S=4, lambda_tar=0.0)(decoder(), latents(), CAPTIONS, seeded(4))
    assert torch.equal(output.weights, torch.ones(2, 4))
    assert_close(output.reward, output.frame_rewards.mean(dim=1))


def test_dense_without_attenuation_is_the_mean_over_all_frames():
    z, decode = latents(), decoder()
    output = VideoReward(taste, lambda_tar=0.0, selection="dense")(decode, z, CAPTIONS)
    every = torch.stack([taste(decode(z[b].transpose(0, 1)), CAPTIONS[b : b + 1] * 8).mean() for b in range(2)])
    assert_close(output.reward, every, n=roundings(decode) + z[0].numel())


@pytest.mark.parametrize("normalise", [False, True])
def test_choosing_before_decoding_equals_decoding_every_frame(normalise: bool):
    """Value, and gradient at every latent frame: exactly zero where the frame was not chosen."""
    reward, decode = VideoReward(taste, S=4, lambda_tar=1.0, normalise=normalise), decoder()
    z = latents().requires_grad_()
    first = reward(decode, z, CAPTIONS, seeded(6))
    frames = torch.stack([decode(clip.transpose(0, 1)) for clip in z])
    later = reward.of_frames(frames, CAPTIONS, seeded(6))
    n = roundings(decode, passes=3) + frames[0].numel()
    assert_close(first.reward, later.reward, n)
    gradient = torch.autograd.grad(first.reward.sum(), z)[0]
    assert_close(gradient, torch.autograd.grad(later.reward.sum(), z)[0], n)
    untouched = torch.ones(2, 8, dtype=torch.bool).scatter(1, first.indices, False)
    assert float(gradient.transpose(1, 2)[untouched].abs().max()) == 0.0


def test_only_the_chosen_frames_are_decoded():
    decoded: list[int] = []

    def counting(z: Tensor) -> Tensor:
        decoded.append(len(z))
        return decoder()(z)

    VideoReward(taste, S=4)(counting, latents(F=16), CAPTIONS)
    assert decoded == [2 * 4]


def test_every_frame_meets_the_caption_of_its_own_clip():
    """Frame g of clip b has brightness (8 b + g) / 16; the reward sees it together with the b-th caption."""
    seen: list[tuple[float, str]] = []

    def spy(frames: Tensor, captions: Sequence[str]) -> Tensor:
        seen.extend(zip((frames[:, 0, 0, 0] * 16).tolist(), captions, strict=True))
        return frames.mean(dim=(1, 2, 3))

    frames = (torch.arange(16.0) / 16).view(2, 8, 1, 1, 1).expand(2, 8, 3, 2, 2)
    output = VideoReward(spy, S=2, selection="first").of_frames(frames, CAPTIONS)
    assert seen == [(0, CAPTIONS[0]), (4, CAPTIONS[0]), (8, CAPTIONS[1]), (12, CAPTIONS[1])]
    assert_close(output.frame_rewards * 16, torch.tensor([[0.0, 4.0], [8.0, 12.0]]))


def test_gradient_of_the_reward_by_finite_difference():
    """Central difference along a random direction in the latents, with the same frames on both sides."""
    reward, decode, z = (
        VideoReward(taste, S=4, lambda_tar=0.5),
        decoder(torch.float64),
        latents(torch.float64),
    )
    direction = torch.randn(z.shape, generator=seeded(7), dtype=torch.float64)

    def value(s: float) -> float:
        return float(reward(decode, z + s * direction, CAPTIONS, seeded(8)).reward.sum())

    start = z.clone().requires_grad_()
    gradient = torch.autograd.grad(reward(decode, start, CAPTIONS, seeded(8)).reward.sum(), start)[0]
    expected = (value(1e-5) - value(-1e-5)) / 2e-5
    assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-6)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("captions", [["one"], ["a", "b", "c"], [], "ab"])
def test_captions_of_another_count_are_refused(captions: Sequence[str]):
    with pytest.raises(InputError, match="aption"):
        VideoReward(taste)(decoder(), latents(), captions)


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_frames_outside_0_1_are_refused(shift: float):
    """A decoder that returns [-1, 0] or [1, 2], the usual slip being [-1, 1]."""
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        VideoReward(taste)(lambda z: decoder()(z) + shift, latents(), CAPTIONS)


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match=r"\(B, C, F, h, w\)"):
        VideoReward(taste)(decoder(), latents()[0], CAPTIONS)
    with pytest.raises(InputError, match=r"\(B, F, 3, H, W\)"):
        VideoReward(taste).of_frames(torch.zeros(2, 3, 8, 4, 4), CAPTIONS)
    with pytest.raises(InputError, match="3, H, W"):
        VideoReward(taste)(lambda z: z.clamp(0, 1), latents(), CAPTIONS)


def test_segments_that_do_not_divide_are_refused_before_anything_is_decoded():
    def never(z: Tensor) -> Tensor:
        raise AssertionError("decoded")

    with pytest.raises(InputError, match="S = 3"):
        VideoReward(taste, S=3)(never, latents(), CAPTIONS)


def test_a_reward_that_does_not_return_one_score_a_frame_is_refused():
    with pytest.raises(InputError, match="one score"):
        VideoReward(lambda frames, captions: frames.mean())(decoder(), latents(), CAPTIONS)
