"""LTX-Video: its grid, its latents, its mask, its edit, against the stock pipeline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.method.chain import sample
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.dit import LTXBackbone, LTXSchedule, ltx_shift
from ivtutorial.models.lora import LORA_FILE, attach_lora, count_lora, lora_parameters, save_lora
from ivtutorial.models.memory import Memory
from ivtutorial.models.named import Clocks, clocks, open_model
from tests.models.dit.tiny import tiny_ltx, tiny_ltx_folder
from tests.tolerances import assert_close, roundings
from tests.toy import brightness, seeded

CAPTION = "a red fox"
f = 3  # latents, 17 frames
GRID = LTXSchedule(ltx_shift(f * 2 * 2))  # of the tiny clips


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "timestep-conditioned"])
def ltx(request: pytest.FixtureRequest) -> LTXBackbone:
    return tiny_ltx(timestep_conditioning=request.param)


def stock_scheduler(**settings: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024, max_image_seq_len=4096,
        **{"shift_terminal": 0.1, **settings},
    )  # fmt: skip


def stock_pipeline(ltx: LTXBackbone) -> Any:
    from diffusers import LTXPipeline

    pipe = LTXPipeline(stock_scheduler(), ltx.vae, ltx.text_encoder, ltx.tokenizer, ltx.transformer)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(seed: int, size: float = 1.0) -> Tensor:
    return size * torch.randn((1, 8, f, 2, 2), generator=seeded(seed))


@pytest.mark.parametrize("latents", [12, 1056, 7392])
@pytest.mark.parametrize("terminal", [0.1, None])
def test_the_grid_is_the_stock_schedulers(latents: int, terminal: float | None) -> None:
    """mu by the pipeline's own line; the sigmas that it passes are i / D."""
    import numpy as np
    from diffusers.pipelines.ltx.pipeline_ltx import calculate_shift

    theirs = stock_scheduler(shift_terminal=terminal)
    for D in (4, 20):
        theirs.set_timesteps(sigmas=np.linspace(1, 1 / D, D), mu=calculate_shift(latents, 1024, 4096, 0.95, 2.05))
        ours = torch.tensor(LTXSchedule(ltx_shift(latents), terminal or 0.0).timesteps(D))
        assert_close(ours, theirs.timesteps, n=64)


def test_the_last_step_starts_at_the_terminal_level_and_one_step_at_noise() -> None:
    """By hand, shift 3, D = 2: s = 1, 3/4; stretched, 1 - (1/4) (0.9 / (1/4)) = 0.1."""
    assert LTXSchedule(shift=3.0).timesteps(2) == pytest.approx((1000.0, 100.0))
    assert LTXSchedule(shift=3.0).timesteps(1) == (1000.0,)
    with pytest.raises(InputError, match="terminal = 1.0"):
        LTXSchedule(terminal=1.0)


def test_sampling_gives_the_frames_of_the_stock_pipeline(ltx: LTXBackbone) -> None:
    """Same noise, guidance 3, four steps of `LTXPipeline`, decoded by it; text encoded by it, and its mask from it."""
    noise, D, pipe = drawn(0), 4, stock_pipeline(ltx)
    expected = pipe(
        prompt=CAPTION, negative_prompt="", latents=pipe._pack_latents(noise), height=64, width=64, num_frames=17,
        num_inference_steps=D, guidance_scale=3.0, output_type="pt",
    ).frames  # fmt: skip
    z_0 = sample(ltx.predictor(ltx.embed([CAPTION]), ltx.embed([""]), 3.0), noise, GRID, D)
    n = roundings(ltx.transformer, ltx.text_encoder, passes=2 * D) + roundings(ltx.vae.decoder, passes=2)
    assert_close(ltx.decode_clips(z_0), expected, n)


def test_what_is_padding_is_not_read(ltx: LTXBackbone) -> None:
    """Three words and an end are four rows; with the other 124 or without them the velocity is the same."""
    embeds = ltx.embed([CAPTION])
    assert embeds.shape == (1, 128, 32) and embeds[0, :4].ne(0).any(dim=-1).all() and not embeds[0, 4:].any()
    velocities = [ltx.predictor(rows)(drawn(1), 500.0) for rows in (embeds, embeds[:, :4])]
    assert_close(velocities[0], velocities[1], 2 * roundings(ltx.transformer))


def full_decode(ltx: LTXBackbone, latents: Tensor) -> Tensor:
    vae, view = ltx.vae, (1, -1, 1, 1, 1)
    x = latents * vae.latents_std.view(view) / vae.config["scaling_factor"] + vae.latents_mean.view(view)
    level = torch.zeros(1) if vae.config["timestep_conditioning"] else None
    frames: Tensor = vae.decode(x, level).sample
    return (frames * 0.5 + 0.5).clamp(0, 1).transpose(1, 2)


@pytest.mark.parametrize("recompute", [False, True])
def test_chosen_frames_and_their_gradient_are_the_full_ones(ltx: LTXBackbone, recompute: bool) -> None:
    """All latents are one chunk, so the gradient is the whole one, to latents before and after the frame's own."""
    latents, leaf = drawn(3).requires_grad_(), drawn(3).requires_grad_()
    weights = torch.randn((2, 3, 64, 64), generator=seeded(4))
    ltx = replace(ltx, memory=Memory(recompute_decode=recompute))
    frames = ltx.decode_frames(latents, torch.zeros(2, dtype=torch.long), torch.tensor([16, 3]))
    expected = full_decode(ltx, leaf)[0, [16, 3]]
    n = 2 * roundings(ltx.vae.decoder)
    assert_close(frames, expected, n)
    gradients = [torch.autograd.grad((x * weights).sum(), at)[0] for x, at in ((frames, latents), (expected, leaf))]
    assert all(float(gradients[0][:, :, i].abs().max()) > 0 for i in range(f))
    assert_close(gradients[0], gradients[1], 2 * n)


def test_a_clip_becomes_the_latents_that_the_stock_pipelines_normalise(ltx: LTXBackbone) -> None:
    from diffusers import LTXImageToVideoPipeline

    frames = torch.rand((1, 17, 3, 64, 64), generator=seeded(5))
    raw = ltx.vae.encode(frames.transpose(1, 2) * 2 - 1).latent_dist.mode()
    statistics = ltx.vae.latents_mean, ltx.vae.latents_std, ltx.vae.config["scaling_factor"]
    z = ltx.encode(frames)
    assert z.shape == (1, 8, 3, 2, 2) and ltx.frame_count(3) == 17 and ltx.vae_factor == 32
    expected = LTXImageToVideoPipeline._normalize_latents(raw, *statistics)
    assert_close(z, expected, roundings(ltx.vae.encoder))
    assert_close(ltx.decode_clips(z), full_decode(ltx, z), 2 * roundings(ltx.vae.decoder))


def test_a_step_of_instructvideo_reaches_the_adapter() -> None:
    ltx = tiny_ltx()
    attach_lora(ltx.transformer)
    batch = Batch(drawn(6), ltx.embed([CAPTION]), ltx.embed([""]), [CAPTION])
    [(loss, _)] = InstructVideo(tau=0.5, D=4, S=2, guidance=2.0).losses(ltx, batch, brightness, seeded(7))
    loss.backward()
    slopes = [w.grad for w in lora_parameters(ltx.transformer)]
    assert all(slope is not None and slope.isfinite().all() for slope in slopes)
    assert max(float(slope.abs().max()) for slope in slopes if slope is not None) > 0


def test_the_stock_pipeline_loads_our_adapter(tmp_path: Path) -> None:
    """Two attentions of four projections in each of two blocks: 16 layers; 28 blocks have 224 at full size."""
    tuned, plain = tiny_ltx(), tiny_ltx()
    for parameter in attach_lora(tuned.transformer):
        parameter.data.normal_(generator=seeded(1))
    assert count_lora(tuned.transformer)[0] == 2 * 2 * 4
    save_lora(tuned.transformer, tmp_path)
    stock_pipeline(plain).load_lora_weights(tmp_path, weight_name=LORA_FILE)
    texts = torch.randn((1, 128, 32), generator=seeded(2))
    with torch.no_grad():
        ours, theirs = (model.predictor(texts)(drawn(3), 500.0) for model in (tuned, plain))
    assert_close(theirs, ours, 2 * roundings(tuned.transformer))


def test_a_folder_of_the_stock_pipeline_is_opened(tmp_path: Path) -> None:
    """The shift is that of 17 frames of 512x704, 3 x 16 x 22 latents."""
    tiny_ltx_folder(tmp_path)
    assert clocks(tmp_path) == Clocks(17, 25.0, LTXSchedule(ltx_shift(1056), 0.1), 3.0)
    opened: Any = open_model(tmp_path)
    assert isinstance(opened, LTXBackbone) and opened.latent_shape(17) == (8, 3, 16, 22)
    with pytest.raises(InputError, match="8 k \\+ 1 frames: use 9 or 17"):
        opened.latent_shape(13)
    with pytest.raises(InputError, match="multiples of 32"):
        opened.latent_shape(17, 48, 64)


def test_the_grid_of_another_size_is_chosen_in_the_folder(tmp_path: Path) -> None:
    """A fixed shift in its scheduler's settings, which the stock scheduler reads in the same way: 9 frames of 64x64."""
    import numpy as np
    from diffusers import FlowMatchEulerDiscreteScheduler

    tiny_ltx_folder(tmp_path)
    path = tmp_path / "scheduler" / "scheduler_config.json"
    shift = ltx_shift(2 * 2 * 2)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_dynamic_shifting": False, "shift": shift}))
    schedule = clocks(tmp_path).schedule
    assert schedule == LTXSchedule(shift, 0.1) and open_model(tmp_path).scheduler == schedule
    stock = FlowMatchEulerDiscreteScheduler.from_pretrained(tmp_path / "scheduler")
    stock.set_timesteps(sigmas=np.linspace(1, 1 / 5, 5), mu=1.0)
    assert_close(torch.tensor(schedule.timesteps(5)), stock.timesteps, n=64)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"decoder_inject_noise": (True,) * 5}, "adds noise as it decodes"),
        ({"patch_size": 2}, "compresses 16 pixels and 8 frames"),
    ],
)
def test_autoencoders_that_do_not_fit_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny_ltx(**config)
