"""A GPU's results bit for bit: what a run computes twice is then the same twice, on the same card and versions.

| what varies without it | what is done |
|---|---|
| convolutions, whose algorithm cuDNN may choose | `cudnn.deterministic`, and no search for the fastest |
| matrix products, whose workspace streams may share | `CUBLAS_WORKSPACE_CONFIG`, where the environment has none |
| backward passes of attention and of chosen frames, which add in any order | `use_deterministic_algorithms` |
| backward pass of resizing | two fixed matrices on a GPU in any case, see `ivtutorial.rewards.preprocess` |

It costs some speed. On a CPU the order of sums is fixed anyway. Another card, another version of torch or another
number of processes may still round otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ivtutorial.errors import InputError, first_line

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def repeatable(on: bool) -> Iterator[None]:
    """Results repeat bit for bit inside the block; afterwards torch is set as before. With False nothing changes.

    Enter it before the first computation on a GPU: the products' workspace is chosen then.

    Args:
        on: whether to.

    Raises:
        InputError: something inside, a reward of your own for instance, has no form that repeats; it is named.
    """
    if not on:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise InputError(
            f"deterministic = True, but something here does not repeat bit for bit ({first_line(error)}). Replace it "
            "in your reward, or set deterministic to False."
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
