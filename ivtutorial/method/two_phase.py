"""Two-phase backward: first the reward's gradient at z_0, then the chain's; never both graphs at a time.

| name       | symbol     | shape           | meaning                                                    |
|------------|------------|-----------------|------------------------------------------------------------|
| `z_0`      | z_0(theta) | (B, C, F, h, w) | end of the chain, with gradient to the network             |
| `x_0`      | z_0        | (B, C, F, h, w) | the same numbers as a leaf: nothing lies behind it         |
| `gradient` | G          | (B, C, F, h, w) | dL/dz_0, through decoder and reward alone                  |

By the chain rule dL/dtheta = G^T dz_0/dtheta. So

    phase 1:   G = dL/dz_0 at the leaf x_0; the graph of decoder and reward is freed
    phase 2:   the gradient of <G, z_0(theta)>, which is linear in z_0 and needs neither of them

With calls of the network that are computed anew in the backward pass (`recompute`) only their inputs wait through phase
1, and in phase 2 one call is alive at a time. Peak memory is then

    max(decoder + reward, one call) + K latents

in place of decoder + reward + K calls, for one forward pass of the network more for each step with gradient.
Where K > 1 the calls follow one another by the chain rule, or with DRTune (`stop_gradient`) independently.

`recompute` alone has nearly the same peak where a loss has one reward, since autograd frees decoder and reward before
it comes to the network (test: 53 latents against 51 in two phases, and 95 with neither). Where it has two, as with the
inversion branch of Direct-Align, two phases hold one decoder's graph in place of two (53 against 100, and 184).

Half precision: in phase 1 the loss is not scaled yet, so float16 may lose G to zero; use bfloat16 or float32.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cut_off(z_0: Tensor) -> Tensor:
    """The same numbers as a leaf with gradient; z_0 itself where no gradient is recorded."""
    return z_0.detach().requires_grad_() if z_0.requires_grad else z_0


def rejoin(loss: Tensor, x_0: Tensor, z_0: Tensor) -> Tensor:
    """The loss as a function of the network, once its graph down to the leaf is used up and freed.

    Args:
        loss: scalar, made from x_0.
        x_0: the leaf of :func:`cut_off`; with z_0 itself the loss is returned as it is.
        z_0: end of the chain.

    Returns:
        A scalar of the same value and with the same gradient to whatever is behind z_0.

    Example:
        >>> w = torch.tensor(3.0, requires_grad=True)
        >>> z_0 = 2 * w
        >>> x_0 = cut_off(z_0)
        >>> loss = rejoin(x_0.square(), x_0, z_0)
        >>> loss.item(), torch.autograd.grad(loss, w)[0].item()
        (36.0, 24.0)
    """
    if x_0 is z_0 or not loss.requires_grad:
        return loss
    (gradient,) = torch.autograd.grad(loss, x_0)
    return loss.detach() + ((z_0 - z_0.detach()) * gradient).sum()
