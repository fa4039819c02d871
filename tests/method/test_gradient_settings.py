"""Settings that change what the gradient sees: one branch of guidance, a threshold of the reward, varied copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.schedule import partial_timesteps
from ivtutorial.method.video_reward import VideoReward
from ivtutorial.rivals.direct_align import DirectAlign
from ivtutorial.rivals.draft import Draft
from ivtutorial.rivals.kept_prefix import KeptPrefix
from tests.toy import TextBackbone, brightness, clips, line, seeded, text_backbone, text_batch

METHODS: list[Any] = [InstructVideo, Draft, DirectAlign]
PREDICTIONS = ("epsilon", "v_prediction")


@dataclass
class CaptionOnly(TextBackbone):
    """Guidance whose call without the caption is cut off by hand."""

    def predictor(self, embeds: Tensor, uncond: Tensor, guidance: float) -> Callable[[Tensor, int], Tensor]:
        def predict(z: Tensor, t: int) -> Tensor:
            e_c, e_u = self.unet(z, t, embeds), self.unet(z, t, uncond.expand_as(embeds)).detach()
            return e_u + guidance * (e_c - e_u)

        return predict


def gradient(method: Any, backbone: TextBackbone) -> tuple[float, list[Tensor]]:
    """Loss of one step and its gradient by the network, in float64."""
    backbone.unet.double().eval().zero_grad()
    [(loss, _)] = method.losses(backbone, text_batch(torch.float64), brightness, seeded(1))
    loss.backward()
    return loss.item(), [p.grad.clone() for p in backbone.unet.parameters()]


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
@pytest.mark.parametrize("kind", METHODS)
def test_one_branch_takes_the_call_without_caption_as_a_constant(kind: Any, prediction_type: str) -> None:
    scheduler = text_backbone(prediction_type).scheduler
    loss, ours = gradient(kind(branch="caption"), text_backbone(prediction_type, torch.float64))
    same, by_hand = gradient(kind(), CaptionOnly(scheduler=scheduler))
    both, whole = gradient(kind(), text_backbone(prediction_type, torch.float64))
    assert loss == pytest.approx(same, rel=1e-10) and loss == pytest.approx(both, rel=1e-10)
    for first, second in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-14)
    assert any((first - other).abs().max() > 1e-3 * other.abs().max() for first, other in zip(ours, whole, strict=True))


def test_without_guidance_there_is_one_branch() -> None:
    one, both = (gradient(InstructVideo(guidance=1.0, branch=b), text_backbone()) for b in ("caption", "both"))
    assert one[0] == both[0] and all(torch.equal(*pair) for pair in zip(one[1], both[1], strict=True))
    with pytest.raises(InputError, match="branch"):
        InstructVideo(branch="empty")  # type: ignore[arg-type]


def test_cost_of_one_branch_by_hand() -> None:
    """A recorded prediction: the call without caption 1, the other 1 + 2, and 2 more where both run again."""
    assert InstructVideo(branch="caption").passes() == 2 * 11 + 4
    assert InstructVideo(branch="caption", two_phase=True).passes() == 2 * 11 + 6
    assert DirectAlign(branch="caption", inversion=True).passes() == 2 * 4
    assert Draft(branch="caption", guidance=1.0).passes() == Draft(guidance=1.0).passes()


def test_a_frame_above_the_threshold_counts_as_much_as_the_threshold_and_has_no_gradient() -> None:
    """Scores .2 and .8, c = .5, no attenuation: R = (.2 + .5) / 2 = .35; logged is what was scored."""
    frames = torch.tensor([0.2, 0.8]).view(1, 2, 1, 1, 1).expand(1, 2, 3, 2, 2).clone().requires_grad_()
    reward = VideoReward(brightness, S=2, lambda_tar=0.0, threshold=0.5)
    output = reward.of_frames(frames, ["a fox"])
    assert output.reward.item() == pytest.approx(0.35) and output.frame_rewards[0, 1].item() == pytest.approx(0.8)
    slope = torch.autograd.grad(output.reward.sum(), frames)[0].abs().sum(dim=(0, 2, 3, 4))
    assert slope[0] > 0 and slope[1] == 0


@pytest.mark.parametrize("kind", METHODS)
def test_a_threshold_above_every_score_changes_nothing(kind: Any) -> None:
    free, bound = (gradient(kind(threshold=c), text_backbone()) for c in (None, 10.0))
    assert free[0] == bound[0] and all(torch.equal(*pair) for pair in zip(free[1], bound[1], strict=True))
    below, slopes = gradient(kind(threshold=-1.0), text_backbone())
    assert below > 0 and all(not slope.any() for slope in slopes)
    with pytest.raises(InputError, match="threshold"):
        kind(threshold=float("nan"))


@pytest.mark.parametrize(("K", "tail"), [(1, 1), ((10,), 2), ((3, 10), 9)])
def test_copies_take_the_tail_of_the_chain_alone(K: Any, tail: int) -> None:
    """12 steps of 2 clips, then the steps from the first with gradient on, of n = 3 copies of each; the cost counts
    them, and parameters of the chosen timesteps alone have gradient."""
    backbone, method = line(), KeptPrefix(K=K, variants=3, reuse=1)
    [(loss, metrics)] = method.losses(backbone, clips(), brightness, seeded(0))
    loss.backward()
    assert backbone.calls == [2] * 12 + [6] * tail and metrics["reward_calls"] == 8 * 4
    timesteps, chosen = partial_timesteps(0.6, 20), (11,) if K == 1 else K
    touched = backbone.unet.theta.grad.nonzero().flatten().tolist()
    assert sorted(touched) == sorted(timesteps[i] for i in chosen)
    recorded = len(chosen)
    assert method.passes() == 2 * (12 - recorded + 3 * recorded + 3 * (tail - recorded + 3 * recorded))


def test_low_variance_needs_a_step_that_is_known_beforehand() -> None:
    with pytest.raises(InputError, match="strongest"):
        KeptPrefix(K="strongest", reuse=1, variants=1)
