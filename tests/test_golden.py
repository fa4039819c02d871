"""Values recorded from the authors' implementation: schedule, partial chain, video reward.

Every setting is read from the manifests, so other fixtures of the same form run through these tests unchanged: point
the environment variable IVTUTORIAL_GOLDEN at their folder (the default is in golden_folder.py). The networks and
HPSv2's own score are in test_golden_models.py.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.method.chain import denoise, gradient_steps
from ivtutorial.method.noise import corrupt
from ivtutorial.method.schedule import (
    ddim_timesteps,
    noising_timestep,
    partial_steps,
    partial_timesteps,
)
from ivtutorial.method.segvr import choose_frames
from ivtutorial.method.video_reward import VideoReward
from ivtutorial.models.scheduler import make_scheduler
from tests.golden_folder import golden_folder
from tests.tolerances import assert_close
from tests.toy import Decoder

FOLDER = golden_folder()


def read(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Manifest and tensors of a fixture; the test is skipped where they are not at hand."""
    from safetensors.torch import load_file

    if not (FOLDER / f"{name}.json").is_file():
        pytest.skip(f"{name} is not among the golden values in {FOLDER}; set IVTUTORIAL_GOLDEN to the larger set")
    manifest = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return manifest, load_file(FOLDER / manifest["file"])


def assert_within(actual: Tensor, expected: Tensor, tolerance: dict[str, Any], what: str) -> None:
    """Compare as the manifest asks, by largest absolute difference or by relative L2 norm."""
    assert actual.shape == expected.shape, f"{what}: shape {tuple(actual.shape)}, not {tuple(expected.shape)}"
    actual, expected = actual.detach().double(), expected.double()
    difference = actual - expected
    if tolerance["metric"] == "relative_l2":
        error = float(difference.norm() / expected.norm().clamp(min=1e-12))
    else:
        error = float(difference.abs().max())
    assert error <= tolerance["value"], f"{what}: {tolerance['metric']} {error:.3g} > {tolerance['value']}"


@pytest.mark.parametrize("name", ["schedule", "partial_ddim", "reward"])
def test_fixture_is_the_one_its_manifest_describes(name: str):
    manifest, _ = read(name)
    assert hashlib.sha256((FOLDER / manifest["file"]).read_bytes()).hexdigest() == manifest["sha256"]


# ---------------------------------------------------------------- Eq. 3-4


def golden_scheduler(prediction_type: str = "epsilon") -> Any:
    settings = read("schedule")[0]["settings"]
    return make_scheduler(prediction_type, settings["num_timesteps"], settings["init_beta"], settings["last_beta"])


def exact_steps(case: dict[str, Any]) -> int:
    """floor(tau D) with tau as the decimal number that was written; 0 where less than a step is left."""
    return math.floor(Fraction(str(case["tau"])) * case["D"])


def test_schedule_tables():
    """float32 tables (as in diffusers) against the authors' float64: 1e-6; timesteps exactly."""
    manifest, tensors = read("schedule")
    scheduler, T = golden_scheduler(), manifest["settings"]["num_timesteps"]
    single = {"metric": "max_abs", "value": 1e-6}
    assert_within(scheduler.betas, tensors["betas"], single, "betas")
    assert_within(scheduler.alphas_cumprod, tensors["alphas_cumprod"], single, "alphas_cumprod")
    for D in manifest["settings"]["D"]:
        timesteps = ddim_timesteps(D, T)
        previous = [*timesteps[1:], 0]
        reached = torch.stack([*scheduler.alphas_cumprod[previous[:-1]], scheduler.final_alpha_cumprod])
        theirs = [tensors[f"{what}/D{D}"] for what in ("ddim_timesteps", "ddim_prev_timesteps", "alphas_cumprod_prev")]
        assert all(len(table) == D for table in theirs) or T % D
        assert list(timesteps) == theirs[0][-D:].tolist()
        assert previous == theirs[1][-D:].tolist()
        assert_within(reached, theirs[2][-D:], single, f"alphas_cumprod_prev/D{D}")


@pytest.mark.parametrize("table", ["partial_table", "edge_cases"])
def test_partial_steps_noise_level_and_timesteps(table: str):
    """The authors' numbers, but where this package differs on purpose: tau D < 1 is an error, not the whole
    chain; a step lost to floating point (0.58 * 50) is taken; and where D does not divide T the chain has D
    steps, the tail of their longer list, and begins at their noise level."""
    manifest, _ = read("schedule")
    T = manifest["settings"]["num_timesteps"]
    assert manifest[table]
    for case in manifest[table]:
        D, tau, theirs, n = case["D"], case["tau"], tuple(case["sampler_timesteps"]), exact_steps(case)
        if n == 0:
            with pytest.raises(InputError, match="leaves no step"):
                partial_steps(tau, D)
            continue
        ours, lost = partial_timesteps(tau, D, T), n - int(tau * D)
        assert len(ours) == partial_steps(tau, D) == n and lost in (0, 1), case
        assert ours[lost] == case["trainer_t_noi"], case
        if T % D:
            assert ours == ddim_timesteps(D, T)[-n:] and ours[-len(theirs) :] == theirs[-n:], case
        else:
            assert ours[lost:] == theirs, case
        if not lost:
            assert noising_timestep(tau, D, T) == case["trainer_t_noi"], case


# ---------------------------------------------------------------- Eq. 5, partial chain, truncated gradient


class EpsModel(nn.Module):
    """The manifest's epsilon model, with a UNet's signature so that the package's own guidance runs it."""

    dtype = torch.float32

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        w = {key: nn.Parameter(value.float()) for key, value in weights.items()}
        c, width = w["conv.weight"].shape[0], w["lin.weight"].shape[1]
        self.conv, self.lin = nn.Conv3d(c, c, 3, padding=1), nn.Linear(width, c)
        self.conv.weight, self.conv.bias = w["conv.weight"], w["conv.bias"]
        self.lin.weight, self.lin.bias = w["lin.weight"], w["lin.bias"]
        self.tvec = w["tvec"]
        self.config = SimpleNamespace(in_channels=c, cross_attention_dim=width)

    def forward(self, z: Tensor, t: int, encoder_hidden_states: Tensor) -> SimpleNamespace:
        c = self.lin(encoder_hidden_states).mean(dim=1) + t / 1000 * self.tvec
        return SimpleNamespace(sample=torch.tanh(self.conv(z) + c[:, :, None, None, None]))


def golden_backbone(tensors: dict[str, Tensor], prediction_type: str) -> Any:
    from ivtutorial.models.backbone import Backbone

    unet = EpsModel({k[len("eps.") :]: v for k, v in tensors.items() if k.startswith("eps.")})
    vae = SimpleNamespace(config=SimpleNamespace(latent_channels=unet.config.in_channels))
    text_encoder = SimpleNamespace(config=SimpleNamespace(hidden_size=unet.config.cross_attention_dim))
    return Backbone(unet, vae, text_encoder, None, golden_scheduler(prediction_type))  # type: ignore[arg-type]


@pytest.mark.parametrize("batched", [True, False])
def test_partial_chain_and_truncated_gradients(batched: bool):
    manifest, tensors = read("partial_ddim")
    tolerance = manifest["tolerance"]
    kinds = {"eps": "epsilon", "v": "v_prediction"}
    backbone = golden_backbone(tensors, kinds[manifest["settings"]["mean_type"]])
    scheduler, T = backbone.scheduler, backbone.scheduler.config.num_train_timesteps
    assert manifest["cases"]
    for case in manifest["cases"]:
        what = f"D {case['D']}, tau {case['tau']}, guidance {case['guide_scale']}"
        timesteps = ddim_timesteps(case["D"], T)[-case["n_steps"] :]
        if exact_steps(case) == case["n_steps"]:
            assert partial_timesteps(case["tau"], case["D"], T) == timesteps
        assert timesteps[0] == case["t_noi"]
        start = corrupt(tensors["z0"], case["t_noi"], scheduler, tensors["noise"])
        assert_within(start, tensors[case["start"]], tolerance["x_noised"], f"{what}: start")
        predict = backbone.predictor(tensors["y_cond"], tensors["y_uncond"], case["guide_scale"], batched)
        for K, prefix in case["gradients"].items():
            chosen = gradient_steps(int(K), len(timesteps))
            z0 = denoise(predict, start, timesteps, scheduler, chosen, case["eta"])
            assert_within(z0, tensors[case["result"]], tolerance["x0"], f"{what}: result")
            backbone.unet.zero_grad()
            (z0 * tensors["probe"]).sum().backward()
            for name, parameter in backbone.unet.named_parameters():
                expected = tensors[f"{prefix}/{name}"]
                assert_within(parameter.grad, expected, tolerance["grad"], f"{what}, K {K}: {name}")


# ---------------------------------------------------------------- Eq. 6-8


def golden_reward(manifest: dict[str, Any], tensors: dict[str, Tensor], antialias: bool = True) -> Any:
    """The manifest's small CLIP, in the package's image reward."""
    import open_clip

    from ivtutorial.rewards.clip import ClipReward

    config = manifest["tiny_clip"]["config"]
    model = open_clip.CLIP(**config)
    model.visual.image_mean, model.visual.image_std = (
        open_clip.OPENAI_DATASET_MEAN,
        open_clip.OPENAI_DATASET_STD,
    )
    state = {k[len("clip/") :]: v.float() for k, v in tensors.items() if k.startswith("clip/")}
    embedding = torch.zeros_like(model.token_embedding.weight)
    embedding[state.pop("token_embedding.ids").long()] = state.pop("token_embedding.rows")
    model.load_state_dict({**state, "token_embedding.weight": embedding})
    tokenizer = open_clip.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    return ClipReward(model, tokenizer, config, preprocessing="official", antialias=antialias)


@contextmanager
def spied(image_reward: Any) -> Iterator[list[Tensor]]:
    """Collect what the image reward makes of the frames, before its network sees them."""
    seen: list[Tensor] = []
    original = image_reward.preprocess

    def preprocess(frames: Tensor) -> Tensor:
        seen.append(original(frames))
        return seen[-1]

    image_reward.preprocess = preprocess
    yield seen
    image_reward.preprocess = original


def strided(images: Tensor, like: Tensor) -> Tensor:
    """Every n-th row and column of (B S, 3, H, W), as (B, S, 3, h, w) of `like`."""
    step = math.ceil(images.shape[-1] / like.shape[-1])
    return images[..., ::step, ::step].unflatten(0, like.shape[:2])


def test_reward_of_decoded_frames():
    manifest, tensors = read("reward")
    tolerance, settings = manifest["tolerance"], manifest["settings"]["part_frames"]
    captions, S = settings["captions"], settings["S"]
    image_reward = golden_reward(manifest, tensors)
    assert torch.equal(image_reward.tokenizer(captions).long(), tensors["frames/tokens"])
    frames = (tensors["frames/decoded"].float() * 0.5 + 0.5).clamp(0, 1).transpose(1, 2)
    indices = tensors["frames/global_index"]

    with spied(image_reward) as seen:
        for case in manifest["cases"]["frames"]:
            output = VideoReward(image_reward, S=S, lambda_tar=case["lambda_TAR"]).of_frames(
                frames, captions, indices=indices
            )
            assert_within(output.weights, tensors[case["coefficients"]], tolerance["tar_coef"], "coefficients")
            assert_within(output.frame_rewards, tensors["frames/logits"], tolerance["logits"], "logits")
            assert_within(output.reward, tensors[case["reward"]], tolerance["reward"], "reward")
            assert_within(1 - output.reward.mean(), tensors[case["loss"]], tolerance["loss"], "loss")
    model_input = tensors["frames/model_input_strided"]
    assert_within(strided(seen[0], model_input), model_input, tolerance["model_input"], "model input")
    features = tensors["frames/image_features"]
    actual = nnf.normalize(image_reward.model.encode_image(seen[0]), dim=-1).view(features.shape)
    assert_within(actual, features, tolerance["image_features"], "image features")
    text = image_reward.text_features(captions)
    assert_within(text, tensors["frames/text_features"], tolerance["text_features"], "text features")


def test_reward_variants():
    """No attenuation; first frame of each segment; weight by reconstruction; the seeded draw of Eq. 6."""
    manifest, tensors = read("reward")
    tolerance, settings = manifest["tolerance"], manifest["settings"]["part_frames"]
    image_reward, other = golden_reward(manifest, tensors), manifest["cases"]["frames_other"]
    frames = (tensors["frames/decoded"].float() * 0.5 + 0.5).clamp(0, 1).transpose(1, 2)
    indices, S = tensors["frames/global_index"], settings["S"]

    def rewards(lambda_tar: float, indices: Tensor | None = None, selection: Any = "random") -> Any:
        reward = VideoReward(image_reward, S=S, lambda_tar=lambda_tar, selection=selection)
        return reward.of_frames(frames, settings["captions"], indices=indices)

    plain = rewards(0.0, indices).reward
    expected = tensors[other["no attenuation (lambda 0)"]]
    assert_within(1 - plain.mean(), expected, tolerance["loss"], "no attenuation")

    first = rewards(0.0, selection="first")
    logits = tensors["frames/logits_first_frame_of_segment"]
    assert_within(first.frame_rewards, logits, tolerance["logits"], "first frames")
    expected = tensors[other["first frame of each segment, no attenuation"]]
    assert_within(1 - first.reward.mean(), expected, tolerance["loss"], "first frames")

    aligned = other["data alignment"]
    weight = torch.exp(-aligned["coefficient"] * tensors[aligned["recon"]])
    loss = (weight * (1 - rewards(aligned["lambda_TAR"], indices).reward)).mean()
    assert_within(loss, tensors[aligned["loss"]], tolerance["loss"], "data alignment")

    draw = other["seeded draw"]
    generator = torch.Generator().manual_seed(draw["seed"])
    drawn = choose_frames(settings["F"], S, settings["B"], generator)
    length = settings["F"] // S
    assert torch.equal(drawn - length * torch.arange(S), tensors[draw["local_index"]])
    loss = 1 - rewards(draw["lambda_TAR"], drawn).reward.mean()
    assert_within(loss, tensors[draw["loss"]], tolerance["loss"], "seeded draw")


def test_reward_of_latents_and_its_gradient():
    """Only the chosen frames are decoded here, all of them in the authors' run: same value, same gradient."""
    manifest, tensors = read("reward")
    tolerance, settings = manifest["tolerance"], manifest["settings"]["part_latents"]
    weight, bias, indices = (tensors[f"latents/{n}"] for n in ("decoder.weight", "decoder.bias", "global_index"))
    block = math.isqrt(weight.shape[0] // 3)

    def decode(z: Tensor) -> Tensor:
        pixels = nnf.pixel_shuffle(nnf.conv2d(z / settings["scale_factor"], weight, bias), block)
        return (pixels * 0.5 + 0.5).clamp(0, 1)

    assert manifest["cases"]["latents"]
    for case in manifest["cases"]["latents"]:
        image_reward = golden_reward(manifest, tensors, case["antialias"])
        reward = VideoReward(image_reward, S=settings["S"], lambda_tar=case["lambda_TAR"])
        z = tensors["latents/latents"].clone().requires_grad_()
        with spied(image_reward) as seen:
            output = reward(Decoder(decode), z, settings["captions"], indices=indices)
        expected = tensors[case["model_input"]]
        assert_within(strided(seen[0], expected), expected, tolerance["model_input"], "model input")
        features = tensors[case["image_features"]]
        actual = nnf.normalize(image_reward.model.encode_image(seen[0]), dim=-1).view(features.shape)
        assert_within(actual, features, tolerance["image_features"], "image features")
        assert_within(output.frame_rewards, tensors[case["logits"]], tolerance["logits"], "logits")
        loss = 1 - output.reward.mean()
        assert_within(loss, tensors[case["loss"]], tolerance["loss"], "loss")
        gradient = torch.autograd.grad(loss, z)[0]
        chosen = gradient.gather(2, indices[:, None, :, None, None].expand_as(tensors[case["gradient"]]))
        assert_within(chosen, tensors[case["gradient"]], tolerance["gradient"], "gradient")
        assert_close(gradient.abs().sum(), chosen.abs().sum(), n=gradient.numel())  # none elsewhere
