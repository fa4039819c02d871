"""What one step of fine-tuning Wan 2.1 1.3B, or CogVideoX-2B, costs at full size, counted without a GPU.

    python benchmarks/count_wan.py                        # two lengths, two sizes, the presets; half an hour of a core
    python benchmarks/count_wan.py --model cogvideox-2b

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

import full_size
import torch
from count_step import ATTENTION, Counting, fused_attention
from diffusers import AutoencoderKLCogVideoX, AutoencoderKLWan, CogVideoXTransformer3DModel, WanTransformer3DModel
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ivtutorial.method.chain import call
from ivtutorial.method.flow import FlowSchedule
from ivtutorial.method.schedule import partial_steps
from ivtutorial.method.segvr import choose_frames
from ivtutorial.method.two_phase import cut_off, rejoin
from ivtutorial.models.dit import CogVideoXBackbone, DitBackbone, TinyDecoder, WanBackbone
from ivtutorial.models.lora import attach_lora, lora_parameters
from ivtutorial.models.memory import Memory
from ivtutorial.models.scheduler import same_noise
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.provenance import provenance
from ivtutorial.system.quiet import no_warnings
from ivtutorial.training.presets import preset

D, S = 20, 4


@dataclass(frozen=True)
class Way:
    """A preset, whether reward and network go backward one after the other, and through which decoder."""

    preset: str
    two_phase: bool = False
    tiny: bool = False

    @property
    def name(self) -> str:
        """Of its rows."""
        return f"preset {self.preset}" + ", two phases" * self.two_phase + ", tiny decoder" * self.tiny

    @property
    def memory(self) -> Memory:
        """The preset's."""
        return Memory(**preset(self.preset)["memory"])


WAYS = (Way("16gb"), Way("16gb", two_phase=True), Way("80gb"))


def wan() -> WanBackbone:
    """Wan 2.1 1.3B without its text encoder."""
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=12, attention_head_dim=128, in_channels=16, out_channels=16,
        text_dim=4096, freq_dim=256, ffn_dim=8960, num_layers=30,
    )  # fmt: skip
    return WanBackbone(transformer, AutoencoderKLWan(), FlowSchedule(3.0))


def cogvideox() -> CogVideoXBackbone:
    """CogVideoX-2B without its text encoder."""
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=30, attention_head_dim=64, in_channels=16, out_channels=16, time_embed_dim=512,
        text_embed_dim=4096, num_layers=30, sample_width=90, sample_height=60, sample_frames=49, patch_size=2,
        temporal_compression_ratio=4, max_text_seq_length=226,
    )  # fmt: skip
    kinds = {"down_block_types": ("CogVideoXDownBlock3D",) * 4, "up_block_types": ("CogVideoXUpBlock3D",) * 4}
    widths = (128, 256, 256, 512)
    vae = AutoencoderKLCogVideoX(block_out_channels=widths, latent_channels=16, layers_per_block=3, **kinds)
    return CogVideoXBackbone(transformer, vae)


@dataclass(frozen=True)
class Model:
    """What is counted of a model: clips (frames, height, width), guidance g, ways, and where the table goes."""

    build: Callable[[], DitBackbone]
    clips: tuple[tuple[int, int, int], ...]
    guidance: float
    ways: tuple[Way, ...]
    result: Path


MODELS = {
    "wan2.1-1.3b": Model(
        wan,
        ((17, 256, 256), (17, 480, 832), (81, 256, 256), (81, 480, 832)),
        5.0,
        (*WAYS, Way("16gb", tiny=True)),
        Path("data/results/count_wan.json"),
    ),
    "cogvideox-2b": Model(
        cogvideox,
        ((17, 256, 256), (17, 480, 720), (49, 256, 256), (49, 480, 720)),
        6.0,
        WAYS,
        Path("data/results/count_cogvideox.json"),
    ),
}


def networks(model: Model) -> tuple[DitBackbone, ClipReward]:
    """The model, and HPSv2's network, in bf16, with a fresh adapter of rank 4."""
    with no_warnings(), torch.device("meta"):
        backbone = model.build()
    reward = full_size.random_reward(1, 0, "meta")
    for network in (backbone.transformer, backbone.vae, reward.model):
        network.to(torch.bfloat16)
    attach_lora(backbone.freeze().unet)
    return backbone, reward.requires_grad_(False)  # type: ignore[return-value]


def tiny_decoder() -> TinyDecoder:
    """TAEHV's, in bf16."""
    with torch.device("meta"):
        return TinyDecoder().to(torch.bfloat16).requires_grad_(False)


def resident(backbone: DitBackbone, reward: ClipReward) -> int:
    """Bytes that stay: frozen weights, and 16 a weight of the adapter."""
    adapter = lora_parameters(backbone.unet)
    tiny = getattr(backbone, "tiny_decoder", None)
    frozen = sum(
        p.numel() * p.element_size()
        for part in (backbone.unet, backbone.vae, reward.model.visual, *([tiny] if tiny is not None else []))
        for p in part.parameters()
        if not p.requires_grad
    )
    return frozen + 16 * sum(p.numel() for p in adapter)


@contextmanager
def saving(backbone: DitBackbone, way: Way) -> Iterator[None]:
    """The settings for a while."""
    backbone.memory = way.memory
    if way.memory.recompute_unet:
        backbone.unet.enable_gradient_checkpointing()
    if way.tiny:
        backbone.tiny_decoder = tiny_decoder()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        backbone.unet.disable_gradient_checkpointing()
        if way.tiny:
            backbone.tiny_decoder = None  # type: ignore[attr-defined]


def step(backbone: DitBackbone, reward: ClipReward, z: Tensor, way: Way, guidance: float) -> None:
    """The last call of the network, decoding, reward and backward, as `InstructVideo.losses` does them."""

    def scored(chosen: Tensor) -> Tensor:
        return reward.image_features(chosen).sum()

    B, F = len(z), backbone.frame_count(z.shape[2])
    velocity = call(predictor(backbone, B, guidance), z, 100.0, way.two_phase)
    z_0 = z - 0.1 * velocity
    x_0 = cut_off(z_0) if way.two_phase else z_0
    g = choose_frames(F, S, B, selection="first") + (F - 1) // S - 1  # the latest of each quarter
    pixels = backbone.decode_frames(x_0, torch.arange(B).repeat_interleave(S), g.flatten())
    if way.memory.recompute_reward:
        loss = torch.stack([checkpoint(scored, frame, use_reentrant=False) for frame in pixels.split(1)]).sum()
    else:
        loss = scored(pixels)
    rejoin(-loss, x_0, z_0).backward()


def predictor(backbone: DitBackbone, clips: int, guidance: float) -> Callable[[Tensor, Tensor | float], Tensor]:
    """The network with guidance, for captions without content."""
    embeds = torch.empty(clips, backbone.tokens, 4096, device="meta", dtype=torch.bfloat16)
    return backbone.predictor(embeds, embeds, guidance)


def count(
    backbone: DitBackbone, reward: ClipReward, clip: tuple[int, int, int], way: Way, guidance: float
) -> dict[str, Any]:
    """A row: FLOPs of a step of 8 clips, and the peak of one pass of the preset's batch."""
    settings = preset(way.preset)
    z = torch.empty(settings["batch_size"], *backbone.latent_shape(*clip), device="meta")
    for parameter in lora_parameters(backbone.unet):
        parameter.grad = None
    recorded, plain = Counting(), Counting()
    with saving(backbone, way), patch.object(functional, ATTENTION, fused_attention):
        with recorded:
            step(backbone, reward, z, way, guidance)
        with plain, torch.no_grad():
            predictor(backbone, len(z), guidance)(z, 500.0)
        fixed = resident(backbone, reward)
    before = partial_steps(same_noise(backbone.scheduler, D=D), D) - 1
    flops = recorded.count.total()[0] + before * plain.count.total()[0]
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
    parser.add_argument("--model", choices=list(MODELS), default="wan2.1-1.3b")
    parser.add_argument("--out", type=Path, help="Default: the table in data/results.")
    parser.add_argument("--most-frames", type=int, default=81, help="Leave longer clips out.")
    parser.add_argument("--only-new", action="store_true", help="Keep the rows that the file has.")
    options = parser.parse_args()
    model = MODELS[options.model]
    out = options.out or model.result
    backbone, reward = networks(model)
    tau = same_noise(backbone.scheduler, D=D)
    settings = {"clips_of_a_step": 8, "D": D, "tau": tau, "guidance": model.guidance, "S": S}
    known = json.loads(out.read_text(encoding="utf-8"))["rows"] if options.only_new and out.exists() else []
    table: dict[str, Any] = {"settings": {**settings, "tokens": backbone.tokens}, "rows": [], **provenance(0)}
    for clip in (clip for clip in model.clips if clip[0] <= options.most_frames):
        for way in model.ways:
            same = (way.name, *clip)
            old = [row for row in known if (row["name"], row["frames"], row["height"], row["width"]) == same]
            table["rows"] += old or [count(backbone, reward, clip, way, model.guidance)]
            print(table["rows"][-1], flush=True)
            atomic_write_text(out, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
