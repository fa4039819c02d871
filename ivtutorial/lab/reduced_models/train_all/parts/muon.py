"""Muon for the inner matrices of a UNet, AdamW for the rest.

Muon replaces a matrix's momentum by its nearest orthogonal matrix, found in a few Newton-Schulz steps, so that every
direction of a layer learns alike. A convolution is the matrix (out, in x height x width). Layers at the edges (latents,
text, time) and vectors keep AdamW.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Polynomial of Newton-Schulz steps that pushes all singular values near 1 quickly, and that need not converge.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_EDGES = ("conv_in", "conv_out", "time_embedding", "time_emb_proj", "transformer_in.proj_in")


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """Nearly the nearest matrix with all singular values 1, (m, n)."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        a = x @ x.T
        x = _A * x + (_B * a + _C * a @ a) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal; a step's size is ``lr`` times the root of max(1, rows / columns)."""

    def __init__(
        self, params: Any, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.01, bf16: bool = True
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "bf16": bf16})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                buffer = state["momentum"]
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(buffer, group["momentum"]).flatten(1)
                update = orthogonal(update.bfloat16() if group["bf16"] else update).to(p)
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update.view_as(p), alpha=-group["lr"] * scale)


def muon_and_adamw(
    model: nn.Module, lr: float = 0.02, adam_lr: float = 1e-3, bf16: bool = True
) -> list[torch.optim.Optimizer]:
    """The two optimisers of a UNet; together they hold every trained parameter once."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    inner = [p for n, p in named if p.ndim >= 2 and not any(e in n for e in _EDGES)]
    held = {id(p) for p in inner}
    rest = [p for _, p in named if id(p) not in held]
    adam = torch.optim.AdamW(rest, lr=adam_lr, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    return [Muon(inner, lr=lr, bf16=bf16), adam]
