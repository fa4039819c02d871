"""Two-phase backward: the same gradient, and at no time both graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.peak import LiveBytes
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.settings import RewardMethod
from ivtutorial.method.video_reward import FrameByFrame
from ivtutorial.rivals.direct_align import DirectAlign
from ivtutorial.rivals.draft import Draft
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.methods import step_losses
from tests.toy import TextToy, brightness, seeded, text_backbone, text_batch

CASES: list[tuple[Any, dict[str, Any]]] = [
    (InstructVideo, {"K": 1}),
    (InstructVideo, {"K": (2, 9), "stop_gradient": True}),
    (InstructVideo, {"K": 12, "guidance": 1.0}),
    (Draft, {"K": 2, "D": 5}),
    (Draft, {"variants": 2, "D": 5}),
    (DirectAlign, {}),
    (DirectAlign, {"inversion": True, "draw": "gain"}),
]


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("kind", "settings"), CASES)
def test_loss_and_gradient_are_those_of_one_phase(prediction_type: str, kind: Any, settings: dict[str, Any]) -> None:
    results = []
    for two_phase in (False, True):
        backbone = text_backbone(prediction_type, torch.float64)
        method = kind(two_phase=two_phase, **settings)
        [(loss, metrics)] = method.losses(backbone, text_batch(torch.float64), brightness, seeded(1))
        loss.backward()
        numbers = {name: float(value) for name, value in metrics.items()}
        results.append((loss.item(), numbers, [p.grad for p in backbone.unet.parameters()]))
    (loss, metrics, gradient), (again, same, joint) = results
    assert loss == pytest.approx(again, rel=1e-12) and metrics == pytest.approx(same, rel=1e-12)
    for expected, actual in zip(gradient, joint, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-12)
        assert actual.abs().max() > 0


class Wide(TextToy):
    """A network that keeps 40 copies of its input for the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor, t: Any, embeds: Tensor) -> Tensor:
        z = self.scale * z
        for _ in range(40):
            z = torch.sin(z)
        return super().forward(z, t, embeds)


@dataclass
class WideBackbone(FrameByFrame):
    """A wide network and a decoder that keeps 60 copies of the frames."""

    unet: Wide = field(default_factory=Wide)
    scheduler: Any = field(default_factory=lambda: text_backbone().scheduler)

    def predictor(self, embeds: Tensor, uncond: Tensor, guidance: float) -> Callable[..., Tensor]:
        return lambda z, t: self.unet(z, t, embeds)

    def decode(self, latents: Tensor) -> Tensor:
        frames = latents[:, :3]
        for _ in range(60):
            frames = torch.sin(frames)
        return torch.sigmoid(frames)


def peak(method: RewardMethod) -> float:
    """Of forward and backward together, in latents of the batch."""
    backbone, batch = WideBackbone(), text_batch()
    backbone.unet.eval()
    batch = replace(batch, latents=batch.latents.repeat(1, 1, 1, 8, 8))
    with LiveBytes() as live:
        [(loss, _)] = method.losses(backbone, batch, brightness, seeded(0))
        loss.backward()
    return live.peak / (batch.latents.numel() * 4)


PLAIN: dict[str, Any] = {"selection": "dense", "guidance": 1.0}  # every frame, one call: the count is simple


@pytest.mark.parametrize("kind", [InstructVideo, DirectAlign])
def test_peak_is_that_of_the_larger_part_not_of_the_sum(kind: Any) -> None:
    """The network keeps 40 latents, the decoder 60 times 3 of 4 channels = 45; both together are alive in one phase."""
    assert peak(kind(**PLAIN)) > 40 + 45
    assert peak(kind(two_phase=True, **PLAIN)) < 45 + 12


def test_peak_does_not_grow_with_the_steps_that_carry_gradient() -> None:
    """Each further step adds its input and at most its output to what waits, not the 40 latents of a call."""
    one, four, twelve = (peak(InstructVideo(K=K, two_phase=True, stop_gradient=True, **PLAIN)) for K in (1, 4, 12))
    assert four - one < 2 * 3 and twelve - one < 2 * 11
    assert peak(InstructVideo(K=4, stop_gradient=True, **PLAIN)) > 4 * 40 + 45


def test_the_inversion_branch_adds_no_second_graph_of_the_decoder() -> None:
    """Recomputing alone keeps the decoder's graphs of both branches; in two phases the first is gone by then."""
    settings = {"inversion": True, **PLAIN}
    assert peak(DirectAlign(recompute=True, **settings)) > 2 * 45
    assert peak(DirectAlign(two_phase=True, **settings)) < 45 + 12


def test_cost_counts_the_forward_pass_that_is_run_again() -> None:
    assert InstructVideo(two_phase=True).passes() == InstructVideo(recompute=True).passes() == 2 * (11 + 4)
    assert Draft(two_phase=True, variants=2).passes() == 2 * (19 + 4 + 4 * 2)
    assert DirectAlign(two_phase=True).passes() == 2 * 4


def test_a_reward_without_gradient_gives_a_loss_without_gradient() -> None:
    """The training loop refuses it."""
    losses = step_losses(InstructVideo(two_phase=True), lambda frames, _: brightness(frames, ()).detach())
    [(loss, _)] = losses(text_backbone(), text_batch(), seeded(0))
    assert not loss.requires_grad


def test_float16_is_refused() -> None:
    with pytest.raises(InputError, match="two_phase"):
        FinetuneConfig(method=InstructVideo(two_phase=True), precision="fp16")
