"""VideoUNet is the stock UNet plus adapters and recomputing, and nothing else."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet3DConditionModel
from torch import Tensor

from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora
from ivtutorial.models.unet import RECOMPUTED_BLOCKS, VideoUNet
from ivtutorial.system.at_rest import weights_at_rest
from tests.tolerances import assert_close, roundings


def inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Two clips of 3 frames at different timesteps, with different text."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2, 4, 3, 8, 8, generator=g), torch.tensor([1, 551]), torch.randn(2, 5, 16, generator=g)


def run(unet: Any, z: Tensor, t: Tensor, embeds: Tensor) -> Tensor:
    output: Tensor = unet(z, t, encoder_hidden_states=embeds).sample
    return output


def gradients(unet: VideoUNet, z: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Output, and gradients of its squared mean to adapter and latents; dropout masks are seeded."""
    _, t, embeds = inputs()
    z = z.clone().requires_grad_()
    torch.manual_seed(3)
    output = run(unet, z, t, embeds)
    wanted = [z, *(p for p in unet.parameters() if p.requires_grad)]
    return output.detach(), list(torch.autograd.grad(output.square().mean(), wanted))


def with_nonzero_adapter(backbone: Backbone) -> VideoUNet:
    for parameter in attach_lora(backbone.unet, rank=2):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
    return backbone.unet


def test_what_it_saves_is_a_stock_unet(tiny_backbone: Backbone, tmp_path: Path) -> None:
    """Same class name in the file, same weight names, same output."""
    tiny_backbone.unet.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["_class_name"] == "UNet3DConditionModel"
    stock, info = UNet3DConditionModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert_close(run(stock, *inputs()), run(tiny_backbone.unet, *inputs()), n=roundings(stock))


def test_a_pass_reads_its_precision_without_a_walk_through_all_modules(
    fresh_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the frozen weights, also with an adapter in float32; the stock class walks, with every pass."""
    unet = with_nonzero_adapter(fresh_backbone)
    run(unet, *inputs())
    walks: list[torch.nn.Module] = []
    walk = torch.nn.Module.named_modules

    def noted(module: torch.nn.Module, *arguments: Any, **options: Any) -> Any:
        walks.append(module)
        return walk(module, *arguments, **options)

    monkeypatch.setattr(torch.nn.Module, "named_modules", noted)
    assert unet.dtype == torch.float32
    run(unet, *inputs())
    assert walks == []
    for parameter in unet.parameters():
        parameter.data = parameter.data if parameter.requires_grad else parameter.data.bfloat16()
    walks.clear()  # the loop was one
    assert unet.dtype == torch.bfloat16 and walks == []
    UNet3DConditionModel.dtype.fget(unet)  # type: ignore[attr-defined]
    assert unet in walks


def test_it_opens_what_the_stock_class_saves(tiny_backbone: Backbone, tmp_path: Path) -> None:
    stock = UNet3DConditionModel.from_config(tiny_backbone.unet.config)
    stock.save_pretrained(tmp_path)
    ours = VideoUNet.from_pretrained(tmp_path)
    assert type(ours) is VideoUNet
    assert_close(run(ours, *inputs()), run(stock.eval(), *inputs()), n=roundings(ours))


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train with dropout"])
def test_recomputing_changes_neither_output_nor_gradient(fresh_backbone: Backbone, train: bool) -> None:
    """In train mode the recomputed pass must draw the same dropout masks as the first one."""
    unet = with_nonzero_adapter(fresh_backbone).train(train)
    z = inputs()[0]
    plain, plain_gradients = gradients(unet, z)
    unet.enable_gradient_checkpointing()
    output, recomputed_gradients = gradients(unet, z)
    assert_close(output, plain, n=roundings(unet))
    assert len(plain_gradients) > 100 and all(g.abs().max() > 0 for g in plain_gradients)
    assert_close(recomputed_gradients, plain_gradients, n=roundings(unet, passes=3))


def test_dropout_is_active_in_train_mode(fresh_backbone: Backbone) -> None:
    """Otherwise the test above would say nothing about random state."""
    unet = fresh_backbone.unet.train()
    assert not torch.equal(run(unet, *inputs()), run(unet, *inputs()))


def test_every_resnet_temporal_convolution_and_transformer_is_recomputed(fresh_backbone: Backbone) -> None:
    """The first layer of each block runs once in the plain pass and twice recomputing."""
    unet = with_nonzero_adapter(fresh_backbone)
    blocks = {name: block for name, block in unet.named_modules() if isinstance(block, RECOMPUTED_BLOCKS)}
    calls: Counter[str] = Counter()
    for name, block in blocks.items():
        first = next(layer for layer in block.modules() if not list(layer.children()))
        first.register_forward_hook(lambda *_, name=name: calls.update([name]))
    # 2 down, 2 mid and 4 up ResNets, each with its temporal convolution; 1 + 1 + 2 pairs of transformers, and
    # the initial temporal one: 8 + 8 + 4 + 4 + 1.
    assert len(blocks) == 25
    gradients(unet, inputs()[0])
    assert set(calls.values()) == {1} and len(calls) == 25
    calls.clear()
    unet.enable_gradient_checkpointing()
    gradients(unet, inputs()[0])
    assert set(calls.values()) == {2} and len(calls) == 25


def test_recomputing_stores_less_for_the_backward_pass(fresh_backbone: Backbone) -> None:
    unet = with_nonzero_adapter(fresh_backbone)

    def stored() -> int:
        sizes = [0]

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            run(unet, *inputs())
        return sum(sizes)

    plain = stored()
    unet.enable_gradient_checkpointing()
    assert 0 < stored() < plain / 5


def test_recomputing_can_be_turned_off_and_rests_without_gradients(fresh_backbone: Backbone) -> None:
    unet = fresh_backbone.unet
    unet.enable_gradient_checkpointing()
    assert unet.is_gradient_checkpointing
    with torch.no_grad():
        inside = run(unet, *inputs())
    unet.disable_gradient_checkpointing()
    assert not unet.is_gradient_checkpointing
    assert not any("forward" in vars(module) for module in unet.modules())
    assert_close(inside, run(unet, *inputs()), n=roundings(unet))


def test_a_copy_of_a_recomputing_unet_runs_on_its_own_weights(fresh_backbone: Backbone) -> None:
    unet = fresh_backbone.unet
    unet.enable_gradient_checkpointing()
    before = run(unet, *inputs())
    twin = copy.deepcopy(unet)
    with torch.no_grad():
        for block in (b for b in twin.modules() if isinstance(b, RECOMPUTED_BLOCKS)):
            for parameter in block.parameters():
                parameter.zero_()
    assert (run(twin, *inputs()) - before).abs().max() > 0.01
    assert torch.equal(run(unet, *inputs()), before)


@pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="an older torch may break the tracing")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_compiled_chain_is_two_graphs(fresh_backbone: Backbone, dtype: torch.dtype) -> None:
    """One without gradient for all timesteps, one with; a break in the tracing would make more of each.

    Neither holds an operation of oneDNN's own, which torch's compiler cannot lower on a CPU.
    """
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    kinds = {"down_block_types": ["CrossAttnDownBlock3D"], "up_block_types": ["CrossAttnUpBlock3D"]}
    sizes = {"block_out_channels": [8], "layers_per_block": 1, "norm_num_groups": 2, "attention_head_dim": 8}
    fresh_backbone.unet = VideoUNet.from_config({**fresh_backbone.unet.config, **kinds, **sizes}).eval()
    attach_lora(fresh_backbone.unet.to(dtype))
    fresh_backbone.unet.compile(backend=backend)
    z, _, embeds = inputs()
    predict = fresh_backbone.predictor(embeds, embeds[:1], 3.0)
    with weights_at_rest():
        with torch.no_grad():
            for t in (551, 501, 51):
                z = z + 0.1 * predict(z, t)
        predict(z, 1).sum().backward()
    assert len(graphs) == 2
    assert not [node for graph in graphs for node in graph.graph.nodes if "mkldnn" in str(node.target)]
