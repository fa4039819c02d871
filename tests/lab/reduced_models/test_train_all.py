"""The training from nothing: pools by name, budgets, exact resumption, latent spaces, noise levels, one whole run."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.train_all.budget import Budget, Schedule, parse_budget
from ivtutorial.lab.reduced_models.train_all.loop import Group, Settings, TrainStep, fit_part
from ivtutorial.lab.reduced_models.train_all.parts.autoencoder import (
    AutoencoderConfig,
    make_autoencoder,
    picture_loss,
    pixel_weights,
)
from ivtutorial.lab.reduced_models.train_all.parts.decoder import noised_and_back
from ivtutorial.lab.reduced_models.train_all.parts.image_model import adamw, new_image_unet
from ivtutorial.lab.reduced_models.train_all.parts.latent_space import keep_channels, whiten
from ivtutorial.lab.reduced_models.train_all.parts.noise_levels import NoiseLevels
from ivtutorial.lab.reduced_models.train_all.parts.text import learn_tokenizer
from ivtutorial.lab.reduced_models.train_all.parts.video_model import (
    VideoConfig,
    from_image_unet,
    spatial_twin,
    video_optimizers,
)
from ivtutorial.lab.reduced_models.train_all.plan import Plan
from ivtutorial.lab.reduced_models.train_all.pool import BLOCK, Pool, PoolConfig, content, draw_entry
from ivtutorial.lab.reduced_models.train_all.run import check_start, train_all
from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.subjects import ALL, subject
from ivtutorial.lab.world.training_captions import FAULT_WORDS, full_caption, training_caption
from ivtutorial.lab.world.web_faults import WebFaults
from ivtutorial.method.noise import level
from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.system.processes import launch
from tests.tolerances import FEW, assert_close, roundings

TINY = AutoencoderConfig(widths=(8, 8, 16, 16), latents=12, nested=(4, 8))


class Stop(Exception):
    pass


def fit_line(folder: Path, steps: int = 40, stop_at: int | None = None, slowly: bool = False) -> Tensor:
    """Fit a line to noisy points, with draws of every kind that a loss may make."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    group = Group.current(torch.device("cpu"))

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        if step.number == stop_at:
            raise Stop
        x = torch.from_numpy(step.own(step.rng.standard_normal((8, 3)).astype(np.float32)))
        y = x.sum(1, keepdim=True) + 0.1 * step.normal(x[:, :1]) + step.uniform(len(x))[:, None]
        return (model(x) - y).square().mean(), {"x": x.mean()}

    # Slowly: a state now and then; else one after every step.
    often = 0.005 if slowly else 0
    settings = Settings(batch=8, schedule=Schedule(warmup=5), bf16=False, log_every=10, save_minutes=often)
    fit_part(model, loss, adamw(model, 1e-2), settings, Budget(steps=steps), folder, "line", group)
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def test_a_training_killed_at_any_step_equals_an_unbroken_one(tmp_path: Path) -> None:
    unbroken = fit_line(tmp_path / "a")
    for stop_at in (3, 7, 22, 31, 39):
        with pytest.raises(Stop):
            fit_line(tmp_path / "b", stop_at=stop_at)
    assert torch.equal(fit_line(tmp_path / "b"), unbroken)
    logged = [json.loads(line)["step"] for line in (tmp_path / "b" / "line.log.jsonl").read_text().splitlines()]
    assert logged[-1] == 40


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    alone = fit_line(tmp_path / "a")
    first, second = launch(fit_line, 2, tmp_path / "b")
    assert torch.equal(first, second)
    assert_close(first, alone, n=40 * FEW)  # 40 steps


def test_a_larger_budget_goes_back_to_the_plateau(tmp_path: Path) -> None:
    at_once = fit_line(tmp_path / "a", steps=80)
    fit_line(tmp_path / "b", steps=40)
    assert torch.equal(fit_line(tmp_path / "b", steps=80), at_once)


def test_the_batch_must_be_shared_evenly(tmp_path: Path) -> None:
    settings = Settings(batch=9)
    model = nn.Linear(1, 1)
    with pytest.raises(InputError, match="9 cannot be shared among 2"):
        fit_part(model, lambda s: (s, {}), adamw(model, 1.0), settings, Budget(steps=1), tmp_path, "x", Group(size=2))  # type: ignore[arg-type,return-value]


def test_states_that_cannot_be_continued_are_refused_and_kept(tmp_path: Path) -> None:
    old = tmp_path / "vae.state.pt"
    torch.save({"step": 3, "parameters": [torch.zeros(2)]}, old)
    before = old.read_bytes()
    with pytest.raises(InputError, match="older generation"):
        check_start(tmp_path, Budget(core_hours=1))
    old.write_bytes(before[:40])
    with pytest.raises(InputError, match="cannot read the state"):
        check_start(tmp_path, Budget(core_hours=1))
    assert old.read_bytes() == before[:40]


def test_a_full_disk_is_noticed_before_anything_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(InputError, match=r"cannot make .*pixels.bin of 0.0 GB: No space left"):
        Pool(tmp_path, PoolConfig("frames", 10, 1))
    assert not (tmp_path / "frames" / "pixels.bin").exists()


KILLED = """
import sys, torch
from pathlib import Path
from tests.lab.reduced_models.test_train_all import fit_line
torch.set_num_threads(1)
fit_line(Path(sys.argv[1]), steps=800, slowly=True)
"""


def test_kill_9_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    unbroken = fit_line(tmp_path / "a", steps=800, slowly=True)
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    state, killed = tmp_path / "b" / "line.state.pt", 0
    for k in range(2):
        before = state.stat().st_mtime_ns if state.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "b")], env=environment)
        while process.poll() is None and not (state.exists() and state.stat().st_mtime_ns > before):
            time.sleep(0.01)
        time.sleep(0.05 * k)
        killed += process.poll() is None
        process.kill()
        process.wait()
    assert killed
    assert torch.equal(fit_line(tmp_path / "b", steps=800, slowly=True), unbroken)
    assert not list((tmp_path / "b").glob("*.tmp.*"))


@pytest.mark.parametrize("budget", [Budget(minutes=0.1), Budget(core_hours=0.001)])
def test_a_budget_for_nothing_is_refused(tmp_path: Path, budget: Budget) -> None:
    with pytest.raises(InputError, match="too few to train anything"):
        check_start(tmp_path, budget)
    with pytest.raises(InputError, match="one positive number"):
        Budget(steps=3, minutes=1)
    with pytest.raises(InputError, match="one positive number"):
        Budget(core_hours=0)


def test_the_rate_warms_up_stays_and_falls() -> None:
    schedule = Schedule(warmup=10, decay=0.25, floor=0.01)
    assert [schedule.factor(k, 0.0) for k in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert schedule.factor(500, 0.2) == schedule.factor(900, 0.75) == 1.0
    assert schedule.factor(900, 0.875) == pytest.approx(0.5)
    assert schedule.factor(999, 1.0) == 0.01


def test_budgets_count_what_they_say() -> None:
    assert Budget(core_hours=2).progress(5, core_seconds=3600, seconds=1) == 0.5
    assert Budget(minutes=2).progress(5, core_seconds=9999, seconds=90) == 0.75
    assert Budget(steps=10).progress(5, 0, 0) == 0.5
    assert Budget(core_hours=10).part(0.3).core_hours == pytest.approx(3)


def test_budgets_are_read_from_the_command_line() -> None:
    assert parse_budget(None, None).core_hours == 30
    assert parse_budget("90m", None).core_hours == 1.5
    assert parse_budget(None, 9.5).minutes == 9.5
    for wrong in ("30", "h", "-1h", "3x", "nanh"):
        with pytest.raises(InputError, match="--budget|positive"):
            parse_budget(wrong, None)
    with pytest.raises(InputError, match="not both"):
        parse_budget("3h", 4)


def test_stratified_noise_levels_follow_their_distribution_in_every_batch() -> None:
    bars = make_scheduler("v_prediction").alphas_cumprod.double().numpy()
    levels = NoiseLevels(mean=0.5, spread=2.0, uniform=0.2)
    wanted = levels.probabilities(bars)
    assert wanted.sum() == pytest.approx(1) and wanted.min() >= 0.2 / 1000
    snr = np.log(bars / (1 - bars))
    shares = [wanted[(snr >= low) & (snr < high)].sum() for low, high in ((-9, -2), (-2, 0), (0, 2), (2, 9))]
    np.testing.assert_allclose(shares, (0.15, 0.30, 0.35, 0.20), atol=0.03)
    for seed in range(5):
        t = levels.draw(bars, 64, np.random.default_rng(seed))
        # One sample in each 64th of the distribution, whatever the seed, and in no order.
        place = np.floor(np.sort(np.cumsum(wanted)[t] * 64 - 1e-9)).astype(int)
        assert np.abs(place - np.arange(64)).max() <= 1
        assert (np.diff(t) < 0).any() and (np.diff(t) > 0).any()


def test_clips_depend_on_names_not_on_sizes(tmp_path: Path) -> None:
    small, large = PoolConfig("clips", 70), PoolConfig("clips", 7000)
    assert [content(small, k) for k in (0, 64, 69)] == [content(large, k) for k in (0, 64, 69)]
    assert content(small, 0) != content(replace(small, name="other"), 0)
    assert content(small, 3).facts.subject == ALL[3].name
    only = PoolConfig("frames", 200, 1, only=("watermark",))
    faults = [content(only, k).faults for k in range(200)]
    assert 0.35 < np.mean([f.watermark > 0 for f in faults]) < 0.65
    assert all(f.blur == f.noise == f.wash == f.tint == f.blocks == f.jitter == f.flicker == 0 for f in faults)
    drawn = [content(only, k).facts for k in range(200)]
    assert not any(world.is_held_out(f.subject, f.colour, f.scene) for f in drawn)


def test_a_pool_cut_off_goes_on_with_any_number_of_processes(tmp_path: Path) -> None:
    config, tokenizer = PoolConfig("frames", BLOCK + 6, 1), learn_tokenizer(200)
    whole = Pool(tmp_path / "a", config)
    whole.fill(tokenizer)
    half = Pool(tmp_path / "b", config)
    half.fill(tokenizer, 1, 2)
    assert not half.complete and half.is_drawn.tolist() == [0, 1]
    again = Pool(tmp_path / "b", config)
    again.fill(tokenizer)
    assert again.complete and len(again) == BLOCK + 6
    for name in ("pixels", "masks", "classes", "tokens"):
        assert np.array_equal(getattr(whole, name), getattr(again, name))
    wanted = [ALL.index(subject(content(config, k).facts.subject)) for k in range(len(whole))]
    assert whole.classes[:, 0].tolist() == wanted
    with pytest.raises(InputError, match="other settings"):
        Pool(tmp_path / "b", replace(config, seed=9))


def test_masks_show_the_subject(tmp_path: Path) -> None:
    config = PoolConfig("clips", 8)
    pixels, packed = draw_entry(config, 2)
    masks = np.unpackbits(packed, axis=1).reshape(16, 64, 64)
    assert pixels.shape == (16, 64, 64, 3) and pixels.dtype == np.uint8
    assert 0.03 < masks.mean() < 0.6


def test_captions_tell_facing_and_faults_often_but_not_always() -> None:
    rng = np.random.default_rng(0)
    facts = world.ClipFacts("fox", "red", "snow", "jump", "left", 7)
    texts = [training_caption(facts, subject("fox"), WebFaults(blur=0.5, watermark=0.3), rng) for _ in range(400)]
    assert 0.45 < np.mean(["facing left" in t for t in texts]) < 0.68
    words = (*FAULT_WORDS["blur"], *FAULT_WORDS["watermark"])
    assert 0.35 < np.mean([any(w in t.replace(":", " ").split() for w in words) for t in texts]) < 0.6
    assert not any(w in t.split() for t in texts for w in FAULT_WORDS["noise"])
    assert not any("facing right" in t for t in texts)
    walking = replace(facts, action="walk")
    assert not any("facing" in training_caption(walking, subject("fox"), WebFaults(), rng) for _ in range(40))
    assert "facing left" in full_caption(facts, subject("fox"), rng) and "red fox" in full_caption(
        facts, subject("fox"), rng
    )


def test_fewer_channels_decode_as_the_others_at_zero() -> None:
    torch.manual_seed(0)
    vae = make_autoencoder(TINY).eval()
    pixels = torch.rand(6, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        z = vae.encode(pixels).latent_dist.mean
        z[:, 4:] = 0
        small = keep_channels(vae, 4).eval()
        assert_close(small.encode(pixels).latent_dist.mean, z[:, :4], n=roundings(vae.encoder))
        assert_close(small.decode(z[:, :4]).sample, vae.decode(z).sample, n=roundings(vae.decoder))


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_whitening_changes_no_reconstruction(power: float) -> None:
    torch.manual_seed(0)
    vae = make_autoencoder(TINY).eval()
    nn.init.orthogonal_(vae.quant_conv.weight[:12])  # an untrained one is all but degenerate
    pixels = torch.rand(40, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        z = vae.encode(pixels).latent_dist.mean
        before = vae.decode(z).sample
        whiten(vae, z, power)
        whitened = vae.encode(pixels).latent_dist
        assert_close(vae.decode(whitened.mean).sample, before, n=roundings(vae, passes=2))
    flat = whitened.mean.transpose(0, 1).flatten(1)
    covariance = torch.cov(flat)
    torch.testing.assert_close(flat.mean(1), torch.zeros(12), atol=1e-4, rtol=0)
    assert covariance.diag().mean() == pytest.approx(1, abs=1e-3)
    assert (covariance - torch.diag(covariance.diag())).abs().max() < 1e-3
    if power == 1.0:
        torch.testing.assert_close(covariance.diag(), torch.ones(12), atol=1e-2, rtol=0)
    assert set(whitened.logvar.unique().tolist()) == {-6.0} and vae.config.scaling_factor == 1.0


def test_an_error_on_the_subject_costs_more() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[:, 20:30, 20:30] = True
    weights = pixel_weights(mask, 4.0)
    assert weights.mean() == pytest.approx(1)
    assert weights[0, 0, 25, 25] / weights[0, 0, 50, 50] == pytest.approx(5)
    assert weights[0, 0, 18, 25] == weights[0, 0, 25, 25] > weights[0, 0, 17, 25]
    target = torch.zeros(1, 3, 64, 64)
    inside, outside = target.clone(), target.clone()
    inside[..., 24:26, 24:26], outside[..., 50:52, 50:52] = 0.5, 0.5
    assert picture_loss(inside, target, weights) > 4 * picture_loss(outside, target, weights)
    assert picture_loss(target, target, weights) == 0


def test_a_video_model_starts_as_its_image_model_and_shares_its_spatial_tensors() -> None:
    torch.manual_seed(0)
    image = new_image_unet(4, 32, (16, 32)).eval()
    video = from_image_unet(image).eval()
    z, text = torch.randn(2, 4, 3, 8, 8), torch.randn(2, 24, 32)
    with torch.no_grad():
        moving = video(z, 300, text).sample
        stills = [image(z[:, :, f], 300, text).sample for f in range(3)]
    assert_close(moving, torch.stack(stills, 2), n=roundings(video))
    assert all(m.p == 0 for m in video.modules() if isinstance(m, nn.Dropout))
    twin = spatial_twin(video)
    twin(z[:, :, 0], 300, text).sample.square().mean().backward()
    given = dict(video.named_parameters())
    assert all(p is given[n] and p.grad is not None for n, p in twin.named_parameters())
    held = {id(p) for o in video_optimizers(video, VideoConfig()) for g in o.param_groups for p in g["params"]}
    assert held == {id(p) for p in video.parameters()}


def test_a_network_that_knows_noise_and_latents_brings_them_back() -> None:
    """v = a epsilon - b z at every step leaves z_t on its circle, down to timestep 0; the guidance cancels."""
    z, noise = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    text = torch.zeros(2, 24, 8)
    scheduler = make_scheduler("v_prediction")

    def knows(x: Tensor, t: Tensor, states: Tensor) -> SimpleNamespace:
        assert x.shape == (4, 4, 8, 8) and states.shape == (4, 24, 8)
        a, b = level(scheduler, int(t))
        return SimpleNamespace(sample=torch.cat([a * noise - b * z] * 2))

    a, b = level(scheduler, 0)
    back = noised_and_back(knows, z, noise, text, text[:1], start=350, steps=4, guidance=2.0)  # type: ignore[arg-type]
    assert_close(back, a * z + b * noise)


def tiny_plan() -> Plan:
    batches = {"text": 8, "features": 4, "autoencoder": 4, "image": 8, "video": 2, "decoder": 4}
    plan = Plan(frames=70, clips=8, autoencoder=TINY, channels=8, batches=batches, bf16=False, checked=3)
    return replace(plan, image=replace(plan.image, widths=(16, 32)))


def test_from_nothing_to_a_pipeline_and_again_from_any_stage(tmp_path: Path) -> None:
    train_all(tmp_path, tiny_plan(), Budget(steps=2), until="autoencoder")
    kept = (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    train_all(tmp_path, tiny_plan(), Budget(steps=2))
    assert (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").read_bytes() == kept
    stages = json.loads((tmp_path / "stages.json").read_text())
    assert [*stages] == ["draw", "text", "features", "autoencoder", "encode", "image", "video", "decoder", "export"]
    assert stages["image"]["steps"] == 2 and "t501" in stages["image"] and stages["image"]["hardware"]
    pipeline = DiffusionPipeline.from_pretrained(tmp_path / "models" / "reduced")
    assert type(pipeline).__name__ == "TextToVideoSDPipeline"
    shipped = (tmp_path / "models" / "reduced").rglob("*.json")
    assert [path for path in shipped if str(tmp_path) in path.read_text(encoding="utf-8")] == []
    assert pipeline.vae.config.latent_channels == pipeline.unet.config.in_channels == 8
    with pytest.raises(InputError, match="unknown stage 'vae'"):
        train_all(tmp_path, tiny_plan(), Budget(steps=2), until="vae")
    with pytest.raises(InputError, match="another plan"):
        train_all(tmp_path, replace(tiny_plan(), channels=4), Budget(steps=2))


BARE = """
import sys
for name in ("av", "open_clip", "torchvision", "matplotlib", "IPython", "ipywidgets", "datasets"):
    sys.modules[name] = None
import runpy
from ivtutorial.lab.reduced_models.train_all.parts import text
text.learn_tokenizer.__defaults__ = (300, 0)  # captions, seed
sys.argv[1:1] = ["zoo", "train-all"]
runpy.run_module("ivtutorial.cli", run_name="__main__")
"""


def test_a_bare_machine_needs_no_other_packages_and_gets_one_clear_error(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", BARE, "--out", str(tmp_path / "a"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    few = ("--frames", "3", "--clips", "2", "--device", "cpu", "--processes", "1", "--until", "draw")
    drawn = call("--budget", "1h", *few)
    assert drawn.returncode == 0, drawn.stderr
    assert "draw" in json.loads((tmp_path / "a" / "stages.json").read_text())
    wrong = call("--budget", "1h", "--minutes", "3", *few)
    assert wrong.returncode == 2 and len(wrong.stderr.strip().splitlines()) == 1 and "not both" in wrong.stderr
