"""The tiny decoder for Wan's latents: chunk by chunk as in one piece, read from a file, used for the gradient alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.method.editing import edit
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.noise import draw_noise
from ivtutorial.method.segvr import choose_frames
from ivtutorial.method.tar import temporal_attenuation
from ivtutorial.models.dit import TinyDecoder, decode_chosen, load_tiny_decoder, tiny_decoding
from ivtutorial.models.lora import attach_lora, lora_parameters
from ivtutorial.training.config import FinetuneConfig
from tests.models.dit.tiny import tiny_cogvideox, tiny_wan
from tests.tolerances import assert_close, roundings
from tests.toy import brightness, seeded, toy_backbone

WIDTHS = (8, 6, 4, 4)
f = 3  # latents, 9 frames


@pytest.fixture(scope="module")
def tiny() -> TinyDecoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = TinyDecoder(WIDTHS)
    network.decoder[-1].bias.data.fill_(0.5)  # frames around grey, so that few pixels are clamped
    return network.requires_grad_(False).eval()


def drawn(seed: int) -> Tensor:
    return torch.randn((1, 16, f, 2, 2), generator=seeded(seed))


def in_one_piece(tiny: TinyDecoder, z: Tensor) -> Tensor:
    """(9, 3, 16, 16): twelve frames of three latents, the first three left out."""
    frames, _ = tiny(z[0].transpose(0, 1))
    return frames[3:].clamp(0, 1)  # type: ignore[no-any-return]


def chosen(tiny: TinyDecoder, z: Tensor, *frames: int, recompute: bool = False) -> Tensor:
    return decode_chosen(tiny, z, torch.zeros(len(frames), dtype=torch.long), torch.tensor(frames), recompute)


def test_frames_are_those_of_all_latents_at_once(tiny: TinyDecoder) -> None:
    whole = in_one_piece(tiny, drawn(0))
    assert whole.shape == (9, 3, 16, 16) and whole.std() > 0
    assert_close(chosen(tiny, drawn(0), *range(9)), whole, roundings(tiny))
    assert_close(chosen(tiny, drawn(0), 7, 0, 3), whole[[7, 0, 3]], roundings(tiny))


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("frame", [0, 3, 8])
def test_the_gradient_is_the_whole_ones_part_through_the_frames_own_latent(
    tiny: TinyDecoder, frame: int, recompute: bool
) -> None:
    weights = torch.randn((3, 16, 16), generator=seeded(1))
    z, leaf = drawn(0).requires_grad_(), drawn(0).requires_grad_()
    own = torch.zeros(1, 1, f, 1, 1)
    own[:, :, -(-frame // 4)] = 1
    whole = in_one_piece(tiny, own * leaf + (1 - own) * leaf.detach())[frame]
    frames = chosen(tiny, z, frame, recompute=recompute)[0]
    slopes = [torch.autograd.grad((x * weights).sum(), at)[0] for x, at in ((frames, z), (whole, leaf))]
    assert slopes[0].abs().max() > 0
    assert_close(slopes[0], slopes[1], 2 * roundings(tiny))


def test_a_block_sees_the_frame_before_and_zeros_at_the_start(tiny: TinyDecoder) -> None:
    """By hand: relu(conv([x, before]) + x); the frame before is the one of the same depth, not the output."""
    block = tiny.decoder[3]
    x = torch.randn((2, 8, 4, 4), generator=seeded(2))
    expected = (block.conv(torch.cat([x[1:], x[:1]], dim=1)) + x[1:]).relu()
    assert_close(block(x, torch.cat([torch.zeros_like(x[:1]), x[:1]]))[1:], expected, roundings(block))


def test_weights_have_the_names_and_shapes_of_the_published_file() -> None:
    """Clamp, convolution, ReLU; three stages of three blocks, upsampling, frames, convolution; ReLU, convolution."""
    with torch.device("meta"):
        shapes = {name: tuple(weight.shape) for name, weight in TinyDecoder().state_dict().items()}
    expected = {
        "decoder.1.weight": (256, 16, 3, 3),
        "decoder.3.conv.0.weight": (256, 512, 3, 3),
        "decoder.7.conv.weight": (256, 256, 1, 1),
        "decoder.8.weight": (128, 256, 3, 3),
        "decoder.13.conv.weight": (256, 128, 1, 1),
        "decoder.19.conv.weight": (128, 64, 1, 1),
        "decoder.22.weight": (3, 64, 3, 3),
    }
    assert {name: shapes[name] for name in expected} == expected
    assert "decoder.8.bias" not in shapes and len(shapes) == 2 + 9 * 6 + 3 + 3 + 2


def written(tiny: TinyDecoder, path: Path) -> Path:
    """As published: with the encoder's weights, and one layer's for twice as many frames, the last of which count."""
    state = {name: weight.clone() for name, weight in tiny.state_dict().items()}
    state["decoder.7.conv.weight"] = torch.cat([torch.ones(8, 8, 1, 1), state["decoder.7.conv.weight"]])
    save_file({**state, "encoder.0.weight": torch.ones(4, 3, 3, 3)}, path)
    return path


def test_a_file_gives_the_network_back(tiny: TinyDecoder, tmp_path: Path) -> None:
    again = load_tiny_decoder(written(tiny, tmp_path / "tiny.safetensors"))
    assert not any(weight.requires_grad for weight in again.parameters())
    assert_close(chosen(again, drawn(0), 4), chosen(tiny, drawn(0), 4), roundings(tiny))


def lacking(state: dict[str, Tensor]) -> None:
    del state["decoder.3.conv.0.weight"]


def of_another_model(state: dict[str, Tensor]) -> None:
    state["decoder.1.weight"] = torch.ones(8, 48, 3, 3)


def renamed(state: dict[str, Tensor]) -> None:
    for name in list(state):
        state[f"vae.{name}"] = state.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lacking, "1 missing: decoder.3.conv.0.weight"),
        (of_another_model, "decoder.1.weight \\(8, 48, 3, 3\\) instead of \\(8, 16, 3, 3\\)"),
        (renamed, "no tiny decoder.*taew2_1"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tiny: TinyDecoder, tmp_path: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    state = {name: weight.clone() for name, weight in tiny.state_dict().items()}
    change(state)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=message):
        load_tiny_decoder(tmp_path / "other.safetensors")


def test_a_missing_file_and_other_families_are_refused(tiny: TinyDecoder, tmp_path: Path, tiny_tokenizer: Any) -> None:
    with pytest.raises(InputError, match="no such file. Give taew2_1"):
        load_tiny_decoder(tmp_path / "absent.safetensors")
    path = written(tiny, tmp_path / "tiny.safetensors")
    for other in (tiny_cogvideox(), toy_backbone(tiny_tokenizer)):
        with pytest.raises(InputError, match="only Wan 2.1"), tiny_decoding(other, path):  # type: ignore[arg-type]
            pass


def test_the_reward_sees_its_frames_and_everybody_else_the_full_decoders(tiny: TinyDecoder, tmp_path: Path) -> None:
    """A step of InstructVideo: the loss is that of the edit's frames by the tiny decoder, and its gradient arrives."""
    wan = tiny_wan()
    attach_lora(wan.transformer)
    batch = Batch(drawn(5), torch.zeros(1, 512, 32), torch.zeros(1, 512, 32), ["a red fox"])
    full = wan.decode_clips(batch.z)
    method = InstructVideo(tau=0.5, D=4, S=2, guidance=2.0)
    path = written(tiny, tmp_path / "tiny.safetensors")
    with tiny_decoding(wan, FinetuneConfig(decoder=str(path), frames=9, method=method).decoder):  # type: ignore[arg-type]
        [(loss, _)] = method.losses(wan, batch, brightness, seeded(6))
        loss.backward()
        assert torch.equal(wan.decode_clips(batch.z), full), "without gradient, the full decoder"
    assert wan.tiny_decoder is None
    assert max(float(w.grad.abs().max()) for w in lora_parameters(wan.transformer) if w.grad is not None) > 0

    generator = seeded(6)
    with torch.no_grad():
        predict = wan.predictor(batch.embeds, batch.uncond_embeds, 2.0)
        z_0 = edit(predict, batch.z, wan.scheduler, 0.5, 4, noise=draw_noise(batch.z.shape, generator))
        g = choose_frames(9, 2, 1, generator)
        frames = in_one_piece(tiny, z_0)[g[0]]
    expected = -(temporal_attenuation(g, 9) * brightness(frames, [])).mean()
    assert_close(loss, expected, n=roundings(wan.transformer, passes=4) + roundings(tiny))
