"""The adapter W + scale * B A: where it sits, how it starts, and that storing or merging changes nothing."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import TextToVideoSDPipeline, UNet3DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ivtutorial.errors import InputError
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.backbone_folder import save_backbone
from ivtutorial.models.lora import (
    LORA_FILE,
    attach_lora,
    count_lora,
    has_lora,
    load_lora,
    lora_layers,
    lora_parameters,
    merge_lora,
    save_lora,
    set_lora_scale,
)
from ivtutorial.models.unet import VideoUNet
from tests.tolerances import assert_close, roundings

Z = torch.randn(1, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
EMBEDS = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(1))


def run(unet: VideoUNet) -> Tensor:
    with torch.no_grad():
        output: Tensor = unet(Z, 301, encoder_hidden_states=EMBEDS).sample
    return output


@pytest.fixture
def unet(fresh_backbone: Backbone) -> VideoUNet:
    return fresh_backbone.unet


@pytest.fixture
def tuned(unet: VideoUNet) -> VideoUNet:
    """A UNet whose adapter does something: B is random too."""
    generator = torch.Generator().manual_seed(5)
    for parameter in attach_lora(unet, rank=4, seed=1):
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return unet


def test_full_size_counts() -> None:
    """33 transformers x 2 attentions x 4 projections = 264; the paper's 1.58 M is in units of 2^20.

    33: 2 x (2 + 2 + 2) in the three attention levels down, 2 x 9 up, 2 in the middle, and the initial one.
    """
    assert 2 * 6 + 2 * 9 + 2 + 1 == 33
    with torch.device("meta"):
        unet = VideoUNet()  # the defaults are ModelScope's sizes
        base = sum(p.numel() for p in unet.parameters())
        attach_lora(unet, rank=4)
    assert count_lora(unet) == (264, 1_661_440)
    assert round(1_661_440 / 2**20, 2) == 1.58
    assert base == 1_411_233_860
    assert sum(p.numel() for p in unet.parameters()) == base + 1_661_440
    assert {name.rsplit(".to_", 1)[1] for name, _ in lora_layers(unet)} == {"q", "k", "v", "out.0"}


def test_a_fresh_adapter_leaves_the_model_as_it_was(unet: VideoUNet) -> None:
    before = run(unet)
    attach_lora(unet)
    assert_close(run(unet), before, n=roundings(unet))


@pytest.mark.parametrize("rank", [2, 4])
def test_down_is_normal_with_std_one_over_rank_and_up_is_zero(unet: VideoUNet, rank: int) -> None:
    attach_lora(unet, rank=rank)
    down = torch.cat([layer.lora_A["default"].weight.flatten() for _, layer in lora_layers(unet)])
    # The standard error of the standard deviation of n normal numbers is std / sqrt(2 n); allow four of them.
    assert abs(down.std().item() * rank - 1) < 4 / (2 * len(down)) ** 0.5
    assert abs(down.mean().item() * rank) < 4 / len(down) ** 0.5
    assert all(not layer.lora_B["default"].weight.any() for _, layer in lora_layers(unet))


def test_the_seed_decides_the_draw(tiny_backbone: Backbone) -> None:
    draws = []
    for seed in (0, 0, 1):
        unet = copy.deepcopy(tiny_backbone.unet)
        torch.manual_seed(seed + 17)  # the global state must not matter
        draws.append(attach_lora(unet, seed=seed)[0])
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_an_adapted_projection_computes_wx_plus_bax(tuned: VideoUNet) -> None:
    name, layer = next(lora_layers(tuned))
    assert name == "transformer_in.transformer_blocks.0.attn1.to_q"
    x = torch.randn(5, layer.in_features)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    for scale in (0.0, 0.5, 1.0):
        set_lora_scale(tuned, scale)
        expected = x @ layer.weight.T + scale * (x @ a.T) @ b.T
        assert_close(layer(x), expected, n=roundings(layer))


def test_only_the_adapter_trains_and_at_first_only_its_up_half(unet: VideoUNet) -> None:
    """With B = 0, dL/dA = B^T (...) = 0 exactly, while dL/dB = (...) (A x)^T is not."""
    parameters = attach_lora(unet)
    unet(Z, 301, encoder_hidden_states=EMBEDS).sample.square().mean().backward()
    trained = {id(p) for p in unet.parameters() if p.grad is not None}
    assert trained == {id(p) for p in parameters} == {id(p) for p in unet.parameters() if p.requires_grad}
    for _, layer in lora_layers(unet):
        assert not layer.lora_A["default"].weight.grad.any()
        assert layer.lora_B["default"].weight.grad.any()


@pytest.mark.usefixtures("bfloat16_attention")
def test_the_adapter_is_float32_on_a_half_precision_unet(unet: VideoUNet) -> None:
    parameters = attach_lora(unet.to(torch.bfloat16))
    assert {p.dtype for p in parameters} == {torch.float32}
    output = unet(Z.bfloat16(), 301, encoder_hidden_states=EMBEDS.bfloat16()).sample
    assert output.dtype == torch.bfloat16


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_merged_equals_attached(tuned: VideoUNet, tiny_backbone: Backbone, scale: float) -> None:
    set_lora_scale(tuned, scale)
    attached = run(tuned)
    assert (attached - run(tiny_backbone.unet)).abs().max() > 0.01
    merge_lora(tuned, scale)
    assert_close(run(tuned), attached, n=roundings(tuned))
    assert not has_lora(tuned) and lora_parameters(tuned) == []
    assert tuned.state_dict().keys() == tiny_backbone.unet.state_dict().keys()


def test_scale_zero_is_the_base_model(tuned: VideoUNet, tiny_backbone: Backbone) -> None:
    set_lora_scale(tuned, 0.0)
    assert_close(run(tuned), run(tiny_backbone.unet), n=roundings(tuned))


def test_a_merged_model_can_be_tuned_again(tuned: VideoUNet) -> None:
    merged = run(merge_lora(tuned))
    attach_lora(tuned)
    assert_close(run(tuned), merged, n=roundings(tuned))


def test_a_model_whose_adapter_was_taken_off_can_have_another(tuned: VideoUNet, tmp_path: Path) -> None:
    """Also a fresh one, and one from a file."""
    stored = save_lora(tuned, tmp_path)
    tuned.unload_lora()
    attach_lora(tuned, rank=2)
    tuned.unload_lora()
    assert len(load_lora(tuned, stored)) == 2 * count_lora(tuned)[0]


def test_a_merged_export_is_a_stock_unet(tuned: VideoUNet, tmp_path: Path) -> None:
    attached = run(tuned)
    merge_lora(tuned).save_pretrained(tmp_path)
    stock = UNet3DConditionModel.from_pretrained(tmp_path)
    assert_close(run(stock), attached, n=roundings(stock))


def test_saved_and_loaded_is_the_same(tuned: VideoUNet, tiny_backbone: Backbone, tmp_path: Path) -> None:
    expected = run(tuned)
    set_lora_scale(tuned, 0.3)  # a passing scale is not part of the adapter
    path = save_lora(tuned, tmp_path / "adapter")
    assert path == tmp_path / "adapter" / LORA_FILE
    other = copy.deepcopy(tiny_backbone.unet)
    loaded = load_lora(other, tmp_path / "adapter")
    assert_close(run(other), expected, n=roundings(other))
    assert count_lora(other) == count_lora(tuned) and all(p.requires_grad for p in loaded)
    assert sum(p.requires_grad for p in other.parameters()) == len(loaded)


def test_the_stock_pipeline_loads_the_adapter(
    fresh_backbone: Backbone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`pipe.load_lora_weights(folder)` of stock diffusers, with our UNet inside, gives our output."""
    save_backbone(fresh_backbone, tmp_path / "base")
    for parameter in attach_lora(fresh_backbone.unet):
        torch.nn.init.normal_(parameter, std=0.3)
    save_lora(fresh_backbone.unet, tmp_path / "adapter")
    unet = VideoUNet.from_pretrained(tmp_path / "base", subfolder="unet")
    pipe = TextToVideoSDPipeline.from_pretrained(tmp_path / "base", unet=unet)
    base = run(pipe.unet)
    with caplog.at_level(logging.WARNING):
        pipe.load_lora_weights(str(tmp_path / "adapter"))
    assert "unexpected keys" not in caplog.text and "missing keys" not in caplog.text
    assert_close(run(pipe.unet), run(fresh_backbone.unet), n=roundings(unet))
    pipe.set_adapters(pipe.get_active_adapters(), adapter_weights=[0.0])
    assert_close(run(pipe.unet), base, n=roundings(unet))


def test_alpha_of_a_foreign_adapter_is_kept_when_saved_again(unet: VideoUNet, tmp_path: Path) -> None:
    """peft's factor is alpha / rank; here 2 / 4, so a file without alpha must hold half of B."""
    from peft import LoraConfig

    config = LoraConfig(r=4, lora_alpha=2, target_modules=["to_q"], init_lora_weights=False)
    unet.add_adapter(config)
    expected = run(unet)
    save_lora(unet, tmp_path)
    unet.unload_lora()
    load_lora(unet, tmp_path)
    assert_close(run(unet), expected, n=roundings(unet))


def test_names_in_the_file(tuned: VideoUNet, tmp_path: Path) -> None:
    state = load_file(save_lora(tuned, tmp_path))
    assert len(state) == 2 * count_lora(tuned)[0]
    assert all(k.startswith("unet.") and k.endswith((".lora_A.weight", ".lora_B.weight")) for k in state)


@pytest.mark.parametrize("rank", [0, -1, 2.5, True])
def test_bad_rank(unet: VideoUNet, rank: int) -> None:
    with pytest.raises(InputError, match="rank"):
        attach_lora(unet, rank=rank)


def test_a_second_adapter_is_refused(tuned: VideoUNet, tmp_path: Path) -> None:
    save_lora(tuned, tmp_path)
    with pytest.raises(InputError, match="already has an adapter"):
        attach_lora(tuned)
    with pytest.raises(InputError, match="already has an adapter"):
        load_lora(tuned, tmp_path)


def test_a_scale_that_is_no_number_is_refused(tuned: VideoUNet) -> None:
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(InputError, match="scale = .* expected a number"):
            set_lora_scale(tuned, wrong)


def test_without_an_adapter_nothing_can_be_scaled_merged_or_saved(unet: VideoUNet, tmp_path: Path) -> None:
    for action in (
        lambda: set_lora_scale(unet, 1),
        lambda: merge_lora(unet),
        lambda: save_lora(unet, tmp_path),
    ):
        with pytest.raises(InputError, match="no adapter"):
            action()
    assert not list(tmp_path.iterdir())


def test_unusable_files(unet: VideoUNet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No adapter at"):
        load_lora(unet, tmp_path)
    (tmp_path / LORA_FILE).write_bytes(b"not safetensors")
    with pytest.raises(InputError, match="does not hold readable LoRA weights"):
        load_lora(unet, tmp_path)
    assert not has_lora(unet)


@pytest.mark.parametrize("change", ["renamed", "resized", "other prefix"])
def test_an_adapter_of_another_model_is_refused(tuned: VideoUNet, tmp_path: Path, change: str) -> None:
    state = load_file(save_lora(tuned, tmp_path))
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight"
    tensor = state.pop(key)
    new_key = {"renamed": key.replace("mid_block", "mid_blocks"), "other prefix": key.replace("unet.", "te.")}
    state[new_key.get(change, key)] = tensor[:, :-1].contiguous() if change == "resized" else tensor
    save_file(state, tmp_path / LORA_FILE)
    merge_lora(tuned)
    with pytest.raises(InputError, match="does not fit this model"):
        load_lora(tuned, tmp_path)
    assert not has_lora(tuned)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_an_adapter_keeps_all_its_digits_on_a_half_precision_unet(
    tiny_backbone: Backbone, tmp_path: Path, dtype: torch.dtype
) -> None:
    """A learning rate of 1e-5 takes 50 steps to move A by one digit of bf16: what is rounded is lost for good."""
    unet, again = (copy.deepcopy(tiny_backbone.unet).to(dtype) for _ in range(2))
    drawn = [parameter.clone() for parameter in attach_lora(copy.deepcopy(tiny_backbone.unet), seed=3)]
    parameters = attach_lora(unet, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(parameters, drawn, strict=True)), "the draw is that of float32"
    for parameter in parameters:
        torch.nn.init.normal_(parameter, std=0.25, generator=torch.Generator().manual_seed(7))
    save_lora(unet, tmp_path)
    loaded = load_lora(again, tmp_path)
    assert {parameter.dtype for parameter in loaded} == {torch.float32}
    assert all(torch.equal(a, b) for a, b in zip(loaded, parameters, strict=True))


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_half_precision_projection_computes_the_same_to_its_rounding(
    tuned: VideoUNet, dtype: torch.dtype, scale: float
) -> None:
    """W x + scale B A x and its gradients, against float32; each of the three products rounds once."""
    _, layer = next(lora_layers(tuned))
    half = copy.deepcopy(layer)
    half.base_layer.to(dtype)
    for each in (layer, half):
        each.set_scale("default", scale)
    x = torch.randn(2, 5, layer.in_features, generator=torch.Generator().manual_seed(2))
    direction = torch.randn(2, 5, layer.out_features, generator=torch.Generator().manual_seed(3))
    result, exact = half(x.to(dtype)), layer(x)
    assert result.dtype == dtype and result.shape == exact.shape
    step = torch.finfo(dtype).eps
    with torch.no_grad():
        twice = [half(x.to(dtype)) for _ in range(2)]  # into the projection's own memory, which must be fresh each time
    for output in (result, *twice):
        assert (output.float() - exact).norm() < 3 * step * exact.norm()
    (result.float() * direction).sum().backward()
    (exact * direction).sum().backward()
    for side in ("lora_A", "lora_B"):
        gradient, wanted = (getattr(each, side)["default"].weight.grad for each in (half, layer))
        assert gradient.dtype == torch.float32
        assert (gradient - wanted).norm() <= 4 * step * wanted.norm()


def test_no_activation_of_a_half_precision_projection_becomes_float32(tuned: VideoUNet) -> None:
    """Counted by looking at every tensor that is made: only the two small matrices are float32."""
    _, layer = next(lora_layers(tuned))
    layer.base_layer.bfloat16()
    made: list[tuple[torch.dtype, int]] = []

    class Spy(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            made.extend((t.dtype, t.numel()) for t in [result] if isinstance(t, Tensor))
            return result

    with Spy(), torch.no_grad():
        layer(torch.zeros(64, 7, layer.in_features, dtype=torch.bfloat16))
    assert made and not any(dtype == torch.float32 and size >= 64 * 7 for dtype, size in made)


@pytest.mark.parametrize("recorded", [True, False])
def test_under_autocast_of_another_half_precision_a_projection_computes_in_that(
    tuned: VideoUNet, recorded: bool
) -> None:
    """Weights and input in bf16, autocast to fp16: as where a model was opened for one precision and tuned in the
    other."""
    _, layer = next(lora_layers(tuned))
    exact, half = layer, copy.deepcopy(layer)
    half.base_layer.bfloat16()
    x = torch.randn(2, 5, layer.in_features, generator=torch.Generator().manual_seed(2)).bfloat16()
    with torch.set_grad_enabled(recorded), torch.autocast("cpu", torch.float16):
        result = half(x)
    expected = exact(x.float())
    assert result.dtype == torch.float16
    assert (result.float() - expected).norm() < 3 * torch.finfo(torch.bfloat16).eps * expected.norm()
