"""The latent space that a diffusion model gets: fewer channels, mean 0, and the same spread in every direction.

Encoder and decoder end in 1x1 convolutions, into which all of this is folded. So the class stays stock, encoding and
decoding one after the other gives what it gave before, and the scaling factor is 1.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor

LOG_VARIANCE = -6.0


@torch.no_grad()
def keep_channels(vae: AutoencoderKL, count: int) -> AutoencoderKL:
    """The autoencoder of the first ``count`` latent channels.

    It decodes as the given one does with the other channels at zero, exactly.

    Args:
        vae: its `post_quant_conv` has no bias.
        count: at most its own number.
    """
    old = vae.config.latent_channels
    assert not vae.post_quant_conv.bias.any(), "a bias here cannot be folded at the picture's border"
    small: AutoencoderKL = AutoencoderKL.from_config(dict(vae.config) | {"latent_channels": count})
    state = {k: v.clone() for k, v in vae.state_dict().items()}
    # All the work of the 1x1 convolutions moves into the 3x3 ones beside them.
    rows = state["quant_conv.weight"][:count, :, 0, 0]
    mean_rows = torch.einsum("km,mchw->kchw", rows, state["encoder.conv_out.weight"])
    bias = rows @ state["encoder.conv_out.bias"] + state["quant_conv.bias"][:count]
    state["encoder.conv_out.weight"] = torch.cat([mean_rows, torch.zeros_like(mean_rows)])
    state["encoder.conv_out.bias"] = torch.cat([bias, torch.zeros_like(bias)])
    columns = state["post_quant_conv.weight"][:, :count, 0, 0]
    state["decoder.conv_in.weight"] = torch.einsum("ocij,ck->okij", state["decoder.conv_in.weight"], columns)
    assert count <= old
    state["quant_conv.weight"] = torch.eye(2 * count)[:, :, None, None]
    state["quant_conv.weight"][count:] = 0.0
    state["quant_conv.bias"] = torch.cat([torch.zeros(count), torch.full((count,), LOG_VARIANCE)])
    state["post_quant_conv.weight"] = torch.eye(count)[:, :, None, None]
    state["post_quant_conv.bias"] = torch.zeros(count)
    small.load_state_dict(state)
    return small


@torch.no_grad()
def whiten(vae: AutoencoderKL, latents: Tensor, power: float = 1.0, floor: float = 0.0) -> AutoencoderKL:
    """Change the latents' basis, in place: mean 0 and principal directions, spread evenly.

    With covariance C = U L U', latents become z' = A (z - m), A = (L + floor max L)^(-power/2) U'; a last factor
    makes their mean variance 1.

    Args:
        vae: the autoencoder; its latents' means change, reconstructions do not.
        latents: (N, C, h, w), latents of many frames as it encodes them now.
        power: 1 spreads every direction alike; less lets strong directions stay stronger.
        floor: added to the eigenvalues, as a share of the largest one.
    """
    c = vae.config.latent_channels
    flat = latents.double().transpose(0, 1).flatten(1)
    mean, covariance = flat.mean(1), torch.cov(flat)
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0).clamp_min(1e-12), vectors.flip(1)
    scale = (values + floor * values[0]) ** (-power / 2)
    scale = scale / (scale.square() * values).mean().sqrt()
    forward = scale[:, None] * vectors.T
    back = vectors / scale
    w, b = vae.quant_conv.weight[:c, :, 0, 0].double(), vae.quant_conv.bias[:c].double()
    vae.quant_conv.weight[:c, :, 0, 0] = (forward @ w).float()
    vae.quant_conv.bias[:c] = (forward @ (b - mean)).float()
    p, q = vae.post_quant_conv.weight[:, :, 0, 0].double(), vae.post_quant_conv.bias.double()
    vae.post_quant_conv.weight[:, :, 0, 0] = (p @ back).float()
    vae.post_quant_conv.bias.copy_((p @ mean + q).float())
    vae.quant_conv.weight[c:] = 0.0
    vae.quant_conv.bias[c:] = LOG_VARIANCE
    vae.register_to_config(scaling_factor=1.0)
    return vae
