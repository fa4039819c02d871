"""The edit: noising and the partial chain, one after the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.chain import denoise, sample
from ivtutorial.method.editing import edit
from ivtutorial.method.noise import (
    corrupt,
    draw_noise,
)
from ivtutorial.method.schedule import ddim_timesteps
from ivtutorial.models.scheduler import make_scheduler
from tests.tolerances import FEW, assert_close, roundings
from tests.toy import (
    GuidedToy,
    latents,
    seeded,
)

TYPES = ("epsilon", "v_prediction")


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
    model, eps, vel = GuidedToy(), make_scheduler("epsilon"), make_scheduler("v_prediction")

    def as_velocity(z: Tensor, t: int) -> Tensor:
        abar = eps.alphas_cumprod[t]
        return (model(z, t) - (1 - abar).sqrt() * z) / abar.sqrt()

    chains = (edit(p, latents(), s, eta=eta, generator=seeded(1)) for p, s in ((model, eps), (as_velocity, vel)))
    assert_close(*chains, n=roundings(model, passes=12))


def test_edit_is_corrupt_then_the_last_steps_of_the_full_chain():
    scheduler, model, z, noise = make_scheduler(), GuidedToy(), latents(0), latents(1)
    timesteps = ddim_timesteps(20)[-6:]
    start = corrupt(z, timesteps[0], scheduler, noise)
    edited = edit(model, z, scheduler, tau=0.3, noise=noise)
    assert_close(edited, denoise(model, start, timesteps, scheduler), n=roundings(model, passes=6))


def test_the_chain_is_reproducible_and_draws_nothing_without_eta():
    scheduler, model = make_scheduler(), GuidedToy()
    first, again = (edit(model, latents(), scheduler, eta=1.0, generator=seeded(9)) for _ in range(2))
    assert torch.equal(first, again)
    generator = seeded(9)
    state = generator.get_state()
    sample(model, latents(), scheduler, 5, eta=0.0, generator=generator)
    assert torch.equal(generator.get_state(), state)


def test_half_precision_outputs_leave_the_chain_in_float32():
    z0 = edit(lambda z, t: z.bfloat16() * 0.1, latents(), make_scheduler(), generator=seeded(0))
    assert z0.dtype == torch.float32


@pytest.mark.parametrize("z", [torch.zeros(4, 3, 5, 5), torch.zeros(2, 4, 3, 5, 5, dtype=torch.int64)])
def test_wrong_latents_are_refused(z: Tensor):
    with pytest.raises(InputError, match=r"\(B, C, F, h, w\)"):
        edit(GuidedToy(), z, make_scheduler())


def test_wrong_noise_and_wrong_model_output_are_refused():
    with pytest.raises(InputError, match="noise of shape"):
        edit(GuidedToy(), latents(), make_scheduler(), noise=torch.zeros(1, 4, 3, 5, 5))
    with pytest.raises(InputError, match="noise of shape"):
        draw_noise((4, 3, 5, 5))
    with pytest.raises(InputError, match="the model returned"):
        edit(lambda z, t: torch.cat([z, z], dim=1), latents(), make_scheduler())
