"""A reward or a judge is known by the networks in it, wherever it keeps them, and by its settings and code."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from ivtutorial.lab.world.judges.panel import open_panel
from ivtutorial.rewards.named import open_reward
from ivtutorial.weights.fingerprint import fingerprint
from ivtutorial.weights.inside import fingerprint_inside, identity_inside


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


class Scaled(nn.Linear):
    """A network with a setting, and with what it keeps of earlier calls."""

    def __init__(self, scale: float, kept: str = "") -> None:
        super().__init__(2, 2)
        nn.init.ones_(self.weight), nn.init.ones_(self.bias)
        self.scale, self._kept = scale, {kept: 1.0}


def closed_over(value: Any) -> Any:
    return lambda: value


SETTINGS = {
    "an attribute": lambda x: Holder(None, x),
    "a method's": lambda x: Holder(None, x).columns,
    "a network's": Scaled,
    "in a tuple beside networks": lambda x: Holder(((x, net(1.0)), (2.0, net(1.0)))),
    "a name in a dictionary": lambda x: Holder({x: 1.0}),
    "a tensor": lambda x: Holder(torch.tensor([x, 1.0])),
    "the end of a mask": lambda x: Holder(torch.tensor([0.0] * 99 + [x], dtype=torch.bfloat16)),
    "a bound argument": lambda x: partial(use, None, name=x),
    "closed over": closed_over,
    "closed over, deeper": lambda x: Holder([closed_over(x)]),
}


@pytest.mark.parametrize("way", SETTINGS)
def test_a_setting_makes_another_reward_though_the_weights_are_the_same(way: str) -> None:
    one, again, other = (identity_inside(SETTINGS[way](value)) for value in (1.0, 1.0, 2.0))
    assert one == again != other


def test_weights_make_another_reward_and_what_a_network_keeps_does_not() -> None:
    assert identity_inside(Holder(net(1.0))) == identity_inside(Holder(net(1.0))) != identity_inside(Holder(net(2.0)))
    assert identity_inside(Scaled(1.0, "a caption")) == identity_inside(Scaled(1.0, "another"))
    ring = Holder(None)
    ring.part = ring  # holds itself
    for thing in (None, use, print, torch, Holder, ring, nn.ReLU()):
        assert identity_inside(thing) == identity_inside(thing)


def test_changed_code_makes_another_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a module its text is known, that of a helper, too; what was typed into a notebook is never the same."""
    monkeypatch.syspath_prepend(tmp_path)
    path, hashes = tmp_path / "my_reward_of_two_texts.py", []
    for helper in ("x", "x", "x + 1"):
        path.write_text(f"def help(x):\n    return {helper}\n\n\ndef reward(x, captions):\n    return help(x)\n")
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
        importlib.invalidate_caches()
        hashes.append(identity_inside(importlib.import_module(path.stem).reward))
    assert hashes[0] == hashes[1] != hashes[2]
    typed = FunctionType(use.__code__, {"__name__": "__main__"})
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    assert identity_inside(typed) != identity_inside(typed)


def test_scoring_does_not_change_what_the_shipped_reward_and_judges_are() -> None:
    """So an evaluation goes on in the notebook that holds them, as in a new process."""
    reward, columns = open_reward("reduced"), open_panel().columns
    before = identity_inside(reward), identity_inside(columns)
    assert before == (identity_inside(open_reward("reduced")), identity_inside(open_panel().columns))
    clips = torch.rand(1, 16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    reward(clips[0], ["a red fox"] * 16)
    columns(clips, None)
    assert before == (identity_inside(reward), identity_inside(columns))
    mixtures = [identity_inside(open_reward(f"{weight}*reduced")) for weight in (0.5, 0.5, 0.6)]
    assert mixtures[0] == mixtures[1] != mixtures[2]
