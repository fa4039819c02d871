"""A model of the circle seen as a flow model: the same clips, the same gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.method.chain import sample
from ivtutorial.method.editing import edit
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.noise import level
from ivtutorial.models.flow_view import as_flow
from ivtutorial.models.scheduler import make_scheduler, noise_share
from tests.tolerances import assert_close, roundings
from tests.toy import brightness, seeded, toy_backbone


@pytest.fixture(params=["epsilon", "v_prediction"])
def backbone(request: Any, tiny_tokenizer: Any) -> Any:
    backbone = toy_backbone(tiny_tokenizer)
    backbone.scheduler = make_scheduler(request.param)
    return backbone


def drawn(seed: int) -> torch.Tensor:
    return torch.randn((1, 4, 2, 8, 8), generator=seeded(seed))


def test_sampling_gives_the_same_clip(backbone: Any) -> None:
    """From the same noise: at the first timestep z_t / (a + b) is what the line calls z_s, so the start is divided."""
    flow, noise, texts = as_flow(backbone), drawn(0), (backbone.embed(["a red fox"]), backbone.embed([""]))
    a, b = level(backbone.scheduler, 951)
    ours = sample(backbone.predictor(*texts, 3.0), noise, backbone.scheduler, D=20)
    theirs = sample(flow.predictor(*texts, 3.0), noise / (a + b), flow.scheduler, D=20)
    assert_close(theirs, ours, n=roundings(backbone.unet, passes=20))


def test_edits_and_their_gradient_are_the_same(backbone: Any) -> None:
    """The clip is noised by the same epsilon, so nothing has to be divided."""
    flow, z, noise = as_flow(backbone), drawn(1), drawn(2)
    texts = (backbone.embed(["a red fox"]), backbone.embed([""]))
    kept, slopes = [], []
    weight = backbone.unet.conv_out.weight.requires_grad_()
    for model in (backbone, flow):
        z_0 = edit(model.predictor(*texts, 3.0), z, model.scheduler, D=10, K=2, noise=noise)
        kept.append(z_0.detach())
        slopes.append(torch.autograd.grad(z_0.square().mean(), weight)[0])
    n = roundings(backbone.unet, passes=10)
    assert_close(kept[1], kept[0], n)
    assert_close(slopes[1], slopes[0], n)


def test_instructvideo_has_the_same_loss(backbone: Any) -> None:
    batch = Batch(drawn(1), backbone.embed(["a red fox"]), backbone.embed([""]), ["a red fox"])
    losses = []
    for model in (backbone, as_flow(backbone)):
        [(loss, _)] = InstructVideo(D=10, S=1).losses(model, batch, brightness, seeded(0))
        losses.append(loss.detach())
    assert_close(losses[1], losses[0], n=roundings(backbone.unet, backbone.vae, passes=10))


def test_noise_levels_stay_and_flow_models_are_refused(backbone: Any) -> None:
    flow = as_flow(backbone)
    assert noise_share(flow.scheduler, 551) == pytest.approx(noise_share(backbone.scheduler, 551))
    assert sum(flow.scheduler.level(551)) == pytest.approx(1.0)
    with pytest.raises(InputError, match="flow model already"):
        as_flow(flow)
