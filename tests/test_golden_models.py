"""Models against golden values of the official code: the UNet with and without LoRA, and HPSv2's scores.

Every setting and tolerance is read from the manifests, so other fixtures of the same form can be run through
this file by setting IVTUTORIAL_GOLDEN.
"""

from __future__ import annotations

from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor

from ivtutorial.models.lora import attach_lora, count_lora, lora_layers
from ivtutorial.models.official.names import lora_from_official, unet_from_official
from ivtutorial.models.unet import VideoUNet
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.rewards.preprocess import normalise, resize_and_pad


def assert_close(ours: Tensor, fixture: Any, name: str, what: str) -> None:
    torch.testing.assert_close(ours, fixture.tensors[name], rtol=0, atol=fixture.tolerance(what))


def load_unet(fixture: Any, weights: Any) -> VideoUNet:
    config = fixture.manifest["diffusers_equivalent"]["config"]
    unet = VideoUNet(**config).eval()
    unet.load_state_dict(unet_from_official(weights.tensors, config))
    return unet


def add_official_lora(unet: VideoUNet, fixture: Any, weights: Any) -> dict[str, torch.nn.Parameter]:
    """Attach an adapter, fill it, and return its parameters by name without peft's adapter name."""
    attach_lora(unet, rank=fixture.manifest["settings"]["lora_rank"])
    ours = {}
    for name, layer in lora_layers(unet):
        ours[f"{name}.lora_A.weight"] = layer.lora_A["default"].weight
        ours[f"{name}.lora_B.weight"] = layer.lora_B["default"].weight
    official = lora_from_official(weights.tensors, unet.config)
    assert official.keys() == ours.keys()
    for name, parameter in ours.items():
        parameter.data.copy_(official[name])
    return ours


def forward(unet: VideoUNet, fixture: Any, case: dict[str, str]) -> Tensor:
    x, t, y = (fixture.tensors[case[key]] for key in ("x", "t", "y"))
    output: Tensor = unet(x, t, encoder_hidden_states=y).sample
    return output


@pytest.mark.parametrize("name", ["unet_a", "unet_b"])
def test_unet_output_with_and_without_lora(golden: Any, name: str) -> None:
    fixture, weights = golden(name), golden(f"{name}_weights")
    unet = load_unet(fixture, weights)
    with torch.no_grad():
        for case in fixture.manifest["cases"]:
            assert_close(forward(unet, fixture, case), fixture, case["out_base"], "out_base")
        add_official_lora(unet, fixture, weights)
        for case in fixture.manifest["cases"]:
            assert_close(forward(unet, fixture, case), fixture, case["out_lora"], "out_lora")
    expected = fixture.manifest["lora"]
    assert count_lora(unet) == (expected["n_lora_modules_here"], expected["n_lora_parameters_here"])


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointed"])
@pytest.mark.parametrize("name", ["unet_a", "unet_b"])
def test_lora_gradients(golden: Any, name: str, checkpointing: bool) -> None:
    """d sum(out * probe) / d (down, up) of every adapted projection, relative L2 norm."""
    fixture, weights = golden(name), golden(f"{name}_weights")
    if "lora_gradients" not in fixture.manifest["tolerance"]:
        assert not any("/grad/" in key for key in fixture.tensors), "gradients without a tolerance"
        return
    unet = load_unet(fixture, weights)
    parameters = add_official_lora(unet, fixture, weights)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    for case in fixture.manifest["cases"]:
        prefix = f"{case['name']}/grad/"
        stored = {k.removeprefix(prefix): v for k, v in fixture.tensors.items() if k.startswith(prefix)}
        if not stored:
            continue
        unet.zero_grad()
        (forward(unet, fixture, case) * fixture.tensors[f"{case['name']}/probe"]).sum().backward()
        for key, expected in lora_from_official(stored, unet.config).items():
            gradient = parameters[key].grad
            assert gradient is not None
            assert (gradient - expected).norm() <= fixture.tolerance("lora_gradients") * expected.norm(), key


def load_clip(fixture: Any, antialias: bool = True) -> ClipReward:
    config = fixture.manifest["tiny_clip"]["config"]
    model = open_clip.CLIP(**config)
    state = {k.removeprefix("clip/"): v for k, v in fixture.tensors.items() if k.startswith("clip/")}
    embedding = torch.zeros_like(model.token_embedding.weight)
    embedding[state.pop("token_embedding.ids")] = state.pop("token_embedding.rows")
    model.load_state_dict(state | {"token_embedding.weight": embedding})
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    model.visual.image_mean, model.visual.image_std = mean, std
    tokenizer = open_clip.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    return ClipReward(model, tokenizer, config, preprocessing="hpsv2", antialias=antialias)


def test_hpsv2_tokens_and_text_features(golden: Any) -> None:
    fixture = golden("hpsv2_score")
    reward, prompts = load_clip(fixture), fixture.manifest["settings"]["prompts"]
    torch.testing.assert_close(reward.tokenizer(prompts), fixture.tensors["tokens"], rtol=0, atol=0)
    assert_close(reward.text_features(prompts), fixture, "text_features", "text_features")


def test_hpsv2_preprocessing_features_and_scores(golden: Any) -> None:
    fixture = golden("hpsv2_score")
    prompts, frames = fixture.manifest["settings"]["prompts"], fixture.tensors["images"].float() / 255
    for case in fixture.manifest["cases"]:
        reward = load_clip(fixture, case["antialias"])
        features = reward.image_features(frames)
        assert_close(reward.preprocess(frames), fixture, case["preprocessed"], "preprocessed")
        assert_close(features, fixture, case["image_features"], "image_features")
        assert_close(features @ reward.text_features(prompts).T, fixture, case["similarity"], "similarity")
        assert_close(reward(frames, prompts), fixture, case["score"], "score")


def test_hpsv2_preprocessing_of_square_images_and_at_224_pixels(golden: Any) -> None:
    fixture = golden("hpsv2_score")
    reward = load_clip(fixture)
    square = fixture.tensors["edge/square_images"].float() / 255
    assert_close(reward.preprocess(square), fixture, "edge/square_preprocessed", "preprocessed")
    frames = fixture.tensors["images"].float() / 255
    for antialias, name in ((True, "preprocessed_strided"), (False, "preprocessed_strided_antialias_off")):
        image = normalise(resize_and_pad(frames, 224, antialias), reward.mean, reward.std)
        assert_close(image[..., ::7, ::7], fixture, f"size224/{name}", "preprocessed")
