"""What one step of fine-tuning Wan 2.1 1.3B costs at full size, counted without a GPU.

    python benchmarks/count_wan.py   # two lengths, two sizes, three ways to save memory; some minutes on a CPU

As `benchmarks/count_step.py`, whose counter is used: networks at full size on the device `meta`, one clip, one step of
InstructVideo with K = 1 and guidance in the order of the method (steps without gradient, the last one, four chosen
frames decoded and scored, backward). Every shape is the true one. The peak holds the frozen weights on the GPU (the
text encoder has gone), the adapter with its gradient and Adam's two moments, and all tensors alive at once; not counted
are workspace of kernels and what an allocator rounds up.

The chosen frames are one of each quarter of the clip, the latest of each, so that every chunk before is decoded.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
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

RESULT = Path("data/results/count_wan.json")
CLIPS = ((17, 256, 256), (17, 480, 832), (81, 256, 256), (81, 480, 832))
D, GUIDANCE, S, TOKENS = 20, 5.0, 4, 512


@dataclass(frozen=True)
class Way:
    """A way to save memory: its settings, and whether reward and network go backward one after the other."""

    name: str
    memory: Memory
    two_phase: bool


WAYS = (
    Way("80gb: the network recomputed", Memory(recompute_unet=True), False),
    Way("24gb: network and decoder recomputed", Memory(recompute_unet=True, recompute_decode=True), False),
    Way(
        "16gb: all recomputed, two phases, guidance in two passes",
        Memory(recompute_unet=True, recompute_decode=True, recompute_reward=True, guidance_passes=2),
        True,
    ),
    Way("nothing recomputed", Memory(), False),
)


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


def step(backbone: WanBackbone, reward: ClipReward, shape: tuple[int, ...], way: Way, frames: int) -> None:
    """The last call of the network, decoding, reward and backward, as `InstructVideo.losses` does them."""

    def scored(chosen: Tensor) -> Tensor:
        return reward.image_features(chosen).sum()

    embeds = torch.empty(1, TOKENS, 4096, device="meta", dtype=torch.bfloat16)
    z = torch.empty(1, *shape, device="meta")
    velocity = backbone.predictor(embeds, embeds, GUIDANCE)(z, 100.0)
    z_0 = z - 0.1 * velocity
    x_0 = cut_off(z_0) if way.two_phase else z_0
    g = choose_frames(frames, S, 1, selection="first") + (frames - 1) // S - 1  # the latest of each quarter
    pixels = backbone.decode_frames(x_0, torch.zeros(S, dtype=torch.long), g.flatten())
    if way.memory.recompute_reward:
        from torch.utils.checkpoint import checkpoint

        loss = torch.stack([checkpoint(scored, one, use_reentrant=False) for one in pixels.split(1)]).sum()
    else:
        loss = scored(pixels)
    rejoin(-loss, x_0, z_0).backward()


def count(backbone: WanBackbone, reward: ClipReward, clip: tuple[int, int, int], way: Way) -> dict[str, Any]:
    """A row: FLOPs of a step of one clip, and the peak."""
    shape = backbone.latent_shape(*clip)
    for parameter in lora_parameters(backbone.unet):
        parameter.grad = None
    recorded, plain = Counting(), Counting()
    with saving(backbone, way.memory), patch.object(functional, ATTENTION, fused_attention):
        with recorded:
            step(backbone, reward, shape, way, clip[0])
        with plain, torch.no_grad():
            embeds = torch.empty(1, TOKENS, 4096, device="meta", dtype=torch.bfloat16)
            backbone.predictor(embeds, embeds, GUIDANCE)(torch.empty(1, *shape, device="meta"), 500.0)
    before = partial_steps(same_noise(backbone.scheduler, D=D), D) - 1
    tflop = (recorded.count.total()[0] + before * plain.count.total()[0]) / 1e12
    fixed = resident(backbone, reward)
    peak = max(recorded.count.peak, plain.count.peak) + fixed
    return {
        "way": way.name,
        "frames": clip[0],
        "height": clip[1],
        "width": clip[2],
        "tflop_prefix": round(before * plain.count.total()[0] / 1e12, 1),
        "tflop": round(tflop, 1),
        "resident_gib": round(fixed / 2**30, 2),
        "peak_gib": round(peak / 2**30, 2),
    }


def main() -> None:
    """Count every row and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--most-frames", type=int, default=81, help="Leave longer clips out.")
    options = parser.parse_args()
    backbone, reward = networks()
    rows = []
    for clip in CLIPS:
        for way in WAYS if clip[0] <= options.most_frames else ():
            rows.append(count(backbone, reward, clip, way))
            print(rows[-1], flush=True)
    settings = {"D": D, "tau": same_noise(backbone.scheduler, D=D), "guidance": GUIDANCE, "S": S, "clips": 1}
    atomic_write_text(options.out, json.dumps({"settings": settings, "rows": rows, **provenance(0)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
