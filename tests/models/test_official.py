"""The authors' UNet file becomes a diffusers folder and a LoRA file that compute what the authors' code computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import TextToVideoSDPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from ivtutorial.cli import main
from ivtutorial.errors import InputError
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.backbone_folder import load_backbone, save_backbone
from ivtutorial.models.lora import LORA_FILE, attach_lora, count_lora, load_lora, save_lora
from ivtutorial.models.official.checkpoint import convert_checkpoint, official_config
from ivtutorial.models.official.names import _prefixes
from ivtutorial.models.unet import VideoUNet
from tests.tolerances import assert_close, roundings

Z = torch.randn(1, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
EMBEDS = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(1))


def run(unet: VideoUNet, z: Tensor = Z, t: Any = 301, embeds: Tensor = EMBEDS) -> Tensor:
    with torch.no_grad():
        output: Tensor = unet(z, t, encoder_hidden_states=embeds).sample
    return output


def official_state(unet: VideoUNet) -> dict[str, Tensor]:
    """The weights of one of our UNets, with its adapter, under the authors' names and in their shapes."""
    old = {new: old for old, new in _prefixes(unet.config).items()}
    state = {}
    for name, tensor in unet.state_dict().items():
        parts = name.replace(".base_layer", "").replace(".default", "").split(".")
        length = max(n for n in range(len(parts) + 1) if ".".join(parts[:n]) in old)
        result = ".".join([old[".".join(parts[:length])], *parts[length:]])
        for projection in ("to_q", "to_k", "to_v", "to_out.0"):
            short = projection.removesuffix(".0")
            result = result.replace(f".{projection}.lora_A", f".{short}_lora.down_linear")
            result = result.replace(f".{projection}.lora_B", f".{short}_lora.up_linear")
        temporal = "temp_attentions" in name or "transformer_in" in name
        wide = temporal and name.endswith(("proj_in.weight", "proj_out.weight"))
        state[result] = tensor[..., None] if wide else tensor
    return state


@pytest.fixture
def tuned(fresh_backbone: Backbone) -> Backbone:
    """As the authors build theirs, with norms over 32 groups, which no shape tells."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh_backbone.unet = VideoUNet.from_config(fresh_backbone.unet.config, norm_num_groups=32).eval()
    for parameter in attach_lora(fresh_backbone.unet, rank=4):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    return fresh_backbone


# --- the authors' numbers --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["unet_a", "unet_b"])
def test_the_golden_checkpoint_file_computes_the_golden_outputs(golden: Any, tmp_path: Path, name: str) -> None:
    """From a .pth as the authors write it to folders, opened again; to 1e-4, with and without the adapter."""
    fixture, weights = golden(name), golden(f"{name}_weights")
    torch.save({"state_dict": weights.tensors, "step": 620000}, tmp_path / "official.pth")
    made = convert_checkpoint(tmp_path / "official.pth", tmp_path / "out")
    unet = VideoUNet.from_pretrained(made.model / "unet").eval()
    expected = fixture.manifest["diffusers_equivalent"]["config"]
    assert {key: _plain(unet.config[key]) for key in expected} == expected
    for lora in (False, True):
        if lora:
            load_lora(unet, made.lora)
        for case in fixture.manifest["cases"]:
            kind = "out_lora" if lora else "out_base"
            ours = run(unet, *(fixture.tensors[case[key]] for key in ("x", "t", "y")))
            torch.testing.assert_close(ours, fixture.tensors[case[kind]], rtol=0, atol=fixture.tolerance(kind))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


# --- files in, folders out ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["state_dict.pth", "bare.pth", "module.pth", "file.safetensors"])
def test_every_form_of_file_gives_the_same_model_and_adapter(tuned: Backbone, tmp_path: Path, form: str) -> None:
    state, path = {name: t.contiguous() for name, t in official_state(tuned.unet).items()}, tmp_path / form
    if form.endswith("safetensors"):
        save_file(state, path)
    elif form == "module.pth":  # as DistributedDataParallel names them
        torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    else:
        torch.save({"state_dict": state} if form == "state_dict.pth" else state, path)
    made = convert_checkpoint(path, tmp_path / "out")
    unet = VideoUNet.from_pretrained(made.model / "unet").eval()
    assert made.parameters == sum(p.numel() for p in unet.parameters())
    assert made.lora is not None and len(load_lora(unet, made.lora)) == 2 * count_lora(tuned.unet)[0]
    assert_close(run(unet), run(tuned.unet), n=roundings(unet))


def test_with_a_base_it_is_a_pipeline_for_stock_diffusers(
    tuned: Backbone, tiny_backbone: Backbone, tmp_path: Path
) -> None:
    base = save_backbone(tiny_backbone, tmp_path / "base")
    for parameter in tiny_backbone.unet.parameters():
        assert not parameter.requires_grad
    torch.save(official_state(tuned.unet), tmp_path / "file.pth")
    made = convert_checkpoint(tmp_path / "file.pth", tmp_path / "out", base, torch.float16)
    stored = load_file(made.model / "unet" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    ours, stock = load_backbone(made.model), TextToVideoSDPipeline.from_pretrained(made.model)
    assert_close(run(stock.unet.eval()), run(ours.unet), n=roundings(ours.unet))
    load_lora(ours.unet, made.lora)
    # Weights of fp16 are off by 2^-11 in relative terms, three decimals.
    assert_close(run(ours.unet).half(), run(tuned.unet), n=1)


def test_an_adapter_is_the_same_file_that_save_lora_writes(tuned: Backbone, tmp_path: Path) -> None:
    torch.save(official_state(tuned.unet), tmp_path / "file.pth")
    made = convert_checkpoint(tmp_path / "file.pth", tmp_path / "out")
    ours, theirs = load_file(save_lora(tuned.unet, tmp_path)), load_file(made.lora / LORA_FILE)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_file_without_adapter_makes_no_adapter(tiny_backbone: Backbone, tmp_path: Path) -> None:
    torch.save(official_state(tiny_backbone.unet), tmp_path / "file.pth")
    made = convert_checkpoint(tmp_path / "file.pth", tmp_path / "out")
    assert made.lora is None and sorted(p.name for p in (tmp_path / "out").iterdir()) == ["model"]


def test_the_full_size_is_recognised() -> None:
    """1,411,233,860 parameters, 4 levels of 2 blocks, attention in all but the lowest."""
    with torch.device("meta"):
        unet = VideoUNet(sample_size=32, cross_attention_dim=1024, attention_head_dim=64)
    config = official_config(official_state(unet))
    assert (config["block_out_channels"], config["layers_per_block"]) == ([320, 640, 1280, 1280], 2)
    assert config["down_block_types"] == [*["CrossAttnDownBlock3D"] * 3, "DownBlock3D"]
    assert (config["cross_attention_dim"], config["attention_head_dim"]) == (1024, 64)
    assert sum(p.numel() for p in unet.parameters()) == 1_411_233_860


# --- files that do not fit -----------------------------------------------------------------------------


def test_missing_unknown_and_misshapen_weights_are_named(tiny_backbone: Backbone, tmp_path: Path) -> None:
    state, path = official_state(tiny_backbone.unet), tmp_path / "file.pth"
    torch.save({**state, "fps_embedding.0.weight": torch.ones(1), "rotary.freqs": torch.ones(1)}, path)
    with pytest.raises(InputError, match=r"2 weights have no place in this UNet: fps_embedding.0.weight, rotary.freqs"):
        convert_checkpoint(path, tmp_path / "out")
    less = dict(state)
    del less["middle_block.0.in_layers.2.weight"]
    torch.save(less | {"out.2.bias": torch.ones(9)}, path)
    with pytest.raises(InputError) as caught:
        convert_checkpoint(path, tmp_path / "out")
    assert "1 missing: mid_block.resnets.0.conv1.weight" in str(caught.value)
    assert "1 of another shape: conv_out.bias (9,) instead of (4,)" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    torch.save({"state_dict": {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(1)}}, tmp_path / "sd.ckpt")
    with pytest.raises(InputError, match="not those of the authors' UNet"):
        convert_checkpoint(tmp_path / "sd.ckpt", tmp_path / "out")


def test_a_base_of_another_text_width(tuned: Backbone, tiny_backbone: Backbone, tmp_path: Path) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig.from_dict({**tiny_backbone.text_encoder.config.to_dict(), "hidden_size": 24})
    unet = VideoUNet.from_config(tiny_backbone.unet.config, cross_attention_dim=24)
    parts = (tiny_backbone.vae, CLIPTextModel(config), tiny_backbone.tokenizer, tiny_backbone.scheduler)
    base = save_backbone(Backbone(unet, *parts), tmp_path / "base")
    torch.save(official_state(tuned.unet), tmp_path / "file.pth")
    with pytest.raises(InputError, match="text width of text encoder and UNet are 24 and 16"):
        convert_checkpoint(tmp_path / "file.pth", tmp_path / "out", base)


def test_the_command(tuned: Backbone, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(official_state(tuned.unet), tmp_path / "file.pth")
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "file.pth"), "--base", "none", "--out", str(tmp_path / "out"), "--half"])
    assert ended.value.code in (0, None)
    assert f"adapter: {tmp_path / 'out' / 'lora'}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "absent.pth"), "--base", "none", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2 and "no such file of UNet weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["input_blocks.0.0.weight"], "a level of blocks is missing; there are input_blocks.0.0.weight"),
        (["conv_in.weight", "conv_in.bias"], "there are conv_in.weight, conv_in.bias"),
        (["input_blocks.1.0.x"], "there is no 'input_blocks.1.0.in_layers.2.weight'"),
    ],
)
def test_what_is_missing_is_named_in_words(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match="not those of the authors' UNet") as caught:
        official_config({name: torch.zeros(4, 4) for name in names})
    assert message in str(caught.value)
