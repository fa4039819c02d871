"""Training from nothing on a machine that is lent for minutes: beside the drawing, by the clock, and carried on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.text_encoder import make_text_encoder
from ivtutorial.lab.reduced_models.tokenizer import token_ids
from ivtutorial.lab.reduced_models.train_all import loop, parcel
from ivtutorial.lab.reduced_models.train_all.budget import Budget, Schedule
from ivtutorial.lab.reduced_models.train_all.encoded import Encoded
from ivtutorial.lab.reduced_models.train_all.loop import Group, Settings, TrainStep, fit_part
from ivtutorial.lab.reduced_models.train_all.parts import (
    autoencoder as ae,
    decoder as dec,
    image_model as im,
    perceptual,
    text as tx,
    video_model as vm,
)
from ivtutorial.lab.reduced_models.train_all.plan import Plan
from ivtutorial.lab.reduced_models.train_all.pool import BLOCK, Pool, PoolConfig, fill_all
from ivtutorial.lab.reduced_models.train_all.resident import ResidentPool
from ivtutorial.lab.reduced_models.train_all.run import Sizes, chosen_plan, train_all
from ivtutorial.lab.reduced_models.train_all.states import read_carried
from ivtutorial.lab.reduced_models.train_all.work import Work
from ivtutorial.lab.world.judges.features import FeatureNet
from tests.lab.reduced_models.test_train_all import TINY, tiny_plan
from tests.tolerances import assert_close

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tx.learn_tokenizer(300)


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> tuple[Pool, Pool]:
    folder = tmp_path_factory.mktemp("pool")
    both = Pool(folder, PoolConfig("frames", BLOCK + 6, 1, ("watermark",))), Pool(folder, PoolConfig("clips", 4))
    fill_all(both, tokenizer)
    return both


def test_a_pool_in_memory_answers_as_its_files_do(pools: tuple[Pool, Pool]) -> None:
    for pool in pools:
        there = ResidentPool(pool, CPU)
        assert there.ready == len(there) == pool.ready
        rng = np.random.default_rng(0)
        index, frame = rng.integers(len(pool), size=9), rng.integers(pool.config.frames, size=9)
        for ours, theirs in zip(there.frames(index, frame), pool.frames(index, frame)):
            assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
        assert torch.equal(there.labels(index), pool.labels(index))


def test_a_pool_in_memory_grows_as_it_is_drawn(tmp_path: Path, tokenizer: Any) -> None:
    pool, looks = Pool(tmp_path, PoolConfig("frames", 3 * BLOCK, 1)), []

    def draw_one() -> None:
        looks.append(len(looks))
        if len(looks) == 3:
            raise InputError("drawing failed")
        pool.fill_block({0: 1, 1: 0}[looks[-1]], tokenizer)

    there = ResidentPool(pool, CPU, draw_one)
    assert there.ready == 2 * BLOCK and looks == [0, 1], "the second block alone is no beginning"
    with pytest.raises(InputError, match="drawing failed"):
        _ = ResidentPool(Pool(tmp_path / "other", PoolConfig("frames", 8, 1)), CPU, draw_one).ready
    pool.fill_block(2, tokenizer)
    deadline = time.monotonic() + 20
    while there.ready < len(pool):
        assert time.monotonic() < deadline
    assert torch.equal(there.frames(np.array([130]), np.array([0]))[0], pool.frames(np.array([130]), np.array([0]))[0])


def test_pools_are_drawn_side_by_side(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    both = Pool(tmp_path, PoolConfig("frames", 4 * BLOCK, 1)), Pool(tmp_path, PoolConfig("clips", 2 * BLOCK))
    drawn: list[tuple[str, int]] = []
    monkeypatch.setattr(Pool, "fill_block", lambda self, block, _: drawn.append((self.config.name, block)))
    fill_all(both, tokenizer, 0, 2)
    fill_all(both, tokenizer, 1, 2)
    assert sorted(drawn) == [("clips", 0), ("clips", 1), *(("frames", b) for b in range(4))]
    drawn.clear()
    fill_all(both, tokenizer)
    assert [name for name, _ in drawn] == ["frames", "clips", "frames", "frames", "clips", "frames"]


def fit(folder: Path, budget: Budget, saved: Callable[[], None] | None = None) -> nn.Linear:
    """Fit y = x; the weight starts at 3."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 3.0)

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        return (model.weight - 1).square().sum(), {"lr": torch.tensor(optimizer[0].param_groups[0]["lr"])}

    optimizer = im.adamw(model, 1e-2)
    settings = Settings(batch=4, schedule=Schedule(warmup=10), bf16=False, log_every=1, save_minutes=60)
    fit_part(model, loss, optimizer, settings, budget, folder, "line", Group(), None, saved)
    return model


def test_a_training_goes_on_from_what_is_carried_after_a_warm_up(tmp_path: Path) -> None:
    packed = []
    model = fit(tmp_path / "a", Budget(steps=40), lambda: packed.append(1))
    assert packed == [1]
    tensors, facts = read_carried(tmp_path / "a" / "line.carried.safetensors")
    assert tensors["weight"].dtype == torch.float16 and torch.equal(tensors["weight"], model.weight.half())
    assert facts["step"] == 40
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "line.carried.safetensors").rename(tmp_path / "b" / "line.carried.safetensors")
    further = fit(tmp_path / "b", Budget(steps=200))
    assert (further.weight - 1).abs() < (model.weight - 1).abs()
    rows = [json.loads(line) for line in (tmp_path / "b" / "line.log.jsonl").read_text().splitlines()]
    assert rows[0]["step"] == 41 and rows[0]["lr"] == pytest.approx(1e-3), "a tenth of the rate, at once"
    assert rows[9]["lr"] == pytest.approx(1e-2)
    with pytest.raises(InputError, match="cannot read the state .*carried"):
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "line.carried.safetensors").write_bytes(b"\0" * 9)
        fit(tmp_path / "c", Budget(steps=2))


def test_a_stage_gets_its_share_of_the_minutes_that_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes from the command's beginning, of which the last 15 s are kept free; three minutes are over."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    plan = replace(Plan(), shares={"text": 1, "features": 1, "autoencoder": 2, "image": 3, "video": 2, "decoder": 1})
    work = Work(tmp_path, plan, Budget(minutes=10, since=now - 180), Group())
    assert work.seconds_left() == pytest.approx(600 - 180 - 15)
    assert work.stage_budget("image").minutes == pytest.approx(405 / 60 * 3 / 6)
    monkeypatch.setattr("ivtutorial.lab.reduced_models.train_all.work.seconds_had", lambda *_: 30.0)
    assert work.stage_budget("decoder").minutes == pytest.approx((30 + 405) / 60), "with what it has had before"
    now = 2000.0
    with pytest.raises(InputError, match="the 10 minutes are over before stage video; nothing is lost"):
        work.stage_budget("video")


def test_plans_are_read_as_they_were_written(tmp_path: Path) -> None:
    for plan in (Plan(), Plan.for_gpu(), Plan.rehearsal(), tiny_plan()):
        assert replace(Plan.from_json(plan.to_json()), save_minutes=plan.save_minutes) == replace(
            plan, check_minutes=Plan().check_minutes
        )
    older = json.loads(Plan().to_json())
    del older["shares"]
    assert Plan.from_json(json.dumps(older)) == Plan(), "the plan of a training that was begun before"
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "plan.json").write_text(json.dumps(older))
    (begun / "stages.json").write_text('{"draw": {}}')
    train_all(begun, chosen_plan(begun, "cpu"), Budget(steps=1), until="draw")
    assert json.loads((begun / "plan.json").read_text()) == older, "left as it is"
    with pytest.raises(InputError, match="a plan has no widths; there are frames"):
        Plan.from_json('{"widths": [1]}')
    (tmp_path / "plan.json").write_text(replace(Plan.for_gpu(), seed=4).to_json())
    again = chosen_plan(tmp_path, "cpu", Sizes(frames=100))
    assert again.seed == 4 and again.batches == Plan.for_gpu().batches and again.frames == 100


def write_weights(path: Path, count: int) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"w{k}": torch.full((8, 64), k + 0.1) for k in range(count)}, path)  # 1 kB each in half precision


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A training whose video stage is under way."""
    folder = tmp_path / "begun"
    write_weights(folder / "vae" / "diffusion_pytorch_model.safetensors", 3)
    write_weights(folder / "image_unet" / "diffusion_pytorch_model.safetensors", 9)
    write_weights(folder / "image.carried.safetensors", 9)
    write_weights(folder / "video.carried.safetensors", 5)
    (folder / "vae" / "config.json").write_text("{}")
    (folder / "plan.json").write_text(Plan().to_json())
    stages = dict.fromkeys(("draw", "text", "features", "autoencoder", "encode", "image"), {"seconds": 1.0})
    (folder / "stages.json").write_text(json.dumps(stages))
    (folder / "image.log.jsonl").write_text('{"step": 50}\n')
    return folder


def test_a_parcel_is_few_small_files_and_holds_all_that_is_needed(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "LARGEST_PART", 5000)
    for _ in range(2):
        parcel.pack(begun, tmp_path / "p")
    files = sorted((tmp_path / "p").iterdir())
    assert [path.name for path in files] == ["parcel.json", *(f"weights-{k}.safetensors" for k in range(1, 6))]
    assert all(path.stat().st_size < 6500 for path in files)
    assert parcel.unpack(tmp_path / "p", tmp_path / "there")
    names = {str(path.relative_to(tmp_path / "there")) for path in (tmp_path / "there").rglob("*") if path.is_file()}
    kept = {str(path.relative_to(begun)) for path in begun.rglob("*") if path.is_file()}
    assert names == kept - {"image.carried.safetensors"}, "a finished stage has its weights"
    from safetensors.torch import load_file

    name = "image_unet/diffusion_pytorch_model.safetensors"
    theirs, ours = load_file(tmp_path / "there" / name), load_file(begun / name)
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[k], ours[k].half()) for k in ours)
    stages = json.loads((tmp_path / "there" / "stages.json").read_text())
    assert [*stages] == ["text", "features", "autoencoder", "image"], "pictures and latents are made anew"
    assert not parcel.unpack(tmp_path / "p", begun), "what was begun here goes on"


def test_a_parcel_in_disorder_is_one_clear_error(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="holds no parcel"):
        parcel.unpack(tmp_path, tmp_path / "there")
    monkeypatch.setattr(parcel, "LARGEST_PART", 5000)
    parcel.pack(begun, tmp_path / "p")
    second = tmp_path / "p" / "weights-2.safetensors"
    whole = second.read_bytes()
    second.write_bytes(whole[:900])
    with pytest.raises(InputError, match=r"cannot read .*weights-2.*copy it again"):
        parcel.unpack(tmp_path / "p", tmp_path / "there")
    second.unlink()
    with pytest.raises(InputError, match="is not whole: 4 tensors are missing"):
        parcel.unpack(tmp_path / "p", tmp_path / "there")
    assert not (tmp_path / "there").exists()
    before = {path.name: path.read_bytes() for path in (tmp_path / "p").iterdir()}
    monkeypatch.setattr(parcel, "MOST_FILES", 4)
    with pytest.raises(InputError, match=r"MiB in 6 files; at most 53 MiB in 4 are allowed"):
        parcel.pack(begun, tmp_path / "p")
    assert {path.name: path.read_bytes() for path in (tmp_path / "p").iterdir()} == before
    with pytest.raises(InputError, match="a alone has 9 bytes"):
        parcel.bins({"a": 9}, 8)


def test_the_largest_parcel_of_the_plan_for_a_gpu_is_within_its_limits() -> None:
    """While the decoder trains: text encoder, features, autoencoder twice (once with its critic), image and video
    networks, two bytes a weight. 64 MiB in 8 files may come back, a leftover of a kill included."""
    plan = Plan.for_gpu()
    with torch.device("meta"):
        vae = ae.make_autoencoder(replace(plan.autoencoder, latents=plan.channels))
        image = im.new_image_unet(plan.channels, 96, plan.image.widths)
        video = vm.new_video_unet(plan.channels, 96, plan.image.widths)
        parts = [vae, dec.DecoderAndCritic(vae), image, video, FeatureNet()]
    sizes = {f"{k}.{n}": 2 * v.numel() for k, part in enumerate(parts) for n, v in part.state_dict().items()}
    files = parcel.bins(sizes, parcel.LARGEST_PART)
    assert sum(sizes.values()) + 3 * 2**20 < parcel.MOST_BYTES and len(files) + 1 <= parcel.MOST_FILES
    assert parcel.MOST_BYTES + parcel.LARGEST_PART <= 63 * 2**20 and parcel.MOST_FILES + 1 <= 8


def test_a_training_beside_the_drawing_is_carried_to_another_folder_and_finished(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    train_all(here, tiny_plan(), Budget(steps=2), until="image", beside=True, parcel=tmp_path / "parcel")
    assert [*json.loads((here / "stages.json").read_text())][:4] == ["text", "features", "autoencoder", "draw"]
    assert parcel.unpack(tmp_path / "parcel", there)
    kept = (there / "image_unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    plan = chosen_plan(there, "cpu", Sizes(frames=80, clips=6))
    train_all(there, plan, Budget(steps=2), beside=True, parcel=tmp_path / "parcel")
    assert (there / "image_unet" / "diffusion_pytorch_model.safetensors").read_bytes() == kept
    assert parcel.unpack(tmp_path / "parcel", tmp_path / "home")
    train_all(tmp_path / "home", chosen_plan(tmp_path / "home", "cpu"), Budget(steps=2))
    assert not (tmp_path / "home" / "pool").exists(), "with everything trained nothing is drawn"
    weights = "models/reduced/unet/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "home" / weights).read_bytes() == (there / weights).read_bytes()
    with pytest.raises(InputError, match="another plan"):
        train_all(there, replace(plan, frames=81), Budget(steps=2))


class Handed(TorchDispatchMode):
    """Fails where a tensor goes to another device by another way than `to_device`, or comes back.

    The device `meta` stands for a GPU: reading a number from it raises by itself, as a GPU's would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._schema.name in ("aten::_to_copy", "aten::copy_") and isinstance(args[0], Tensor):
            source = args[1] if func._schema.name == "aten::copy_" else args[0]
            if source.device != out.device:
                names, frame = set(), sys._getframe()
                while frame is not None:
                    names.add(frame.f_code.co_name)
                    frame = frame.f_back  # type: ignore[assignment]
                assert "to_device" in names, f"{source.shape} goes from {source.device} to {out.device}"
                self.count += 1
        return out


class MetaStep(TrainStep):
    """A step whose numbers have no values."""

    def __init__(self, progress: float = 0.9) -> None:
        self.number, self.progress, self.batch = 3, progress, 8
        self.group, self.rng = Group(device=torch.device("meta")), np.random.default_rng(0)

    def normal(self, like: Tensor) -> Tensor:
        return torch.empty_like(like)

    def uniform(self, count: int) -> Tensor:
        return torch.empty(count, device="meta")


def test_no_stage_waits_for_the_gpu(
    pools: tuple[Pool, Pool], tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every number that a step hands to the GPU goes through `to_device`, from pinned memory; none comes back."""
    meta = torch.device("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # `meta` has none
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    there = tuple(ResidentPool(pool, meta) for pool in pools)
    assert all(pool.ready == len(pool) for pool in there)
    encoded = tuple(Encoded(tmp_path, pool, 4).to(meta) for pool in pools)
    reader = tx.Reader(make_text_encoder(tokenizer)).to(meta)
    texts = im.Texts(make_text_encoder(tokenizer), token_ids(tokenizer, [""])).to(meta)
    width = texts.encoder.config.hidden_size
    net = FeatureNet().to(meta)
    config = replace(TINY, latents=4, nested=(2,))
    noisy = ae.NoisyAutoencoder(ae.make_autoencoder(config), config).to(meta)
    image, video = im.new_image_unet(4, width, (16, 32)).to(meta), vm.new_video_unet(4, width, (16, 32)).to(meta)
    critic = dec.DecoderAndCritic(ae.make_autoencoder(config)).to(meta)
    from ivtutorial.lab.reduced_models.train_all.stages import PooledLatents

    draw = PooledLatents(there, encoded, texts).draw  # type: ignore[arg-type]
    empty = torch.empty(1, 24, width, device=meta)
    losses = {
        "text": tx.text_loss(reader, tokenizer),
        "features": perceptual.feature_loss(net, perceptual.Labelled(*there)),
        "autoencoder": ae.autoencoder_loss(noisy, ae.PoolPairs(*there), net.features),
        "image": im.image_loss(image, texts, *encoded, im.ImageConfig(), meta),
        "video": vm.video_loss(video, texts, *encoded, vm.VideoConfig(), meta),
        "decoder": dec.decoder_loss(critic, image, empty, draw, dec.DecoderConfig(), net.features),
    }  # fmt: skip
    for name, loss in losses.items():
        with Handed() as handed:
            value, numbers = loss(MetaStep())
            value.backward()  # type: ignore[no-untyped-call]
        assert value.device == meta and handed.count >= 3, name
        assert all(number.device == meta and not number.requires_grad for number in numbers.values()), name
    assert loop.to_device(np.arange(3), CPU).tolist() == [0, 1, 2]


def test_norms_on_a_gpu_keep_to_half_precision_and_to_their_numbers() -> None:
    """On `meta`, which stands for a GPU; the class works on any device."""
    torch.manual_seed(0)
    small = ae.make_autoencoder(TINY)
    names = [*small.state_dict()]
    placed = im.on_device(small, torch.device("meta"))
    assert [*placed.state_dict()] == names
    assert not any(type(module) is nn.GroupNorm for module in placed.modules())
    plain = nn.GroupNorm(2, 8)
    nn.init.normal_(plain.weight)
    norm = im.HalfGroupNorm(2, 8)
    norm.load_state_dict(plain.state_dict())
    x = torch.randn(3, 8, 4, 4)
    assert_close(norm(x), plain(x), x[0].numel())
    with torch.autocast("cpu", torch.bfloat16):
        half = norm(x)
    half.sum().backward()
    assert half.dtype == torch.bfloat16 and norm.weight.grad is not None and norm.weight.grad.dtype == torch.float32
    torch.testing.assert_close(half.float(), plain(x), rtol=0.02, atol=0.02)


def test_a_network_with_its_channels_last_is_saved(tmp_path: Path) -> None:
    """As `place` makes it on a GPU; safetensors takes tensors in order only."""
    from diffusers import AutoencoderKL

    vae = ae.make_autoencoder(TINY).to(memory_format=torch.channels_last)
    assert not vae.encoder.conv_in.weight.is_contiguous()
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    Work(tmp_path, Plan(), Budget(steps=1), Group()).save(vae, "vae")
    after = AutoencoderKL.from_pretrained(tmp_path / "vae").state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
