"""Training of the reduced models: exact resumption, inflation and widening as identities, the tokenizer's promises."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet3DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models import loop as training, reward as train_reward
from ivtutorial.lab.reduced_models.latent_store import build_store
from ivtutorial.lab.reduced_models.stages import STAGES, train_model
from ivtutorial.lab.reduced_models.tokenizer import END, make_tokenizer, save_tokenizer
from ivtutorial.lab.reduced_models.vae import widen
from ivtutorial.lab.reduced_models.video_model import inflate, spatial_state, v_loss
from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.rewards.clip import WEIGHTS_FILE, ClipReward
from ivtutorial.system.files import data_path
from tests.tolerances import assert_close, roundings


class Stop(Exception):
    pass


def run(folder: Path, steps: int = 40, stop_at: int | None = None, every: int = 1) -> Tensor:
    """Fit a line to noisy points; the noise comes from both generators that a loss may use."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)

    def loss(step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        if step == stop_at:
            raise Stop
        x = torch.from_numpy(rng.standard_normal((8, 3)).astype(np.float32))
        y = x.sum(1, keepdim=True) + 0.1 * torch.randn(8, 1)
        return (model(x) - y).square().mean(), {}

    config = training.TrainConfig(steps=steps, batch=8, lr=1e-2, warmup=5, every=every)
    training.train(model, loss, config, folder, "line")
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def test_a_run_that_was_cut_off_goes_on_bit_for_bit(tmp_path: Path) -> None:
    unbroken = run(tmp_path / "a")
    with pytest.raises(Stop):
        run(tmp_path / "b", stop_at=27)
    assert torch.equal(run(tmp_path / "b"), unbroken)
    steps = [json.loads(line)["step"] for line in (tmp_path / "b" / "line.log.jsonl").read_text().splitlines()]
    assert steps[-1] == 40


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    config = training.TrainConfig(steps=2, batch=1, lr=1e-2)
    with pytest.raises(InputError, match="another architecture"):
        training.train(nn.Linear(4, 1), lambda s, r: (torch.zeros(()), {}), config, tmp_path, "line")


def test_learning_rate_warms_up_and_falls() -> None:
    """lr (s+1)/w in the warm-up; half way along the cosine (floor + 1)/2 of the peak; the floor at the end."""
    config = training.TrainConfig(steps=110, batch=1, lr=1.0, warmup=10, floor=0.1)
    assert config.lr_at(4) == pytest.approx(0.5) and config.lr_at(10) == pytest.approx(1.0)
    assert config.lr_at(60) == pytest.approx(0.55) and config.lr_at(110) == pytest.approx(0.1)
    with pytest.raises(InputError, match="positive"):
        training.TrainConfig(steps=0, batch=1, lr=1.0)


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


def test_a_perfect_prediction_of_v_has_no_loss() -> None:
    """A network that knows z finds eps in z_t = sqrt(abar) z + sqrt(1 - abar) eps, and with it the wanted v."""
    scheduler, z = make_scheduler("v_prediction"), torch.randn(3, 4, 8, 8)

    class Oracle(nn.Module):
        def forward(self, noisy: Tensor, t: Tensor, text: Tensor) -> object:
            a = scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
            eps = (noisy - a.sqrt() * z) / (1 - a).sqrt()
            return type("Out", (), {"sample": a.sqrt() * eps - (1 - a).sqrt() * z})

    torch.manual_seed(1)
    assert float(v_loss(Oracle(), scheduler, z, torch.zeros(3, 1, 1))) < 1e-6


def small_vae(channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels, norm_num_groups=4, layers_per_block=1,
    ).eval()  # fmt: skip


def test_a_widened_autoencoder_starts_as_the_narrow_one() -> None:
    torch.manual_seed(0)
    narrow, x = small_vae(3), torch.rand(2, 3, 16, 16)
    wide = widen(small_vae(5), narrow)
    with torch.no_grad():
        a, b = narrow.encode(x).latent_dist, wide.encode(x).latent_dist
        n = roundings(wide)
        assert_close((b.mean[:, :3], b.logvar[:, :3]), (a.mean, a.logvar), n)
        assert_close(wide.decode(b.mean).sample, narrow.decode(a.mean).sample, n)
    assert b.mean[:, 3:].abs().max() > 0, "the new channels must carry something to learn from"


def test_store_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    small_vae(3).save_pretrained(tmp_path / "vae")
    whole = build_store(tmp_path / "one", tmp_path / "vae", clips=3)
    assert whole.latents.shape == (3, 3, 16, 32, 32) and len(whole) == 3
    before = (tmp_path / "one" / "latents.npy").stat().st_mtime_ns
    again = build_store(tmp_path / "one", tmp_path / "vae", clips=3)
    assert (tmp_path / "one" / "latents.npy").stat().st_mtime_ns == before
    assert torch.equal(again.clips(np.array([2]))[0, :, 7], again.single_frames(np.array([2]), np.array([7]))[0])
    assert all(f.subject in c or c for f, c in zip(again.facts, again.captions(np.arange(3), np.random.default_rng(0))))


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


def test_a_continued_training_tells_what_came_before(tmp_path: Path) -> None:
    """Seconds add up (40 + 60 = 100 before the third run) and each earlier run has its line in the history."""
    config = training.TrainConfig(steps=3, batch=2, lr=1e-3)
    for generation, (seconds, start) in enumerate([(40.0, None), (60.0, "g0"), (5.0, "g1")]):
        work = tmp_path / f"run{generation}"
        work.mkdir()
        (work / "line.log.jsonl").write_text(json.dumps({"step": 3, "seconds": seconds}) + "\n")
        (tmp_path / f"g{generation}").mkdir()
        init = tmp_path / start if start else None
        training.record(work / "line" / "training.json", "line", config, init)
        (work / "line" / "training.json").rename(tmp_path / f"g{generation}" / "training.json")
    last = json.loads((tmp_path / "g2" / "training.json").read_text())
    assert last["seconds"] == 5 and last["seconds_before"] == 100
    assert len(last["history"]) == 2 and all("3 steps of 2 samples" in line for line in last["history"])


def test_only_a_model_with_weights_can_be_continued(tmp_path: Path) -> None:
    config = training.TrainConfig(steps=1, batch=1, lr=1e-3)
    with pytest.raises(InputError, match="holds no diffusion_pytorch_model.safetensors"):
        train_model("vae", tmp_path, config, tmp_path / "nothing")


def test_the_reward_is_trained_by_its_name_and_opens_as_a_reward(tmp_path: Path) -> None:
    """Two steps: one on captions, one on preferences. What is stored scores frames as any other reward does."""
    shutil.copytree(data_path("models", "reduced") / "tokenizer", tmp_path / "tokenizer")
    train_model("reward", tmp_path, training.TrainConfig(steps=2, batch=8, lr=1e-4))
    scores = ClipReward.from_folder(tmp_path / "reward")(torch.rand(2, 3, 64, 64), ["a red fox", "a boat"])
    assert scores.shape == (2,) and scores.isfinite().all()
    shipped = {path.name for path in data_path("models", "reward").iterdir()}
    assert shipped - {path.name for path in (tmp_path / "reward").iterdir()} == {"README.md"}


@pytest.mark.parametrize("name", STAGES)
def test_every_training_is_where_its_name_says(name: str) -> None:
    module, function = STAGES[name][0].split(".")
    assert callable(getattr(import_module(f"ivtutorial.lab.reduced_models.{module}"), function))


def test_a_part_of_a_shipped_pipeline_brings_its_record(tmp_path: Path) -> None:
    """The pipeline's one training.json has a record a part: vae trained 7 steps of 4 x 2 = 8 samples."""
    config = {"steps": 7, "batch": 4, "lr": 0.5}
    part = {"config": config, "processes": 2, "seconds": 3.0, "date": "a day", "hardware": "a machine"}
    (tmp_path / "training.json").write_text(json.dumps({"vae": part}))
    work = tmp_path / "work"
    work.mkdir()
    (work / "line.log.jsonl").write_text(json.dumps({"step": 1, "seconds": 1.0}) + "\n")
    (work / "line").mkdir()
    training.record(work / "line" / "training.json", "line", training.TrainConfig(1, 1, 1.0), tmp_path / "vae")
    found = json.loads((work / "line" / "training.json").read_text())
    assert found["seconds_before"] == 3.0 and "7 steps of 8 samples" in found["history"][0]


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
