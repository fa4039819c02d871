"""The prefix kept: M = 1 is InstructVideo; more updates go on from the same state; and what our combination is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.chain import denoise
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.noise import corrupt, draw_noise
from ivtutorial.method.schedule import partial_timesteps
from ivtutorial.rivals.direct_align import DirectAlign
from ivtutorial.rivals.kept_prefix import KeptPrefix
from ivtutorial.rivals.quick_edit import QuickEdit
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.presets import DIT_PRESETS, PRESETS
from tests.tolerances import FEW, assert_close, roundings
from tests.toy import brightness, clips, line, seeded, text_backbone, text_batch


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"K": (3, 8), "stop_gradient": True},
        {"K": "uniform"},
        {"eta": 0.5, "K": 2},
        {"two_phase": True},
    ],
)
def test_one_use_is_instructvideo(settings: dict[str, Any], prediction_type: str) -> None:
    """The same loss, numbers and gradient: the same calls and draws, of two networks of the same weights."""
    results = []
    for method in (InstructVideo(**settings), KeptPrefix(reuse=1, **settings)):
        backbone = text_backbone(prediction_type)
        [(loss, metrics)] = method.losses(backbone, text_batch(), brightness, seeded(1))
        loss.backward()
        numbers = {name: float(value) for name, value in metrics.items()}
        results.append((loss.item(), numbers, [p.grad for p in backbone.unet.parameters()]))
    assert_close(results[1], results[0], roundings(backbone.unet, passes=3 * 12))


def test_the_prefix_runs_once() -> None:
    """Ten steps without gradient, then two for each of three updates; the cost says the same: 20 + 3 (2 + 6)."""
    backbone, method = line(), KeptPrefix(K=(10,), reuse=3)
    losses = [loss for loss, _ in method.losses(backbone, clips(), brightness, seeded(0))]
    assert len(losses) == method.updates == 3 and backbone.calls == [2] * (10 + 2 * 3)
    assert method.passes() == 20 + 3 * (2 + 6)
    assert KeptPrefix(reuse=1).passes() == InstructVideo().passes()


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_later_update_goes_on_from_the_old_prefix_with_the_new_network(prediction_type: str) -> None:
    """Its loss is that of the tail alone, from the state that the network before the update had reached."""
    backbone, batch = line(prediction_type), clips()
    backbone.unet.a.data.fill_(0.2)
    method = KeptPrefix(K=(10,), reuse=2, selection="first", lambda_tar=0.0, guidance=1.0)
    timesteps = partial_timesteps(0.6, 20)
    z_noi = corrupt(batch.z, timesteps[0], backbone.scheduler, draw_noise(batch.z.shape, seeded(0)))
    predict = backbone.predictor(batch.embeds, batch.uncond_embeds, 1.0)
    with torch.no_grad():
        z_K = denoise(predict, z_noi, timesteps[:10], backbone.scheduler, end=51)
    losses = method.losses(backbone, batch, brightness, seeded(0))
    first, _ = next(losses)
    backbone.unet.a.data.fill_(0.5)
    second, _ = next(losses)
    z_0 = denoise(predict, z_K, timesteps[10:], backbone.scheduler)
    expected = -backbone.decode(z_0.transpose(1, 2).flatten(0, 1)).mean()
    assert second.item() == pytest.approx(expected.item(), rel=1e-5)
    assert first.item() != pytest.approx(second.item(), rel=1e-3)


def test_settings_out_of_range() -> None:
    with pytest.raises(InputError, match="reuse"):
        KeptPrefix(reuse=0)
    with pytest.raises(InputError, match="strongest"):
        KeptPrefix(K="strongest")


def test_quick_edit_is_direct_align_at_one_step_with_drawn_frames() -> None:
    plain = DirectAlign(tau=0.1, S=2, selection="attenuated")
    assert asdict(QuickEdit()) == asdict(plain)
    values = [
        [loss.item() for loss, _ in method.losses(line(), clips(), brightness, seeded(2))]
        for method in (QuickEdit(), plain)
    ]
    assert_close(values[0], values[1], 20 * FEW)


@pytest.mark.parametrize(("D", "tau"), [(20, 0.1), (50, 0.1), (10, 0.2), (4, 0.5), (2, 1.0)])
def test_quick_edit_takes_the_last_step_but_one_of_few(D: int, tau: float) -> None:
    """What is given stays, and is refused where it leaves nothing to draw."""
    assert QuickEdit(D=D).tau == tau and (QuickEdit(D=D).steps == 1) == (D <= 20)
    with pytest.raises(InputError, match=r"none is left to draw; use tau >= 0\.5"):
        QuickEdit(D=4, tau=0.25)


@pytest.mark.parametrize("name", PRESETS | DIT_PRESETS)
def test_quick_edit_goes_with_every_preset_of_a_gpu(name: str) -> None:
    """With a learning rate of its own, two fifths of InstructVideo's with the same preset."""
    settings = (PRESETS | DIT_PRESETS)[name]
    config = FinetuneConfig.from_dict({**settings, "method": {"name": "quickedit"}})
    assert config.method == QuickEdit() and FinetuneConfig.from_dict(config.to_dict()) == config
    assert config.lr == pytest.approx(0.4 * FinetuneConfig.from_dict(settings).lr)
