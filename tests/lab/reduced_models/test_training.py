"""Training of the reduced models: inflation as identity, what is predicted, the tokenizer's promises, mixed rewards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet3DConditionModel
from safetensors.torch import load_file, save_file

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models import reward as train_reward
from ivtutorial.lab.reduced_models.tokenizer import END, make_tokenizer, save_tokenizer
from ivtutorial.lab.reduced_models.video_model import inflate, spatial_state, v_pair
from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.rewards.clip import WEIGHTS_FILE
from tests.tolerances import assert_close, roundings


def unets() -> tuple[UNet2DConditionModel, UNet3DConditionModel]:
    torch.manual_seed(0)
    image = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=12, attention_head_dim=(2, 4), use_linear_projection=True,
    )  # fmt: skip
    video = UNet3DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock3D",) * 2, up_block_types=("CrossAttnUpBlock3D",) * 2,
        cross_attention_dim=12, attention_head_dim=8,
    )  # fmt: skip
    return image.eval(), video.eval()


def test_an_inflated_model_treats_a_clip_as_its_frames() -> None:
    """Before any training on clips, the video model's output for a clip is the image model's for each frame."""
    image, video = unets()
    inflate(image, video)
    z, text, t = torch.randn(2, 4, 5, 8, 8), torch.randn(2, 7, 12), torch.tensor([10, 700])
    with torch.no_grad():
        clip = video(z, t, text).sample
        frames = torch.stack([image(z[:, :, f], t, text).sample for f in range(5)], 2)
    assert_close(clip, frames, n=roundings(video))


def test_the_spatial_weights_of_an_inflated_model_are_the_image_model() -> None:
    image, video = unets()
    state = spatial_state(inflate(image, video))
    assert state.keys() == image.state_dict().keys()
    assert all(torch.equal(v, image.state_dict()[k]) for k, v in state.items())


def test_models_that_do_not_correspond_are_refused() -> None:
    image, video = unets()
    wider = UNet2DConditionModel(**{**image.config, "layers_per_block": 2})
    with pytest.raises(ValueError, match="do not correspond"):
        inflate(wider, video)


def test_v_points_from_the_clip_to_the_noise() -> None:
    """z = sqrt(abar) z_t - sqrt(1 - abar) v and eps = sqrt(1 - abar) z_t + sqrt(abar) v give both back."""
    scheduler, z, t = make_scheduler("v_prediction"), torch.randn(3, 4, 8, 8), torch.tensor([1, 500, 999])
    noise = torch.randn(3, 4, 8, 8)
    noisy, v = v_pair(scheduler, z, noise, t)
    a = scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    assert_close((a.sqrt() * noisy - (1 - a).sqrt() * v, (1 - a).sqrt() * noisy + a.sqrt() * v), (z, noise), n=8)


def test_tokenizer_has_one_token_a_word_and_takes_anything(tmp_path: Path) -> None:
    """A caption has two tokens more than words; emoji and accents fall apart into bytes and come back."""
    tokenizer = make_tokenizer(captions=4000)
    text = "a white hippopotamus coming closer in the snow"
    assert len(tokenizer(text).input_ids) == len(text.split()) + 2
    odd = "un étrange 🦊 ¡"
    ids = tokenizer(odd).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == odd
    assert max(tokenizer.get_vocab().values()) == tokenizer.convert_tokens_to_ids(END)
    save_tokenizer(tokenizer, tmp_path)
    reread = type(tokenizer).from_pretrained(tmp_path)
    assert reread(odd).input_ids == ids and reread.model_max_length == 24
    (tmp_path / "tokenizer.json").unlink()
    assert type(tokenizer).from_pretrained(tmp_path)(odd).input_ids == ids


def test_mixed_rewards_lie_between_the_two(tmp_path: Path) -> None:
    """A weight of 1 before and 3 after is 2.5 with three quarters of the later one."""
    for name, value in (("before", 1.0), ("after", 3.0)):
        (tmp_path / name).mkdir()
        save_file({"w": torch.full((2,), value).half()}, tmp_path / name / WEIGHTS_FILE)
        (tmp_path / name / "training.json").write_text('{"date": "now"}')
    train_reward.mix_weights(tmp_path / "before", tmp_path / "after", 0.75, tmp_path / "mixed")
    assert load_file(tmp_path / "mixed" / WEIGHTS_FILE)["w"].tolist() == [2.5, 2.5]
    assert json.loads((tmp_path / "mixed" / "training.json").read_text())["share_of_tuned_weights"] == 0.75
    with pytest.raises(InputError, match="from 0"):
        train_reward.mix_weights(tmp_path / "before", tmp_path / "after", 1.5, tmp_path / "x")
    save_file({"w": torch.zeros(3).half()}, tmp_path / "before" / WEIGHTS_FILE)
    with pytest.raises(InputError, match="other shapes"):
        train_reward.mix_weights(tmp_path / "before", tmp_path / "after", 0.5, tmp_path / "x")
    with pytest.raises(InputError, match="no open_clip_model"):
        train_reward.mix_weights(tmp_path / "nowhere", tmp_path / "after", 0.5, tmp_path / "x")
