"""The InstructVideo loss, Eq. 9: the gradient of E[-R] through the edit, with stand-ins for the models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch, motion
from ivtutorial.method.chain import network_mode
from ivtutorial.method.editing import edit
from ivtutorial.method.instructvideo import InstructVideo, edit_batch, loss
from ivtutorial.method.schedule import make_scheduler
from tests.tolerances import assert_close, roundings

CAPTIONS = ("a red fox", "a bear by the river")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Toy(nn.Module):
    """A UNet in little: mixes space and time, listens to t and the text, has dropout."""

    config = SimpleNamespace(in_channels=4)

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.conv, self.text = nn.Conv3d(4, 4, 3, padding=1), nn.Linear(6, 4)
        self.dropout = nn.Dropout(0.3)

    def forward(self, z: Tensor, t: int, embeds: Tensor) -> Tensor:
        text = self.text(embeds).mean(dim=1)[:, :, None, None, None]
        return torch.tanh(self.conv(self.dropout(z)) + text + t / 1000)


@dataclass
class ToyBackbone:
    unet: Toy = field(default_factory=Toy)
    scheduler: Any = field(default_factory=make_scheduler)

    def predictor(self, embeds: Tensor, uncond: Tensor, guidance: float) -> Callable[[Tensor, int], Tensor]:
        def predict(z: Tensor, t: int) -> Tensor:
            e_c, e_u = self.unet(z, t, embeds), self.unet(z, t, uncond.expand_as(embeds))
            return e_u + guidance * (e_c - e_u)

        return predict

    def decode(self, latents: Tensor) -> Tensor:
        return torch.sigmoid(latents[:, :3])


def brightness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames.mean(dim=(1, 2, 3))


def backbone(prediction_type: str = "epsilon", dtype: torch.dtype = torch.float32) -> ToyBackbone:
    made = ToyBackbone(scheduler=make_scheduler(prediction_type))
    made.unet.to(dtype).eval()
    return made


def batch(dtype: torch.dtype = torch.float32) -> Batch:
    z, c, u = (
        torch.randn(shape, generator=seeded(i)) for i, shape in enumerate([(2, 4, 8, 3, 3), (2, 5, 6), (1, 5, 6)])
    )
    return Batch(z.to(dtype), c.to(dtype), u.to(dtype), CAPTIONS)


def evaluate(models: ToyBackbone, config: InstructVideo, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return loss(models, batch(dtype), config.video_reward(brightness), config, seeded(seed))[0]


# ---------------------------------------------------------------- the loss


def test_eq9_is_minus_the_mean_reward():
    """Rebuilt from its parts with the same seed: noise first, then the choice of frames."""
    models, config, generator = backbone(), InstructVideo(tau=0.3), seeded(3)
    value, metrics = loss(models, batch(), config.video_reward(brightness), config, generator)
    again = seeded(3)
    z0 = edit_batch(models, batch(), config, again)
    output = config.video_reward(brightness)(models.decode, z0, CAPTIONS, again)
    assert_close(value, -output.reward.mean(), n=roundings(models.unet, passes=12))
    assert value.shape == ()
    assert_close(metrics["reward"], -value.item())


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("changes", [{}, {"K": 12}, {"guidance": 1.0}, {"eta": 1.0}, {"lambda_tar": 0.0}])
def test_one_step_against_the_gradient_raises_the_reward(prediction_type: str, changes: dict[str, Any]):
    """With every draw repeated, a small step of the weights along -grad(loss) must raise R (Eq. 2)."""
    models, config = backbone(prediction_type, torch.float64), InstructVideo(**changes)
    before = evaluate(models, config, dtype=torch.float64)
    before.backward()
    with torch.no_grad():
        norm2 = sum(float(p.grad.square().sum()) for p in models.unet.parameters() if p.grad is not None)
        assert norm2 > 0
        rate = 1e-3 / norm2**0.5
        for p in models.unet.parameters():
            p.sub_(rate * p.grad)
    assert evaluate(models, config, dtype=torch.float64).item() < before.item()


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_gradient_of_the_loss_by_finite_difference(prediction_type: str):
    """K = tau D, so that the loss as a function of the weights is the function that is differentiated."""
    models, config = backbone(prediction_type, torch.float64), InstructVideo(tau=0.2, K=4, guidance=3.0)
    parameters = list(models.unet.parameters())
    direction = [torch.randn(p.shape, generator=seeded(i), dtype=p.dtype) for i, p in enumerate(parameters)]
    gradient = torch.autograd.grad(evaluate(models, config, dtype=torch.float64), parameters)

    def value(s: float) -> float:
        for p, d in zip(parameters, direction, strict=True):
            p.data += s * d
        result = float(evaluate(models, config, dtype=torch.float64).detach())
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
    models, clips = backbone(), batch()
    settings = {"tau": 0.6, "D": 20, "K": 1, "guidance": 3.0, **changes}
    calls: list[int] = []
    models.unet.register_forward_hook(lambda *_: calls.append(1))

    def trace(z0: Tensor) -> tuple[Tensor, Tensor, int]:
        gradient = torch.autograd.grad(z0.square().sum(), models.unet.conv.weight)[0]
        count = len(calls)
        calls.clear()
        return z0, gradient, count

    ours = trace(edit_batch(models, clips, InstructVideo(**settings), seeded(2)))
    predict = models.predictor(clips.embeds, clips.uncond_embeds, settings.pop("guidance"))
    if isinstance(settings["K"], tuple):
        settings |= {"K": 1, "grad_steps": settings["K"]}
    expected = trace(edit(predict, clips.latents, models.scheduler, generator=seeded(2), **settings))
    assert ours[2] == expected[2], "UNet calls"
    assert_close(ours[:2], expected[:2], n=roundings(models.unet, passes=36))


def test_the_same_seed_gives_the_same_step_and_another_seed_another():
    models, config = backbone(), InstructVideo(K="uniform", eta=0.5, offset_noise=0.1)
    assert torch.equal(evaluate(models, config, 1), evaluate(models, config, 1))
    assert not torch.equal(evaluate(models, config, 1), evaluate(models, config, 2))


def test_uniform_k_changes_the_gradient_but_not_the_value():
    """The seed draws K first; whatever it is, the noise and frames that follow are the same."""
    models = backbone()
    expected = evaluate(models, InstructVideo(K="uniform"), 5)
    generator = seeded(5)
    K = int(torch.randint(1, 13, (), generator=generator))
    config = InstructVideo(K=K)
    value, _ = loss(models, batch(), config.video_reward(brightness), config, generator)
    assert_close(value, expected, n=roundings(models.unet, passes=12))
    grads = (torch.autograd.grad(x, models.unet.conv.weight)[0] for x in (value, expected))
    assert_close(*grads, n=roundings(models.unet, passes=36))


@pytest.mark.parametrize("recompute", [False, True])
def test_dropout_acts_in_train_mode_only(recompute: bool):
    """Two evaluations from one seed differ by the dropout masks alone; in eval mode there are none."""
    models = backbone()
    with network_mode(models.unet, train=True):
        config = InstructVideo(train_mode=True, recompute=recompute)
        first, second = evaluate(models, config), evaluate(models, config)
        first.backward()
    assert not torch.equal(first, second)
    assert torch.equal(evaluate(models, InstructVideo()), evaluate(models, InstructVideo()))


def test_half_precision_latents_are_edited_in_float32():
    models, clips = backbone(), batch()
    half = replace(clips, latents=clips.latents.half())
    assert edit_batch(models, half, InstructVideo(), seeded(0)).dtype == torch.float32


# ---------------------------------------------------------------- metrics


def test_motion_by_hand():
    """Frames 0, 2, 1 in every cell: steps of 2 and 1, mean 1.5. One frame does not move."""
    clip = torch.tensor([0.0, 2.0, 1.0]).view(1, 1, 3, 1, 1).expand(2, 4, 3, 5, 5)
    assert motion(clip) == pytest.approx(1.5)
    assert motion(clip[:, :, :1]) == 0.0


def test_metrics_are_what_they_say():
    models, config, generator = backbone(), InstructVideo(tau=0.3, selection="first"), seeded(1)
    value, metrics = loss(models, batch(), config.video_reward(brightness), config, generator)
    z0 = edit_batch(models, batch(), config, seeded(1)).detach()
    firsts = torch.sigmoid(z0[:, :3, [0, 2, 4, 6]]).mean(dim=(1, 3, 4))
    weights = torch.exp(-torch.tensor([4.0, 2.0, 0.0, 2.0]))  # centre 8 // 2 = 4
    expected = {
        "reward": float((firsts * weights).mean()),
        "frame_reward": float(firsts.mean()),
        "frame_weight": float(weights.mean()),
        "motion": float((z0[:, :, 1:] - z0[:, :, :-1]).abs().mean()),
        "source_motion": motion(batch().latents),
        "edit_distance": float((z0 - batch().latents).pow(2).mean() ** 0.5),
        "reward_calls": 8.0,  # two clips, four segments
    }
    assert_close(metrics, expected, n=roundings(models.unet, passes=6))
    assert all(type(figure) is float for figure in metrics.values())


# ---------------------------------------------------------------- settings and bad input


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
    models = backbone()
    with network_mode(models.unet, not train), pytest.raises(InputError, match="network_mode"):
        evaluate(models, InstructVideo(train_mode=train))


def test_latents_of_another_channel_count_are_refused():
    clips = replace(batch(), latents=torch.zeros(2, 3, 8, 3, 3))
    with pytest.raises(InputError, match=r"\(B, 4, F, h, w\)"):
        edit_batch(backbone(), clips, InstructVideo())


def test_segments_that_do_not_divide_the_clips_are_refused():
    with pytest.raises(InputError, match="S = 3"):
        evaluate(backbone(), InstructVideo(S=3))


@pytest.mark.parametrize(
    "changes",
    [
        {"captions": CAPTIONS[:1]},
        {"captions": "ab"},
        {"captions": ("fox", 3)},
        {"latents": torch.zeros(3, 4, 8, 3, 3)},
        {"latents": torch.zeros(4, 8, 3, 3)},
        {"embeds": torch.zeros(1, 5, 6)},
        {"embeds": torch.zeros(2, 30)},
        {"uncond_embeds": torch.zeros(1, 5, 7)},
        {"uncond_embeds": torch.zeros(3, 5, 6)},
    ],
)
def test_batches_that_do_not_fit_together_are_refused(changes: dict[str, Any]):
    with pytest.raises(InputError):
        replace(batch(), **changes)


def test_a_batch_moves_as_one():
    moved = batch().to("meta")
    assert {moved.latents.device.type, moved.embeds.device.type, moved.uncond_embeds.device.type} == {"meta"}
    assert moved.captions == CAPTIONS
