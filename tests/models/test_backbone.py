"""The bundle of models: diffusers' numbers, layouts, ranges, guidance, bad input."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, TextToVideoSDPipeline
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.backbone_folder import load_backbone, save_backbone
from ivtutorial.models.lora import attach_lora, merge_lora
from ivtutorial.models.memory import Memory
from tests.models.sampler import CAPTIONS, generate, noise, sampling_roundings, stock_generate
from tests.tolerances import assert_close, roundings


def clips(b: int = 2, f: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(b, f, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


# --- the same numbers as the stock pipeline -------------------------------------------------------


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("dtype", [None, torch.float16], ids=["float32 files", "float16 files"])
def test_a_saved_folder_generates_the_same_frames_in_the_stock_pipeline(
    tiny_backbone: Backbone, tmp_path: Path, guidance: float, dtype: torch.dtype | None
) -> None:
    save_backbone(tiny_backbone, tmp_path, dtype)
    z = noise(2, 4, 3, 8, 8)
    ours = generate(load_backbone(tmp_path), z, 3, guidance)
    assert_close(stock_generate(tmp_path, z, 3, guidance), ours, n=sampling_roundings(tiny_backbone, 3), size=guidance)
    assert ours.std() > 0.05


def test_a_merged_export_generates_the_same_frames_in_the_stock_pipeline(
    fresh_backbone: Backbone, tmp_path: Path
) -> None:
    z = noise(2, 4, 3, 8, 8)
    base = generate(fresh_backbone, z, 2, 3.0)
    for parameter in attach_lora(fresh_backbone.unet):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    attached = generate(fresh_backbone, z, 2, 3.0)
    merge_lora(fresh_backbone.unet)
    save_backbone(fresh_backbone, tmp_path)
    assert_close(stock_generate(tmp_path, z, 2, 3.0), attached, n=sampling_roundings(fresh_backbone, 2), size=3.0)
    assert (attached - base).abs().max() > 0.01


def test_embeddings_are_those_of_the_stock_pipeline(tiny_backbone: Backbone, tmp_path: Path) -> None:
    save_backbone(tiny_backbone, tmp_path)
    pipe = TextToVideoSDPipeline.from_pretrained(tmp_path)
    captions = ["a red fox " * 20, "🦊 Füchse, 狐 \t\n", ""]
    with torch.no_grad():
        expected, _ = pipe.encode_prompt(captions, "cpu", 1, False)
    ours = tiny_backbone.embed(captions)
    assert ours.shape == (3, 16, 16)
    assert_close(ours, expected, n=roundings(tiny_backbone.text_encoder))


# --- text -----------------------------------------------------------------------------------------


def test_each_caption_is_encoded_once_while_the_encoder_is_frozen(fresh_backbone: Backbone) -> None:
    calls: list[int] = []
    fresh_backbone.text_encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    first = fresh_backbone.embed(["a fox", "a deer", "a fox"])
    again = fresh_backbone.embed(["a deer", "a fox"])
    assert len(calls) == 1
    assert torch.equal(first[0], first[2]) and torch.equal(again, first[[1, 0]])
    assert not torch.equal(first[0], first[1])


def test_a_trainable_encoder_is_not_remembered(fresh_backbone: Backbone) -> None:
    fresh_backbone.text_encoder.requires_grad_(True)
    before = fresh_backbone.embed(["a fox"])
    assert before.requires_grad
    with torch.no_grad():
        for parameter in fresh_backbone.text_encoder.parameters():
            parameter.mul_(1.5)
    assert not torch.allclose(fresh_backbone.embed(["a fox"]), before)


def test_a_caption_that_is_cut_is_reported(fresh_backbone: Backbone, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fresh_backbone.embed(["a fox"])
        assert "cut" not in caplog.text
        fresh_backbone.embed(["a red fox " * 20])
    assert "cut to 16 tokens" in caplog.text


@pytest.mark.parametrize("captions", ["a fox", [], [None], ["a fox", 3], 7])
def test_captions_that_are_not_text(tiny_backbone: Backbone, captions: Any) -> None:
    with pytest.raises(InputError, match=r"[Cc]aption"):
        tiny_backbone.embed(captions)


# --- VAE ------------------------------------------------------------------------------------------


def test_latents_are_the_scaled_posterior_mean_of_each_frame(tiny_backbone: Backbone) -> None:
    x = clips()
    z = tiny_backbone.encode(x)
    assert z.shape == (2, *tiny_backbone.latent_shape(frames=3)) == (2, 4, 3, 8, 8)
    with torch.no_grad():
        one = tiny_backbone.vae.encode(x[1, 2][None] * 2 - 1).latent_dist.mean[0]
    assert_close(z[1, :, 2], one * 0.18215, n=roundings(tiny_backbone.vae))


def test_a_generator_draws_a_posterior_sample(tiny_backbone: Backbone) -> None:
    """The mean of many samples is the posterior mean, within five standard errors; a seed repeats it."""
    x = clips(1, 1)
    generator = torch.Generator().manual_seed(0)
    samples = torch.stack([tiny_backbone.encode(x, generator) for _ in range(64)])
    mean = tiny_backbone.encode(x)
    assert ((samples.mean(0) - mean).abs() <= 5 * samples.std(0) / 8).all() and samples.std(0).min() > 0
    twice = [tiny_backbone.encode(x, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*twice)


def test_chunks_do_not_change_latents_or_frames(tiny_backbone: Backbone) -> None:
    x = clips()
    z = tiny_backbone.encode(x)
    n = roundings(tiny_backbone.vae)
    assert_close(tiny_backbone.encode(x, chunk=1), z, n=n)
    frames = z.transpose(1, 2).flatten(0, 1)
    assert_close(tiny_backbone.decode(frames, chunk=4), tiny_backbone.decode(frames), n=n)


def test_decoding_undoes_the_scale_then_maps_and_clamps_last(tiny_backbone: Backbone) -> None:
    """clamp(0.5 * D(z / 0.18215) + 0.5); z is so large that many pixels leave [0, 1]."""
    z = noise(2, 4, 8, 8) * 20
    raw = tiny_backbone.vae.decode(z / 0.18215).sample * 0.5 + 0.5
    assert raw.min() < 0 and raw.max() > 1
    assert_close(tiny_backbone.decode(z), raw.clamp(0, 1), n=roundings(tiny_backbone.vae), size=float(raw.abs().max()))


def test_a_clamped_pixel_has_no_gradient(tiny_backbone: Backbone) -> None:
    z = (noise(1, 4, 8, 8) * 20).requires_grad_()
    frames = tiny_backbone.decode(z)
    outside = (frames.detach() == 0) | (frames.detach() == 1)
    assert 0 < outside.sum() < outside.numel()
    (gradient,) = torch.autograd.grad((frames * outside).sum(), z, retain_graph=True)
    assert not gradient.any()
    (gradient,) = torch.autograd.grad((frames * ~outside).sum(), z)
    assert gradient.any()


def test_recomputing_the_decoder_changes_nothing_and_stores_less(tiny_backbone: Backbone) -> None:
    def run(recompute: bool) -> tuple[Tensor, Tensor, int]:
        z, stored = noise(4, 4, 8, 8).requires_grad_(), [0]

        def pack(tensor: Tensor) -> Tensor:
            stored.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            frames = tiny_backbone.decode(z, chunk=2, recompute=recompute)
        (gradient,) = torch.autograd.grad(frames.square().sum(), z)
        return frames.detach(), gradient, sum(stored)

    (frames, gradient, plain), (frames2, gradient2, recomputed) = run(False), run(True)
    assert_close(frames2, frames, n=roundings(tiny_backbone.vae))
    assert_close(gradient2, gradient, n=roundings(tiny_backbone.vae, passes=3))
    assert recomputed < plain / 5


def test_decoding_clips_keeps_frames_in_order(tiny_backbone: Backbone) -> None:
    z = noise(2, 4, 3, 8, 8)
    frames = tiny_backbone.decode_clips(z)
    assert frames.shape == (2, 3, 3, 64, 64)
    assert_close(frames[1, 2], tiny_backbone.decode(z[1:, :, 2])[0], n=roundings(tiny_backbone.vae))


def test_another_vae_with_six_channels_and_its_own_scale(fresh_backbone: Backbone) -> None:
    config = dict(fresh_backbone.vae.config) | {"latent_channels": 6, "scaling_factor": 2.0}
    unet = type(fresh_backbone.unet).from_config(fresh_backbone.unet.config, in_channels=6, out_channels=6)
    vae = AutoencoderKL.from_config(config)
    rest = (fresh_backbone.text_encoder, fresh_backbone.tokenizer, fresh_backbone.scheduler)
    backbone = Backbone(unet, vae, *rest).freeze()
    x = clips(1, 2)
    z = backbone.encode(x)
    assert z.shape == (1, 6, 2, 8, 8)
    with torch.no_grad():
        assert_close(z[0, :, 0], vae.encode(x[0, :1] * 2 - 1).latent_dist.mean[0] * 2.0, n=roundings(vae))
        frames = (vae.decode(z[:, :, 0] / 2.0).sample * 0.5 + 0.5).clamp(0, 1)
        assert_close(backbone.decode(z[:, :, 0]), frames, n=roundings(vae))


def test_unscaled_or_misshapen_input_is_refused(tiny_backbone: Backbone) -> None:
    bad_clips = [clips()[0], clips() * 2 - 1, clips()[..., :60], clips()[:, :, :2], (clips() * 255).byte()]
    for x in bad_clips:
        with pytest.raises(InputError):
            tiny_backbone.encode(x)
    arrays = [(tiny_backbone.encode, clips().numpy()), (tiny_backbone.decode, noise(1, 4, 8, 8).numpy())]
    for call, array in arrays:
        with pytest.raises(InputError, match="must be a torch tensor, got ndarray"):
            call(array)
    for z in (noise(4, 8, 8), noise(1, 3, 8, 8), noise(1, 4, 2, 8, 8)):
        with pytest.raises(InputError, match=r"\(N, 4, h, w\)"):
            tiny_backbone.decode(z)


# --- guidance -------------------------------------------------------------------------------------


@pytest.fixture
def prompts(tiny_backbone: Backbone) -> tuple[Tensor, Tensor]:
    return tiny_backbone.embed(CAPTIONS), tiny_backbone.embed([""])


@torch.no_grad()
@pytest.mark.parametrize("batched", [True, False], ids=["one pass of 2B", "two passes"])
@pytest.mark.parametrize("t", [551, torch.tensor(551), torch.tensor([1, 551])], ids=["int", "scalar", "per clip"])
def test_guidance_formula(
    tiny_backbone: Backbone, prompts: tuple[Tensor, Tensor], batched: bool, t: Tensor | int
) -> None:
    """e_u + g (e_c - e_u): linear in g, e_u at 0, e_c at 1."""
    z = noise(2, 4, 3, 8, 8)
    embeds, empty = prompts
    e_c = tiny_backbone.unet(z, t, encoder_hidden_states=embeds).sample
    e_u = tiny_backbone.unet(z, t, encoder_hidden_states=empty.repeat(2, 1, 1)).sample
    assert (e_c - e_u).abs().max() > 1e-3
    for g in (0.0, 1.0, 3.0, 9.0):
        ours = tiny_backbone.predictor(embeds, empty, g, batched)(z, t)
        size = (1 + 2 * g) * float(e_c.abs().max())  # the difference of two outputs is rounded as they are
        assert_close(ours, e_u + g * (e_c - e_u), n=roundings(tiny_backbone.unet), size=size)


@torch.no_grad()
@pytest.mark.parametrize(("guidance", "batched", "batches"), [(1.0, True, [2]), (3.0, True, [4]), (3.0, False, [2, 2])])
def test_number_of_unet_passes(fresh_backbone: Backbone, guidance: float, batched: bool, batches: list[int]) -> None:
    seen: list[int] = []
    fresh_backbone.unet.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    embeds, empty = fresh_backbone.embed(CAPTIONS), fresh_backbone.embed([""])
    fresh_backbone.predictor(embeds, empty, guidance, batched)(noise(2, 4, 3, 8, 8), 1)
    assert seen == batches


def test_gradients_flow_through_both_predictions(fresh_backbone: Backbone, prompts: tuple[Tensor, Tensor]) -> None:
    """d sum(e_u + g (e_c - e_u)) = (1 - g) d sum(e_u) + g d sum(e_c)."""
    parameters = attach_lora(fresh_backbone.unet)
    z, (embeds, empty) = noise(2, 4, 3, 8, 8), prompts

    def gradient(first: Tensor, second: Tensor | None, g: float) -> Tensor:
        output = fresh_backbone.predictor(first, second, g)(z, 551)
        return torch.cat([p.flatten() for p in torch.autograd.grad(output.sum(), parameters)])

    expected = -2 * gradient(empty.expand_as(embeds), None, 1.0) + 3 * gradient(embeds, None, 1.0)
    ours = gradient(embeds, empty, 3.0)
    assert (ours - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.usefixtures("bfloat16_attention")
def test_half_precision_models_are_spoken_to_in_float32(fresh_backbone: Backbone) -> None:
    """Only model outputs are half: latents, frames and predictions stay float32."""
    backbone = fresh_backbone.to("cpu", torch.bfloat16)
    x = clips(1, 2)
    z = backbone.encode(x)
    predicted = backbone.predictor(backbone.embed(["a fox"]), backbone.embed([""]), 3.0)(z, 551)
    assert z.dtype == predicted.dtype == backbone.decode(z[:, :, 0]).dtype == torch.float32
    assert backbone.unet.dtype == backbone.vae.dtype == backbone.embed(["a fox"]).dtype == torch.bfloat16


def test_predictor_refuses_what_it_cannot_use(tiny_backbone: Backbone, prompts: tuple[Tensor, Tensor]) -> None:
    embeds, empty = prompts
    with pytest.raises(InputError, match="needs uncond_embeds"):
        tiny_backbone.predictor(embeds, None, 3.0)
    predict = tiny_backbone.predictor(embeds, empty, 3.0)
    for z in (noise(2, 3, 3, 8, 8), noise(1, 4, 3, 8, 8), noise(2, 4, 8, 8)):
        with pytest.raises(InputError, match=r"\(2, 4, F, h, w\)"):
            predict(z, 1)


def test_frames_are_encoded_as_many_at_a_time_as_memory_says(fresh_backbone: Backbone) -> None:
    sizes: list[int] = []
    fresh_backbone.vae.encoder.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    fresh_backbone.memory = Memory(decode_chunk=2)
    fresh_backbone.encode(torch.rand(1, 5, 3, 16, 16))
    assert sizes == [2, 2, 1]
