"""During a chain an adapter is rounded to half precision once, with the same numbers, and a changed adapter is seen."""

from __future__ import annotations

import copy
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ivtutorial.method.chain import denoise
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora, lora_layers
from ivtutorial.system.at_rest import made_once, weights_at_rest
from ivtutorial.system.moving_average import MovingAverage

RANK = 3  # of no other matrix, so that those of an adapter are known by it
HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
Change = Callable[[Any], object]


class Casts(TorchDispatchMode):
    """Counts the matrices of an adapter that are brought from float32 to half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function._schema.name == "aten::_to_copy":
            self.count += args[0].dtype == torch.float32 and result.dtype.itemsize == 2 and RANK in args[0].shape
        return result


@pytest.fixture
def adapted(fresh_backbone: Backbone) -> Backbone:
    """B is random too."""
    for parameter in attach_lora(fresh_backbone.unet, RANK, seed=1):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return fresh_backbone


@pytest.fixture
def layer(adapted: Backbone) -> Any:
    return next(lora_layers(adapted.unet))[1]


def an_input(layer: Any, dtype: torch.dtype) -> Tensor:
    layer.base_layer.to(dtype)
    return torch.randn(2, 5, layer.in_features, generator=torch.Generator().manual_seed(2)).to(dtype)


def matrices(layer: Any) -> list[torch.nn.Parameter]:
    return [side["default"].weight for side in (layer.lora_A, layer.lora_B)]


@HALVES
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_at_rest_each_matrix_is_rounded_once_for_all_calls_without_gradient(
    layer: Any, dtype: torch.dtype, scale: float
) -> None:
    x = an_input(layer, dtype)
    layer.set_scale("default", scale)
    with torch.no_grad():
        with Casts() as each:
            alone = [layer(x), layer(2 * x)]
        with weights_at_rest(), Casts() as once:
            together = [layer(x), layer(2 * x)]
    assert (each.count, once.count) == (4, 2)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    with weights_at_rest(), Casts() as recorded:
        (layer(x) + layer(x)).sum().backward()
    assert recorded.count == 4, "shared, their gradients would be added up in half precision"


@HALVES
def test_a_chain_rounds_the_adapter_once_before_its_recorded_step(adapted: Backbone, dtype: torch.dtype) -> None:
    """Result and gradient are those of a chain that rounds in each of its calls."""
    adapted.unet.to(dtype)
    parameters = [p for p in adapted.unet.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    z = torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    predict = adapted.predictor(adapted.embed(["a fox"]), adapted.embed([""]), 3.0)
    results, counts = [], []
    for chain in (denoise, denoise.__wrapped__):  # type: ignore[attr-defined]
        with Casts() as casts:
            z_0 = chain(predict, z, (700, 500, 300, 100), adapted.scheduler, (3,))
        gradient = torch.autograd.grad(z_0.square().sum(), parameters)
        results.append([z_0, *gradient])
        counts.append(casts.count)
    assert counts == [2 * len(parameters), 4 * len(parameters)]
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert all(gradient.any() for gradient in results[0][1:])


def step(layer: Any) -> None:
    layer(torch.ones(1, layer.in_features, dtype=layer.base_layer.weight.dtype)).sum().backward()
    torch.optim.AdamW(matrices(layer), lr=0.1).step()


def load(layer: Any) -> None:
    layer.load_state_dict({name: 2 * value for name, value in layer.state_dict().items()})


def copy_in(layer: Any) -> None:
    for matrix in matrices(layer):
        with torch.no_grad():
            matrix.copy_(2 * matrix)


def other_memory(layer: Any) -> None:
    for matrix in matrices(layer):
        matrix.data = 2 * matrix.data


def other_parameter(layer: Any) -> None:
    layer.lora_A["default"].weight = torch.nn.Parameter(2 * matrices(layer)[0].detach())


CHANGES = [step, load, copy_in, other_memory, other_parameter, lambda layer: layer.set_scale("default", 0.5)]
UNCOUNTED = [lambda layer: matrices(layer)[0].data.mul_(2), lambda layer: matrices(layer)[1].data.mul_(2)]


def before_and_after(layer: Any, change: Change) -> tuple[Tensor, Tensor, Tensor]:
    """The output at rest, after a change of the adapter in the same block, and after the block."""
    x = an_input(layer, torch.bfloat16)
    with torch.no_grad(), weights_at_rest():
        first = layer(x)
        with torch.enable_grad():
            change(layer)
        second = layer(x)
    with torch.no_grad():
        return first, second, layer(x)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_adapter_is_seen_even_where_it_was_to_rest(layer: Any, change: Change) -> None:
    first, second, fresh = before_and_after(layer, change)
    assert torch.equal(second, fresh) and not torch.equal(first, second)


def test_a_moving_average_in_place_is_seen_and_so_is_its_end(layer: Any) -> None:
    x, average = an_input(layer, torch.bfloat16), MovingAverage(matrices(layer), decay=0.5)
    average.restore([2 * mean for mean in average.means])
    with torch.no_grad(), weights_at_rest():
        first = layer(x)
        with average.in_place():
            assert not torch.equal(layer(x), first)
        assert torch.equal(layer(x), first)


@pytest.mark.parametrize("change", UNCOUNTED)
def test_a_change_that_torch_does_not_count_is_seen_after_the_block(layer: Any, change: Change) -> None:
    first, _, fresh = before_and_after(layer, change)
    assert not torch.equal(first, fresh)
    x = an_input(layer, torch.bfloat16)
    with torch.no_grad(), weights_at_rest():
        assert torch.equal(layer(x), fresh)


def test_weights_made_in_inference_mode_have_no_count_and_are_not_kept(layer: Any) -> None:
    with torch.inference_mode():
        for side in (layer.lora_A, layer.lora_B):
            side["default"].weight = torch.nn.Parameter(side["default"].weight.clone(), requires_grad=False)
        x = an_input(layer, torch.bfloat16)
        with weights_at_rest():
            first = layer(x)
            matrices(layer)[0].mul_(2)
            assert not torch.equal(layer(x), first)


def test_copies_are_no_part_of_the_layer_and_end_with_the_block(layer: Any) -> None:
    x, names = an_input(layer, torch.bfloat16), list(layer.state_dict())
    with torch.no_grad(), weights_at_rest():
        first = layer(x)
        assert list(layer.state_dict()) == names
        assert torch.equal(pickle.loads(pickle.dumps(layer))(x), first)
        twin = copy.deepcopy(layer)
        matrices(twin)[0].data.mul_(2)
        assert not torch.equal(twin(x), first) and torch.equal(layer(x), first)
        half = weakref.ref(made_once("half", matrices(layer)[0], None, matrices(layer)[0].half))
        assert half() is not None
    assert half() is None
