"""Eq. 8: the reward of a video, and that choosing before decoding changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.method.video_reward import VideoReward
from tests.tolerances import assert_close, roundings
from tests.toy import Decoder, seeded

CAPTIONS = ["a red fox", "a bear by the river"]


def video_latents(dtype: torch.dtype = torch.float32, F: int = 8) -> Tensor:
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


def test_eq8_by_hand():
    """Frame g has brightness g / 10. S = 2 of F = 4, frames 1 and 3, lambda 1, centre 2: both weights e^-1,
    R = (e^-1 0.1 + e^-1 0.3) / 2 = 0.2 e^-1. Normalised, both weights are 1 and R = 0.2."""
    frames = (torch.arange(4) / 10).view(1, 4, 1, 1, 1).expand(1, 4, 3, 2, 2)
    chosen = torch.tensor([[1, 3]])
    for normalise, expected in ((False, 0.2 * 0.36788), (True, 0.2)):
        reward = VideoReward(lambda x, c: x.mean(dim=(1, 2, 3)), S=2, normalise=normalise)
        assert float(reward.of_frames(frames, ["x"], indices=chosen).reward) == pytest.approx(expected, rel=1e-4)


def test_lambda_0_is_the_plain_segvr_mean():
    output = VideoReward(taste, S=4, lambda_tar=0.0)(Decoder(decoder()), video_latents(), CAPTIONS, seeded(4))
    assert torch.equal(output.weights, torch.ones(2, 4))
    assert_close(output.reward, output.frame_rewards.mean(dim=1))


def test_dense_without_attenuation_is_the_mean_over_all_frames():
    z, decode = video_latents(), decoder()
    output = VideoReward(taste, lambda_tar=0.0, selection="dense")(Decoder(decode), z, CAPTIONS)
    every = torch.stack([taste(decode(z[b].transpose(0, 1)), CAPTIONS[b : b + 1] * 8).mean() for b in range(2)])
    assert_close(output.reward, every, n=roundings(decode) + z[0].numel())


@pytest.mark.parametrize("normalise", [False, True])
def test_choosing_before_decoding_equals_decoding_every_frame(normalise: bool):
    """Value, and gradient at every latent frame: exactly zero where the frame was not chosen."""
    reward, decode = VideoReward(taste, S=4, lambda_tar=1.0, normalise=normalise), decoder()
    z = video_latents().requires_grad_()
    first = reward(Decoder(decode), z, CAPTIONS, seeded(6))
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

    VideoReward(taste, S=4)(Decoder(counting), video_latents(F=16), CAPTIONS)
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
        video_latents(torch.float64),
    )
    direction = torch.randn(z.shape, generator=seeded(7), dtype=torch.float64)

    def value(s: float) -> float:
        return float(reward(Decoder(decode), z + s * direction, CAPTIONS, seeded(8)).reward.sum())

    start = z.clone().requires_grad_()
    gradient = torch.autograd.grad(reward(Decoder(decode), start, CAPTIONS, seeded(8)).reward.sum(), start)[0]
    expected = (value(1e-5) - value(-1e-5)) / 2e-5
    assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("captions", [["one"], ["a", "b", "c"], [], "ab"])
def test_captions_of_another_count_are_refused(captions: Sequence[str]):
    with pytest.raises(InputError, match="aption"):
        VideoReward(taste)(Decoder(decoder()), video_latents(), captions)


@pytest.mark.parametrize("shift", [-1.0, 1.0])
def test_frames_outside_0_1_are_refused(shift: float):
    """A decoder that returns [-1, 0] or [1, 2], the usual slip being [-1, 1]."""
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        VideoReward(taste)(Decoder(lambda z: decoder()(z) + shift), video_latents(), CAPTIONS)


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match=r"\(B, C, F, h, w\)"):
        VideoReward(taste)(Decoder(decoder()), video_latents()[0], CAPTIONS)
    with pytest.raises(InputError, match=r"\(B, F, 3, H, W\)"):
        VideoReward(taste).of_frames(torch.zeros(2, 3, 8, 4, 4), CAPTIONS)
    with pytest.raises(InputError, match="3, H, W"):
        VideoReward(taste)(Decoder(lambda z: z.clamp(0, 1)), video_latents(), CAPTIONS)


def test_clips_without_frames_are_refused():
    with pytest.raises(InputError, match=r"shape \(2, 0, 3, 4, 4\): expected \(B, F, 3, H, W\), F at least 1"):
        VideoReward(taste).of_frames(torch.zeros(2, 0, 3, 4, 4), CAPTIONS)


def test_segments_that_do_not_divide_are_refused_before_anything_is_decoded():
    def never(z: Tensor) -> Tensor:
        raise AssertionError("decoded")

    with pytest.raises(InputError, match="S = 3"):
        VideoReward(taste, S=3)(Decoder(never), video_latents(), CAPTIONS)


def test_a_reward_that_does_not_return_one_score_a_frame_is_refused():
    with pytest.raises(InputError, match="one score"):
        VideoReward(lambda frames, captions: frames.mean())(Decoder(decoder()), video_latents(), CAPTIONS)
