"""DRaFT, RWR, DDPO and supervised tuning on problems whose answer can be written down."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.method import instructvideo
from ivtutorial.method.batch import Batch
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.schedule import ddim_timesteps, make_scheduler
from ivtutorial.method.settings import gradient_steps, repeated
from ivtutorial.rivals import ddpo, draft, rwr, supervised
from ivtutorial.rivals.ddpo import DDPO
from ivtutorial.rivals.draft import Draft
from ivtutorial.rivals.groups import group_advantages, score_groups
from ivtutorial.rivals.rwr import RWR
from ivtutorial.rivals.supervised import Supervised
from ivtutorial.training.methods import step_losses
from tests.tolerances import FEW, assert_close

T500 = 500


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Affine(nn.Module):
    """Predicts a z + b + theta_t, one theta for each timestep: simple enough to solve by hand."""

    config = SimpleNamespace(in_channels=1)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.theta = nn.Parameter(torch.zeros(1000))

    def forward(self, z: Tensor, t: Any) -> Tensor:
        theta = self.theta[t]
        return self.a * z + self.b + (theta.view(-1, 1, 1, 1, 1) if theta.ndim else theta)


@dataclass
class Line:
    """Models whose "video" has one channel; frames show it squashed into [0, 1]."""

    unet: Affine = field(default_factory=Affine)
    scheduler: Any = field(default_factory=make_scheduler)
    calls: list[int] = field(default_factory=list)

    def predictor(self, embeds: Tensor, uncond: Tensor, guidance: float) -> Callable[..., Tensor]:
        def predict(z: Tensor, t: Any) -> Tensor:
            self.calls.append(len(z))
            return self.unet(z, t)

        return predict

    def decode(self, latents: Tensor) -> Tensor:
        return torch.sigmoid(latents).expand(-1, 3, -1, -1)


def brightness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames.mean(dim=(1, 2, 3))


def line(prediction_type: str = "epsilon") -> Line:
    models = Line(scheduler=make_scheduler(prediction_type))
    models.unet.eval()
    return models


def clips(count: int = 2, shape: tuple[int, ...] = (1, 4, 2, 2), seed: int = 0) -> Batch:
    latents = torch.randn((count, *shape), generator=seeded(seed))
    return Batch(latents, torch.zeros(count, 3, 2), torch.zeros(1, 3, 2), [f"clip {i}" for i in range(count)])


# --- which steps carry gradient ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [InstructVideo, Draft])
@pytest.mark.parametrize(("K", "places"), [(1, {9}), (3, {7, 8, 9}), ((0, 4), {0, 4}), ([9], {9})])
def test_gradient_reaches_the_chosen_steps_only(method: Any, K: Any, places: set[int]) -> None:
    """The network has a parameter of its own for every timestep; only those of the chosen steps get gradient."""
    models, config = line(), method(D=10, K=K, **({"tau": 1.0} if method is InstructVideo else {}))
    [(value, _)] = step_losses(config, brightness)(models, clips(), seeded(0))
    value.backward()
    touched = set(models.unet.theta.grad.nonzero().flatten().tolist())
    timesteps = ddim_timesteps(10)
    assert touched == {timesteps[i] for i in places}


def test_a_uniform_k_is_drawn_from_all_lengths() -> None:
    drawn = {len(gradient_steps("uniform", 4, seeded(i))) for i in range(60)}
    assert drawn == {1, 2, 3, 4}


@pytest.mark.parametrize("K", [0, 11, (10,), (-1,), (), "last", (1.5,)])
def test_steps_outside_the_chain_are_refused(K: Any) -> None:
    with pytest.raises(InputError, match="K = "):
        Draft(D=10, K=K)


# --- DRaFT ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [1, 4, 20])
def test_draft_is_instructvideo_whose_clip_puts_the_chain_at_pure_noise(K: int) -> None:
    """With tau = 1 the edit starts at sqrt(abar) z + sqrt(1 - abar) e; z = (1 - sqrt(1 - abar)) / sqrt(abar) e makes
    that e itself, where DRaFT starts. Loss and gradient then agree, whatever K is."""
    models, plain = line(), clips()
    models.unet.a.data.fill_(0.3)
    abar = float(models.scheduler.alphas_cumprod[951])
    noise = torch.randn(plain.latents.shape, generator=seeded(5))
    placed = replace(plain, latents=(1 - (1 - abar) ** 0.5) / abar**0.5 * noise)
    found = []
    for module, config, batch in (
        (draft, Draft(K=K), plain),
        (instructvideo, InstructVideo(tau=1.0, K=K), placed),
    ):
        value, _ = module.loss(models, batch, config.video_reward(brightness), config, seeded(5))
        found.append((value, torch.autograd.grad(value, (models.unet.a, models.unet.b))))
    assert_close(found[0], found[1], n=20 * FEW)


def test_draft_does_not_look_at_the_clips() -> None:
    models, config = line(), Draft(D=5)
    found = [draft.loss(models, clips(seed=s), config.video_reward(brightness), config, seeded(1))[0] for s in (0, 1)]
    assert torch.equal(found[0], found[1])


def test_full_back_propagation_by_finite_difference() -> None:
    """K = D: the derivative of the loss by b is the slope of the loss itself."""
    models, config = line(), Draft(D=5, K=5, selection="first")
    models.unet.double().a.data.fill_(0.4)
    batch = replace(clips(), latents=clips().latents.double())

    def loss() -> Tensor:
        return draft.loss(models, batch, config.video_reward(brightness), config, seeded(3))[0]

    gradient = torch.autograd.grad(loss(), models.unet.b)[0]
    models.unet.b.data += 1e-5
    above = loss().item()
    models.unet.b.data -= 2e-5
    assert gradient.item() == pytest.approx((above - loss().item()) / 2e-5, rel=1e-5)


def test_low_variance_draft_rewards_one_step_copies() -> None:
    """n = 3 copies of each of 2 samples: 8 rewards, and one evaluation of 6 clips beside the chain's 5 of 2. A
    network that knows the noise puts each copy back to sqrt(abar_0) z_0 + sqrt(1 - abar_0) e, near its sample."""
    models, config = line(), Draft(D=5, variants=3, selection="first")
    z0, batch = torch.randn((2, 1, 4, 2, 2), generator=seeded(0)), clips()
    value, metrics = draft.loss(models, batch, config.video_reward(brightness), config, seeded(1))
    assert models.calls == [2] * 5 + [6] and metrics["reward_calls"] == 8 * 4
    assert value.requires_grad

    t = ddim_timesteps(5)[-1]
    abar = float(models.scheduler.alphas_cumprod[t])
    start = z0.repeat_interleave(3, 0)

    def knows(*_: Any) -> Callable[..., Tensor]:
        return lambda z, t: (z - abar**0.5 * start) / (1 - abar) ** 0.5

    models.predictor = knows  # type: ignore[method-assign]
    every, together = draft.low_variance(models, z0, batch, config, seeded(2))
    assert together.captions == [*batch.captions, *[c for c in batch.captions for _ in range(3)]]
    assert torch.equal(every[:2], z0)
    last = float(models.scheduler.final_alpha_cumprod)
    noise = torch.randn(start.shape, generator=seeded(2))
    size = float(noise.abs().max()) / (1 - abar) ** 0.5  # the network divides a difference by sqrt(1 - abar)
    assert_close(every[2:], last**0.5 * start + (1 - last) ** 0.5 * noise, size=size)


def test_low_variance_draft_is_made_for_one_step() -> None:
    with pytest.raises(InputError, match="K = 1"):
        Draft(K=2, variants=1)


# --- supervised tuning ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_eq1_least_loss_on_gaussian_data_by_hand(prediction_type: str) -> None:
    """z ~ N(m, s^2), so z_t and eps are jointly Gaussian: the best prediction of eps is
    sqrt(1 - abar) (z_t - sqrt(abar) m) / V with V = abar s^2 + 1 - abar, and what remains is abar s^2 / V.
    For velocity v = (eps - sqrt(1 - abar) z_t) / sqrt(abar), and s^2 / V remains."""
    m, s, models = 2.0, 0.5, line(prediction_type)
    abar = float(models.scheduler.alphas_cumprod[T500])
    variance = abar * s**2 + 1 - abar
    a, b = (1 - abar) ** 0.5 / variance, -((1 - abar) ** 0.5) * abar**0.5 * m / variance
    left = abar * s**2 / variance
    if prediction_type == "v_prediction":
        a, b, left = (a - (1 - abar) ** 0.5) / abar**0.5, b / abar**0.5, s**2 / variance
    models.unet.a.data.fill_(a)
    models.unet.b.data.fill_(b)
    z = m + s * torch.randn((2000, 1, 4, 5, 5), generator=seeded(0))
    noise = torch.randn(z.shape, generator=seeded(1))
    embeds = torch.zeros(len(z), 3, 2)
    t = torch.full((len(z),), T500)
    mean = supervised.denoising_errors(models, z, embeds, t, noise).mean()
    assert mean.item() == pytest.approx(left, rel=0.02)
    slopes = torch.autograd.grad(mean, (models.unet.a, models.unet.b))
    assert max(abs(slope.item()) for slope in slopes) < 0.02, "the least loss is flat"


def test_the_supervised_loss_is_the_mean_over_draws() -> None:
    models, batch, config = line(), clips(), Supervised(draws=3, caption_dropout=0.0)
    value, metrics = supervised.loss(models, batch, None, config, seeded(4))
    again = seeded(4)
    t = supervised.draw_timesteps(models, 6, again)
    z = batch.latents.repeat_interleave(3, 0)
    noise = torch.randn(z.shape, generator=again)
    expected = supervised.denoising_errors(models, z, batch.embeds, t, noise).mean()
    assert_close(value, expected, n=z.numel())
    assert models.calls == [6, 6] and set(metrics) == {"source_motion"}


def test_captions_are_dropped_at_their_rate() -> None:
    """Of 4000 captions 10 % +- 1.5 % (three standard errors); none at rate 0, without a draw."""
    embeds, empty = torch.ones(4000, 1, 1), torch.zeros(1, 1, 1)
    share = (supervised.drop_captions(embeds, empty, 0.1, seeded(0)) == 0).float().mean().item()
    assert share == pytest.approx(0.1, abs=0.015)
    assert supervised.drop_captions(embeds, empty, 0.0) is embeds


# --- groups and RWR ---------------------------------------------------------------------------------------------------


def test_advantages_compare_within_a_caption_only() -> None:
    """Rows 1, 3 and 101, 103 differ by a hundred, and their advantages not at all; equal rewards teach nothing."""
    found = group_advantages(torch.tensor([[1.0, 3.0], [101.0, 103.0], [5.0, 5.0]]))
    torch.testing.assert_close(found, torch.tensor([[-1.0, 1.0], [-1.0, 1.0], [0.0, 0.0]]), atol=1e-4, rtol=0)
    with pytest.raises(InputError, match="at least 2"):
        group_advantages(torch.ones(4, 1))


def test_a_group_is_scored_on_the_same_frames() -> None:
    """Equal clips of a group get equal rewards, although frames are drawn at random for each caption."""
    models, config = line(), RWR(S=2, group=3)
    same = clips(2, (1, 8, 2, 2)).latents.repeat_interleave(3, 0)
    batch = repeated(clips(2, (1, 8, 2, 2)), 3)
    output = score_groups(models, same, batch, config.video_reward(brightness), config, 3, seeded(0))
    rewards, frames = output.reward.view(2, 3), output.indices.view(2, 3, 2)
    assert_close(rewards, rewards[:, :1].expand(2, 3))
    assert torch.equal(frames, frames[:, :1].expand(2, 3, 2))
    assert not torch.equal(frames[0], frames[1]), "captions have draws of their own"


def test_rwr_weights_by_hand() -> None:
    """exp(0), exp(log 3): shares 1/4 and 3/4, mean 1, so 1/2 and 3/2; a high temperature makes all equal."""
    rewards = torch.tensor([[0.0, 2 * math.log(3.0)]])
    assert_close(rwr.rwr_weights(rewards, 2.0), torch.tensor([[0.5, 1.5]]))
    torch.testing.assert_close(rwr.rwr_weights(rewards, 1e6), torch.ones(1, 2), atol=1e-4, rtol=0)


def test_rwr_moves_a_gaussian_policy_by_the_known_amount() -> None:
    """Samples x ~ N(0, 1) with reward x, weighted by exp(x / T), are distributed as N(1 / T, 1). The network that
    denoises those best at timestep t has a = sqrt(1 - abar), b* = -sqrt(abar (1 - abar)) / T; for the quadratic loss
    the slope at b = 0 is 2 (0 - b*)."""
    T, models = 2.0, line()
    x = torch.randn((200_000, 1, 1, 1, 1), generator=seeded(0))
    weights = rwr.rwr_weights(x.view(1, -1), T).flatten()
    assert (weights * x.flatten()).mean().item() == pytest.approx(1 / T, abs=0.01)
    abar = float(models.scheduler.alphas_cumprod[T500])
    best = -((abar * (1 - abar)) ** 0.5) / T
    models.unet.a.data.fill_((1 - abar) ** 0.5)
    t, noise = torch.full((len(x),), T500), torch.randn(x.shape, generator=seeded(1))

    def slope(b: float) -> float:
        models.unet.b.data.fill_(b)
        errors = supervised.denoising_errors(models, x, torch.zeros(len(x), 3, 2), t, noise)
        return torch.autograd.grad((weights * errors).mean(), models.unet.b)[0].item()

    assert slope(0.0) == pytest.approx(-2 * best, rel=0.05)
    assert slope(best) == pytest.approx(0.0, abs=0.02)


def test_a_round_of_rwr_samples_once_and_learns_several_times() -> None:
    """2 captions x 3 samples: 5 evaluations of 6 clips for the samples, then one for each of 4 updates, in which the
    samples stay what they were although the network changes."""
    models, config = line(), RWR(D=5, group=3, inner_updates=4, caption_dropout=0.0, selection="first")
    kept = []
    for value, numbers in rwr.losses(models, clips(), config.video_reward(brightness), config, seeded(0)):
        kept.append(numbers)
        value.backward()
        models.unet.b.data += 1.0
    assert models.calls == [6] * 9 and len(kept) == config.updates == 4
    assert [numbers["reward_calls"] for numbers in kept] == [24.0, 0.0, 0.0, 0.0]
    assert len({numbers["frame_reward"] for numbers in kept}) == 1 and 1 <= kept[0]["weight_max"] <= 3


def test_the_weighted_loss_is_the_plain_one_for_equal_weights() -> None:
    models, batch, config = line(), clips(), RWR(caption_dropout=0.0)
    weighted = rwr.weighted_loss(models, batch.latents, batch, torch.ones(2), config, seeded(4))
    plain, _ = supervised.loss(models, batch, None, Supervised(caption_dropout=0.0), seeded(4))
    assert_close(weighted, plain, n=batch.latents.numel())


# --- DDPO -------------------------------------------------------------------------------------------------------------


def test_log_probability_of_a_step_by_hand() -> None:
    """N(1, 2^2) at 3: -(2^2) / 8 - log 2 - log(2 pi) / 2; a clip's is the mean over its numbers."""
    one = -0.5 - math.log(2.0) - 0.5 * math.log(2 * math.pi)
    other = one + 0.5  # at the mean itself
    found = ddpo.gaussian_log_prob(torch.tensor([[3.0, 1.0]]), torch.ones(1, 2), 2.0)
    assert_close(found.item(), (one + other) / 2)


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "gradient"),
    [
        (1.5, 1.0, -1.2, 0.0),
        (1.5, -1.0, 1.5, 1.5),
        (0.5, -1.0, 0.8, 0.0),
        (0.5, 1.0, -0.5, -0.5),
        (1.0, 2.0, -2.0, -2.0),
    ],
)
def test_ppo_clipping_by_hand(ratio: float, advantage: float, value: float, gradient: float) -> None:
    """-min(rho A, clip(rho, 0.8, 1.2) A): what would go too far in the good direction is cut off and has no gradient;
    d/d log pi of -rho A is -rho A."""
    log_prob = torch.tensor([math.log(ratio)], requires_grad=True)
    loss, clipped = ddpo.clipped_loss(log_prob, torch.zeros(1), torch.tensor([advantage]), 0.2)
    loss.backward()
    assert_close(loss.item(), value)
    assert clipped.item() == float(ratio != 1.0)
    assert_close(log_prob.grad.item(), gradient, size=2.0)


def test_the_policy_gradient_is_the_exact_gradient() -> None:
    """A chain of 3 steps with a shift b in every prediction: z_0 is linear in b and in the noises, so the exact
    gradient of E[z_0] is dz_0/db along any one chain. The score-function estimate from 60,000 chains, a mean over the 3
    steps and so a third of it, must agree to a few per cent, with the mean reward as baseline."""
    models, config = line(), DDPO(D=3, group=2, recompute=False)
    models.unet.a.data.fill_(0.5)
    batch = clips(60_000, (1, 1, 1, 1))
    chains = ddpo.roll_out(models, batch, config, seeded(0))
    advantages = chains.states[-1].flatten()
    loss, _ = ddpo.surrogate(models, batch, chains, advantages - advantages.mean(), config)
    estimate = -3 * torch.autograd.grad(loss, models.unet.b)[0].item()

    moments, z = ddpo.step_moments(models, clips(1, (1, 1, 1, 1)), config), torch.zeros(1, 1, 1, 1, 1)
    for i in range(3):
        z = moments(i, z)[0]
    exact = torch.autograd.grad(z.sum(), models.unet.b)[0].item()
    assert abs(exact) > 0.1 and estimate == pytest.approx(exact, rel=0.05)


def test_the_first_update_is_on_policy_and_the_next_is_not() -> None:
    """Before any update rho = 1 and the surrogate is minus the mean advantage; after one, terms are clipped."""
    models, config = line(), DDPO(D=4, group=4, inner_updates=2, ppo_clip=1e-4)
    found = []
    for value, numbers in ddpo.losses(models, clips(), config.video_reward(brightness), config, seeded(0)):
        found.append((value.item(), numbers))
        value.backward()
        models.unet.theta.data -= 0.5
    assert_close(found[0][0], 0.0, size=1.0)
    assert found[0][1]["clipped"] == 0.0
    assert found[1][1]["clipped"] > 0.5 and len(found) == config.updates
    assert [numbers["reward_calls"] for _, numbers in found] == [32.0, 0.0]


def test_ddpo_trains_the_steps_it_is_told() -> None:
    models, config = line(), DDPO(D=5, group=2, K=(0, 3), inner_updates=1)
    [(value, _)] = step_losses(config, brightness)(models, clips(), seeded(0))
    value.backward()
    timesteps = ddim_timesteps(5)
    assert set(models.unet.theta.grad.nonzero().flatten().tolist()) == {timesteps[0], timesteps[3]}


def test_recomputing_changes_no_gradient() -> None:
    found = []
    for recompute in (False, True):
        models, config = line(), DDPO(D=4, group=2, inner_updates=1, recompute=recompute)
        [(value, _)] = step_losses(config, brightness)(models, clips(), seeded(0))
        found.append(torch.autograd.grad(value, models.unet.b)[0])
    assert_close(found[0], found[1], n=12 * FEW)


def test_a_step_without_noise_is_no_policy() -> None:
    """A scheduler that ends at alpha 1 has a last step of std 0: it is skipped, and alone it is an error."""
    models = line()
    models.scheduler.final_alpha_cumprod = torch.tensor(1.0)
    chains = ddpo.roll_out(models, clips(), DDPO(D=4), seeded(0))
    assert torch.equal(chains.log_probs[-1], torch.zeros(2)) and chains.log_probs[:-1].all()
    with pytest.raises(InputError, match="none of these steps"):
        ddpo.surrogate(models, clips(), chains, torch.ones(2), DDPO(D=4, K=1))


# --- all of them ------------------------------------------------------------------------------------------------------

EVERY = [InstructVideo(D=5), Draft(D=5), RWR(D=5), DDPO(D=5), Supervised()]


@pytest.mark.parametrize("config", EVERY, ids=lambda config: type(config).__name__)
def test_every_method_has_one_call(config: Any) -> None:
    """As many losses as `updates`, scalars with gradient to the network, and numbers that are floats."""
    models = line()
    found = list(step_losses(config, brightness)(models, clips(), seeded(0)))
    assert len(found) == config.updates
    for value, numbers in found:
        assert value.shape == () and value.requires_grad
        assert all(type(number) is float for number in numbers.values())


@pytest.mark.parametrize("config", EVERY, ids=lambda config: type(config).__name__)
def test_a_unet_in_the_other_mode_is_refused(config: Any) -> None:
    models = line()
    models.unet.train()
    with pytest.raises(InputError, match="network_mode"):
        list(step_losses(config, brightness)(models, clips(), seeded(0)))


@pytest.mark.parametrize("config", EVERY, ids=lambda config: type(config).__name__)
def test_the_same_seed_gives_the_same_losses(config: Any) -> None:
    found = [[v.item() for v, _ in step_losses(config, brightness)(line(), clips(), seeded(s))] for s in (1, 1, 2)]
    assert found[0] == found[1]
    if not isinstance(config, DDPO):  # whose value is minus the mean advantage, 0, whatever was drawn
        assert found[0] != found[2]


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        (Draft, {"D": 0}, "D = 0"),
        (Draft, {"eta": 2.0}, "eta"),
        (Draft, {"variants": -1}, "variants"),
        (RWR, {"group": 1}, "group = 1"),
        (RWR, {"temperature": 0.0}, "temperature"),
        (RWR, {"inner_updates": 0}, "inner_updates"),
        (RWR, {"draws": 0}, "draws"),
        (DDPO, {"ppo_clip": 0.0}, "ppo_clip"),
        (DDPO, {"eta": 0.0}, "eta"),
        (DDPO, {"eta": 1.5}, "must be random"),
        (Supervised, {"caption_dropout": 1.0}, "caption_dropout"),
        (Supervised, {"guidance": float("nan")}, "guidance"),
        (DDPO, {"S": 0}, "S = 0"),
    ],
)
def test_settings_out_of_range(kind: Any, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        kind(**changes)
