"""Wan's parts as one: against the stock pipelines, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.method.chain import sample
from ivtutorial.method.editing import edit
from ivtutorial.method.flow import flow_levels
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.noise import draw_noise
from ivtutorial.method.segvr import choose_frames
from ivtutorial.method.tar import temporal_attenuation
from ivtutorial.models.dit import WanBackbone, pad_prompts
from ivtutorial.models.lora import attach_lora, count_lora, lora_parameters
from ivtutorial.models.memory import Memory
from tests.models.dit.tiny import tiny_wan
from tests.tolerances import assert_close, roundings
from tests.toy import brightness, seeded

CAPTION = "a red fox  running"


@pytest.fixture(scope="module")
def wan() -> WanBackbone:
    return tiny_wan()


def drawn(seed: int) -> Tensor:
    return torch.randn((1, 16, 3, 2, 2), generator=seeded(seed))


def stock_pipeline(kind: str, wan: WanBackbone, levels: tuple[float, ...]) -> Any:
    """A pipeline of diffusers around the same parts, whose scheduler takes exactly these levels."""
    import diffusers

    class Given(diffusers.FlowMatchEulerDiscreteScheduler):
        def set_timesteps(self, *_: Any, **__: Any) -> None:
            super().set_timesteps(sigmas=list(levels))

    parts = (wan.tokenizer, wan.text_encoder, wan.transformer, wan.vae)
    names = ("tokenizer", "text_encoder", "transformer", "vae")
    pipe = getattr(diffusers, kind).__new__(getattr(diffusers, kind))
    getattr(diffusers, kind).__init__(pipe, scheduler=Given(shift=1.0), **dict(zip(names, parts, strict=True)))
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("passes", [1, 2])
def test_sampling_gives_the_frames_of_the_stock_pipeline(wan: WanBackbone, passes: int) -> None:
    """Same noise, same levels, guidance 5: five Euler steps of `WanPipeline`, decoded by it."""
    wan = replace(wan, memory=Memory(guidance_passes=passes))
    noise, D = drawn(0), 5
    pipe = stock_pipeline("WanPipeline", wan, flow_levels(D))
    expected = pipe(
        prompt_embeds=wan.embed([CAPTION]), negative_prompt_embeds=wan.embed([""]), latents=noise, height=16, width=16,
        num_frames=9, num_inference_steps=D, guidance_scale=5.0, output_type="pt",
    ).frames  # fmt: skip
    z_0 = sample(wan.predictor(wan.embed([CAPTION]), wan.embed([""]), 5.0), noise, wan.scheduler, D)
    n = roundings(wan.transformer, passes=2 * D) + roundings(wan.vae.decoder, passes=3)
    assert_close(wan.decode_clips(z_0), expected, n)


def test_prompt_embeddings_are_those_of_the_stock_pipeline(wan: WanBackbone) -> None:
    """`encode_prompt` of diffusers with 512 tokens; ours are kept without padding: four words and the end."""
    pipe = stock_pipeline("WanPipeline", wan, flow_levels(5))
    expected, empty = pipe.encode_prompt(CAPTION, max_sequence_length=512, device=torch.device("cpu"))
    n = roundings(wan.text_encoder)
    assert_close(wan.embed([CAPTION]), expected, n)
    assert_close(wan.embed([""]), empty, n)
    assert wan.embed([CAPTION]).shape == (1, 512, 32)
    assert wan.embed([CAPTION])[0, 5:].abs().max() == 0 and wan.embed([CAPTION])[0, 4].abs().max() > 0


def test_an_edit_is_that_of_the_stock_video_to_video_pipeline(wan: WanBackbone) -> None:
    """strength 0.6 of five steps: encode, noise to the third level, three steps, decode."""
    frames = torch.rand((1, 9, 3, 16, 16), generator=seeded(3))
    D, levels = 5, flow_levels(5)
    pipe = stock_pipeline("WanVideoToVideoPipeline", wan, levels)
    expected = pipe(
        video=frames[0], prompt_embeds=wan.embed([CAPTION]), negative_prompt_embeds=wan.embed([""]), height=16,
        width=16, num_inference_steps=D, strength=0.6, guidance_scale=5.0, generator=seeded(4), output_type="pt",
    ).frames  # fmt: skip
    z = wan.encode(frames)
    noise = torch.randn(z.shape, generator=seeded(4))
    z_0 = edit(wan.predictor(wan.embed([CAPTION]), wan.embed([""]), 5.0), z, wan.scheduler, 0.6, D, noise=noise)
    n = roundings(wan.transformer, passes=2 * 3) + roundings(wan.vae, passes=3)
    assert_close(wan.decode_clips(z_0), expected, n, size=4.0)


@pytest.mark.parametrize("two_phase", [False, True])
def test_a_step_of_instructvideo_rewards_chosen_frames_of_chunks(two_phase: bool) -> None:
    """Value: the edit with the same draws, all of it decoded. Gradient: to the adapter, finite. Frame 0 is left out:
    of 1 + 8 frames in two segments, 1 .. 4 and 5 .. 8."""
    wan = tiny_wan()
    attach_lora(wan.transformer)
    batch = Batch(drawn(5), wan.embed([CAPTION]), wan.embed([""]), [CAPTION])
    method = InstructVideo(tau=0.5, D=4, S=2, guidance=2.0, two_phase=two_phase)
    [(loss, _)] = method.losses(wan, batch, brightness, seeded(6))
    loss.backward()
    slopes = [w.grad for w in lora_parameters(wan.transformer)]
    assert all(slope is not None and slope.isfinite().all() for slope in slopes)
    assert max(float(slope.abs().max()) for slope in slopes[1::2]) > 0

    generator = seeded(6)
    with torch.no_grad():
        predict = wan.predictor(batch.embeds, batch.uncond_embeds, 2.0)
        z_0 = edit(predict, batch.z, wan.scheduler, 0.5, 4, noise=draw_noise(batch.z.shape, generator))
        g = choose_frames(9, 2, 1, generator)
        frames = wan.decode_clips(z_0)[0, g[0]]
    assert 1 <= g[0, 0] <= 4 and 5 <= g[0, 1] <= 8
    expected = -(temporal_attenuation(g, 9) * brightness(frames, [])).mean()
    assert_close(loss, expected, n=roundings(wan.transformer, passes=4) + roundings(wan.vae.decoder, passes=3))


def test_the_paper_adapter_has_240_layers_at_full_size() -> None:
    """30 blocks, two attentions of four projections, 1536 wide: 240 * 4 * (1536 + 1536) = 2,949,120; on no device."""
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        transformer = WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=12, attention_head_dim=128, in_channels=16, out_channels=16,
            text_dim=4096, freq_dim=256, ffn_dim=8960, num_layers=30,
        )  # fmt: skip
        attach_lora(transformer, rank=4)
    assert count_lora(transformer) == (240, 2_949_120)
    assert sum(w.numel() for name, w in transformer.named_parameters() if "lora" not in name) == 1_418_996_800


def test_a_network_without_attention_projections_is_refused(wan: WanBackbone) -> None:
    with pytest.raises(InputError, match="nothing to adapt"):
        attach_lora(wan.vae)


def test_captions_are_encoded_before_the_text_encoder_goes(wan: WanBackbone) -> None:
    own = replace(wan)
    embeds = own.embed([CAPTION])
    own.text_encoder = None
    assert torch.equal(own.embed([CAPTION]), embeds)
    with pytest.raises(InputError, match="no text encoder"):
        own.embed(["a new caption"])


def test_parts_of_other_widths_are_refused(wan: WanBackbone) -> None:
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=37, num_layers=1, num_heads=2)
    with pytest.raises(InputError, match="text width of text encoder and transformer are 16 and 32"):
        replace(wan, text_encoder=UMT5EncoderModel(config))


@pytest.mark.parametrize("shape", [(1, 8, 3, 16, 16), (1, 9, 3, 24, 16), (9, 3, 16, 16)])
def test_clips_of_another_length_or_size_are_refused(wan: WanBackbone, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="4 k \\+ 1|multiples of 16|must have shape"):
        wan.encode(torch.zeros(shape))


def test_embeddings_of_another_encoder_or_length_are_refused() -> None:
    with pytest.raises(InputError, match="of one encoder"):
        pad_prompts([torch.zeros(3, 32), torch.zeros(3, 16)])
    with pytest.raises(InputError, match="L <= 512"):
        pad_prompts([torch.zeros(513, 32)])
