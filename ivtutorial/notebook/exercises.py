"""Exercises that check themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def check(function: Callable[..., Any], *cases: tuple[tuple[Any, ...], Any, str]) -> bool:
    """Try the function of an exercise and say how it went.

    Args:
        function: the reader's; one that returns None or `...` counts as not written yet.
        *cases: (arguments, expected, law): what it must return for these arguments, and the law behind it in
            words. `expected` may be a number, a tensor, anything that compares, or a function that is true of
            a right result.

    Returns:
        Whether every case is right.

    Example:
        >>> check(lambda x: 2 * x, ((3,), 6, "doubling 3 gives 6"))
        Right: doubling 3 gives 6.
        True
    """
    for arguments, expected, law in cases:
        result = function(*arguments)
        if result is None or result is ...:
            print(f"Not written yet: {function.__name__} returns {result}.")
            return False
        if not _agrees(result, expected):
            wanted = "" if callable(expected) else f", expected {expected}"
            print(f"Not yet: {law}. {function.__name__}{arguments!r} gives {result}{wanted}.")
            return False
    for _, _, law in cases:
        print(f"Right: {law}.")
    return True


def _agrees(result: Any, expected: Any) -> bool:
    if callable(expected):
        return bool(expected(result))
    if isinstance(expected, (Tensor, float)):
        result, expected = torch.as_tensor(result).double(), torch.as_tensor(expected).double()
        return result.shape == expected.shape and torch.allclose(result, expected, rtol=1e-4, atol=1e-6)
    return bool(result == expected)
