"""What one step of fine-tuning Wan 2.1 1.3B costs at full size, counted without a GPU.

    python benchmarks/count_wan.py   # two lengths, two sizes, the presets; half an hour of one core of a CPU

As `benchmarks/count_step.py`, whose counter is used: networks at full size on the device `meta`, a step of 8 clips of
InstructVideo with K = 1 and guidance in the order of the method (steps without gradient, the last one, four chosen
frames decoded and scored, backward). Every shape is the true one. The peak holds the frozen weights on the GPU (the
text encoder has gone), the adapter with its gradient and Adam's two moments, and all tensors alive at once; not counted
are workspace of kernels and what an allocator rounds up.

The chosen frames are one of each quarter of the clip, the latest of each, so that every chunk before is decoded. The
file is written after each row.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import open_clip
import torch
from count_step import ATTENTION, Counting, fused_attention
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ivtutorial.method.chain import call
from ivtutorial.method.flow import FlowSchedule
from ivtutorial.method.schedule import partial_steps
from ivtutorial.method.segvr import choose_frames
from ivtutorial.method.two_phase import cut_off, rejoin
from ivtutorial.models.dit import WanBackbone
from ivtutorial.models.lora import attach_lora, lora_parameters
from ivtutorial.models.memory import Memory
from ivtutorial.models.scheduler import same_noise
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.provenance import provenance
from ivtutorial.system.quiet import no_warnings
from ivtutorial.training.presets import preset

RESULT = Path("data/results/count_wan.json")
CLIPS = ((17, 256, 256), (17, 480, 832), (81, 256, 256), (81, 480, 832))
D, GUIDANCE, S, TOKENS = 20, 5.0, 4, 512


@dataclass(frozen=True)
class Way:
    """A preset, and whether reward and network go backward one after the other."""

    preset: str
    two_phase: bool = False

    @property
    def name(self) -> str:
        """Of its rows."""
        return f"preset {self.preset}" + ", two phases" * self.two_phase

    @property
    def memory(self) -> Memory:
        """The preset's."""
        return Memory(**preset(self.preset)["memory"])


WAYS = (Way("16gb"), Way("16gb", two_phase=True), Way("24gb"), Way("80gb"))


def networks() -> tuple[WanBackbone, ClipReward]:
    """Wan 2.1 1.3B without its text encoder, and HPSv2's network, in bf16, with a fresh adapter of rank 4."""
    with no_warnings(), torch.device("meta"):
        transformer = WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=12, attention_head_dim=128, in_channels=16, out_channels=16,
            text_dim=4096, freq_dim=256, ffn_dim=8960, num_layers=30,
        )  # fmt: skip
        vae = AutoencoderKLWan()
        vit = open_clip.create_model("ViT-H-14", device="meta")
    for network in (transformer, vae, vit):
        network.to(torch.bfloat16)
    reward = ClipReward(vit, open_clip.SimpleTokenizer(), open_clip.get_model_config("ViT-H-14"))
    backbone = WanBackbone(transformer, vae, FlowSchedule(3.0)).freeze()
    attach_lora(backbone.unet)
    return backbone, reward.requires_grad_(False)  # type: ignore[return-value]


def resident(backbone: WanBackbone, reward: ClipReward) -> int:
    """Bytes that stay: frozen weights, and 16 a weight of the adapter."""
    adapter = lora_parameters(backbone.unet)
    frozen = sum(
        p.numel() * p.element_size()
        for part in (backbone.unet, backbone.vae, reward.model.visual)
        for p in part.parameters()
        if not p.requires_grad
    )
    return frozen + 16 * sum(p.numel() for p in adapter)


@contextmanager
def saving(backbone: WanBackbone, memory: Memory) -> Iterator[None]:
    """The settings for a while."""
    backbone.memory = memory
    if memory.recompute_unet:
        backbone.unet.enable_gradient_checkpointing()
    try:
        yield
    finally:
        backbone.unet.disable_gradient_checkpointing()


def step(backbone: WanBackbone, reward: ClipReward, z: Tensor, way: Way) -> None:
    """The last call of the network, decoding, reward and backward, as `InstructVideo.losses` does them."""

    def scored(chosen: Tensor) -> Tensor:
        return reward.image_features(chosen).sum()

    B, F = len(z), backbone.frame_count(z.shape[2])
    velocity = call(predictor(backbone, B), z, 100.0, way.two_phase)
    z_0 = z - 0.1 * velocity
    x_0 = cut_off(z_0) if way.two_phase else z_0
    g = choose_frames(F, S, B, selection="first") + (F - 1) // S - 1  # the latest of each quarter
    pixels = backbone.decode_frames(x_0, torch.arange(B).repeat_interleave(S), g.flatten())
    if way.memory.recompute_reward:
        loss = torch.stack([checkpoint(scored, frame, use_reentrant=False) for frame in pixels.split(1)]).sum()
    else:
        loss = scored(pixels)
    rejoin(-loss, x_0, z_0).backward()


def predictor(backbone: WanBackbone, clips: int) -> Callable[[Tensor, Tensor | float], Tensor]:
    """The network with guidance, for captions without content."""
    embeds = torch.empty(clips, TOKENS, 4096, device="meta", dtype=torch.bfloat16)
    return backbone.predictor(embeds, embeds, GUIDANCE)


def count(backbone: WanBackbone, reward: ClipReward, clip: tuple[int, int, int], way: Way) -> dict[str, Any]:
    """A row: FLOPs of a step of 8 clips, and the peak of one pass of the preset's batch."""
    settings = preset(way.preset)
    z = torch.empty(settings["batch_size"], *backbone.latent_shape(*clip), device="meta")
    for parameter in lora_parameters(backbone.unet):
        parameter.grad = None
    recorded, plain = Counting(), Counting()
    with saving(backbone, way.memory), patch.object(functional, ATTENTION, fused_attention):
        with recorded:
            step(backbone, reward, z, way)
        with plain, torch.no_grad():
            predictor(backbone, len(z))(z, 500.0)
    before = partial_steps(same_noise(backbone.scheduler, D=D), D) - 1
    flops = recorded.count.total()[0] + before * plain.count.total()[0]
    fixed = resident(backbone, reward)
    return {
        "name": way.name,
        "frames": clip[0],
        "height": clip[1],
        "width": clip[2],
        "precision": settings["precision"],
        "clips": len(z),
        "passes": settings["accumulation"],
        "tflop": round(settings["accumulation"] * flops / 1e12, 1),
        "resident_gib": round(fixed / 2**30, 3),
        "peak_gib": round((max(recorded.count.peak, plain.count.peak) + fixed) / 2**30, 3),
    }


def main() -> None:
    """Count every row and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--most-frames", type=int, default=81, help="Leave longer clips out.")
    options = parser.parse_args()
    backbone, reward = networks()
    settings = {"clips_of_a_step": 8, "D": D, "tau": same_noise(backbone.scheduler, D=D), "guidance": GUIDANCE, "S": S}
    table: dict[str, Any] = {"settings": {**settings, "tokens": TOKENS}, "rows": [], **provenance(0)}
    for clip in CLIPS:
        for way in WAYS if clip[0] <= options.most_frames else ():
            table["rows"].append(count(backbone, reward, clip, way))
            print(table["rows"][-1], flush=True)
            atomic_write_text(options.out, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
