"""Train and eval mode of a network: dropout on or off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def network_mode(network: nn.Module, train: bool) -> Iterator[None]:
    """Put a network and all its parts in train or eval mode, and put every part back afterwards.

    Train mode means dropout in every step of the chain, recorded or not (the authors' training does so; the
    paper does not say). Eval mode fine-tunes the very model that samples afterwards.

    Keep `backward()` inside: with recomputing the network runs again there, and dropout that was
    on in the forward pass and off in the backward pass (or the reverse) gives a wrong gradient.

    Args:
        network: the UNet.
        train: True for train mode, False for eval mode.

    Example:
        >>> with network_mode(unet, train=False):  # doctest: +SKIP
        ...     loss = -reward(edit(predict, z, scheduler)).mean()
        ...     loss.backward()
    """
    before = [(part, part.training) for part in network.modules()]
    # Setting an attribute of a module is slow, and a full-size network has more than a thousand: only where it changes.
    if any(mode != train for _, mode in before):
        network.train(train)
    try:
        yield
    finally:
        for part, mode in before:
            if part.training != mode:
                part.training = mode
