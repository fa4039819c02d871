"""The chain: identities with diffusers, and where the gradient goes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.method.chain import denoise, gradient_steps, sample
from ivtutorial.method.editing import edit
from ivtutorial.method.schedule import partial_timesteps
from ivtutorial.models.modes import network_mode
from ivtutorial.models.scheduler import make_scheduler
from tests.tolerances import assert_close, roundings
from tests.toy import (
    GuidedToy,
    latents,
    seeded,
)

SHAPE = (2, 4, 3, 5, 5)
TYPES = ("epsilon", "v_prediction")


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


@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("D", [20, 30])
def test_tau_1_from_pure_noise_is_the_sampler_of_diffusers(prediction_type: str, eta: float, D: int):
    """Same model, same noise, same generator: the full chain and DDIMScheduler.step give the same z_0."""
    scheduler, model = make_scheduler(prediction_type), GuidedToy()
    ours = sample(model, latents(), scheduler, D, eta=eta, generator=seeded(2))
    theirs, generator = latents(), seeded(2)
    scheduler.set_timesteps(D)
    with torch.no_grad():
        for t in scheduler.timesteps:
            theirs = scheduler.step(model(theirs, int(t)), t, theirs, eta=eta, generator=generator).prev_sample
    assert_close(ours, theirs, n=roundings(model, passes=D))


@pytest.mark.parametrize("chosen", [(11,), (10, 11), (0,), (3, 7), tuple(range(12))])
@pytest.mark.parametrize("recompute", [False, True])
def test_only_the_chosen_steps_carry_gradient(chosen: tuple[int, ...], recompute: bool):
    """w[i] acts in step i alone, so its gradient is zero exactly where the step was not chosen."""
    timesteps = partial_timesteps(0.6, 20)
    model = PerStep(timesteps)
    z0 = edit(model, latents(), make_scheduler(), K=chosen, noise=latents(1), recompute=recompute)
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
    scheduler, model = make_scheduler(prediction_type), GuidedToy()
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
    scheduler, model = make_scheduler(prediction_type), GuidedToy(torch.float64)
    moved, frozen = GuidedToy(torch.float64), GuidedToy(torch.float64)
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
    full = edit(GuidedToy(), z, make_scheduler(), tau=0.2, K=4, noise=latents(1))
    assert float(torch.autograd.grad(full.sum(), z)[0].abs().sum()) > 0
    truncated = edit(GuidedToy(), z, make_scheduler(), tau=0.2, K=3, noise=latents(1))
    assert torch.autograd.grad(truncated.sum(), z, allow_unused=True)[0] is None


def test_without_chosen_steps_or_under_no_grad_nothing_is_recorded():
    scheduler, model = make_scheduler(), GuidedToy()
    assert not sample(model, latents(), scheduler, 4).requires_grad
    with torch.no_grad():
        assert not edit(model, latents(), scheduler, K=2, recompute=True).requires_grad


def test_steps_before_the_first_chosen_one_leave_nothing_in_memory():
    """K = 1 saves as many tensors in 12 steps as in 2, and the outputs of the others are gone at the end."""
    outputs: list[weakref.ref[Tensor]] = []
    model = GuidedToy()

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
    scheduler, model = make_scheduler(), GuidedToy()
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
    model = GuidedToy()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z0 = edit(model, latents(), make_scheduler(), K=1, noise=latents(1))
    exact = gradient(edit(model, latents(), make_scheduler(), K=1, noise=latents(1)), model)
    assert torch.nn.functional.cosine_similarity(gradient(z0, model), exact, dim=0) > 0.99


def test_the_last_k_by_hand():
    assert gradient_steps(1, 12) == (11,) and gradient_steps(3, 5) == (2, 3, 4) and gradient_steps(4, 4) == (0, 1, 2, 3)
    assert gradient_steps([3, 0, 3], 5) == (0, 3)


def test_uniform_k_takes_every_value_from_1_to_n():
    """In 4000 seeded draws each of 4 values is expected 1000 times, standard deviation 27."""
    generator = seeded(0)
    counts = torch.bincount(
        torch.tensor([len(gradient_steps("uniform", 4, generator)) for _ in range(4000)]), minlength=5
    )
    assert counts[0] == 0 and bool(((counts[1:] - 1000).abs() < 4 * 27).all())
    assert [gradient_steps("uniform", 9, seeded(1)) for _ in range(3)] == [gradient_steps("uniform", 9, seeded(1))] * 3


@pytest.mark.parametrize("K", [0, -1, 13, 1.0, "all"])
def test_k_outside_the_chain_is_refused(K: object):
    with pytest.raises(InputError, match="1 <= K <= 12"):
        edit(GuidedToy(), latents(), make_scheduler(), K=K)  # type: ignore[arg-type]


@pytest.mark.parametrize("grad_steps", [(12,), (-1,), (0, 99)])
def test_positions_outside_the_chain_are_refused(grad_steps: tuple[int, ...]):
    with pytest.raises(InputError, match="from 0 .noisiest. to 11"):
        edit(GuidedToy(), latents(), make_scheduler(), K=grad_steps)
    with pytest.raises(InputError, match="0 .first step. to 3"):
        sample(GuidedToy(), latents(), make_scheduler(), 4, grad_steps)


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


def test_network_mode_sets_nothing_where_nothing_changes(monkeypatch: pytest.MonkeyPatch):
    """Setting it for each of a thousand parts takes longer than looking. What the block changes is put back."""
    network = nn.Sequential(nn.Dropout(), nn.Linear(2, 2)).eval()
    changed: list[nn.Module] = []
    plain = nn.Module.__setattr__

    def noted(part: nn.Module, name: str, value: object) -> None:
        changed.append(part)
        plain(part, name, value)

    monkeypatch.setattr(nn.Module, "__setattr__", noted)
    with network_mode(network, train=False):
        pass
    assert changed == []
    with network_mode(network, train=False):
        network[0].train()
    assert changed == [network[0], network[0]] and not network[0].training
