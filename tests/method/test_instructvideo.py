"""The InstructVideo loss, Eq. 9: the gradient of E[-R] through the edit, with stand-ins for the backbone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import motion
from ivtutorial.method.editing import edit
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.video_reward import VideoReward
from ivtutorial.models.modes import network_mode
from tests.tolerances import assert_close, roundings
from tests.toy import (
    TextBackbone,
    brightness,
    seeded,
    text_backbone,
    text_batch,
)

CAPTIONS = ("a red fox", "a bear by the river")


def evaluate(
    backbone: TextBackbone, config: InstructVideo, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Tensor:
    return next(config.losses(backbone, text_batch(dtype), brightness, seeded(seed)))[0]


def test_the_step_is_an_edit_and_its_reward():
    """Eq. 2-9 from the two public pieces, `edit` and `VideoReward`, with the same draws: K, noise, frames."""
    backbone, clips = text_backbone(), text_batch()
    config = InstructVideo(
        tau=0.3, D=10, K="uniform", eta=0.5, offset_noise=0.1, guidance=2.0, S=2, lambda_tar=0.5, normalise=True
    )
    [(loss, metrics)] = config.losses(backbone, clips, brightness, seeded(3))
    generator, predict = seeded(3), backbone.predictor(clips.embeds, clips.uncond_embeds, 2.0)
    z0 = edit(predict, clips.latents, backbone.scheduler, 0.3, 10, "uniform", 0.5, 0.1, generator)
    reward = VideoReward(brightness, S=2, lambda_tar=0.5, normalise=True)
    output = reward(backbone, z0, CAPTIONS, generator)
    n = roundings(backbone.unet, passes=12)
    assert_close(loss, -output.reward.mean(), n)
    assert_close(metrics["reward"], -loss.item())
    weights = list(backbone.unet.parameters())
    assert_close(torch.autograd.grad(loss, weights), torch.autograd.grad(-output.reward.mean(), weights), n)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("changes", [{}, {"K": 12}, {"guidance": 1.0}, {"eta": 1.0}, {"lambda_tar": 0.0}])
def test_one_step_against_the_gradient_raises_the_reward(prediction_type: str, changes: dict[str, Any]):
    """With every draw repeated, a small step of the weights along -grad(loss) must raise R (Eq. 2)."""
    backbone, config = text_backbone(prediction_type, torch.float64), InstructVideo(**changes)
    before = evaluate(backbone, config, dtype=torch.float64)
    before.backward()
    with torch.no_grad():
        norm2 = sum(float(p.grad.square().sum()) for p in backbone.unet.parameters() if p.grad is not None)
        assert norm2 > 0
        rate = 1e-3 / norm2**0.5
        for p in backbone.unet.parameters():
            p.sub_(rate * p.grad)
    assert evaluate(backbone, config, dtype=torch.float64).item() < before.item()


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_gradient_of_the_loss_by_finite_difference(prediction_type: str):
    """K = tau D, so that the loss as a function of the weights is the function that is differentiated."""
    backbone, config = text_backbone(prediction_type, torch.float64), InstructVideo(tau=0.2, K=4, guidance=3.0)
    parameters = list(backbone.unet.parameters())
    direction = [torch.randn(p.shape, generator=seeded(i), dtype=p.dtype) for i, p in enumerate(parameters)]
    gradient = torch.autograd.grad(evaluate(backbone, config, dtype=torch.float64), parameters)

    def value(s: float) -> float:
        for p, d in zip(parameters, direction, strict=True):
            p.data += s * d
        result = float(evaluate(backbone, config, dtype=torch.float64).detach())
        for p, d in zip(parameters, direction, strict=True):
            p.data -= s * d
        return result

    expected = (value(1e-5) - value(-1e-5)) / 2e-5
    actual = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True))
    assert actual == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"tau": 0.25},
        {"D": 10},
        {"K": 4},
        {"K": (2, 5)},
        {"guidance": 1.5},
        {"eta": 0.7},
        {"offset_noise": 0.3},
        {"recompute": True},
    ],
)
def test_every_setting_reaches_the_edit(changes: dict[str, Any]):
    """Edited latents, their gradient and the UNet calls are those of `edit` with the same arguments."""
    backbone, clips = text_backbone(), text_batch()
    settings = {"tau": 0.6, "D": 20, "K": 1, "guidance": 3.0, **changes}
    calls: list[int] = []
    backbone.unet.register_forward_hook(lambda *_: calls.append(1))

    def trace(value: Tensor) -> tuple[Tensor, Tensor, int]:
        gradient = torch.autograd.grad(value, backbone.unet.conv.weight)[0]
        count = len(calls)
        calls.clear()
        return value, gradient, count

    # All frames with weight 1, and a reward that is quadratic: the loss depends on every number of the edit.
    config = InstructVideo(**settings, selection="dense", lambda_tar=0.0)
    [(loss, _)] = config.losses(backbone, clips, lambda frames, _: frames.square().sum(dim=(1, 2, 3)), seeded(2))
    ours = trace(loss)
    predict = backbone.predictor(clips.embeds, clips.uncond_embeds, settings.pop("guidance"))
    z0 = edit(predict, clips.latents, backbone.scheduler, generator=seeded(2), **settings)
    frames = backbone.decode(z0.transpose(1, 2).flatten(0, 1))
    assert_close(ours, trace(-frames.square().sum(dim=(1, 2, 3)).mean()), n=roundings(backbone.unet, passes=36))


def test_the_same_seed_gives_the_same_step_and_another_seed_another():
    backbone, config = text_backbone(), InstructVideo(K="uniform", eta=0.5, offset_noise=0.1)
    assert torch.equal(evaluate(backbone, config, 1), evaluate(backbone, config, 1))
    assert not torch.equal(evaluate(backbone, config, 1), evaluate(backbone, config, 2))


def test_uniform_k_changes_the_gradient_but_not_the_value():
    """The seed draws K first; whatever it is, the noise and frames that follow are the same."""
    backbone = text_backbone()
    expected = evaluate(backbone, InstructVideo(K="uniform"), 5)
    generator = seeded(5)
    K = int(torch.randint(1, 13, (), generator=generator))
    config = InstructVideo(K=K)
    [(value, _)] = config.losses(backbone, text_batch(), brightness, generator)
    assert_close(value, expected, n=roundings(backbone.unet, passes=12))
    grads = (torch.autograd.grad(x, backbone.unet.conv.weight)[0] for x in (value, expected))
    assert_close(*grads, n=roundings(backbone.unet, passes=36))


@pytest.mark.parametrize("recompute", [False, True])
def test_dropout_acts_in_train_mode_only(recompute: bool):
    """Two evaluations from one seed differ by the dropout masks alone; in eval mode there are none."""
    backbone = text_backbone()
    with network_mode(backbone.unet, train=True):
        config = InstructVideo(train_mode=True, recompute=recompute)
        first, second = evaluate(backbone, config), evaluate(backbone, config)
        first.backward()
    assert not torch.equal(first, second)
    assert torch.equal(evaluate(backbone, InstructVideo()), evaluate(backbone, InstructVideo()))


def test_half_precision_latents_are_edited_in_float32():
    backbone, clips = text_backbone(), text_batch()
    half, seen = replace(clips, latents=clips.latents.half()), []
    backbone.unet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    [(loss, _)] = InstructVideo().losses(backbone, half, brightness, seeded(0))
    assert loss.dtype == torch.float32 and set(seen) == {torch.float32}


def test_metrics_are_what_they_say():
    backbone, config, generator = text_backbone(), InstructVideo(tau=0.3, selection="first"), seeded(1)
    [(value, metrics)] = config.losses(backbone, text_batch(), brightness, generator)
    clips = text_batch()
    predict = backbone.predictor(clips.embeds, clips.uncond_embeds, config.guidance)
    z0 = edit(predict, clips.latents, backbone.scheduler, tau=0.3, generator=seeded(1)).detach()
    firsts = torch.sigmoid(z0[:, :3, [0, 2, 4, 6]]).mean(dim=(1, 3, 4))
    weights = torch.exp(-torch.tensor([4.0, 2.0, 0.0, 2.0]))  # centre 8 // 2 = 4
    expected = {
        "reward": float((firsts * weights).mean()),
        "frame_reward": float(firsts.mean()),
        "frame_weight": float(weights.mean()),
        "motion": float((z0[:, :, 1:] - z0[:, :, :-1]).abs().mean()),
        "source_motion": float(motion(text_batch().latents)),
        "edit_distance": float((z0 - text_batch().latents).pow(2).mean() ** 0.5),
        "reward_calls": 8.0,  # two clips, four segments
    }
    figures = {name: float(number) for name, number in metrics.items()}
    assert_close(figures, expected, n=roundings(backbone.unet, passes=6))


def test_defaults_are_the_papers_and_official_is_the_authors_code():
    config = InstructVideo()
    assert (config.tau, config.D, config.K, config.S, config.lambda_tar, config.eta) == (
        0.6,
        20,
        1,
        4,
        1.0,
        0.0,
    )
    assert (config.steps, config.offset_noise, config.normalise) == (12, 0.0, False)
    changed = InstructVideo.official(D=50)
    assert (changed.offset_noise, changed.train_mode, changed.guidance, changed.D) == (0.1, True, 3.0, 50)


def test_segments_and_attenuation_reach_the_reward():
    reward = InstructVideo(S=2, lambda_tar=0.5, normalise=True, selection="middle").video_reward(brightness)
    assert (reward.S, reward.lambda_tar, reward.normalise, reward.selection) == (2, 0.5, True, "middle")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tau": 0.0}, "tau"),
        ({"tau": 1.2}, "tau"),
        ({"tau": 0.04}, "tau >= 0.05"),
        ({"D": 0}, "D = 0"),
        ({"D": 600}, "D = 600"),
        ({"K": 13}, "1 <= K <= 12"),
        ({"K": 0}, "1 <= K <= 12"),
        ({"K": ()}, "K = "),
        ({"K": (12,)}, "0 .* to 11"),
        ({"S": 0}, "S = 0"),
        ({"lambda_tar": -1.0}, "lambda_tar"),
        ({"guidance": float("inf")}, "guidance"),
        ({"offset_noise": -0.1}, "offset_noise"),
        ({"eta": 1.5}, "eta"),
        ({"selection": "last"}, "selection"),
    ],
)
def test_settings_out_of_range_are_refused_when_made(changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        InstructVideo(**changes)


@pytest.mark.parametrize("train", [True, False])
def test_a_unet_in_the_other_mode_is_refused(train: bool):
    backbone = text_backbone()
    with network_mode(backbone.unet, not train), pytest.raises(InputError, match="network_mode"):
        evaluate(backbone, InstructVideo(train_mode=train))


def test_latents_of_another_channel_count_are_refused():
    clips = replace(text_batch(), latents=torch.zeros(2, 3, 8, 3, 3))
    with pytest.raises(InputError, match=r"\(B, 4, F, h, w\)"):
        next(InstructVideo().losses(text_backbone(), clips, brightness))


def test_segments_that_do_not_divide_the_clips_are_refused():
    with pytest.raises(InputError, match="S = 3"):
        evaluate(text_backbone(), InstructVideo(S=3))
