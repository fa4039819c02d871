"""How far two computations of the same numbers may lie apart on any processor: one rule for all tests.

Processors, versions and thread counts differ in the order of sums, in fused multiply-add and in their choice of
kernels, even for two networks of the same weights of which one lies elsewhere in memory. So numbers are compared bit
for bit only where the very same call on the same shapes runs twice in one process, or where an interrupted run goes on;
all others by

    |actual - expected| <= SAFETY * eps * sqrt(n) * size

`eps` is the spacing of the coarser of the two types at 1 (1.2e-7 in float32). `n` counts the roundings on the way from
an input to a result: a sum of k products rounds k times, layers one behind the other add their counts, a chain of steps
multiplies them (`roundings`). Each rounding is off by at most eps / 2 in either direction, so that n of them drift
apart as sqrt(n). `size` is the largest magnitude among the values, of intermediate ones too if these are larger, as
where two large numbers are subtracted. SAFETY covers what this leaves out: the largest of many errors counts, and a
division by a norm or a standard deviation magnifies them. (Of 154 differences with the kernels of AVX2 the largest was
0.06 of what is allowed.) Tolerances for draws, for finite differences and for the rounded figures of a text follow from
the statistics, the step and the digits instead, and stand in their tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SAFETY = 8.0
FEW = 64  # the roundings of a formula of a few operations


def tolerance(n: float = FEW, size: float = 1.0, dtype: torch.dtype = torch.float32) -> float:
    """The largest absolute difference between two ways to compute numbers of magnitude `size` with `n` roundings."""
    return SAFETY * torch.finfo(dtype).eps * n**0.5 * size


def roundings(*networks: nn.Module, passes: float = 1) -> float:
    """Roundings on the way through all layers of the networks, `passes` times: the sum of the lengths of their sums.

    One output of a layer of weights (out, in, ...) sums in * ... products. A backward pass counts as two passes.
    """
    weights = (p for network in networks for p in network.parameters() if p.ndim > 1)
    return passes * sum(weight[0].numel() for weight in weights)


def assert_close(actual: Any, expected: Any, n: float = FEW, size: float | None = None) -> None:
    """Assert that numbers agree up to rounding.

    Args:
        actual: a tensor, array or number, or a sequence or mapping of them; None and text must be equal.
        expected: the same structure.
        n: roundings on the way to them.
        size: the magnitude that was rounded; by default the largest of `expected`, at each leaf of the structure.
    """
    if isinstance(expected, Mapping):
        assert actual.keys() == expected.keys(), f"{sorted(actual)} instead of {sorted(expected)}"
        for key in expected:
            assert_close(actual[key], expected[key], n, size)
    elif (
        isinstance(expected, Iterable)
        and not isinstance(expected, (str, Tensor, np.ndarray))
        and not _numbers(expected)
    ):
        actual, expected = list(actual), list(expected)
        assert len(actual) == len(expected), f"{len(actual)} instead of {len(expected)}"
        for one, other in zip(actual, expected):
            assert_close(one, other, n, size)
    elif expected is None or isinstance(expected, str):
        assert actual == expected
    else:
        _assert_leaf(actual, expected, n, size)


def _numbers(values: Any) -> bool:
    return isinstance(values, Sequence) and all(isinstance(value, (int, float)) for value in values)


def _assert_leaf(actual: Any, expected: Any, n: float, size: float | None) -> None:
    """Plain numbers and arrays count as float32: that is what they were computed in, before they were stored."""
    kinds = [x.dtype for x in (actual, expected) if isinstance(x, Tensor) and x.is_floating_point()]
    if not all(isinstance(x, Tensor) for x in (actual, expected)):
        kinds.append(torch.float32)
    dtype = max(kinds, key=lambda kind: torch.finfo(kind).eps)
    ours, theirs = (torch.as_tensor(x).detach().cpu().double() for x in (actual, expected))
    magnitude = float(theirs.abs().max()) if size is None else size
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance(n, magnitude, dtype), equal_nan=True)
