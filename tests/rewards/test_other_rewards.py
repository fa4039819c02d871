"""Rewards besides HPSv2: each against an independent computation with the same weights; by name; combined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.rewards import ImageReward
from ivtutorial.rewards.aesthetic import AestheticReward, load_aesthetic, score_head
from ivtutorial.rewards.combine import Recomputed, WeightedSum
from ivtutorial.rewards.imagereward import MEAN, STD, TEXT, VISION, BlipReward, from_published
from ivtutorial.rewards.named import open_named, open_reward
from ivtutorial.rewards.transformers_clip import load_clip_score, load_pickscore
from ivtutorial.weights.files import fill
from tests.tolerances import assert_close, roundings

SIZE, CAPTIONS = 32, ["a red fox", "the deer running", "snow"]


def frames(n: int = 3, h: int = SIZE, w: int = SIZE) -> Tensor:
    """8-bit values, so that libraries that work on PIL pictures see the same numbers."""
    return torch.randint(256, (n, 3, h, w), generator=torch.Generator().manual_seed(0)) / 255


def pictures(x: Tensor) -> list[Image.Image]:
    return [Image.fromarray((one.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)) for one in x]


def slope(reward: Any, n: int = 3) -> Tensor:
    x = frames(n).requires_grad_()
    (gradient,) = torch.autograd.grad(reward(x, CAPTIONS[:n]).sum(), x)
    return gradient


# --- transformers' CLIP: PickScore and the CLIP score ----------------------------------------------


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with the real vocabulary, stored as the hub stores it."""
    from transformers import CLIPConfig, CLIPModel

    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    vision = {"hidden_size": 32, "image_size": SIZE, "patch_size": 8, **layers}
    text = {"hidden_size": 16, "vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407, **layers}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=8))
    folder = tmp_path_factory.mktemp("clip")
    model.save_pretrained(folder)
    return folder


def reference_cosines(folder: Path, x: Tensor) -> tuple[Tensor, Any]:
    """By transformers itself: its image processor on PIL pictures, its own forward pass."""
    from open_clip import SimpleTokenizer
    from transformers import CLIPImageProcessor, CLIPModel

    model = CLIPModel.from_pretrained(folder).eval()
    processor = CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    pixels = processor(pictures(x), return_tensors="pt").pixel_values
    tokens = SimpleTokenizer()(CAPTIONS)
    # Another padding than ours: the published tokenizers repeat the end token.
    tokens = torch.where(tokens == 0, torch.tensor(49407), tokens)
    with torch.no_grad():
        output = model(input_ids=tokens, pixel_values=pixels)
    return (output.image_embeds * output.text_embeds).sum(-1), model


def test_the_clip_score_is_the_cosine_of_transformers(clip_folder: Path) -> None:
    reward = load_clip_score(clip_folder)
    assert isinstance(reward, ImageReward)
    expected, _ = reference_cosines(clip_folder, frames())
    assert_close(reward(frames(), CAPTIONS), expected, n=roundings(reward.model), size=1.0)


@pytest.mark.parametrize(("h", "w"), [(48, 64), (24, 40)])
def test_resizing_agrees_with_clips_own_up_to_its_rounding_to_8_bits(clip_folder: Path, h: int, w: int) -> None:
    """PIL rounds to steps of 1/255; a network this small turns that into less than 0.01 of a cosine."""
    expected, _ = reference_cosines(clip_folder, frames(3, h, w))
    ours = load_clip_score(clip_folder)(frames(3, h, w), CAPTIONS)
    torch.testing.assert_close(ours, expected, rtol=0, atol=0.01)


def test_pickscore_is_the_cosine_times_the_logit_scale(clip_folder: Path) -> None:
    expected, model = reference_cosines(clip_folder, frames())
    reward = load_pickscore(clip_folder)
    scale = model.logit_scale.exp().item()
    assert_close(reward(frames(), CAPTIONS), scale * expected, n=roundings(reward.model), size=scale)
    assert slope(reward).abs().max() > 0 and not any(p.requires_grad for p in reward.parameters())


def test_a_clip_of_transformers_can_leave_its_text_tower_behind(clip_folder: Path) -> None:
    reward = load_pickscore(clip_folder)
    expected = reward(frames(), CAPTIONS)
    reward.offload_text("meta")
    assert torch.equal(reward(frames(), CAPTIONS), expected)


# --- aesthetic -------------------------------------------------------------------------------------


def test_the_head_has_the_published_layers() -> None:
    """Five linear layers 768-1024-128-64-16-1 with dropout after the first three: 0, 2, 4, 6, 7."""
    shapes = {name: tuple(p.shape) for name, p in score_head(768).named_parameters() if name.endswith("weight")}
    wide = [(1024, 768), (128, 1024), (64, 128), (16, 64), (1, 16)]
    assert shapes == {f"{place}.weight": shape for place, shape in zip((0, 2, 4, 6, 7), wide)}


def test_the_aesthetic_score_is_affine_in_the_unit_feature(clip_folder: Path, tmp_path: Path) -> None:
    """Nothing lies between the layers, so the product of the matrices and one constant say it all."""
    torch.manual_seed(0)
    head = score_head(8)
    torch.save({f"layers.{name}": tensor for name, tensor in head.state_dict().items()}, tmp_path / "head.pth")
    reward = load_aesthetic(tmp_path / "head.pth", clip_folder)
    zero = head.eval()(torch.zeros(1, 8)).item()
    matrix = torch.cat([head(torch.eye(8)[i : i + 1]) for i in range(8)]).squeeze(-1).detach() - zero
    with torch.no_grad():
        features = torch.nn.functional.normalize(load_clip_score(clip_folder).model.visual(_pixels()), dim=-1)
    n = roundings(reward)
    assert_close(reward(frames(), CAPTIONS), features @ matrix + zero, n, size=1.0)
    assert torch.equal(reward(frames(), ["", "", ""]), reward(frames(), CAPTIONS)), "it does not read captions"
    assert slope(reward).abs().max() > 0 and isinstance(reward, AestheticReward)


def _pixels() -> Tensor:
    from ivtutorial.rewards.preprocess import normalise

    return normalise(frames())


def test_a_head_of_another_width_is_refused(clip_folder: Path, tmp_path: Path) -> None:
    torch.save({f"layers.{name}": t for name, t in score_head(9).state_dict().items()}, tmp_path / "head.pth")
    with pytest.raises(InputError, match=r"features of width 8: 1 of another shape: 0.weight \(1024, 9\)"):
        load_aesthetic(tmp_path / "head.pth", clip_folder)


# --- ImageReward -----------------------------------------------------------------------------------

SMALL_VISION = {
    "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
    "patch_size": 8, "image_size": SIZE, "layer_norm_eps": 1e-6,
}  # fmt: skip
SMALL_TEXT = {
    "vocab_size": 64, "hidden_size": 32, "encoder_hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "max_position_embeddings": 40, "layer_norm_eps": 1e-12,
}  # fmt: skip
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "fox", "the", "deer", "running", "snow"]


@pytest.fixture(scope="module")
def bert_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import BertTokenizer

    path = tmp_path_factory.mktemp("bert") / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return BertTokenizer(str(path))


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any, Any]:
    """What the published network consists of, built of other libraries' classes that share its weight names.

    timm's vision transformer, transformers' BERT with cross-attention in every layer, and the head.
    """
    from timm.models.vision_transformer import VisionTransformer
    from transformers import BertConfig, BertModel

    text = {k: v for k, v in SMALL_TEXT.items() if k != "encoder_hidden_size"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vit = VisionTransformer(
            img_size=SIZE, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=0, global_pool=""
        )
        config = BertConfig(**text, is_decoder=True, add_cross_attention=True, type_vocab_size=1)
        bert, head = BertModel(config, add_pooling_layer=False), score_head(32)
        torch.nn.init.normal_(vit.cls_token)
        torch.nn.init.normal_(vit.pos_embed)
        # BLIP's text encoder has no token types: with all zeros BERT has none, either.
        torch.nn.init.zeros_(bert.embeddings.token_type_embeddings.weight)
    return vit.eval(), bert.eval(), head.eval()


def published(parts: tuple[Any, Any, Any]) -> dict[str, Tensor]:
    """The weights under the names of the published file, with some that scoring does not use."""
    vit, bert, head = parts
    state = {f"blip.visual_encoder.{name}": tensor for name, tensor in vit.state_dict().items()}
    state |= {f"blip.text_encoder.{n}": t for n, t in bert.state_dict().items() if "token_type" not in n}
    state |= {f"mlp.layers.{name}": tensor for name, tensor in head.state_dict().items()}
    unused = ("blip.text_encoder.embeddings.position_ids", "blip.vision_proj.weight", "blip.temp", "blip.image_queue")
    return state | {name: torch.zeros(1) for name in unused}


@pytest.fixture(scope="module")
def imagereward(parts: tuple[Any, Any, Any], bert_tokenizer: Any) -> BlipReward:
    reward = BlipReward(bert_tokenizer, SMALL_VISION, SMALL_TEXT)
    fill(reward, from_published(published(parts)), "test", "ImageReward")
    return reward


def test_imagereward_is_what_the_published_network_computes(
    imagereward: BlipReward, parts: tuple[Any, Any, Any], bert_tokenizer: Any
) -> None:
    """v(x) by timm, t(c, v) by BERT without a causal mask, the head on the first token, standardised."""
    vit, bert, head = parts
    words = bert_tokenizer(CAPTIONS, padding="max_length", max_length=35, return_tensors="pt")
    # A mask with four axes is used as it is; BERT's own would hide later words, since it thinks it is a decoder.
    mask = (1.0 - words.attention_mask[:, None, None, :].expand(-1, 1, 35, -1)) * torch.finfo(torch.float32).min
    with torch.no_grad():
        seen = vit.forward_features(_pixels())
        read = bert(words.input_ids, attention_mask=mask, encoder_hidden_states=seen, use_cache=False)
        expected = (head(read.last_hidden_state[:, 0]).squeeze(-1) - MEAN) / STD
    size = float(expected.abs().max() + 1 / STD)
    assert_close(imagereward(frames(), CAPTIONS), expected, n=roundings(imagereward), size=size)


def test_imagereward_looks_at_picture_and_words(imagereward: BlipReward) -> None:
    assert isinstance(imagereward, ImageReward)
    base = imagereward(frames(), CAPTIONS)
    assert not torch.equal(imagereward(frames(), CAPTIONS[::-1])[0], base[0])
    assert not torch.equal(imagereward(frames().flip(0), CAPTIONS)[0], base[0])
    assert slope(imagereward).abs().amax(dim=(1, 2, 3)).min() > 0
    assert not any(p.requires_grad for p in imagereward.train().parameters()) and not imagereward.training


def test_a_caption_of_any_length_is_cut(imagereward: BlipReward) -> None:
    assert imagereward(frames(1), ["red fox " * 50]).isfinite().all()


def test_imagereward_of_full_size_has_the_published_shapes(bert_tokenizer: Any) -> None:
    """ViT-L/16: 303.3 M weights. The text encoder: (30,524 + 512) * 768 for words and places; in each of 12 layers
    four projections of 768 x 768 for self-attention, two of them and two of 1024 x 768 for cross-attention, and
    2 * 768 * 3072: together 23.8 + 12 * 9.84 = 142.0 M with biases and norms.
    """
    with torch.device("meta"):
        reward = BlipReward(bert_tokenizer)
    counts = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (reward.vision, reward.text)]
    assert counts == pytest.approx([303.3, 142.0], abs=0.1)
    assert (VISION["num_hidden_layers"], TEXT["num_hidden_layers"]) == (24, 12)


def test_unknown_or_missing_weights_of_imagereward_are_named(parts: tuple[Any, Any, Any], bert_tokenizer: Any) -> None:
    with pytest.raises(InputError, match="'blip.video_encoder.norm.weight' has no place"):
        from_published({"blip.video_encoder.norm.weight": torch.ones(1)})
    state = from_published(published(parts))
    state.pop("vision.post_layernorm.bias")
    with pytest.raises(InputError, match="1 missing: vision.post_layernorm.bias"):
        fill(BlipReward(bert_tokenizer, SMALL_VISION, SMALL_TEXT), state, "test", "ImageReward")


# --- combinations ----------------------------------------------------------------------------------


def red(x: Tensor, captions: Any) -> Tensor:
    return x[:, 0].mean(dim=(1, 2))


def square(x: Tensor, captions: Any) -> Tensor:
    return x.square().mean(dim=(1, 2, 3)) + torch.tensor([float(len(caption)) for caption in captions])


def test_a_weighted_sum_is_linear_in_value_and_slope() -> None:
    both = WeightedSum([(2.0, red), (-0.5, square)])
    assert_close(both(frames(), CAPTIONS), 2 * red(frames(), None) - 0.5 * square(frames(), CAPTIONS), size=15.0)
    assert_close(slope(both), 2 * slope(red) - 0.5 * slope(square))
    assert torch.equal(both.parts(frames(), CAPTIONS)[1], square(frames(), CAPTIONS))


@pytest.mark.parametrize("terms", [[], [(float("nan"), red)], [("1", red)]])
def test_weights_that_are_no_numbers(terms: Any) -> None:
    with pytest.raises(InputError, match="finite weights"):
        WeightedSum(terms)


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_a_recomputed_reward_is_the_same_reward(chunk: int) -> None:
    seen: list[int] = []

    def counting(x: Tensor, captions: Any) -> Tensor:
        seen.append(len(x))
        return square(x, captions)

    again = Recomputed(counting, chunk)
    assert_close(again(frames(), CAPTIONS), square(frames(), CAPTIONS), n=SIZE * SIZE * 3)
    assert max(seen) <= chunk
    assert_close(slope(again), slope(square))


def test_what_is_combined_still_prepares_captions_and_leaves_the_gpu() -> None:
    calls: list[Any] = []

    class Reward:
        def __call__(self, x: Tensor, captions: Any) -> Tensor:
            return red(x, captions)

        def text_features(self, captions: Any) -> None:
            calls.append(captions)

        def offload_text(self, device: str) -> None:
            calls.append(device)

    combined = Recomputed(WeightedSum([(1.0, Reward()), (1.0, red)]))
    combined.text_features(["a fox"])
    combined.offload_text("cpu")
    assert calls == [["a fox"], "cpu"]


# --- names -----------------------------------------------------------------------------------------


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, as a user would write it."""
    name = f"own_{tmp_path.name}"
    text = "def bright(frames, captions):\n    return frames.mean(dim=(1, 2, 3))\n\n\nvalue = 3\n"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_reward_of_ones_own_by_its_name(own_module: str) -> None:
    reward = open_named(f"{own_module}:bright")
    assert_close(reward(frames(), CAPTIONS), frames().mean(dim=(1, 2, 3)))


def test_a_mixture_in_words(own_module: str, clip_folder: Path) -> None:
    mixture = open_named(f"2*{own_module}:bright + -1e-1*clip:{clip_folder}")
    expected = 2 * frames().mean(dim=(1, 2, 3)) - 0.1 * load_clip_score(clip_folder)(frames(), CAPTIONS)
    assert_close(mixture(frames(), CAPTIONS), expected, n=roundings(load_clip_score(clip_folder).model))


def test_names_with_places(clip_folder: Path) -> None:
    assert open_named(f"pickscore:{clip_folder}").scale > 10
    half = open_named(f"clip:{clip_folder}", dtype=torch.bfloat16)
    assert {p.dtype for p in half.model.parameters()} == {torch.bfloat16}


def test_a_value_is_no_reward(own_module: str) -> None:
    with pytest.raises(InputError, match="has no function 'value'"):
        open_named(f"{own_module}:value")


def test_a_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds no weights for CLIPModel"):
        open_named(f"clip:{tmp_path}")
    with pytest.raises(InputError, match="No readable reward model"):
        open_named(str(tmp_path))


def test_the_aesthetic_head_stays_in_float32_under_autocast(clip_folder: Path, tmp_path: Path) -> None:
    """A score near 5 has steps of 0.03 in bf16: as large as what a fine-tuning run moves in many steps."""
    torch.save({f"layers.{name}": t for name, t in score_head(8).state_dict().items()}, tmp_path / "head.pth")
    reward = load_aesthetic(tmp_path / "head.pth", clip_folder)
    types: list[torch.dtype] = []
    reward.head[-1].register_forward_hook(lambda _, args, result: types.append(result.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        assert reward(frames(), ["a fox"] * 3).dtype == torch.float32
    assert types == [torch.float32]


def test_imagereward_has_its_head_in_float32_under_autocast(imagereward: BlipReward) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert imagereward(frames(), ["a red fox"] * 3).dtype == torch.float32


def test_a_reward_that_is_opened_already_goes_where_the_model_is(clip_folder: Path) -> None:
    """Its docstring says that it is opened on the CPU; the frames come from the GPU. Without a device it stays."""
    reward = load_clip_score(clip_folder)
    assert open_reward(reward) is reward and reward.device.type == "cpu"
    assert open_reward(reward, "meta") is reward and reward.device.type == "meta"
    plain = lambda frames, captions: frames.mean(dim=(1, 2, 3))  # noqa: E731
    assert open_reward(plain, "meta") is plain
