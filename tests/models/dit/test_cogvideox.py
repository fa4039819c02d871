"""CogVideoX-2B: its levels, its chunks, its edit, against the stock pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.method.chain import sample
from ivtutorial.method.editing import edit
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.noise import corrupt
from ivtutorial.models.dit import CogVideoXBackbone, CogVideoXDecoder, ZeroSnrSchedule, decode_chosen
from ivtutorial.models.lora import LORA_FILE, attach_lora, count_lora, lora_parameters, save_lora
from ivtutorial.models.named import Clocks, clocks, open_model
from ivtutorial.models.scheduler import noise_share, same_noise
from tests.models.dit.tiny import tiny_cogvideox
from tests.tolerances import assert_close, roundings
from tests.toy import brightness, seeded

CAPTION = "a red fox running"
f = 5  # latents, 17 frames: a chunk of three latents, then one of two


@pytest.fixture(scope="module")
def cog() -> CogVideoXBackbone:
    return tiny_cogvideox()


def stock_scheduler() -> Any:
    from diffusers import CogVideoXDDIMScheduler

    return CogVideoXDDIMScheduler(
        prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, snr_shift_scale=3.0,
        clip_sample=False, set_alpha_to_one=True,
    )  # fmt: skip


def stock_pipeline(cog: CogVideoXBackbone) -> Any:
    from diffusers import CogVideoXPipeline

    pipe = CogVideoXPipeline(cog.tokenizer, cog.text_encoder, cog.vae, cog.transformer, stock_scheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(seed: int, size: float = 1.0) -> Tensor:
    return size * torch.randn((1, 4, f, 2, 2), generator=seeded(seed))


def test_levels_and_grid_are_those_of_the_stock_scheduler() -> None:
    """Every alpha of the table, float64 against its own float32 steps, and the trailing grid; pure noise at t = 999."""
    ours, theirs = ZeroSnrSchedule(), stock_scheduler()
    assert_close(ours.table**2, theirs.alphas_cumprod.double(), n=1000)
    assert ours.level(999) == (0.0, 1.0) and ours.level(-1) == (1.0, 0.0)
    for D in (4, 20, 50):
        theirs.set_timesteps(D)
        assert list(ours.timesteps(D)) == theirs.timesteps.tolist()


def test_noising_is_the_stock_schedulers() -> None:
    z, noise = drawn(1).repeat(2, 1, 1, 1, 1), drawn(2).repeat(2, 1, 1, 1, 1)
    t = torch.tensor([100, 700])
    assert_close(corrupt(z, t, ZeroSnrSchedule(), noise), stock_scheduler().add_noise(z, noise, t), n=64)


def test_tau_follows_from_the_papers_noise() -> None:
    """b / (a + b) = 0.658 is met at about 0.45 of the chain, since the levels are shifted towards noise."""
    tau = same_noise(ZeroSnrSchedule())
    s = noise_share(ZeroSnrSchedule(), ZeroSnrSchedule().timesteps(20)[-round(20 * tau)])
    assert tau < 0.6 and s == pytest.approx(0.658, abs=0.03)


def test_sampling_gives_the_frames_of_the_stock_pipeline(cog: CogVideoXBackbone) -> None:
    """Same noise, guidance 6, four DDIM steps of `CogVideoXPipeline`, decoded by it; text encoded by it."""
    noise, D = drawn(0), 4
    expected = stock_pipeline(cog)(
        prompt=CAPTION, negative_prompt="", latents=noise.transpose(1, 2), height=16, width=16, num_frames=17,
        num_inference_steps=D, guidance_scale=6.0, output_type="pt",
    ).frames  # fmt: skip
    z_0 = sample(cog.predictor(cog.embed([CAPTION]), cog.embed([""]), 6.0), noise, cog.scheduler, D)
    n = roundings(cog.transformer, cog.text_encoder, passes=2 * D) + roundings(cog.vae.decoder, passes=2)
    assert_close(cog.decode_clips(z_0), expected, n)


def full_decode(cog: CogVideoXBackbone, latents: Tensor) -> Tensor:
    images = cog.vae.decode(latents / cog.vae.config["scaling_factor"]).sample
    return (images * 0.5 + 0.5).clamp(0, 1).transpose(1, 2)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("frame", "own"), [(0, slice(0, 3)), (8, slice(0, 3)), (9, slice(3, 5)), (16, slice(3, 5))])
def test_chosen_frames_and_their_gradient_are_the_full_ones(
    cog: CogVideoXBackbone, frame: int, own: slice, recompute: bool
) -> None:
    """Frames 0 .. 8 come from latents 0 .. 2, frames 9 .. 16 from 3 and 4; the other chunk is a constant."""
    latents, leaf = drawn(3, 0.1).requires_grad_(), drawn(3, 0.1).requires_grad_()
    weights = torch.randn((3, 16, 16), generator=seeded(4))
    where = torch.tensor([0]), torch.tensor([frame])
    frames = decode_chosen(CogVideoXDecoder(cog.vae), latents, *where, recompute)
    mask = torch.zeros(1, 1, f, 1, 1)
    mask[:, :, own] = 1
    expected = full_decode(cog, mask * leaf + (1 - mask) * leaf.detach())[:, frame]
    n = 2 * roundings(cog.vae.decoder)
    assert_close(frames, expected, n)
    gradients = [torch.autograd.grad((x * weights).sum(), at)[0] for x, at in ((frames, latents), (expected, leaf))]
    assert gradients[0].abs().max() > 0
    assert_close(gradients[0], gradients[1], 2 * n)


def test_a_clip_comes_back_from_its_latents_as_the_autoencoder_gives_it(cog: CogVideoXBackbone) -> None:
    frames = torch.rand((1, 17, 3, 16, 16), generator=seeded(5))
    z = cog.encode(frames)
    expected = cog.vae.encode(frames.transpose(1, 2) * 2 - 1).latent_dist.mode() * cog.vae.config["scaling_factor"]
    assert z.shape == (1, 4, 5, 2, 2)
    assert_close(z, expected, roundings(cog.vae.encoder))
    assert_close(cog.decode_clips(z), full_decode(cog, z), 2 * roundings(cog.vae.decoder))


def test_a_step_of_instructvideo_reaches_the_adapter() -> None:
    cog = tiny_cogvideox()
    attach_lora(cog.transformer)
    batch = Batch(drawn(6), cog.embed([CAPTION]), cog.embed([""]), [CAPTION])
    [(loss, _)] = InstructVideo(tau=0.5, D=4, S=2, guidance=2.0).losses(cog, batch, brightness, seeded(7))
    loss.backward()
    slopes = [w.grad for w in lora_parameters(cog.transformer)]
    assert all(slope is not None and slope.isfinite().all() for slope in slopes)
    assert max(float(slope.abs().max()) for slope in slopes if slope is not None) > 0


def test_an_edit_from_a_quarter_of_the_chain_stays_near_the_clip(cog: CogVideoXBackbone) -> None:
    """By the true velocity it is the clip: v = a epsilon - b z at every level."""
    z, noise, levels = drawn(8), drawn(9), ZeroSnrSchedule()

    def velocity(z_t: Tensor, t: float) -> Tensor:
        a, b = levels.level(t)
        return a * noise - b * z

    assert_close(edit(velocity, z, levels, tau=0.25, D=4, noise=noise), z, n=64, size=4.0)


def test_the_stock_pipeline_loads_our_adapter(cog: CogVideoXBackbone, tmp_path: Path) -> None:
    """30 blocks have 120 projections at full size; here two have eight."""
    tuned, plain = tiny_cogvideox(), tiny_cogvideox()
    for parameter in attach_lora(tuned.transformer):
        parameter.data.normal_(generator=seeded(1))
    assert count_lora(tuned.transformer)[0] == 2 * 4
    save_lora(tuned.transformer, tmp_path)
    stock_pipeline(plain).load_lora_weights(tmp_path, weight_name=LORA_FILE)
    texts = torch.randn((1, 226, 32), generator=seeded(2))
    with torch.no_grad():
        ours, theirs = (model.predictor(texts)(drawn(3), 500) for model in (tuned, plain))
    assert_close(theirs, ours, 2 * roundings(tuned.transformer))


def test_the_paper_adapter_has_120_layers_at_full_size() -> None:
    """30 blocks, one attention of four projections, 1920 wide: 120 * 4 * (1920 + 1920) = 1,843,200; on no device."""
    from diffusers import CogVideoXTransformer3DModel

    with torch.device("meta"):
        transformer = CogVideoXTransformer3DModel(num_attention_heads=30, attention_head_dim=64, num_layers=30)
        attach_lora(transformer, rank=4)
    assert count_lora(transformer) == (120, 1_843_200)
    assert sum(w.numel() for name, w in transformer.named_parameters() if "lora" not in name) == 1_693_783_872


def test_a_folder_of_the_stock_pipeline_is_opened(cog: CogVideoXBackbone, tmp_path: Path) -> None:
    stock_pipeline(cog).save_pretrained(tmp_path)
    assert clocks(tmp_path) == Clocks(17, 8.0, ZeroSnrSchedule(3.0), 6.0)
    opened = open_model(tmp_path)
    assert isinstance(opened, CogVideoXBackbone)
    assert_close(opened.embed([CAPTION]), cog.embed([CAPTION]), roundings(cog.text_encoder))
    assert opened.embed([CAPTION]).shape == (1, 226, 32)


@pytest.mark.parametrize("frames", [13, 16])
def test_clips_of_another_length_are_refused(cog: CogVideoXBackbone, frames: int) -> None:
    with pytest.raises(InputError, match="8 k \\+ 1 frames: use 9 or 17"):
        cog.latent_shape(frames, 16, 16)


def test_a_transformer_with_rotary_positions_is_refused(cog: CogVideoXBackbone) -> None:
    from diffusers import CogVideoXTransformer3DModel

    other = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, text_embed_dim=32, num_layers=1,
        use_rotary_positional_embeddings=True, sample_width=2, sample_height=2, sample_frames=9,
    )  # fmt: skip
    with pytest.raises(InputError, match="give CogVideoX-2B"):
        CogVideoXBackbone(other, cog.vae)
