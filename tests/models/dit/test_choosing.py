"""Choose, then decode, with a causal autoencoder: values, gradient and memory of the chosen chunks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.models.dit import WanDecoder, decode_chosen, from_vae, to_vae
from tests.models.dit.tiny import tiny_vae
from tests.tolerances import assert_close, roundings
from tests.toy import seeded

f = 4  # latents, 13 frames


@pytest.fixture(scope="module")
def vae() -> Any:
    return tiny_vae()


def z(count: int = 1) -> Tensor:
    """Small, so that few pixels are clamped."""
    return 0.1 * torch.randn((count, 16, f, 2, 2), generator=seeded(0))


def chosen(vae: Any, latents: Tensor, g: Tensor, recompute: bool = False) -> Tensor:
    """Frames (B, S, 3, H, W) numbered (B, S)."""
    clips = torch.arange(len(latents))[:, None].expand(-1, g.shape[-1])
    return decode_chosen(WanDecoder(vae), latents, clips.flatten(), g.flatten(), recompute).unflatten(0, g.shape)


def full_decode(vae: Any, latents: Tensor) -> Tensor:
    """(B, F, 3, H, W) in [0, 1], by the autoencoder's own loop."""
    return (vae.decode(to_vae(vae, latents)).sample * 0.5 + 0.5).transpose(1, 2)


def test_values_are_those_of_the_full_decode(vae: Any) -> None:
    """All frames, a few in any order, other ones in each clip."""
    latents = z(2)
    expected = full_decode(vae, latents)
    every = chosen(vae, latents, torch.arange(13).expand(2, -1))
    assert_close(every, expected, n=f * roundings(vae.decoder))
    g = torch.tensor([[7, 0, 3], [2, 1, 12]])
    few = chosen(vae, latents, g)
    assert_close(
        few, torch.stack([e[numbers] for e, numbers in zip(expected, g, strict=True)]), n=f * roundings(vae.decoder)
    )


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("frames", [[0], [6], [4, 9, 10]])
def test_the_gradient_is_the_full_ones_part_through_the_frames_own_latent(
    vae: Any, frames: list[int], recompute: bool
) -> None:
    """For each chosen frame: the full decode in which all other latents are constants."""
    weights = torch.randn((1, len(frames), 3, 16, 16), generator=seeded(1))
    latents = z().requires_grad_()
    (chosen(vae, latents, torch.tensor([frames]), recompute) * weights).sum().backward()

    expected = torch.zeros_like(latents)
    for i, frame in enumerate(frames):
        own = torch.zeros(1, 1, f, 1, 1)
        own[:, :, -(-frame // 4)] = 1  # latent 0 is frame 0, latent 1 frames 1 .. 4
        leaf = z().requires_grad_()
        (full_decode(vae, own * leaf + (1 - own) * leaf.detach())[:, frame] * weights[:, i]).sum().backward()
        expected += leaf.grad
    assert latents.grad is not None and latents.grad.abs().max() > 0
    assert_close(latents.grad, expected, n=2 * f * roundings(vae.decoder))


def test_chunks_after_the_last_chosen_one_are_not_decoded_and_those_before_not_recorded(vae: Any) -> None:
    recorded = []
    hook = vae.decoder.register_forward_hook(lambda *_: recorded.append(torch.is_grad_enabled()))
    chosen(vae, z().requires_grad_(), torch.tensor([[6, 5]]))
    hook.remove()
    assert recorded == [False, False, True]


def test_the_autoencoder_keeps_its_state(vae: Any) -> None:
    """A full decode in the middle of a backward pass's recomputation would see no other cache."""
    latents = z().requires_grad_()
    loss = chosen(vae, latents, torch.tensor([[10]]), recompute=True).sum()
    full_decode(vae, z())
    loss.backward()
    plain = z().requires_grad_()
    chosen(vae, plain, torch.tensor([[10]])).sum().backward()
    assert_close(latents.grad, plain.grad, n=roundings(vae.decoder))


def test_latents_are_normalised_channel_by_channel(vae: Any) -> None:
    mean, std = vae.config.latents_mean, vae.config.latents_std
    raw = torch.tensor(mean).view(1, 16, 1, 1, 1) + torch.tensor(std).view(1, 16, 1, 1, 1) * z()
    assert_close(from_vae(vae, raw), z())
    assert_close(to_vae(vae, from_vae(vae, raw)), raw)


def test_a_clip_without_chosen_frames_is_not_decoded(vae: Any) -> None:
    """Pairs in any order: frame 3 of the second clip, frame 8 of the first, none of the third."""
    latents = z(3)
    frames = decode_chosen(WanDecoder(vae), latents, torch.tensor([1, 0]), torch.tensor([3, 8]))
    expected = full_decode(vae, latents[:2])
    assert_close(frames, torch.stack([expected[1, 3], expected[0, 8]]), n=f * roundings(vae.decoder))


@pytest.mark.parametrize("frames", [[[13]], [[-1]], [[0], [0]], [[]]])
def test_frames_that_the_clip_does_not_have_are_refused(vae: Any, frames: Any) -> None:
    with pytest.raises(InputError, match="from 0 to 12"):
        chosen(vae, z(), torch.tensor(frames, dtype=torch.long))
