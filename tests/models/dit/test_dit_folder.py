"""A Wan folder: opened late, part by part; what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ivtutorial.data.prompt_cache import encode_captions
from ivtutorial.errors import InputError
from ivtutorial.method.flow import FlowSchedule
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.backbone_folder import load_backbone, save_backbone
from ivtutorial.models.dit import Part, load_dit, save_dit
from ivtutorial.models.lora import attach_lora
from ivtutorial.models.named import Clocks, clocks, open_model
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.presets import default_config, with_defaults
from tests.models.dit.tiny import tiny_wan, tiny_wan_folder
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wan_folder(tmp_path_factory.mktemp("wan"), shift=5.0)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def is_late(part: Any) -> bool:
    return isinstance(part, Part)


def test_text_encoder_and_transformer_are_never_there_together(folder: Path) -> None:
    """Opened: neither. Captions: the encoder. The network: it alone. A new caption: the encoder for a moment."""
    wan: Any = open_model(folder)
    assert is_late(wan.transformer) and is_late(wan.text_encoder)
    embeds = wan.embed(["a red fox", ""])
    assert is_late(wan.transformer) and isinstance(wan.text_encoder, nn.Module)
    assert isinstance(wan.unet, nn.Module) and is_late(wan.text_encoder)
    assert torch.equal(wan.embed(["a red fox", ""]), embeds) and is_late(wan.text_encoder)
    wan.embed(["a bear"])
    assert is_late(wan.text_encoder)


def test_the_parts_are_those_of_the_folder(folder: Path) -> None:
    """Frozen, in eval mode, and the same numbers as the networks that were written."""
    wan, made = open_model(folder), tiny_wan()
    assert wan.scheduler == FlowSchedule(5.0)
    assert not wan.unet.training and not any(w.requires_grad for w in (*wan.unet.parameters(), *wan.vae.parameters()))
    z, embeds = torch.randn(1, 16, 3, 2, 2), torch.randn(1, 512, 32)
    with torch.no_grad():
        assert_close(wan.predictor(embeds)(z, 400.0), made.predictor(embeds)(z, 400.0), roundings(made.unet))


def test_shapes_are_known_without_the_weights(folder: Path) -> None:
    """17 frames of 32x48 pixels: 1 + 4 latents of 4x6 cells; the family's own size is 480x832."""
    wan: Any = open_model(folder)
    assert wan.latent_shape(17, 32, 48) == (16, 5, 4, 6)
    assert wan.latent_shape(81) == (16, 21, 60, 104) and is_late(wan.transformer)
    with pytest.raises(InputError, match="use 13 or 17"):
        wan.latent_shape(16)
    with pytest.raises(InputError, match="multiples of 16"):
        wan.latent_shape(17, 40, 48)


def test_without_a_text_encoder_known_captions_serve_and_new_ones_are_refused(copied: Path, tmp_path: Path) -> None:
    with_text = open_model(copied)
    encode_captions(with_text, ["a red fox"], tmp_path / "cache")
    shutil.rmtree(copied / "text_encoder")
    wan = open_model(copied)
    encode_captions(wan, ["a red fox"], tmp_path / "cache")
    assert torch.equal(wan.embed(["a red fox", ""]), with_text.embed(["a red fox", ""]))
    with pytest.raises(InputError, match="no text encoder"):
        wan.embed(["a bear"])


def test_embeddings_of_another_encoder_are_not_taken(folder: Path, copied: Path, tmp_path: Path) -> None:
    """Other weights are another folder of the cache; a width that does not fit is an error."""
    first, second = open_model(folder), open_model(copied)
    part: Any = second.text_encoder
    encoder = part.load()
    encoder.encoder.block[0].layer[0].SelfAttention.q.weight.data.add_(1.0)
    encoder.save_pretrained(copied / "text_encoder")
    for wan in (first, open_model(copied)):
        encode_captions(wan, ["a red fox"], tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("text-*"))) == 2
    with pytest.raises(InputError, match="another text encoder"):
        first.remember("a red fox", torch.zeros(4, 16))  # type: ignore[attr-defined]


def test_a_folder_of_one_family_given_as_the_other(folder: Path, tiny_tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="WanPipeline whose unet is absent"):
        load_backbone(folder)
    save_backbone(toy_backbone(tiny_tokenizer), tmp_path / "unet")
    with pytest.raises(InputError, match="TextToVideoSDPipeline without a transformer"):
        load_dit(tmp_path / "unet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transformer": ["diffusers", "HunyuanVideoTransformer3DModel"]}, "whose transformer is Hunyuan"),
        ({"transformer_2": ["diffusers", "WanTransformer3DModel"]}, "two transformers"),
    ],
)
def test_families_that_are_not_known_are_refused(copied: Path, change: Any, message: str) -> None:
    path = copied / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=message):
        open_model(copied)


def changed(path: Path, **values: Any) -> None:
    """Other values in a JSON file; None takes a name out."""
    content = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no tokenizer": (lambda f: shutil.rmtree(f / "tokenizer"), "no tokenizer .*Copy the folder tokenizer"),
    "an unknown text encoder": (
        lambda f: changed(f / "model_index.json", text_encoder=["transformers", "FooEncoder"]),
        "'FooEncoder', which transformers does not have: UMT5EncoderModel",
    ),
    "a setting is missing": (
        lambda f: changed(f / "transformer" / "config.json", text_dim=None),
        "transformer/config.json has no 'text_dim': it was cut",
    ),
    "the text encoder's width is missing": (
        lambda f: changed(f / "text_encoder" / "config.json", d_model=None),
        "text_encoder/config.json has no 'd_model': it was cut",
    ),
    "a transformer of another family": (
        lambda f: changed(f / "transformer" / "config.json", _class_name="CogVideoXTransformer3DModel"),
        "is that of a CogVideoXTransformer3DModel, where WanTransformer3DModel belongs",
    ),
    "not an object": (
        lambda f: (f / "transformer" / "config.json").write_text("[1]"),
        "is not the configuration of a network",
    ),
    "statistics of other channels": (
        lambda f: changed(f / "vae" / "config.json", latents_mean=[0.0] * 3),
        "3 means and 16 deviations for 16 channels",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_folder_is_one_clear_error(copied: Path, name: str) -> None:
    damage, message = BROKEN[name]
    damage(copied)
    with pytest.raises(InputError, match=message):
        open_model(copied).embed(["a red fox"])


def test_steps_that_are_no_number_are_one_clear_error(folder: Path) -> None:
    for wrong in ("abc", None, 0, 2.5):
        with pytest.raises(InputError, match="D = "):
            FinetuneConfig.from_dict(with_defaults({"method": {"D": wrong}}, folder))


def test_a_saved_folder_is_opened_again_with_its_own_transformer(folder: Path, tmp_path: Path) -> None:
    """The other parts are copied as they are."""
    wan: Any = open_model(folder)
    wan.unet.proj_out.bias.data.add_(1.0)
    save_dit(wan, tmp_path / "saved")
    again: Any = open_model(tmp_path / "saved")
    assert torch.equal(again.unet.proj_out.bias, wan.unet.proj_out.bias)
    assert again.text_key == wan.text_key and again.encoding == wan.encoding
    attach_lora(wan.unet)
    with pytest.raises(InputError, match="has an adapter"):
        save_dit(wan, tmp_path / "other")
    with pytest.raises(InputError, match="not opened from a folder"):
        save_dit(tiny_wan(), tmp_path / "other")


def test_defaults_follow_from_the_model(folder: Path) -> None:
    """Shift 5: same noise as the paper's at 0.3 of 20 steps; 17 frames, guidance 5; what is given stays."""
    assert clocks(folder) == Clocks(17, 16.0, FlowSchedule(5.0), 5.0) and clocks("modelscope") == Clocks()
    config = default_config(folder, "cpu")
    assert (config.method, config.frames, config.fps) == (InstructVideo(tau=0.3, guidance=5.0), 17, 16.0)
    assert default_config("reduced") == FinetuneConfig()
    given = with_defaults({"frames": 9, "method": {"tau": 0.5, "guidance": 1.0}}, folder)
    assert given["frames"] == 9 and given["method"] == {"tau": 0.5, "guidance": 1.0}
    assert "tau" not in with_defaults({"method": {"name": "Draft"}}, folder)["method"]
    assert with_defaults({"method": {"name": "DirectAlign", "D": 10}}, folder)["method"]["tau"] == 0.3
    # t = 51 has the noise of the last of 20 steps, and a step of the chain is never drawn where it ends
    assert with_defaults({"method": {"name": "QuickEdit"}}, folder)["method"]["tau"] == 0.1


def test_a_noise_level_becomes_a_tau(folder: Path) -> None:
    """Shift 5, s_i = 5 i / (20 + 4 i): s_6 = 30 / 44 = 0.68; on the paper's schedule 0.658 is t = 551, 12 steps."""
    assert with_defaults({"method": {"tau": "noise:0.68"}}, folder)["method"]["tau"] == 0.3
    assert with_defaults({"method": {"tau": "noise:0.658"}}, "reduced")["method"]["tau"] == 0.6
    for wrong in ("noise:2", "noise:", "half"):
        with pytest.raises(InputError, match="noise"):
            with_defaults({"method": {"tau": wrong}}, folder)
