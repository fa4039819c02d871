"""Guards against over-optimisation that change the loss: stay near the data, or near the model one started from.

    loss + data_weight * L_data + kl_weight * KL

| name          | formula                                                                  | what it does        |
|---------------|--------------------------------------------------------------------------|---------------------|
| `data_weight` | L_data = E abs(target - net(z_t, t, c))^2 on the training clips (Eq. 1)  | keep denoising them |
| `kl_weight`   | KL = D E_t abs(mu_theta - mu_base)^2 / (2 std_t^2), D steps of the chain | keep the old steps  |

The authors' code has an option that looks like the first, off by default: `data_align_method` multiplies each clip's
1 - R by exp(-10 L), where L is the denoising error on that clip without gradient. It weighs clips and holds nothing
back. The second is the penalty of Y. Fan et al., DPOK (NeurIPS 2023, arXiv 2305.16381), for one DDIM step with eta = 1,
whose KL divergence is the squared distance of the two means over twice the variance, here a mean over the latent's
numbers.

Where this differs from DPOK: states are noised training clips and not the chain's own, and one timestep is drawn for
the batch instead of summing over all D, so a step costs 4 evaluations a clip more and not 4 D (with guidance).

Other guards are elsewhere: early stopping on held-out prompts (`patience` of `FinetuneConfig`), less of the adapter
when sampling (`lora_scale` of `generate` and `evaluate`), several rewards at once (`ivtutorial.rewards`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ivtutorial.checks import not_negative
from ivtutorial.method.batch import BackboneLike, Batch, Metrics
from ivtutorial.method.ddim import ddim_moments
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.noise import corrupt, draw_noise
from ivtutorial.method.schedule import steps
from ivtutorial.rivals.denoising import drawn_errors


@dataclass(frozen=True)
class Guards:
    """Weights of the two terms; 0 leaves a term out, and its cost.

    Raises:
        InputError: a weight that is not a finite number >= 0.
    """

    data_weight: float = 0.0
    kl_weight: float = 0.0

    def __post_init__(self) -> None:
        not_negative(self, "data_weight", "kl_weight")

    def passes(self) -> int:
        """Cost of the terms in use for one clip: 3 passes of the UNet, and 8 with guidance."""
        return 3 * bool(self.data_weight) + 8 * bool(self.kl_weight)


def data_loss(backbone: BackboneLike, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
    """L_data of a batch of training clips, a scalar with gradient; the generator gives timesteps, then noise."""
    return drawn_errors(backbone, batch.z, batch, generator=generator).mean()


def kl_to_base(
    backbone: BackboneLike, batch: Batch, D: int, guidance: float, generator: torch.Generator | None = None
) -> Tensor:
    """KL of the adapted chain from the base model's, estimated at one step of D, a scalar with gradient.

    Args:
        backbone: its UNet has an adapter; with the adapter off it is the base model.
        batch: training clips, noised to the step's timestep.
        D: steps of the chain.
        guidance: of both predictions.
        generator: source of the step and the noise.

    Raises:
        InputError: the UNet has no adapter.
    """
    chain = steps(chain_timesteps(backbone.scheduler, D))
    device = generator.device if generator is not None else None
    # The last step is left out: it ends at the data, where some schedulers have no noise to compare with.
    t, t_prev = chain[int(torch.randint(D - 1, (), generator=generator, device=device)) if D > 1 else 0]
    noise = draw_noise(batch.latents.shape, generator, like=batch.z)
    z = corrupt(batch.z, t, backbone.scheduler, noise)
    predict = backbone.predictor(batch.embeds, batch.uncond_embeds, guidance)
    with torch.no_grad(), adapter_off(backbone.unet):
        base, _ = ddim_moments(backbone.scheduler, predict(z, t), t, t_prev, z, eta=1.0)
    mean, std = ddim_moments(backbone.scheduler, predict(z, t), t, t_prev, z, eta=1.0)
    return D * (mean - base).square().mean() / (2 * std**2)


@contextmanager
def adapter_off(unet: Any) -> Iterator[None]:
    """The base model for a while; afterwards the adapter is used as trained (scale 1).

    Raises:
        InputError: there is no adapter.
    """
    from ivtutorial.models.lora import set_lora_scale  # brings diffusers, hence not at the top

    set_lora_scale(unet, 0.0)
    try:
        yield
    finally:
        set_lora_scale(unet, 1.0)


def guard_terms(
    backbone: BackboneLike,
    batch: Batch,
    guards: Guards,
    D: int,
    guidance: float,
    generator: torch.Generator | None = None,
) -> tuple[Tensor | float, Metrics]:
    """What the guards add to the loss, and what to log: `data_loss` and `kl`, without their weights.

    Args:
        backbone: UNet with an adapter, scheduler.
        batch: training clips.
        guards: weights.
        D: steps of the chain.
        guidance: scale.
        generator: source of the draws, made for terms in use only.
    """
    total: Tensor | float = 0.0
    metrics: Metrics = {}
    if guards.data_weight:
        term = data_loss(backbone, batch, generator)
        total, metrics["data_loss"] = total + guards.data_weight * term, term.detach()
    if guards.kl_weight:
        term = kl_to_base(backbone, batch, D, guidance, generator)
        total, metrics["kl"] = total + guards.kl_weight * term, term.detach()
    return total, metrics
