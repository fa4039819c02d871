"""Saving memory changes nothing but rounding, and the model comes back as it was."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora
from ivtutorial.models.memory import Memory
from ivtutorial.rewards.combine import Recomputed
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.fit import fitted, offload_text
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

    def off(gradients: list[Tensor], factor: float) -> float:
        wanted = torch.cat([g.flatten() for g in whole])
        return ((torch.cat([g.flatten() for g in gradients]) * factor - wanted).norm() / wanted.norm()).item()

    assert off(scaled, 1e6 / 2**16) < 0.05 < off(plain, 1e6)


def test_offloaded_text_towers_leave_what_they_encoded(tuned: Backbone) -> None:
    devices: list[str] = []

    class Reward:
        def text_features(self, captions: Sequence[str]) -> None: ...

        def offload_text(self, device: str) -> None:
            devices.append(device)

    expected = tuned.embed(["a fox", ""])
    offload_text(tuned, Reward())  # type: ignore[arg-type]
    assert devices == []
    with fitted(tuned, redness, Memory(offload_text=True)):
        offload_text(tuned, Reward())  # type: ignore[arg-type]
        offload_text(tuned, redness)  # has none: no error
    assert devices == ["cpu"]
    tuned.text_encoder.to("meta")  # as far away as can be
    assert torch.equal(tuned.embed(["a fox", ""]), expected) and expected.device == tuned.device


def test_a_model_that_recomputed_before_does_so_afterwards(tuned: Backbone) -> None:
    """As chapters at full size open theirs: a run in between must not switch it off."""
    tuned.unet.enable_gradient_checkpointing()
    with fitted(tuned, redness, Memory()):
        assert not tuned.unet.is_gradient_checkpointing, "inside, the settings decide"
    assert tuned.unet.is_gradient_checkpointing


def test_compilation_is_asked_for_only_on_demand(tuned: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(self))
    with fitted(tuned, redness, SAVING):
        assert compiled == []
    with fitted(tuned, redness, Memory(compile=True)):
        assert compiled == [tuned.unet]


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


def test_a_full_gpu_still_gives_the_advice_and_keeps_the_text_tower_outside(tuned: Backbone) -> None:
    """The failed step's tensors are let go before the text tower returns; if there is no room even so, it stays."""
    alive: list[weakref.ref[Any]] = []
    devices: list[tuple[str, bool]] = []

    def step() -> None:
        graph = noise(4)
        alive.append(weakref.ref(graph))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    def to(device: Any) -> None:
        devices.append((str(device), alive[0]() is None))
        if len(devices) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    tuned.text_encoder.to = to  # type: ignore[method-assign, assignment]
    with pytest.raises(InputError, match="Change these options"), fitted(tuned, redness, Memory(offload_text=True)):
        step()
    assert devices == [("cpu", True), ("cpu", True)]


def test_the_text_tower_of_a_reward_comes_back_too(tuned: Backbone) -> None:
    class Reward:
        devices: list[str] = []

        def __call__(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
            return frames.mean((1, 2, 3))

        def text_features(self, captions: Sequence[str]) -> None: ...

        def offload_text(self, device: Any = "cpu") -> None:
            self.devices.append(str(device))

    with fitted(tuned.to("meta"), Reward(), Memory(offload_text=True, recompute_reward=True)) as reward:
        reward.offload_text("cpu")  # type: ignore[attr-defined]
    assert Reward.devices == ["cpu", "meta"]
