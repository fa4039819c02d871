"""Generation and scoring: pairs share their noise, batches and processes change nothing, the protocol of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from ivtutorial.data.prompts import Prompt, as_prompts, read_prompts
from ivtutorial.errors import InputError
from ivtutorial.method.chain import sample
from ivtutorial.models.lora import attach_lora, has_lora, lora_parameters, save_lora
from ivtutorial.models.named import model_location
from ivtutorial.rewards.named import open_reward
from ivtutorial.sampling.generation import Sampling, clip_generator, generate, make_jobs
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

PROMPTS = ["a red fox", "the deer running", "snow"]
SHORT = Sampling(D=3, frames=4)


def redness(frames: Tensor, captions: Sequence[str]) -> Tensor:
    return frames[:, 0].mean(dim=(1, 2))


def chain_roundings(backbone: Backbone) -> float:
    """Three steps and the decoder; frames are of size 1, times the guidance of 3."""
    return roundings(backbone.unet, passes=3) + roundings(backbone.vae)


@pytest.fixture(scope="module")
def toy(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.fixture(scope="module")
def clips(toy: Backbone) -> Tensor:
    return generate(toy, PROMPTS, [0, 7], replace(SHORT, batch_size=6))


@pytest.fixture(scope="module")
def lora(toy: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that changes the model visibly; the backbone is as before afterwards."""
    folder = tmp_path_factory.mktemp("lora")
    attach_lora(toy.unet)
    with torch.no_grad():
        for parameter in lora_parameters(toy.unet):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    save_lora(toy.unet, folder)
    toy.unet.unload_lora()
    return folder


def test_a_clip_is_the_full_chain_from_its_own_noise(toy: Backbone, clips: Tensor) -> None:
    """Prompt 1 with seed 7, made by hand: its own noise, D = 3 steps, guidance 3, decoded."""
    noise = torch.randn(1, 4, 4, 8, 8, generator=clip_generator(1, 7))
    predict = toy.predictor(toy.embed([PROMPTS[1]]), toy.embed([""]), 3.0)
    with torch.no_grad():
        expected = toy.decode_clips(sample(predict, noise, toy.scheduler, 3))
    assert clips.shape == (6, 4, 3, 16, 16) and clips.dtype == torch.float32
    assert_close(clips[3], expected[0], chain_roundings(toy), size=3.0)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_batch_size_changes_nothing(toy: Backbone, clips: Tensor, batch_size: int) -> None:
    again = generate(toy, PROMPTS, [0, 7], replace(SHORT, batch_size=batch_size))
    assert_close(again, clips, chain_roundings(toy), size=3.0)


def test_two_processes_change_nothing(toy: Backbone, clips: Tensor) -> None:
    assert_close(generate(toy, PROMPTS, [0, 7], SHORT, processes=2), clips, chain_roundings(toy), size=3.0)


def test_every_prompt_and_seed_has_its_own_noise() -> None:
    """And it is a function of the two alone: adding prompts or seeds moves no other clip."""
    drawn = [torch.randn(5, generator=clip_generator(index, seed)) for index in range(3) for seed in (0, 1, 2)]
    assert len({tuple(one.tolist()) for one in drawn}) == 9
    assert torch.equal(drawn[4], torch.randn(5, generator=clip_generator(1, 1)))


def test_noise_along_the_chain_belongs_to_the_clip_too(toy: Backbone) -> None:
    """eta = 1 draws noise in every step; one clip alone and the same clip among others must agree."""
    several = generate(toy, PROMPTS, 3, replace(SHORT, eta=1.0))
    alone = generate(toy, PROMPTS[:1], 3, replace(SHORT, eta=1.0))
    assert_close(several[:1], alone, chain_roundings(toy), size=3.0)
    assert (several[0] - generate(toy, PROMPTS[:1], 3, SHORT)[0]).abs().max() > 1e-3


def test_an_adapter_is_used_and_removed_again(toy: Backbone, clips: Tensor, lora: Path) -> None:
    """At scale 0 an adapter is no adapter; at scale 1 it changes the clip; the model stays as it was."""
    one: dict[str, Any] = {"seeds": 0, "sampling": SHORT}
    changed = generate(toy, PROMPTS, lora=lora, **one)
    assert (changed - clips[::2]).abs().mean() > 1e-3
    at_zero = generate(toy, PROMPTS, lora=lora, lora_scale=0.0, **one)
    assert_close(at_zero, clips[::2], chain_roundings(toy), size=3.0)
    assert not has_lora(toy.unet)
    assert_close(generate(toy, PROMPTS, **one), clips[::2], chain_roundings(toy), size=3.0)


def test_other_sizes(toy: Backbone) -> None:
    """The VAE factor is 2: 12 x 16 pixels are 6 x 8 latent cells."""
    assert generate(toy, ["a fox"], sampling=Sampling(D=1, frames=2, height=12, width=16)).shape == (1, 2, 3, 12, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": []}, "at least one prompt"),
        ({"prompts": "a fox"}, "list"),
        ({"prompts": ["a fox", 3]}, "text, got 3"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": -1}, "seeds"),
        ({"sampling": Sampling(D=1, height=31)}, "multiples of 2"),
        ({"lora": "nowhere"}, "nowhere"),
    ],
)
def test_unusable_arguments(toy: Backbone, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(toy, **{"prompts": ["a fox"], "sampling": Sampling(D=1, frames=1), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"D": 0}, "D = 0"),
        ({"frames": 0}, "frames = 0"),
        ({"eta": 2.0}, "eta = 2.0"),
        ({"guidance": float("nan")}, "guidance = nan"),
    ],
)
def test_settings_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sampling(**arguments)


def test_jobs_are_ordered_by_prompt_then_seed() -> None:
    assert [(job.index, job.seed) for job in make_jobs(["a", "b"], [5, 2])] == [(0, 5), (0, 2), (1, 5), (1, 2)]


# --- prompts and names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", "# animals\na red fox\n\n  ein Fuchs \U0001f98a  \n"),
        ("list.csv", "species,prompt\nfox,a red fox\nfox,ein Fuchs \U0001f98a\n"),
        ("list.json", '["a red fox", {"prompt": "ein Fuchs \\ud83e\\udd8a"}]'),
    ],
)
def test_prompt_files(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert [prompt.text for prompt in read_prompts(tmp_path / name)] == ["a red fox", "ein Fuchs \U0001f98a"]


def test_prompts_with_facts(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('[{"prompt": "a red fox", "facts": {"subject": "fox", "seed": 1}}]')
    assert read_prompts(tmp_path / "p.json") == [Prompt("a red fox", {"subject": "fox", "seed": 1})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\n# nothing\n", "no prompt in it"),
        ("a.txt", b"\xff\xfe\x00", "UTF-8"),
        ("a.csv", b"text\na fox\n", "columns prompt"),
        ("a.csv", b"prompt\nnan\na fox\n12\n", r"2 bad of 3:\n  line 2.*\n  line 4"),
        ("a.json", b"{", "not JSON"),
        ("a.json", b'{"prompt": "a fox"}', "list"),
        ("a.json", b'[{"text": "a fox"}]', "expected 'prompt'"),
        ("a.json", b"[null]", "got None"),
        ("a.json", b'[{"prompt": "a fox", "facts": "fox"}]', "an object"),
    ],
)
def test_bad_prompt_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        as_prompts(tmp_path / name)


def test_missing_prompt_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        as_prompts(tmp_path / "none.txt")


def test_names() -> None:
    assert model_location("modelscope") == "damo-vilab/text-to-video-ms-1.7b"
    assert model_location("my/folder") == "my/folder"
    assert open_reward(redness) is redness
    for bad, message in [("hpsv9", "hpsv2, hpsv2.1"), ("nowhere", "nowhere"), (3, "function")]:
        with pytest.raises(InputError, match=message):
            open_reward(bad)  # type: ignore[arg-type]
