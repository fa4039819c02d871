"""A store of encoded clips, so that training the video model does not draw and encode them again and again.

Clip i of the store is drawn from the seed (seed, i); it is of web quality and never of a held-out combination.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from ivtutorial.lab.reduced_models import loop as training
from ivtutorial.lab.world import facts as world, samples as frames
from ivtutorial.lab.world.drawing.subjects import ALL, subject
from ivtutorial.system.device import choose_device

CHUNK = 50


class LatentStore:
    """Latents (N, C, F, h, w) in fp16, times the scaling factor, and the facts of each clip."""

    def __init__(self, folder: Path) -> None:
        self.latents: NDArray[np.float16] = np.load(folder / "latents.npy", mmap_mode="r")
        rows = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        self.facts = [world.ClipFacts(**row) for row in rows]

    def __len__(self) -> int:
        return len(self.facts)

    def clips(self, index: NDArray[np.int64]) -> Tensor:
        """Some clips, float32 (B, C, F, h, w)."""
        return torch.from_numpy(np.asarray(self.latents[index], dtype=np.float32))

    def single_frames(self, index: NDArray[np.int64], frame: NDArray[np.int64]) -> Tensor:
        """One frame of each of some clips, float32 (B, C, h, w)."""
        return torch.from_numpy(np.asarray(self.latents[index, :, frame], dtype=np.float32))

    def captions(self, index: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
        """A fresh wording for each clip; some leave facts out."""
        return [
            world.caption_of(self.facts[i], subject(self.facts[i].subject), int(rng.integers(1000)), full=False)
            for i in index
        ]


def build_store(folder: Path, vae_folder: Path, clips: int, seed: int = 1) -> LatentStore:
    """Draw and encode clips into ``folder/latents.npy``; goes on where it was cut off; processes share the work."""
    folder.mkdir(parents=True, exist_ok=True)
    rank, world_size = training.process()
    device = choose_device()
    vae = AutoencoderKL.from_pretrained(vae_folder, torch_dtype=torch.float32).to(device).eval()
    parts = [folder / f"part{k:05d}.npy" for k in range(-(-clips // CHUNK))]
    for k, part in enumerate(parts):
        if k % world_size == rank and not part.exists():
            index = range(k * CHUNK, min((k + 1) * CHUNK, clips))
            block = np.concatenate([_encode(vae, _clip(seed, i), device) for i in index])
            np.save(part.with_suffix(".tmp.npy"), block)
            part.with_suffix(".tmp.npy").rename(part)
    if world_size > 1:
        torch.distributed.barrier()
    if rank == 0 and not (folder / "facts.json").exists():
        np.save(folder / "latents.npy", np.concatenate([np.load(p) for p in parts]))
        rows = [asdict(world.draw_facts(np.random.default_rng((seed, i)), ALL)) for i in range(clips)]
        (folder / "facts.json").write_text(json.dumps(rows), encoding="utf-8")
        for p in parts:
            p.unlink()
    if world_size > 1:
        torch.distributed.barrier()
    return LatentStore(folder)


def _clip(seed: int, index: int) -> frames.Sample:
    return frames.draw_sample(np.random.default_rng((seed, index)))


@torch.no_grad()
def _encode(vae: AutoencoderKL, sample: frames.Sample, device: torch.device) -> NDArray[np.float16]:
    pixels = frames.stack([sample])[0].to(device) * 2 - 1
    latents = vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor
    half: NDArray[np.float16] = latents.permute(1, 0, 2, 3)[None].half().cpu().numpy()
    return half
