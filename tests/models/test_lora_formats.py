"""Adapters of other trainers are the same adapter; half, foreign and broken ones are refused in words."""

from __future__ import annotations

import copy
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import LORA_FILE, attach_lora, has_lora, load_lora, lora_layers, save_lora
from ivtutorial.models.unet import VideoUNet
from tests.tolerances import assert_close

KEY = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"


@pytest.fixture
def stored(fresh_backbone: Backbone, tmp_path: Path) -> dict[str, Tensor]:
    """An adapter of rank 4 with a random B, under our names without `unet.`."""
    generator = torch.Generator().manual_seed(5)
    for parameter in attach_lora(fresh_backbone.unet, rank=4, seed=1):
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    state = load_file(save_lora(fresh_backbone.unet, tmp_path / "ours"))
    return {name.removeprefix("unet."): tensor for name, tensor in state.items()}


@pytest.fixture
def unet(tiny_backbone: Backbone) -> VideoUNet:
    return copy.deepcopy(tiny_backbone.unet)


def products(unet: VideoUNet) -> dict[str, Tensor]:
    """What the adapter adds to each projection: scale * B A."""
    return {
        name: layer.scaling["default"]
        * layer.lora_B["default"].weight.detach()
        @ layer.lora_A["default"].weight.detach()
        for name, layer in lora_layers(unet)
    }


def added(state: dict[str, Tensor], factor: float = 1.0) -> dict[str, Tensor]:
    names = {name.rpartition(".lora_")[0] for name in state}
    return {n: factor * state[f"{n}.lora_B.weight"] @ state[f"{n}.lora_A.weight"] for n in names}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert_close(found, expected)


def kohya(name: str) -> str:
    projection, _, matrix = name.removesuffix(".weight").rpartition(".")
    return f"lora_unet_{projection.replace('.', '_')}.{'lora_down' if matrix == 'lora_A' else 'lora_up'}.weight"


def processors(name: str) -> str:
    """diffusers before PEFT: X.attn1.processor.to_q_lora.down.weight, to_out without its number."""
    name = re.sub(r"\.(to_q|to_k|to_v|to_out)(\.0)?\.lora_", r".processor.\1_lora.lora_", name)
    return name.replace("lora_A", "down").replace("lora_B", "up").replace("lora.lora_", "lora.")


def plain_layers(name: str) -> str:
    return name.replace("lora_A", "lora.down").replace("lora_B", "lora.up")


FORMATS: dict[str, Callable[[str], str]] = {
    "diffusers": lambda name: f"unet.{name}",
    "without a prefix": lambda name: name,
    "PEFT": lambda name: f"base_model.model.{name}",
    "PEFT with the adapter's name": lambda name: f"base_model.model.{name.replace('.weight', '.default.weight')}",
    "PEFT twice": lambda name: name.replace(".weight", ".default_0.default.weight"),
    "PEFT around a pipeline": lambda name: f"base_model.model.unet.{name}",
    "PEFT around a compiled network": lambda name: f"base_model.model._orig_mod.{name}",
    "a whole model of its trainer": lambda name: f"model.diffusion_model.{name}",
    "kohya": kohya,
    "older diffusers, processors": lambda name: f"unet.{processors(name)}",
    "older diffusers, processors, without a prefix": processors,
    "older diffusers, layers": lambda name: f"unet.{plain_layers(name)}",
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_the_same_adapter(
    kind: str, unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file({FORMATS[kind](name): tensor for name, tensor in stored.items()}, tmp_path / LORA_FILE)
    load_lora(unet, tmp_path)
    assert_same(products(unet), added(stored))


@pytest.mark.parametrize("kind", ["kohya", "older diffusers, layers"])
@pytest.mark.parametrize("whole", [False, True])
def test_alpha_in_the_file_counts(
    kind: str, whole: bool, unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path
) -> None:
    """alpha 2 at rank 4 is a factor of one half, also where alpha is stored as a whole number."""
    state = {FORMATS[kind](name): tensor for name, tensor in stored.items()}
    alphas = {name.rpartition(".lora")[0] + ".alpha": torch.tensor(2 if whole else 2.0) for name in state}
    save_file(state | alphas, tmp_path / LORA_FILE)
    load_lora(unet, tmp_path)
    assert_same(products(unet), added(stored, 0.5))


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        ({"r": 4, "lora_alpha": 8}, 2.0),
        ({"r": 4, "lora_alpha": 4, "use_rslora": True}, 2.0),  # alpha / sqrt(rank) = 4 / 2
        ({"r": 8, "rank_pattern": {"to_.*": 4}, "lora_alpha": 4}, 1.0),  # the rank is what the matrices have
        ({"r": 4, "lora_alpha": 4, "alpha_pattern": {"to_q|to_k|to_v|to_out.0": 2}}, 0.5),
        ({"r": 4, "lora_alpha": 4, "alpha_pattern": {"^.*": 2}}, 0.5),  # from the name's beginning, as PEFT's page has
        ({"r": 4, "lora_alpha": 4, "alpha_pattern": {r"(down|mid|up)_block.*|transformer_in\..*": 2}}, 0.5),
    ],
)
def test_a_folder_of_peft_brings_its_settings(
    settings: dict[str, object], factor: float, unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file({f"base_model.model.{n}": tensor for n, tensor in stored.items()}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **settings}))
    load_lora(unet, tmp_path)
    assert_same(products(unet), added(stored, factor))


def test_metadata_of_diffusers_brings_its_settings(unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path) -> None:
    metadata = {"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.lora_alpha": 8})}
    save_file({f"unet.{name}": tensor for name, tensor in stored.items()}, tmp_path / LORA_FILE, metadata=metadata)
    load_lora(unet, tmp_path)
    assert_same(products(unet), added(stored, 2.0))


def test_mixed_ranks_and_types(unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path) -> None:
    """One projection has rank 2, all are float16."""
    state = {name: tensor.half() for name, tensor in stored.items()}
    state[f"{KEY}.lora_A.weight"] = state[f"{KEY}.lora_A.weight"][:2].contiguous()
    state[f"{KEY}.lora_B.weight"] = state[f"{KEY}.lora_B.weight"][:, :2].contiguous()
    save_file(state, tmp_path / "x.safetensors")
    load_lora(unet, tmp_path / "x.safetensors")
    assert_same(products(unet), added({name: tensor.float() for name, tensor in state.items()}))


def test_a_pytorch_file_is_read_without_running_code(
    unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(stored, tmp_path / "pytorch_lora_weights.bin")
    load_lora(unet, tmp_path)
    assert_same(products(unet), added(stored))


def test_entries_of_the_text_encoder_are_counted(
    unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {kohya(name): tensor for name, tensor in stored.items()}
    state |= {f"lora_te_text_model_{side}.lora_{side}.weight": torch.ones(4, 4) for side in ("down", "up")}
    save_file(state, tmp_path / "kohya.safetensors")
    with caplog.at_level(logging.WARNING):
        load_lora(unet, tmp_path)
    assert "2 entries of the text encoder are not loaded" in caplog.text
    assert_same(products(unet), added(stored))


BROKEN: list[tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = [
    (lambda s: {n: t for n, t in s.items() if "lora_A" in n}, "half of one: 72 of 72 projections"),
    (lambda s: {n: t for n, t in s.items() if "lora_B" in n}, "half of one: 72 of 72 projections"),
    (lambda s: {n: t for n, t in s.items() if n != f"{KEY}.lora_B.weight"}, f"half of one: 1 of 72 .*{KEY}"),
    (lambda s: s | {f"{KEY}.lora_A.weight": torch.ones(8, 16)}, r"do not fit each other: .* \(8, 16\) .*, 4\)"),
    (lambda s: s | {f"{KEY}.lora_A.weight": torch.ones(4, 999)}, f"does not fit this model: its {KEY} has another"),
    (lambda s: s | {f"{KEY}.lora_B.weight": torch.full_like(s[f"{KEY}.lora_B.weight"], torch.nan)}, "not finite"),
    (lambda s: s | {f"{KEY}.lora_{x}.weight": torch.ones(n, 16 - n) for x, n in (("A", 0), ("B", 16))}, "at least 1"),
    (lambda s: {n: t.to(torch.int8) for n, t in s.items()}, "is quantised: .* stored as int8. .* read in float32"),
    (lambda s: {n: t.to(torch.uint8) for n, t in s.items()}, "is quantised: .* stored as uint8"),
    (lambda s: s | {f"{KEY}.alpha": torch.ones(4)}, r"alpha that is not one number: .* is .* shape \(4,\)"),
    (lambda s: s | {f"{KEY}.alpha": torch.ones(0)}, r"alpha that is not one number: .* shape \(0,\)"),
    (lambda s: s | {f"{KEY}.alpha": torch.tensor(torch.inf)}, f"not finite numbers, in {KEY}.alpha"),
    (lambda s: {f"text_encoder.{n}": t for n, t in s.items()}, "the text encoder alone .144 entries, such as text_enc"),
    (lambda s: {f"lora_te1_{n}": t for n, t in s.items()}, "the text encoder alone .* only adapters of the UNet"),
    (lambda s: s | {f"{KEY}.dora_scale": torch.ones(16)}, "another kind, DoRA"),
    (lambda s: s | {f"base_model.model.{KEY}.lora_magnitude_vector": torch.ones(16)}, "another kind, DoRA"),
    (lambda s: {f"lora_unet_x.hada_w1_a{k}": torch.ones(1) for k in range(2)}, "LyCORIS"),
    (lambda s: {f"lora_unet_x.lokr_w{k}": torch.ones(1) for k in range(2)}, "LyCORIS"),
    (lambda s: {"input_blocks.1.1.to_q_lora.down_linear.weight": torch.ones(4, 4)}, "ivtutorial convert"),
    (lambda s: {"conv_in.weight": torch.ones(4, 4), "conv_in.bias": torch.ones(4)}, "2 of its 2 entries are no LoRA"),
    (lambda s: s | {"conv_in.weight": torch.ones(4, 4)}, "1 of its 145 entries are no LoRA matrices"),
    (lambda s: {f"blocks.0.attn.{n}": t for n, t in s.items()}, "72 of its 72 layers are not there: no projection"),
    (lambda s: s | {f"unet.{KEY}.lora_A.weight": s[f"{KEY}.lora_A.weight"].clone()}, "twice"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_what_is_no_whole_adapter_is_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    message: str,
    unet: VideoUNet,
    stored: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    save_file(change(stored), tmp_path / LORA_FILE)
    with pytest.raises(InputError, match=message):
        load_lora(unet, tmp_path)
    assert not has_lora(unet)


def test_a_folder_of_several_unnamed_files_is_not_guessed(unet: VideoUNet, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file({"x": torch.ones(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match=r"several files \(a.safetensors, b.safetensors\)"):
        load_lora(unet, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", r"cannot be read \(no object with names\)"),
        ('{"peft_type": "LOHA"}', "another kind, LOHA"),
        ('{"lora_alpha": null}', r"cannot be read \(lora_alpha is null, expected a number\)"),
        ('{"lora_alpha": "8"}', 'lora_alpha is "8", expected a number'),
        ('{"lora_alpha": true}', "lora_alpha is true, expected a number"),
        ('{"lora_alpha": NaN}', "lora_alpha is NaN, expected a number"),
        ('{"alpha_pattern": [8]}', r"alpha_pattern is \[8\], expected an object"),
        ('{"alpha_pattern": {"to_q": null}}', r"alpha_pattern\['to_q'\] is null, expected a number"),
        ('{"alpha_pattern": {"to_(q": 8}}', r"holds 'to_\(q', which is no pattern"),
    ],
)
def test_settings_that_cannot_be_used(
    text: str, message: str, unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file({f"base_model.model.{n}": tensor for n, tensor in stored.items()}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_lora(unet, tmp_path)


def test_settings_in_the_metadata_are_checked_as_those_in_a_file(
    unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path
) -> None:
    for text, message in (("[]", "no object with names"), ('{"unet.lora_alpha": null}', "lora_alpha is null")):
        save_file(stored, tmp_path / LORA_FILE, metadata={"lora_adapter_metadata": text})
        with pytest.raises(InputError, match=message):
            load_lora(unet, tmp_path)


@pytest.mark.parametrize("kind", ["kohya", "PEFT", "diffusers"])
def test_an_adapter_of_another_width_is_shown_beside_the_model(
    kind: str, unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path
) -> None:
    """The layers are there, under the same names: the message gives the shape of one here and of its A and B there."""
    wider = {
        FORMATS[kind](name): tensor.repeat(1, 2) if "lora_A" in name else tensor.repeat(2, 1)
        for name, tensor in stored.items()
    }
    save_file(wider, tmp_path / LORA_FILE)
    with pytest.raises(InputError) as error:
        load_lora(unet, tmp_path)
    named = re.search(r"its (\S+) has another shape, \((\d+), (\d+)\); the adapter has (.*)\. Load", str(error.value))
    assert named is not None
    out_features, in_features = (int(number) for number in named.group(2, 3))
    assert unet.get_submodule(named[1]).weight.shape == (out_features, in_features)
    assert f"of shape (4, {2 * in_features})" in named[4] and f"of shape ({2 * out_features}, 4)" in named[4]


def test_an_alpha_may_be_a_vector_of_one_number(unet: VideoUNet, stored: dict[str, Tensor], tmp_path: Path) -> None:
    """Some trainers store one number so; as a whole number, too."""
    alphas = {f"{name.rpartition('.lora_')[0]}.alpha": torch.tensor([2]) for name in stored}
    save_file(stored | alphas, tmp_path / LORA_FILE)
    load_lora(unet, tmp_path)
    assert_same(products(unet), added(stored, 0.5))
