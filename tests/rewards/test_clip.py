"""The CLIP reward: a cosine, differentiable in the frames, frozen, stored as open_clip stores models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import torchvision.transforms.functional as tvf
from open_clip.tokenizer import HFTokenizer
from torch import Tensor

from ivtutorial.checks import check_frames
from ivtutorial.errors import InputError
from ivtutorial.rewards import ClipReward, ImageReward
from ivtutorial.rewards.clip import CONFIG_FILE, WEIGHTS_FILE
from ivtutorial.rewards.preprocess import normalise, resize_and_crop, resize_and_pad, resize_by_products
from tests.rewards.tiny_clip import SIZE, frames, make_reward, model_config, tiny_clip
from tests.tolerances import assert_close, roundings

CAPTIONS = ["a red fox", "the deer running 🦌", "snow"]


@pytest.fixture(scope="module")
def tokenizer(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> HFTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer.save_pretrained(folder)
    return HFTokenizer(str(folder), context_length=16)


@pytest.fixture(scope="module")
def reward(tokenizer: HFTokenizer) -> ClipReward:
    return make_reward(tokenizer)


# --- the score ------------------------------------------------------------------------------------


def test_it_is_an_image_reward(reward: ClipReward) -> None:
    assert isinstance(reward, ImageReward)
    assert reward(frames(), CAPTIONS).shape == (3,)


def test_the_score_is_the_plain_cosine(reward: ClipReward) -> None:
    """Without the logit scale, which would multiply it by 1 / 0.07 = 14.3 here."""
    x = frames()
    images = normalise(x, reward.mean, reward.std)
    f, g = reward.model.encode_image(images), reward.model.encode_text(reward.tokenizer(CAPTIONS))
    expected = torch.nn.functional.cosine_similarity(f, g)
    assert_close(reward(x, CAPTIONS), expected, n=roundings(reward.model), size=1.0)
    assert expected.abs().max() <= 1 and expected.std() > 1e-3


def test_each_frame_meets_its_own_caption(reward: ClipReward) -> None:
    x = frames()
    pairs = [reward(x[i : i + 1], [CAPTIONS[i]]) for i in range(3)]
    assert_close(reward(x, CAPTIONS), torch.cat(pairs), n=roundings(reward.model), size=1.0)


def test_the_gradient_to_the_frames_is_the_slope(reward: ClipReward) -> None:
    """r(x + h v) - r(x - h v) = 2 h <dr/dx, v> + O(h^3), in float64."""
    double = ClipReward(tiny_clip(reward.model_config).double(), reward.tokenizer, reward.model_config).double()
    # The score is computed in float32 after the towers, so the step must not be too small.
    x, v = (
        frames(1).double() * 0.8 + 0.1,
        torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)),
    )
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(double(x, CAPTIONS[:1]).sum(), x)
    h = 1e-2
    with torch.no_grad():
        rise = double(x + h * v, CAPTIONS[:1]) - double(x - h * v, CAPTIONS[:1])
    slope = (gradient * v).sum().item()
    assert abs(slope) > 1e-3
    assert rise.item() / (2 * h) == pytest.approx(slope, rel=2e-2)


def test_it_is_frozen_and_stays_in_eval_mode(reward: ClipReward) -> None:
    reward.train()
    assert not any(module.training for module in reward.modules())
    assert not any(p.requires_grad for p in reward.parameters())


def test_each_caption_is_encoded_once(tokenizer: HFTokenizer) -> None:
    seen: list[str] = []

    def count(texts: list[str]) -> Tensor:
        seen.extend(texts)
        tokens: Tensor = tokenizer(texts)
        return tokens

    config = model_config(len(tokenizer.tokenizer))
    reward = ClipReward(tiny_clip(config), count, config)
    first = reward(frames(), ["a", "b", "a"])
    assert torch.equal(reward(frames(), ["a", "b", "a"]), first)
    assert seen == ["a", "b"]


def test_scores_that_are_not_numbers_pass_through(reward: ClipReward) -> None:
    """The training loop has the guard; here an exception would end a run that could skip the step."""
    x = frames()
    x[1, 0, 0, 0] = float("nan")
    assert reward(x, CAPTIONS).isnan().tolist() == [False, True, False]


# --- preprocessing --------------------------------------------------------------------------------


@pytest.mark.parametrize("preprocessing", ["official", "hpsv2"])
def test_frames_of_the_models_size_are_only_normalised(tokenizer: HFTokenizer, preprocessing: str) -> None:
    reward, x = make_reward(tokenizer, preprocessing=preprocessing), frames()
    visual = reward.model.visual
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (visual.image_mean, visual.image_std))
    assert_close(reward.preprocess(x), (x - mean) / std)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("side", [64, 20])
def test_official_is_torchvisions_resize_of_square_frames(side: int, antialias: bool) -> None:
    x = frames(2, side, side)
    mode = tvf.InterpolationMode.BILINEAR
    expected = tvf.resize(x, [SIZE], interpolation=mode, antialias=antialias)
    assert_close(resize_and_crop(x, SIZE, antialias), expected)


def test_official_crops_the_centre_of_other_shapes() -> None:
    """32 high and 40 wide: nothing to resize, four columns go on each side."""
    x = frames(1, 32, 40)
    assert torch.equal(resize_and_crop(x, 32), x[..., 4:36])
    assert resize_and_crop(frames(1, 50, 77), 32).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("h", "w"), [(64, 40), (24, 9), (48, 96)])
def test_hpsv2_is_a_bicubic_resize_padded_with_black(h: int, w: int, antialias: bool) -> None:
    """Sides are rounded, the content is centred, and an odd pixel of padding goes right or down."""
    x = frames(2, h, w)
    new_h, new_w = round(h * SIZE / max(h, w)), round(w * SIZE / max(h, w))
    inner = tvf.resize(x, [new_h, new_w], interpolation=tvf.InterpolationMode.BICUBIC, antialias=antialias)
    top, left = (SIZE - new_h) // 2, (SIZE - new_w) // 2
    expected = torch.zeros(2, 3, SIZE, SIZE)
    expected[..., top : top + new_h, left : left + new_w] = inner
    assert_close(resize_and_pad(x, SIZE, antialias), expected)


def test_hpsv2_pads_where_the_longer_side_already_fits() -> None:
    x = frames(1, 24, 32)
    assert torch.equal(resize_and_pad(x, 32)[..., 4:28, :], x)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [None, torch.float16], ids=["float32", "float16"])
@pytest.mark.parametrize("custom", [True, False], ids=["own tokenizer", "open_clip's tokenizer"])
def test_saved_and_loaded_scores_the_same_and_open_clip_opens_the_folder(
    tokenizer: HFTokenizer, tmp_path: Path, dtype: torch.dtype | None, custom: bool
) -> None:
    config = model_config(len(tokenizer.tokenizer)) if custom else model_config()
    used = tokenizer if custom else open_clip.SimpleTokenizer(context_length=16)
    reward = ClipReward(tiny_clip(config), used, config, preprocessing="hpsv2", antialias=False)
    if dtype is not None:  # then values must survive the rounding
        for parameter in reward.parameters():
            parameter.data = parameter.data.to(dtype).float()
    x = frames(3, 48, 40)
    expected = reward(x, CAPTIONS)
    loaded = ClipReward.from_folder(reward.save(tmp_path, dtype))
    assert (loaded.preprocessing, loaded.antialias, loaded.image_size) == ("hpsv2", False, SIZE)
    n = roundings(reward.model)
    assert_close(loaded(x, CAPTIONS), expected, n, size=1.0)

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(CAPTIONS)
    with torch.no_grad():
        text = model.eval().encode_text(tokens, normalize=True)
        image = model.encode_image(reward.preprocess(x), normalize=True)
    assert_close((text * image).sum(-1), expected, n, size=1.0)
    assert transform.transforms[-1].mean == pytest.approx(reward.mean)


def test_a_loaded_reward_can_be_saved_again(reward: ClipReward, tmp_path: Path) -> None:
    again = ClipReward.from_folder(ClipReward.from_folder(reward.save(tmp_path / "a")).save(tmp_path / "b"))
    assert_close(again(frames(), CAPTIONS), reward(frames(), CAPTIONS), n=roundings(reward.model), size=1.0)


def test_unusable_folders(reward: ClipReward, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No readable reward model"):
        ClipReward.from_folder(tmp_path / "absent")
    reward.save(tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    weights = (tmp_path / WEIGHTS_FILE).read_bytes()
    (tmp_path / WEIGHTS_FILE).write_bytes(weights[:-100])
    with pytest.raises(InputError, match="usable open_clip model"):
        ClipReward.from_folder(tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(InputError, match="No safetensors weights"):
        ClipReward.from_folder(tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(weights)
    (tmp_path / CONFIG_FILE).write_text(json.dumps({"other": 1}))
    with pytest.raises(InputError, match="model_cfg"):
        ClipReward.from_folder(tmp_path)
    config["model_cfg"]["embed_dim"] = 16
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config))
    with pytest.raises(InputError, match="usable open_clip model"):
        ClipReward.from_folder(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
def test_half_precision_scores_and_slopes_are_those_of_float32_up_to_rounding(
    tokenizer: HFTokenizer, dtype: torch.dtype
) -> None:
    """bf16 keeps 8 bits of a number: relative errors of some 2^-8; scores themselves are returned in float32."""
    full, half = make_reward(tokenizer), make_reward(tokenizer)
    half.model.to(dtype)
    x = frames().requires_grad_()
    expected, result = full(x, CAPTIONS), half(x, CAPTIONS)
    assert result.dtype == torch.float32
    assert_close(result.to(dtype), expected, n=1, size=1.0)
    (slope,), (wanted,) = (torch.autograd.grad(scores.sum(), x) for scores in (result, expected))
    assert torch.nn.functional.cosine_similarity(slope.flatten(), wanted.flatten(), dim=0) > 0.98


def test_known_captions_need_no_text_tower(tokenizer: HFTokenizer) -> None:
    """On the device "meta" the tower has no numbers any more, and the scores stay the same."""
    reward = make_reward(tokenizer)
    expected = reward(frames(), CAPTIONS)
    reward.offload_text("meta")
    text = [p for name, p in reward.model.named_parameters() if not name.startswith("visual.")]
    assert text and all(p.is_meta for p in text)
    assert not any(p.is_meta for p in reward.model.visual.parameters())
    assert torch.equal(reward(frames(), CAPTIONS), expected) and reward.device.type == "cpu"


def test_the_scale_is_a_factor_and_is_stored(tokenizer: HFTokenizer, tmp_path: Path) -> None:
    plain, scaled = make_reward(tokenizer), make_reward(tokenizer, scale=100.0)
    assert_close(scaled(frames(), CAPTIONS), 100 * plain(frames(), CAPTIONS), n=roundings(plain.model), size=100.0)
    assert ClipReward.from_folder(scaled.save(tmp_path)).scale == 100.0


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (frames() * 2 - 1, r"frames \* 0.5 \+ 0.5"),
        (frames() * 255, "divide 8-bit values"),
        ((frames() * 255).byte(), "Divide 8-bit values by 255"),
        (frames()[0], r"\(N, 3, H, W\)"),
        (frames().permute(0, 2, 3, 1), r"\(N, 3, H, W\)"),
    ],
    ids=["[-1, 1]", "0..255", "uint8", "one image", "channels last"],
)
def test_wrong_frames(reward: ClipReward, x: Tensor, says: str) -> None:
    with pytest.raises(InputError, match=says):
        reward(x, CAPTIONS)


@pytest.mark.parametrize("captions", ["a fox", ["a fox"], [*CAPTIONS[:2], None], None])
def test_wrong_captions(reward: ClipReward, captions: Any) -> None:
    with pytest.raises(InputError, match=r"[Cc]aption"):
        reward(frames(), captions) if captions is not None else reward(frames(), 5)


def test_rounding_beyond_the_range_is_forgiven() -> None:
    """Half precision near 1 has steps of 2^-11 < 1e-3."""
    check_frames(torch.full((1, 3, 2, 2), 1 + 2**-11))
    with pytest.raises(InputError):
        check_frames(torch.full((1, 3, 2, 2), 1 + 2**-9))


def test_unknown_preprocessing(tokenizer: HFTokenizer) -> None:
    with pytest.raises(InputError, match="official, hpsv2, clip"):
        make_reward(tokenizer, preprocessing="squash")


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("old", "new"), [((256, 256), (224, 224)), ((40, 64), (32, 51)), ((24, 24), (32, 32))])
def test_resizing_by_two_products_is_interpolation(
    mode: str, antialias: bool, old: tuple[int, int], new: tuple[int, int]
) -> None:
    """The same pictures and the same slope, to rounding: every weight is a number of float32, and both sum alike."""
    x = torch.rand(2, 3, *old, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected = torch.nn.functional.interpolate(x, size=new, mode=mode, align_corners=False, antialias=antialias)
    result = resize_by_products(x, *new, mode, antialias)
    up = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    slopes = [torch.autograd.grad(y, x, up)[0] for y in (result, expected)]
    assert_close(result.detach(), expected.detach(), n=16, size=1.0)
    assert_close(*slopes, n=16, size=float(slopes[1].abs().max()))
