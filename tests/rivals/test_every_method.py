"""What is true of every method: one call, its seed, the mode of the UNet, its settings."""

from __future__ import annotations

import math
from typing import Any

import pytest
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.schedule import ddim_timesteps
from ivtutorial.rivals.ddpo import DDPO
from ivtutorial.rivals.draft import Draft
from ivtutorial.rivals.rwr import RWR
from ivtutorial.rivals.supervised import Supervised
from ivtutorial.training.methods import METHODS, step_losses
from tests.toy import (
    brightness,
    clips,
    line,
    seeded,
)

EVERY = [kind(D=5) for kind in METHODS.values()]


@pytest.mark.parametrize("method", [InstructVideo, Draft])
@pytest.mark.parametrize(("K", "places"), [(1, {9}), (3, {7, 8, 9}), ((0, 4), {0, 4}), ([9], {9})])
def test_gradient_reaches_the_chosen_steps_only(method: Any, K: Any, places: set[int]) -> None:
    """The network has a parameter of its own for every timestep; only those of the chosen steps get gradient."""
    backbone, config = line(), method(D=10, K=K, **({"tau": 1.0} if method is InstructVideo else {}))
    [(value, _)] = step_losses(config, brightness)(backbone, clips(), seeded(0))
    value.backward()
    touched = set(backbone.unet.theta.grad.nonzero().flatten().tolist())
    timesteps = ddim_timesteps(10)
    assert touched == {timesteps[i] for i in places}


@pytest.mark.parametrize("K", [0, 11, (10,), (-1,), (), "last", (1.5,)])
def test_steps_outside_the_chain_are_refused(K: Any) -> None:
    with pytest.raises(InputError, match="K = "):
        Draft(D=10, K=K)


@pytest.mark.parametrize("config", EVERY, ids=lambda config: type(config).__name__)
def test_every_method_has_one_call(config: Any) -> None:
    """As many losses as `updates`, scalars with gradient to the network, and single finite numbers to log."""
    backbone = line()
    result = list(step_losses(config, brightness)(backbone, clips(), seeded(0)))
    assert len(result) == config.updates
    for value, numbers in result:
        assert value.shape == () and value.requires_grad
        assert all(math.isfinite(float(number)) for number in numbers.values())
        assert not any(isinstance(number, Tensor) and number.requires_grad for number in numbers.values())


@pytest.mark.parametrize("config", EVERY, ids=lambda config: type(config).__name__)
def test_a_unet_in_the_other_mode_is_refused(config: Any) -> None:
    backbone = line()
    backbone.unet.train()
    with pytest.raises(InputError, match="network_mode"):
        list(step_losses(config, brightness)(backbone, clips(), seeded(0)))


@pytest.mark.parametrize("config", EVERY, ids=lambda config: type(config).__name__)
def test_the_same_seed_gives_the_same_losses(config: Any) -> None:
    result = [[v.item() for v, _ in step_losses(config, brightness)(line(), clips(), seeded(s))] for s in (1, 1, 2)]
    assert result[0] == result[1]
    if config != DDPO(D=5):  # whose value is minus the mean advantage, 0, whatever was drawn
        assert result[0] != result[2]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (Draft, {"D": 0}, "D = 0"),
        (Draft, {"eta": 2.0}, "eta"),
        (Draft, {"variants": -1}, "variants"),
        (RWR, {"group": 1}, "group = 1"),
        (RWR, {"temperature": 0.0}, "temperature"),
        (RWR, {"inner_updates": 0}, "inner_updates"),
        (RWR, {"draws": 0}, "draws"),
        (DDPO, {"ppo_clip": 0.0}, "ppo_clip"),
        (DDPO, {"eta": 0.0}, "eta"),
        (DDPO, {"eta": 1.5}, "must be random"),
        (Supervised, {"caption_dropout": 1.0}, "caption_dropout"),
        (Supervised, {"guidance": float("nan")}, "guidance"),
        (DDPO, {"S": 0}, "S = 0"),
    ],
)
def test_settings_out_of_range(kind: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kind(**changes)
