"""Nothing in a step makes the processor wait for the GPU, except one look at the frames before they are scored.

The networks live on torch's device "meta", which computes nothing: whatever would read a number from there raises an
error, and every copy from the CPU is seen. So this holds for any other device.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ivtutorial.method.batch import Batch
from ivtutorial.method.chain import denoise
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.lora import attach_lora, lora_parameters
from ivtutorial.models.memory import Memory
from ivtutorial.models.modes import network_mode
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.training.fit import fitted
from ivtutorial.training.guards import Guards
from ivtutorial.training.methods import METHODS, step_losses
from ivtutorial.training.presets import PRESETS
from tests.models.dit.tiny import tiny_wan
from tests.rewards.tiny_clip import model_config, tiny_clip
from tests.toy import toy_backbone

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

CAPTIONS = ["a red fox", "snow"]


class Waits(TorchDispatchMode):
    """Notes what would wait for a device: copies between it and the CPU, unless asynchronous, and new constants."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result = function(*arguments, **(options or {}))
        tensors = [leaf for leaf in tree_leaves((arguments, options, result)) if isinstance(leaf, Tensor)]
        name, devices = function.overloadpacket.__name__, {tensor.device.type for tensor in tensors if tensor.ndim}
        crosses = len(devices) > 1 and name in ("_to_copy", "copy_", "index", "index_put_")
        constant = name == "lift_fresh" and "meta" in {tensor.device.type for tensor in tensors}
        if constant or (crosses and not (options or {}).get("non_blocking")):
            self.seen.append(name)
        return result


@pytest.fixture
def reward() -> ClipReward:
    """Of a kind with HPSv2's, on the other device; it knows the captions."""
    config = model_config()
    tokens = torch.zeros(1, 16, dtype=torch.int64)
    reward = ClipReward(tiny_clip(config), lambda texts: tokens.expand(len(texts), -1), config).to("meta")
    reward.text_features(CAPTIONS)
    return reward


@pytest.fixture
def backbone(tiny_tokenizer: Any) -> Backbone:
    """With an adapter; it knows the captions, then goes to the other device."""
    backbone = toy_backbone(tiny_tokenizer)
    attach_lora(backbone.unet)
    return backbone


def batch_of(backbone: Backbone) -> Batch:
    latents = torch.randn(2, 4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return Batch(latents, backbone.embed(CAPTIONS), backbone.embed([""]), CAPTIONS)


def test_what_waits_is_seen() -> None:
    """A number made anew, a copy, and an index that lies on the CPU."""
    there = torch.empty(4, device="meta")
    with Waits() as waits:
        torch.ones(3).to("meta")
        torch.ones(3).to("meta", non_blocking=True)
        torch.tensor([1.0], device="meta")
        there.new_full((1,), 2.0)
    assert waits.seen == ["_to_copy", "lift_fresh"]


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_nothing_waits_inside_the_chain(backbone: Backbone, eta: float) -> None:
    """Six steps with guidance, the last one recorded; with eta > 0 each step's noise is drawn on the CPU."""
    batch = batch_of(backbone)
    backbone.to("meta")
    batch = batch.to("meta")
    predict = backbone.predictor(batch.embeds, batch.uncond_embeds, 3.0)
    timesteps = chain_timesteps(backbone.scheduler, 10, 0.6)
    generator = torch.Generator().manual_seed(0)
    with Waits() as waits:
        z_0 = denoise(predict, batch.z, timesteps, backbone.scheduler, {5}, eta, generator)
        z_0.sum().backward()
    assert waits.seen == [] and len(timesteps) == 6


@pytest.mark.parametrize("memory", [{}, PRESETS["t4"]["memory"]], ids=["plain", "preset t4"])
@pytest.mark.parametrize("two_phase", [False, True])
def test_a_pass_looks_once_at_the_frames_and_waits_for_nothing_else(
    backbone: Backbone, reward: ClipReward, monkeypatch: pytest.MonkeyPatch, memory: dict[str, Any], two_phase: bool
) -> None:
    """From the batch on the CPU to the adapter's gradient: figures that are logged stay where they were computed."""
    looks: list[Tensor] = []
    monkeypatch.setattr("ivtutorial.method.video_reward.check_frames", looks.append)
    method = InstructVideo(tau=0.5, D=4, S=2, two_phase=two_phase)
    batch = batch_of(backbone)
    backbone.to("meta")
    with fitted(backbone, reward, replace(Memory(**memory), offload_text=False)) as scorer:
        losses = step_losses(method, scorer)
        with network_mode(backbone.unet, method.train_mode), Waits() as waits:
            [(loss, numbers)] = losses(backbone, batch.to("meta"), torch.Generator().manual_seed(0))
            loss.backward()
    assert waits.seen == [] and len(looks) == 1
    assert {value.device.type for value in numbers.values() if isinstance(value, Tensor)} == {"meta", "cpu"}
    assert all(parameter.grad is not None for parameter in lora_parameters(backbone.unet))


@pytest.mark.parametrize("name", METHODS)
def test_no_method_waits_for_more(
    backbone: Backbone, reward: ClipReward, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nor do guards. Where samples are scored without gradient, the reward looks at its frames once more."""
    looks: list[Tensor] = []
    for module in ("method.video_reward", "rewards.clip"):
        monkeypatch.setattr(f"ivtutorial.{module}.check_frames", lambda frames, *_: looks.append(frames))
    rounds = {"group": 2, "inner_updates": 1} if name in ("RWR", "DDPO") else {}
    D = 2 if name in ("Draft", "RWR", "DDPO") else 4  # edits take a part of the steps
    method, batch = METHODS[name](D=D, S=2, **rounds), batch_of(backbone)
    backbone.to("meta")
    guards = Guards(data_weight=0.1, kl_weight=0.1) if name == "InstructVideo" else None
    losses = step_losses(method, reward, guards)
    with network_mode(backbone.unet, method.train_mode), Waits() as waits:
        for loss, _ in losses(backbone, batch.to("meta"), torch.Generator().manual_seed(0)):
            loss.backward()
    assert waits.seen == [] and len(looks) <= 2 * method.updates


@pytest.mark.parametrize(("name", "passes"), [("InstructVideo", 2), ("QuickEdit", 1)])
def test_nothing_waits_in_a_step_of_a_video_transformer(
    reward: ClipReward, monkeypatch: pytest.MonkeyPatch, name: str, passes: int
) -> None:
    """Its timesteps are numbers, its statistics stand in a file, and its decoder reads which frames are wanted."""
    monkeypatch.setattr("ivtutorial.method.video_reward.check_frames", lambda frames: None)
    wan = tiny_wan()
    attach_lora(wan.unet)
    wan.memory = Memory(guidance_passes=passes, recompute_decode=True, decode_chunk=1)
    batch = Batch(torch.randn(2, 16, 5, 2, 2), wan.embed(CAPTIONS), wan.embed([""]), CAPTIONS)
    wan.to("meta")
    losses = step_losses(METHODS[name](D=4, S=2), reward)
    with network_mode(wan.unet, False), Waits() as waits:
        [(loss, _)] = losses(wan, batch.to("meta"), torch.Generator().manual_seed(0))
        loss.backward()
    assert waits.seen == [] and all(parameter.grad is not None for parameter in lora_parameters(wan.unet))
