"""A reward or a judge is known by the networks in it, wherever it keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from ivtutorial.weights.fingerprint import fingerprint
from ivtutorial.weights.inside import fingerprint_inside


def net(weight: float) -> nn.Linear:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, weight)
    nn.init.constant_(layer.bias, weight)
    return layer


@dataclass
class Holder:
    part: Any
    name: str = "a"

    def columns(self) -> None:
        """As a judge's method."""


def use(part: Any, name: str) -> None:
    """As a function that is given a network."""


WAYS = {
    "itself": lambda part: part,
    "an attribute": Holder,
    "a method": lambda part: Holder(part).columns,
    "an object in an object": lambda part: Holder(Holder(part)).columns,
    "a list": lambda part: Holder([1.0, part]),
    "a dictionary": lambda part: Holder({"net": part}),
    "a bound argument": lambda part: partial(use, part, name="a"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_network_is_found_and_its_weights_decide(way: str) -> None:
    one, again, other = (fingerprint_inside(WAYS[way](net(weight))) for weight in (1.0, 1.0, 2.0))
    assert one == again == f"float32 {fingerprint(net(1.0))}" != other


def test_of_several_networks_each_counts() -> None:
    hashes = {fingerprint_inside(Holder([net(a), net(b)])) for a, b in ((1, 1), (1, 2), (2, 1))}
    assert len(hashes) == 3 and all(len(text) == len("float32 ") + 16 for text in hashes)


def test_the_type_of_the_weights_is_named_since_it_rounds_them() -> None:
    assert fingerprint_inside(net(1 / 3).to(torch.float16)).startswith("float16 ")


def test_what_has_no_weights_has_no_fingerprint() -> None:
    ring = Holder(None)
    ring.part = ring  # holds itself
    for thing in (None, use, print, torch, Holder, ring, nn.ReLU(), lambda frames, captions: frames):
        assert fingerprint_inside(thing) == ""
