"""Saving memory changes nothing but rounding; presets are valid data; running out of memory names the knobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

from ivtutorial.cli.training import merge_settings
from ivtutorial.data.dataset import LatentDataset
from ivtutorial.data.preparation import prepare
from ivtutorial.errors import InputError
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.evaluation.scoring import score
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora
from ivtutorial.models.memory import KNOBS, Memory, explain_out_of_memory, fitted, offload_text
from ivtutorial.rewards.combine import Recomputed
from ivtutorial.sampling.generation import Sampling, generate
from ivtutorial.sampling.training_clips import sample_clips
from ivtutorial.training.config import FinetuneConfig, read_config
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.presets import PRESETS, preset
from tests.tolerances import assert_close, roundings
from tests.toy import toy_backbone

SAVING = Memory(recompute_unet=True, guidance_passes=2, decode_chunk=1, recompute_decode=True, recompute_reward=True)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def redness(frames: Tensor, captions: Any) -> Tensor:
    """A reward whose slope depends on the frame, so that a wrong one would show."""
    return (frames[:, 0] * frames[:, 1].sin()).mean(dim=(1, 2))


def one_step(backbone: Backbone, reward: Any, memory: Memory | None = None) -> tuple[Tensor, list[Tensor]]:
    """Guided prediction, decoded, rewarded: the reward and its gradient to the adapter."""
    parameters = [p for p in backbone.unet.parameters() if p.requires_grad]
    with fitted(backbone, reward, memory or Memory()) as scorer:
        predict = backbone.predictor(backbone.embed(["a fox"]), backbone.embed([""]), 3.0)
        z = predict(noise(1, 4, 2, 8, 8), 551)
        rewards = scorer(backbone.decode(z.transpose(1, 2).flatten(0, 1)), ["a fox"] * 2)
        return rewards.detach(), list(torch.autograd.grad(rewards.sum(), parameters))


def tune(backbone: Backbone) -> Backbone:
    for parameter in attach_lora(backbone.unet, rank=2):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
    return backbone


@pytest.fixture
def tuned(tiny_tokenizer: Any) -> Backbone:
    return tune(toy_backbone(tiny_tokenizer))


def test_saving_memory_changes_neither_reward_nor_gradient(tuned: Backbone) -> None:
    """All switches at once against none; sums in another order differ by float32 rounding."""
    rewards, gradients = one_step(tuned, redness)
    saved_rewards, saved_gradients = one_step(tuned, redness, SAVING)
    n = roundings(tuned.unet, tuned.vae)
    assert_close(saved_rewards, rewards, n)
    assert len(gradients) > 50 and any(g.abs().max() > 0 for g in gradients)
    assert_close(saved_gradients, gradients, 3 * n, size=max(float(g.abs().max()) for g in gradients))


def test_the_switches_do_what_they_say_and_are_put_back(tuned: Backbone) -> None:
    passes: list[int] = []
    tuned.unet.register_forward_pre_hook(lambda _, args: passes.append(len(args[0])))
    decoded: list[int] = []
    tuned.vae.decoder.register_forward_pre_hook(lambda _, args: decoded.append(len(args[0])))
    one_step(tuned, redness, SAVING)
    assert passes == [1, 1], "one pass for each half of the guidance"
    assert decoded == [1] * 4, "two frames one by one, and once more in the backward pass"
    with fitted(tuned, redness, SAVING) as reward:
        assert isinstance(reward, Recomputed) and tuned.unet.is_gradient_checkpointing and tuned.memory == SAVING
    assert not tuned.unet.is_gradient_checkpointing and tuned.memory == Memory()


def test_the_defaults_do_nothing(tuned: Backbone) -> None:
    with fitted(tuned, redness, Memory()) as reward:
        assert reward is redness and not tuned.unet.is_gradient_checkpointing


@pytest.mark.parametrize("compute", ["fp32", "fp16", "bf16"])
def test_parts_without_a_precision_of_their_own_get_the_one_that_is_computed_in(compute: Any) -> None:
    kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    found = Memory(vae="fp32").dtypes(compute)
    assert found == {**dict.fromkeys(("unet", "text_encoder", "reward"), kinds[compute]), "vae": torch.float32}


@pytest.fixture
def half(tiny_tokenizer: Any) -> Backbone:
    """In fp16, with the adapter in float32."""
    return tune(toy_backbone(tiny_tokenizer).to("cpu", torch.float16))


def test_half_precision_gives_the_adapter_a_float32_gradient(half: Backbone) -> None:
    assert {p.dtype for p in half.unet.parameters() if not p.requires_grad} == {torch.float16}
    rewards, gradients = one_step(half, redness, SAVING)
    assert rewards.dtype == torch.float32 and {g.dtype for g in gradients} == {torch.float32}
    assert all(g.isfinite().all() for g in gradients) and any(g.abs().max() > 0 for g in gradients)


def test_loss_scaling_brings_back_gradients_that_fp16_loses(half: Backbone) -> None:
    """1e-6 of the reward has slopes below fp16's smallest number, 6e-8; times 2^16, divided again, they are there."""
    _, plain = one_step(half, lambda frames, captions: 1e-6 * redness(frames, captions))
    _, scaled = one_step(half, lambda frames, captions: 2.0**16 * 1e-6 * redness(frames, captions))
    _, whole = one_step(half, redness)

    def off(found: list[Tensor], factor: float) -> float:
        wanted = torch.cat([g.flatten() for g in whole])
        return ((torch.cat([g.flatten() for g in found]) * factor - wanted).norm() / wanted.norm()).item()

    assert off(scaled, 1e6 / 2**16) < 0.05 < off(plain, 1e6)


def test_offloaded_text_towers_leave_what_they_encoded(tuned: Backbone) -> None:
    told: list[str] = []

    class Reward:
        def text_features(self, captions: Sequence[str]) -> None: ...

        def offload_text(self, device: str) -> None:
            told.append(device)

    expected = tuned.embed(["a fox", ""])
    offload_text(tuned, Reward())  # type: ignore[arg-type]
    assert told == []
    with fitted(tuned, redness, Memory(offload_text=True)):
        offload_text(tuned, Reward())  # type: ignore[arg-type]
        offload_text(tuned, redness)  # has none: no error
    assert told == ["cpu"]
    tuned.text_encoder.to("meta")  # as far away as can be
    assert torch.equal(tuned.embed(["a fox", ""]), expected) and expected.device == tuned.device


def test_compilation_is_asked_for_only_on_demand(tuned: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(self))
    with fitted(tuned, redness, SAVING):
        assert compiled == []
    with fitted(tuned, redness, Memory(compile=True)):
        assert compiled == [tuned.unet]


def test_attention_runs_on_torchs_fused_kernels(tuned: Backbone) -> None:
    processors = tuned.unet.attn_processors
    assert processors and all(isinstance(one, AttnProcessor2_0) for one in processors.values())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"unet": "fp8"}, "unet = 'fp8'"),
        ({"reward": torch.float16}, "reward = torch.float16"),
        ({"guidance_passes": 3}, "guidance_passes = 3"),
        ({"decode_chunk": 0}, "decode_chunk = 0"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Memory(**settings)


# --- presets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_valid_and_keeps_the_papers_eight_clips_a_step(name: str) -> None:
    chosen = preset(name)
    assert chosen["batch_size"] * chosen["accumulation"] == 8
    dtypes = Memory(**chosen["memory"]).dtypes(chosen["precision"])
    assert set(dtypes.values()) <= {torch.float16, torch.bfloat16}, "no part in float32"


def test_smaller_cards_save_more() -> None:
    """Every switch that a larger card's preset has on is on in the smaller one's, too."""
    switches = [{k for k, v in PRESETS[n]["memory"].items() if v in (True, 2)} for n in ("8gb", "t4", "24gb", "a100")]
    assert all(large <= small for small, large in zip(switches, switches[1:]))
    assert len(switches[0]) != len(switches[-1])


def test_a_preset_cannot_be_changed_by_accident() -> None:
    preset("t4")["memory"]["offload_text"] = False
    assert preset("t4")["memory"]["offload_text"] is True
    with pytest.raises(InputError, match="there are t4, 8gb, 24gb, a100"):
        preset("h100")


# --- out of memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["explained", "fitted"])
def test_running_out_of_memory_names_the_knobs_in_order(tuned: Backbone, where: str) -> None:
    block = explain_out_of_memory() if where == "explained" else fitted(tuned, redness, SAVING)
    with pytest.raises(InputError) as caught, block:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nProcess 7 has ...")
    said = str(caught.value)
    places = [said.index(f"{place}. {knob}") for place, knob in enumerate(KNOBS, start=1)]
    assert places == sorted(places) and "Tried to allocate 2.00 GiB" in said and "\n" not in said


def out_of_memory(*_: Any, **__: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_a_run_whose_models_do_not_fit_names_the_knobs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Already opening the models may be too much; nothing is left behind."""
    monkeypatch.setattr("ivtutorial.models.backbone_folder.load_backbone", out_of_memory)
    data = LatentDataset(noise(1, 4, 16, 8, 8), ("a fox",))
    with pytest.raises(InputError, match=r"order: 1\. no other program .* 2\. half precision: precision"):
        finetune("anything", data, redness, tmp_path / "run", FinetuneConfig(steps=1), device="cpu", progress=False)
    assert not (tmp_path / "run").exists()


SAMPLES, OPENS = r"1\. a smaller batch_size; 2\. weights in half", r"2\. half precision.* 3\. device=cpu"
SCORER, MODEL = "method.video_reward.VideoReward.of_frames", "models.backbone_folder.load_backbone"
FOX = ["a fox"]
SMALL: dict[str, Any] = {"D": 2, "frames": 2}


@pytest.mark.parametrize(
    ("too_much", "told", "call"),
    [
        ("sampling.generation.sample", SAMPLES, lambda model, out: generate(model, FOX, **SMALL)),
        ("sampling.generation.sample", SAMPLES, lambda model, out: sample_clips(model, FOX, out, Sampling(**SMALL))),
        ("sampling.generation.sample", SAMPLES, lambda model, out: evaluate(model, FOX, redness, **SMALL)),
        (SCORER, SAMPLES, lambda model, out: evaluate(model, FOX, redness, S=2, **SMALL)),
        (SCORER, SAMPLES, lambda model, out: score(torch.rand(1, 4, 3, 8, 8), FOX, redness)),
        (MODEL, OPENS, lambda model, out: generate("anything", FOX)),
        (MODEL, OPENS, lambda model, out: prepare(out, out / "new", "anything")),
        ("rewards.named.open_named", OPENS, lambda model, out: score(torch.rand(1, 4, 3, 8, 8), FOX, "hpsv2")),
    ],
    ids=["generate", "from prompts", "evaluate", "evaluate's score", "score", "model", "model of prepare", "reward"],
)
def test_what_does_not_fit_elsewhere_names_its_own_knobs(
    tuned: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, too_much: str, told: str, call: Any
) -> None:
    monkeypatch.setattr(f"ivtutorial.{too_much}", out_of_memory)
    with pytest.raises(InputError, match=rf"{told}.* \(CUDA out of memory"):
        call(tuned, tmp_path)


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), explain_out_of_memory():
        1 / 0  # noqa: B018


# --- in a run --------------------------------------------------------------------------------------


def test_a_preset_on_the_command_line_can_be_changed_setting_by_setting(tmp_path: Path) -> None:
    config = merge_settings(None, {"batch_size": 2}, {}, ["memory.decode_chunk=4"], False, "8gb")
    assert (config.batch_size, config.accumulation, config.precision) == (2, 8, "fp16")
    assert config.memory == Memory(**{**PRESETS["8gb"]["memory"], "decode_chunk": 4})
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    assert read_config(tmp_path) == config, "and it is stored with the run"
    with pytest.raises(InputError, match="unknown setting 'recompute_unit' of Memory: did you mean"):
        merge_settings(None, {}, {}, ["memory.recompute_unit=true"], False)


def test_a_run_that_saves_memory_takes_the_same_steps(tiny_tokenizer: Any, tmp_path: Path) -> None:
    """Two steps with every switch on: the same losses, and the model is given back as it was."""
    backbone, losses = toy_backbone(tiny_tokenizer), []
    data = LatentDataset(noise(2, 4, 4, 8, 8), ("a fox", "a deer"))
    for name, memory in (("plain", Memory()), ("saving", SAVING)):
        method = InstructVideo(D=2, tau=1.0, S=2)
        config = FinetuneConfig(method, steps=2, batch_size=1, frames=4, lr=1e-2, memory=memory)
        result = finetune(backbone, data, redness, tmp_path / name, config, device="cpu", progress=False)
        losses.append([row["loss"] for row in result.metrics])
        assert backbone.memory == Memory() and not backbone.unet.is_gradient_checkpointing
    assert_close(losses[1], losses[0], n=2 * roundings(backbone.unet, backbone.vae, passes=3))
    assert losses[0][0] != losses[0][1]
