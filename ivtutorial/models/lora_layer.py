"""An adapted projection in half precision: two small products, in the precision of the layer.

    W x + b + scale * B (A x)        A (rank, in) and B (out, rank) stay float32 and are rounded for the product

PEFT's own forward brings the whole input to float32, adds, multiplies and rounds it back, six passes over an output
where this makes two. In float32 nothing is gained, and PEFT's is used, so those numbers are PEFT's. During a chain A
and B are rounded once, not in each call without gradient (:mod:`ivtutorial.system.at_rest`).
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor
from torch.nn import functional

from ivtutorial.system.at_rest import made_once


class HalfLora(Linear):
    """PEFT's layer with its parameters and names, and another forward where the input is in half precision."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., in) -> (..., out)."""
        plain = not (args or kwargs or self.disable_adapters or self.merged) and len(self.active_adapters) == 1
        if x.dtype not in (torch.float16, torch.bfloat16) or not plain:
            stock: Tensor = super().forward(x, *args, **kwargs)
            return stock
        (name,) = self.active_adapters
        result: Tensor = self.base_layer(x)
        dtype = result.dtype  # under autocast perhaps not that of x, and a sum in place converts nothing
        narrow = functional.linear(x.to(dtype), _rounded(self.lora_A[name], dtype)).flatten(0, -2)
        up = _rounded(self.lora_B[name], dtype, self.scaling[name])
        # Without a gradient the sum goes into the projection's own memory: a third of the time on a CPU.
        add = torch.addmm if torch.is_grad_enabled() else Tensor.addmm_
        return add(result.flatten(0, -2), narrow, up.t()).view_as(result)


def _rounded(matrix: Any, dtype: torch.dtype, scale: float = 1) -> Tensor:
    """scale * A or B in half precision, which must not be changed in place."""
    weight: Tensor = matrix.weight
    return made_once((matrix, dtype), weight, scale, lambda: (weight if scale == 1 else scale * weight).to(dtype))


def install_half_lora(layers: list[Any]) -> None:
    """Give PEFT's linear layers this class (in place)."""
    for layer in layers:
        if type(layer) is Linear:
            layer.__class__ = HalfLora
