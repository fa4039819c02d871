"""Eq. 5 and the partial chain: identities with diffusers, and where the gradient goes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.method.chain import denoise, last_k, network_mode, sample
from ivtutorial.method.ddim import ddim_moments, ddim_step
from ivtutorial.method.editing import corrupt, draw_noise, edit
from ivtutorial.method.schedule import ddim_timesteps, make_scheduler, partial_timesteps
from tests.tolerances import FEW, assert_close, roundings, tolerance

SHAPE = (2, 4, 3, 5, 5)
TYPES = ("epsilon", "v_prediction")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents(seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(SHAPE, generator=seeded(seed), dtype=dtype)


class Toy(nn.Module):
    """A smooth stand-in for the guided UNet: it mixes space and time, and depends on t."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.conv = nn.Conv3d(4, 4, 3, padding=1, dtype=dtype)
        self.scale = nn.Parameter(torch.tensor(0.3, dtype=dtype))

    def forward(self, z: Tensor, t: int) -> Tensor:
        return torch.tanh(self.conv(z) + self.scale * t / 1000)


class PerStep(nn.Module):
    """Output w[i] z at the i-th step of `timesteps`: the gradient of w tells which steps were recorded."""

    def __init__(self, timesteps: Sequence[int]) -> None:
        super().__init__()
        self.position = {t: i for i, t in enumerate(timesteps)}
        self.w = nn.Parameter(torch.full((len(timesteps),), 0.1))
        self.recorded: list[int] = []

    def forward(self, z: Tensor, t: int) -> Tensor:
        if torch.is_grad_enabled():
            self.recorded.append(self.position[t])
        return self.w[self.position[t]] * z


def gradient(output: Tensor, model: nn.Module) -> Tensor:
    probe = torch.randn(output.shape, generator=seeded(5)).to(output)
    grads = torch.autograd.grad((output * probe).sum(), list(model.parameters()))
    return torch.cat([g.flatten() for g in grads])


# ---------------------------------------------------------------- Eq. 5


def test_eq5_by_hand():
    """Where abar is 0.64: z = 2 and noise = -1 give 0.8 * 2 - 0.6 * 1 = 1.0."""
    scheduler = make_scheduler()
    scheduler.alphas_cumprod[300] = 0.64
    z, noise = torch.full(SHAPE, 2.0), torch.full(SHAPE, -1.0)
    assert_close(corrupt(z, 300, scheduler, noise), torch.ones(SHAPE))


@pytest.mark.parametrize("t", [1, 551, 951])
def test_eq5_is_add_noise_of_diffusers(t: int):
    scheduler, z, noise = make_scheduler(), latents(0), latents(1)
    assert_close(corrupt(z, t, scheduler, noise), scheduler.add_noise(z, noise, torch.tensor([t, t])))


def test_offset_noise_is_one_constant_per_clip_channel_and_frame():
    """It adds 0.1 N(0, 1) to each frame of each channel, so the variance rises from 1 to 1.01."""
    shape = (4, 4, 200, 2, 2)
    extra = draw_noise(shape, seeded(0), offset=0.1) - draw_noise(shape, seeded(0))
    assert float(extra.std(dim=(-2, -1)).max()) < tolerance(size=4.0)
    assert float(extra.std()) == pytest.approx(0.1, rel=0.05)
    assert len(extra[..., 0, 0].unique()) > 3000


def test_noise_is_reproducible_from_its_seed():
    assert torch.equal(draw_noise(SHAPE, seeded(3), 0.1), draw_noise(SHAPE, seeded(3), 0.1))
    assert not torch.equal(draw_noise(SHAPE, seeded(3)), draw_noise(SHAPE, seeded(4)))


# ---------------------------------------------------------------- the chain


@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("D", [20, 30])
def test_tau_1_from_pure_noise_is_the_sampler_of_diffusers(prediction_type: str, eta: float, D: int):
    """Same model, same noise, same generator: the full chain and DDIMScheduler.step give the same z_0."""
    scheduler, model = make_scheduler(prediction_type), Toy()
    ours = sample(model, latents(), scheduler, D, eta=eta, generator=seeded(2))
    theirs, generator = latents(), seeded(2)
    scheduler.set_timesteps(D)
    with torch.no_grad():
        for t in scheduler.timesteps:
            theirs = scheduler.step(model(theirs, int(t)), t, theirs, eta=eta, generator=generator).prev_sample
    assert_close(ours, theirs, n=roundings(model, passes=D))


@pytest.mark.parametrize("prediction_type", TYPES)
def test_a_perfect_model_lands_on_abar_0_not_on_the_clean_clip(prediction_type: str):
    """If the output is always right, every z_t is sqrt(abar_t) z + sqrt(1 - abar_t) e, also the last, at 0:
    sqrt(0.99915) z + sqrt(0.00085) e, with 2.9 % of the noise left, as in the authors' code."""
    scheduler, z, e = make_scheduler(prediction_type), latents(0), latents(1)

    def perfect(_: Tensor, t: int) -> Tensor:
        abar = scheduler.alphas_cumprod[t]
        return e if prediction_type == "epsilon" else abar.sqrt() * e - (1 - abar).sqrt() * z

    z0 = edit(perfect, z, scheduler, tau=0.6, D=20, noise=e)
    assert_close(z0, 0.99915**0.5 * z + 0.00085**0.5 * e, n=12 * FEW)


def test_the_final_alpha_is_the_schedulers():
    """With set_alpha_to_one the last step of a perfect model lands on the clean clip itself."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_config(make_scheduler().config, set_alpha_to_one=True)
    z, e = latents(0), latents(1)
    assert_close(edit(lambda z_t, t: e, z, scheduler, noise=e), z, n=12 * FEW)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_velocity_model_and_the_noise_model_it_stands_for_give_one_chain(eta: float):
    """v = sqrt(abar) e - sqrt(1 - abar) x0 with x0 from e; so v = (e - sqrt(1 - abar) z_t) / sqrt(abar)."""
    model, eps, vel = Toy(), make_scheduler("epsilon"), make_scheduler("v_prediction")

    def as_velocity(z: Tensor, t: int) -> Tensor:
        abar = eps.alphas_cumprod[t]
        return (model(z, t) - (1 - abar).sqrt() * z) / abar.sqrt()

    chains = (edit(p, latents(), s, eta=eta, generator=seeded(1)) for p, s in ((model, eps), (as_velocity, vel)))
    assert_close(*chains, n=roundings(model, passes=12))


def test_noisy_steps_keep_the_marginal_variance():
    """mean^2 coefficient of e plus std^2 is 1 - abar_prev for every eta: DDIM keeps q(z_{t-1} | x0)."""
    scheduler = make_scheduler()
    z, e = torch.zeros(SHAPE, dtype=torch.float64), torch.ones(SHAPE, dtype=torch.float64)
    abar, abar_prev = (float(scheduler.alphas_cumprod[t]) for t in (551, 501))
    x0 = -((1 - abar) ** 0.5) / abar**0.5
    for eta in (0.0, 0.4, 1.0):
        mean, std = ddim_moments(scheduler, e, 551, 501, z, eta)
        coefficient = float(mean.flatten()[0]) - abar_prev**0.5 * x0
        assert coefficient**2 + std**2 == pytest.approx(1 - abar_prev, rel=1e-9)
        assert (std > 0) == (eta > 0)


def test_edit_is_corrupt_then_the_last_steps_of_the_full_chain():
    scheduler, model, z, noise = make_scheduler(), Toy(), latents(0), latents(1)
    timesteps = ddim_timesteps(20)[-6:]
    start = corrupt(z, timesteps[0], scheduler, noise)
    edited = edit(model, z, scheduler, tau=0.3, noise=noise)
    assert_close(edited, denoise(model, start, timesteps, scheduler), n=roundings(model, passes=6))


def test_the_chain_is_reproducible_and_draws_nothing_without_eta():
    scheduler, model = make_scheduler(), Toy()
    first, again = (edit(model, latents(), scheduler, eta=1.0, generator=seeded(9)) for _ in range(2))
    assert torch.equal(first, again)
    generator = seeded(9)
    state = generator.get_state()
    sample(model, latents(), scheduler, 5, eta=0.0, generator=generator)
    assert torch.equal(generator.get_state(), state)


def test_half_precision_outputs_leave_the_chain_in_float32():
    z0 = edit(lambda z, t: z.bfloat16() * 0.1, latents(), make_scheduler(), generator=seeded(0))
    assert z0.dtype == torch.float32


# ---------------------------------------------------------------- gradient


@pytest.mark.parametrize("chosen", [(11,), (10, 11), (0,), (3, 7), tuple(range(12))])
@pytest.mark.parametrize("recompute", [False, True])
def test_only_the_chosen_steps_carry_gradient(chosen: tuple[int, ...], recompute: bool):
    """w[i] acts in step i alone, so its gradient is zero exactly where the step was not chosen."""
    timesteps = partial_timesteps(0.6, 20)
    model = PerStep(timesteps)
    z0 = edit(model, latents(), make_scheduler(), grad_steps=chosen, noise=latents(1), recompute=recompute)
    assert model.recorded == list(chosen)
    grad = gradient(z0, model)
    assert tuple(grad.nonzero().flatten().tolist()) == chosen


@pytest.mark.parametrize("chosen", [(0,), (2, 5), (0, 11)])
def test_gradient_passes_the_linear_part_of_steps_that_are_not_chosen(chosen: tuple[int, ...]):
    """Outputs w[i] c that ignore z make the chain linear in w: a chosen step then has its full gradient."""
    scheduler, timesteps, c = make_scheduler(), partial_timesteps(0.6, 20), latents(8)
    model = PerStep(timesteps)
    parts = (
        gradient(denoise(lambda z, t: model(c, t), latents(), timesteps, scheduler, grad_steps), model)
        for grad_steps in (chosen, range(12))
    )
    part, full = parts
    assert_close(part[list(chosen)], full[list(chosen)], n=c.numel())


@pytest.mark.parametrize("prediction_type", TYPES)
def test_k_equal_to_n_is_full_back_propagation(prediction_type: str):
    """Against DDIMScheduler.step of diffusers, run with gradient from the first step to the last."""
    scheduler, model = make_scheduler(prediction_type), Toy()
    ours = gradient(edit(model, latents(), scheduler, tau=0.5, D=10, K=5, noise=latents(1)), model)
    z = scheduler.add_noise(latents(), latents(1), torch.tensor([401, 401]))
    scheduler.set_timesteps(10)
    for t in scheduler.timesteps[-5:]:
        z = scheduler.step(model(z, int(t)), t, z).prev_sample
    assert_close(ours, gradient(z, model), n=roundings(model, passes=15) + z.numel())


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("prediction_type", TYPES)
def test_gradient_by_finite_difference(K: int, prediction_type: str):
    """Central difference of sum(z_0 probe), with weights w + s d in the last K steps and w before."""
    scheduler, model = make_scheduler(prediction_type), Toy(torch.float64)
    moved, frozen = Toy(torch.float64), Toy(torch.float64)
    direction = [
        torch.randn(p.shape, generator=seeded(i), dtype=torch.float64) for i, p in enumerate(model.parameters())
    ]
    probe = torch.randn(SHAPE, generator=seeded(5)).double()
    recorded = partial_timesteps(0.3, 20)[-K:]

    def value(s: float) -> float:
        for p, w, d in zip(moved.parameters(), model.parameters(), direction, strict=True):
            p.data = w.data + s * d
        switch = lambda z, t: moved(z, t) if t in recorded else frozen(z, t)  # noqa: E731
        return float((run(switch, K) * probe).sum().detach())

    def run(predict: Callable[[Tensor, int], Tensor], K: int) -> Tensor:
        return edit(predict, latents(0, torch.float64), scheduler, tau=0.3, K=K, noise=latents(1, torch.float64))

    expected = (value(1e-5) - value(-1e-5)) / 2e-5
    actual = float(gradient(run(model, K), model) @ torch.cat([d.flatten() for d in direction]))
    assert actual == pytest.approx(expected, rel=1e-6)


def test_gradient_reaches_the_start_only_if_every_step_is_recorded():
    z = latents().requires_grad_()
    full = edit(Toy(), z, make_scheduler(), tau=0.2, K=4, noise=latents(1))
    assert float(torch.autograd.grad(full.sum(), z)[0].abs().sum()) > 0
    truncated = edit(Toy(), z, make_scheduler(), tau=0.2, K=3, noise=latents(1))
    assert torch.autograd.grad(truncated.sum(), z, allow_unused=True)[0] is None


def test_without_chosen_steps_or_under_no_grad_nothing_is_recorded():
    scheduler, model = make_scheduler(), Toy()
    assert not sample(model, latents(), scheduler, 4).requires_grad
    with torch.no_grad():
        assert not edit(model, latents(), scheduler, K=2, recompute=True).requires_grad


def test_steps_before_the_first_chosen_one_leave_nothing_in_memory():
    """K = 1 saves as many tensors in 12 steps as in 2, and the outputs of the others are gone at the end."""
    outputs: list[weakref.ref[Tensor]] = []
    model = Toy()

    def watched(z: Tensor, t: int) -> Tensor:
        output = model(z, t)
        outputs.append(weakref.ref(output))
        return output

    def saved(tau: float) -> int:
        count: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: count.append(x) or x, lambda x: x):  # type: ignore[func-returns-value]
            edit(watched, latents(), make_scheduler(), tau=tau, K=1)
        return len(count)

    assert saved(0.1) == saved(0.6) > 0
    outputs.clear()
    z0 = edit(watched, latents(), make_scheduler(), tau=0.6, K=1)
    gc.collect()
    assert z0.requires_grad and [ref() is None for ref in outputs[:-1]] == [True] * 11


def test_recomputing_gives_the_same_gradient_from_fewer_saved_tensors():
    """Each recorded call is run again in the backward pass: 3 + 3 calls with gradient instead of 3."""
    scheduler, model = make_scheduler(), Toy()
    calls: list[int] = []

    def counted(z: Tensor, t: int) -> Tensor:
        if torch.is_grad_enabled():
            calls.append(t)
        return model(z, t)

    plain, again = (
        gradient(edit(counted, latents(), scheduler, K=3, noise=latents(1), recompute=c), model) for c in (False, True)
    )
    assert_close(plain, again, n=roundings(model, passes=9) + latents().numel())
    assert sorted(calls) == sorted([1, 51, 101] * 3)


def test_autocast_does_not_lose_the_gradient():
    """Autocast may keep the half-precision weights that it made without gradient in the first steps."""
    model = Toy()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z0 = edit(model, latents(), make_scheduler(), K=1, noise=latents(1))
    exact = gradient(edit(model, latents(), make_scheduler(), K=1, noise=latents(1)), model)
    assert torch.nn.functional.cosine_similarity(gradient(z0, model), exact, dim=0) > 0.99


# ---------------------------------------------------------------- K, modes, bad input


def test_last_k_by_hand():
    assert last_k(1, 12) == (11,) and last_k(3, 5) == (2, 3, 4) and last_k(4, 4) == (0, 1, 2, 3)


def test_uniform_k_takes_every_value_from_1_to_n():
    """In 4000 seeded draws each of 4 values is expected 1000 times, standard deviation 27."""
    generator = seeded(0)
    counts = torch.bincount(torch.tensor([len(last_k("uniform", 4, generator)) for _ in range(4000)]), minlength=5)
    assert counts[0] == 0 and bool(((counts[1:] - 1000).abs() < 4 * 27).all())
    assert [last_k("uniform", 9, seeded(1)) for _ in range(3)] == [last_k("uniform", 9, seeded(1))] * 3


@pytest.mark.parametrize("K", [0, -1, 13, 1.0, "all"])
def test_k_outside_the_chain_is_refused(K: object):
    with pytest.raises(InputError, match="1 <= K <= 12"):
        edit(Toy(), latents(), make_scheduler(), K=K)  # type: ignore[arg-type]


@pytest.mark.parametrize("grad_steps", [(12,), (-1,), (0, 99)])
def test_positions_outside_the_chain_are_refused(grad_steps: tuple[int, ...]):
    with pytest.raises(InputError, match="0 .first step. to 11"):
        edit(Toy(), latents(), make_scheduler(), grad_steps=grad_steps)


@pytest.mark.parametrize("z", [torch.zeros(4, 3, 5, 5), torch.zeros(2, 4, 3, 5, 5, dtype=torch.int64)])
def test_wrong_latents_are_refused(z: Tensor):
    with pytest.raises(InputError, match=r"\(B, C, F, h, w\)"):
        edit(Toy(), z, make_scheduler())


def test_wrong_noise_and_wrong_model_output_are_refused():
    with pytest.raises(InputError, match="noise of shape"):
        edit(Toy(), latents(), make_scheduler(), noise=torch.zeros(1, 4, 3, 5, 5))
    with pytest.raises(InputError, match="noise of shape"):
        draw_noise((4, 3, 5, 5))
    with pytest.raises(InputError, match="the model returned"):
        edit(lambda z, t: torch.cat([z, z], dim=1), latents(), make_scheduler())


def test_a_random_step_needs_noise():
    with pytest.raises(InputError, match="eta = 1.0"):
        ddim_step(make_scheduler(), latents(), 51, 1, latents(), eta=1.0)


@pytest.mark.parametrize("change", [{"prediction_type": "sample"}, {"clip_sample": True}, {"thresholding": True}])
def test_schedulers_this_chain_cannot_follow_are_refused(change: dict[str, object]):
    scheduler = make_scheduler()
    scheduler.register_to_config(**change)
    with pytest.raises(InputError, match=next(iter(change))):
        sample(Toy(), latents(), scheduler, 2)


@pytest.mark.parametrize("train", [True, False])
def test_network_mode_restores_every_part_even_after_an_error(train: bool):
    network = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    network.eval()
    network[1][0].train()  # type: ignore[index]
    before = [part.training for part in network.modules()]
    with pytest.raises(KeyError), network_mode(network, train):
        assert all(part.training == train for part in network.modules())
        raise KeyError
    assert [part.training for part in network.modules()] == before
