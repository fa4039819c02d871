"""The blocks in another order of work compute what the stock blocks compute: output, gradients, with an adapter."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet3DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from ivtutorial.models.backbone import Backbone
from ivtutorial.models.fast_blocks import attend_in_one
from ivtutorial.models.lora import attach_lora, lora_parameters
from ivtutorial.models.unet import VideoUNet
from tests.models.test_unet import inputs, run
from tests.tolerances import assert_close, roundings

ROOT = Path(__file__).resolve().parents[2]


def stock_of(unet: VideoUNet) -> UNet3DConditionModel:
    """The stock network with the same weights."""
    stock = UNet3DConditionModel.from_config(unet.config).eval()
    stock.load_state_dict(unet.state_dict())
    return stock.requires_grad_(False)


def gradients(unet: nn.Module, parameters: list[nn.Parameter]) -> list[Tensor]:
    z, t, embeds = inputs()
    z, embeds = z.requires_grad_(), embeds.requires_grad_()
    loss = run(unet, z, t, embeds).square().mean()
    return list(torch.autograd.grad(loss, [z, embeds, *parameters]))


@pytest.mark.parametrize("frames", [1, 3, 16])
def test_the_output_is_the_stock_output(tiny_backbone: Backbone, frames: int) -> None:
    z = torch.randn(2, 4, frames, 8, 8, generator=torch.Generator().manual_seed(frames))
    _, t, embeds = inputs()
    with torch.no_grad():
        ours = run(tiny_backbone.unet, z, t, embeds)
        assert_close(ours, run(stock_of(tiny_backbone.unet), z, t, embeds), n=roundings(tiny_backbone.unet))
    assert ours.abs().max() > 0.01


def test_the_gradients_of_latents_captions_and_weights_are_the_stock_ones(fresh_backbone: Backbone) -> None:
    """Every weight matrix and bias, not only adapters: what reaches one of them passed through all blocks above."""
    unet = fresh_backbone.unet.eval()
    stock = stock_of(unet).requires_grad_()
    unet.requires_grad_()
    ours = gradients(unet, list(unet.parameters()))
    assert_close(ours, gradients(stock, list(stock.parameters())), n=roundings(unet, passes=3))


def test_in_train_mode_dropout_draws_the_stock_masks_and_no_convolution_is_three_dimensional(
    fresh_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same seed gives the same output as the stock network; some versions of cuDNN are slow at `conv3d`."""
    ours = fresh_backbone.unet
    stock = stock_of(ours).train()
    torch.manual_seed(0)
    expected = run(stock, *inputs())
    monkeypatch.setattr(nn.Conv3d, "forward", None)
    torch.manual_seed(0)
    assert_close(run(ours.train(), *inputs()), expected, n=2 * roundings(ours))
    torch.manual_seed(1)
    assert (run(ours, *inputs()) - expected).abs().max() > 1e-3, "there is dropout"


def test_an_adapter_learns_as_on_the_stock_blocks(fresh_backbone: Backbone) -> None:
    """Three steps of gradient descent, with adapters on networks of the stock blocks and of ours."""
    ours = fresh_backbone.unet.eval()
    stock = copy.deepcopy(ours)
    as_stock(stock)
    for unet in (ours, stock):
        for parameter in attach_lora(unet, rank=2):
            nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        for unet in (ours, stock):
            for parameter, slope in zip(lora_parameters(unet), gradients(unet, lora_parameters(unet))[2:], strict=True):
                parameter.data -= 0.1 * slope
    assert_close(lora_parameters(ours), lora_parameters(stock), n=roundings(ours, passes=9))


def as_stock(unet: VideoUNet) -> None:
    """Give every block its stock class back (in place)."""
    for module in unet.modules():
        if type(module).__module__ == "ivtutorial.models.fast_blocks":
            module.__class__ = type(module).__mro__[1]
    unet.set_attn_processor(AttnProcessor2_0())


@pytest.mark.usefixtures("bfloat16_attention")
def test_bf16_is_as_close_to_float32_as_the_stock_blocks_in_bf16(tiny_backbone: Backbone) -> None:
    """Both round at every layer; neither may be much worse than the other."""
    z, t, embeds = inputs()
    half = [copy.deepcopy(net).bfloat16() for net in (tiny_backbone.unet, stock_of(tiny_backbone.unet))]
    with torch.no_grad():
        exact = run(tiny_backbone.unet, z, t, embeds)
        ours, stock = (
            float((run(net, z.bfloat16(), t, embeds.bfloat16()).float() - exact).norm() / exact.norm()) for net in half
        )
    assert 0 < ours < max(0.05, 2 * stock)


GEGLU_IN_BF16 = """
import torch
from diffusers.models.activations import GEGLU
from ivtutorial.models.fast_blocks import install
block, x = GEGLU(32, 64), torch.randn(2, 5, 32)
network = torch.nn.Sequential(block)
with torch.no_grad():
    wanted = network(x)
    install(network)
    given = network.bfloat16()(x.bfloat16()).float()
print(float((given - wanted).norm() / wanted.norm()))
"""


def test_a_processor_without_bf16_in_hardware_computes_in_it_all_the_same() -> None:
    """oneDNN has no projection with GELU inside there: bf16 has 8 bits, so 1 % is near enough."""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-c", GEGLU_IN_BF16]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert 0 < float(done.stdout) < 0.01


def test_gradients_in_bf16_point_where_those_in_float32_do(fresh_backbone: Backbone) -> None:
    """Of the adapter's matrices, weights in bf16 against weights in float32: the cosine between them is near 1."""
    slopes = []
    for dtype in (torch.float32, torch.bfloat16):
        unet = copy.deepcopy(fresh_backbone.unet).eval().to(dtype)
        for parameter in attach_lora(unet, rank=2):
            nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
        z, t, embeds = inputs()
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            output = run(unet, z.to(dtype), t, embeds.to(dtype))
        output.float().square().mean().backward()
        slopes.append(torch.cat([p.grad.flatten() for p in lora_parameters(unet) if p.grad is not None]))
    assert slopes[1].dtype == torch.float32
    assert functional.cosine_similarity(*slopes, dim=0) > 0.98


def test_state_and_processors_survive_a_copy_and_an_adapter(fresh_backbone: Backbone) -> None:
    """Names in the state are the stock names, before an adapter comes and after it is gone."""
    unet = copy.deepcopy(fresh_backbone.unet)
    names = list(stock_of(unet).state_dict())
    assert list(unet.state_dict()) == names
    attach_lora(unet)
    unet.unload_lora()
    assert list(unet.state_dict()) == names


@pytest.mark.parametrize("heads", [1, 4])
def test_all_heads_in_one_product_are_attention(heads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, length, 8, generator=generator) for length in (12, 5, 5))
    split: list[Any] = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value)]
    expected = functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
    assert_close(attend_in_one(query, key, value, heads), expected, n=64)


def test_many_sequences_are_attended_to_in_parts(tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's kernels take 65,535 at most, and each position of a clip is one: none sees another."""
    most: list[int] = []

    def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        most.append(len(query))
        return attend(query, key, value)

    attend = functional.scaled_dot_product_attention
    with torch.no_grad():
        expected = run(tiny_backbone.unet, *inputs())
        monkeypatch.setattr("ivtutorial.models.fast_blocks.MOST_SEQUENCES", 5)
        monkeypatch.setattr(functional, "scaled_dot_product_attention", attention)
        assert_close(run(tiny_backbone.unet, *inputs()), expected, n=roundings(tiny_backbone.unet))
    assert max(most) == 5


class Products(TorchDispatchMode):
    """Notes how many small products each batched product of a block is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bmm.default:
            self.batches.append(len(args[0]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("clips", [1, 2])
def test_projections_are_one_product_each(
    fresh_backbone: Backbone, clips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On `meta`, where blocks work as on a GPU; without attention there is no batched product left."""
    unet = fresh_backbone.unet.to("meta")
    monkeypatch.setattr(functional, "scaled_dot_product_attention", lambda query, key, value: query)
    z, embeds = torch.empty(clips, 4, 5, 8, 8, device="meta"), torch.empty(clips, 7, 16, device="meta")
    with torch.no_grad(), Products() as products:
        unet(z, torch.empty((), dtype=torch.long, device="meta"), encoder_hidden_states=embeds)
    assert products.batches == []
