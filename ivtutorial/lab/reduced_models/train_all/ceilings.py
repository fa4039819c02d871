"""What can be reached at best, and what is: renders, their reconstructions, samples, measured alike.

Printed before and after each stage, so that a stage is blamed for its own losses only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from transformers import CLIPTokenizer

from ivtutorial.errors import InputError
from ivtutorial.evaluation.looks import strongest_edges
from ivtutorial.lab.reduced_models.tokenizer import token_ids
from ivtutorial.lab.reduced_models.train_all.loop import Check
from ivtutorial.lab.reduced_models.train_all.parts.image_model import Texts, sample_latents
from ivtutorial.lab.reduced_models.train_all.pool import render_with_mask
from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.subjects import SPECIES, subject
from ivtutorial.lab.world.judges.judge import Judge, open_judge
from ivtutorial.lab.world.training_captions import full_caption
from ivtutorial.method.noise import corrupt, level, split
from ivtutorial.models.scheduler import make_scheduler

FRESH = 731_000  # seeds that no training uses
CHECKED = (51, 151, 251, 351, 501, 651, 801, 951)  # timesteps at which one step to the clean picture is measured


@dataclass(frozen=True)
class Fresh:
    """Clean pictures of the 45 species that no training sees.

    Attributes:
        frames: (N, 3, 64, 64) in [0, 1]. masks: bool (N, 64, 64).
        facts: what they show. captions: all of it in words, with the way the subject faces.
    """

    frames: Tensor
    masks: Tensor
    facts: list[world.ClipFacts]
    captions: list[str]

    @classmethod
    def draw(cls, count: int, seed: int = 0, held_out: bool | None = False) -> Fresh:
        """``count`` frames, the species in turn."""
        frames, masks, facts, captions = [], [], [], []
        for k in range(count):
            rng = np.random.default_rng((FRESH, seed, k))
            drawn = world.draw_facts(rng, SPECIES, held_out, subject=SPECIES[k % len(SPECIES)].name)
            picture, mask = render_with_mask(drawn, (int(rng.integers(world.FRAMES)),))
            frames.append(picture[0])
            masks.append(mask[0])
            facts.append(drawn)
            captions.append(full_caption(drawn, subject(drawn.subject), rng))
        pixels = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
        return cls(pixels, torch.from_numpy(np.stack(masks)), facts, captions)


def fidelity(output: Tensor, target: Tensor, masks: Tensor) -> dict[str, float]:
    """How near pictures come to others.

    Args:
        output: (N, 3, 64, 64) in [0, 1].
        target: the same.
        masks: the subjects, bool (N, 64, 64).

    Returns:
        `db`: mean over pictures of the peak signal-to-noise ratio. `db_subject`, `db_rest`: of all pixels inside and
        outside the subjects together. `sharpness`: of the output over that of the target.
    """
    error = (output - target).square().mean(1)

    def ratio(mask: Tensor) -> float:
        return round(float(-10 * ((error * mask).sum() / mask.sum()).log10()), 2)

    return {
        "db": round(float((-10 * error.mean((1, 2)).clamp_min(1e-10).log10()).mean()), 2),
        "db_subject": ratio(masks.float()),
        "db_rest": ratio(1.0 - masks.float()),
        "sharpness": round(sharpness(output) / sharpness(target), 4),
    }


def sharpness(frames: Tensor) -> float:
    """The judge's measure of single frames (N, 3, 64, 64) in [0, 1]."""
    return float(strongest_edges(frames).mean())


@torch.no_grad()
def decode(vae: AutoencoderKL, z: Tensor, batch: int = 64) -> Tensor:
    """Pixels (N, 3, 64, 64) in [0, 1], on the CPU, of latents (N, C, 8, 8)."""
    parts = [vae.decode(part / vae.config.scaling_factor).sample.float().cpu() for part in z.split(batch)]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)


@torch.no_grad()
def encode_frames(vae: AutoencoderKL, frames: Tensor, batch: int = 64) -> Tensor:
    """Latents (N, C, 8, 8) of pixels (N, 3, 64, 64) in [0, 1]."""
    device = next(vae.parameters()).device
    parts = [vae.encode(part.to(device) * 2 - 1).latent_dist.mean for part in frames.split(batch)]
    return torch.cat(parts) * vae.config.scaling_factor


def reconstructions(vae: AutoencoderKL, fresh: Fresh) -> dict[str, float]:
    """:func:`fidelity` of encoding and decoding."""
    return fidelity(decode(vae, encode_frames(vae, fresh.frames)), fresh.frames, fresh.masks)


def fidelity_check(vae: AutoencoderKL, fresh: Fresh, counts: tuple[int, ...]) -> Check:
    """A check for :func:`.loop.fit_part`: :func:`fidelity` with only the first latent channels, for each count."""

    def check() -> dict[str, float]:
        result: dict[str, float] = {}
        z = encode_frames(vae, fresh.frames)
        for count in counts:
            cut = z.clone()
            cut[:, count:] = 0
            numbers = fidelity(decode(vae, cut), fresh.frames, fresh.masks)
            result |= {f"{k}_{count}": v for k, v in numbers.items()}
        return result

    return check


class Sampled:
    """Checks an image model: one step to the clean picture at each noise level, and samples."""

    def __init__(
        self, vae: AutoencoderKL, texts: Texts, tokenizer: CLIPTokenizer, judge: Judge | None, fresh: Fresh,
        bf16: bool = True,
    ) -> None:  # fmt: skip
        self.vae, self.judge, self.fresh, self.bf16 = vae, judge, fresh, bf16
        device = next(vae.parameters()).device
        self.latents = encode_frames(vae, fresh.frames)
        self.reconstruction = fidelity(decode(vae, self.latents), fresh.frames, fresh.masks)
        self.text = texts(token_ids(tokenizer, fresh.captions).to(device))
        self.empty = texts(token_ids(tokenizer, [""]).to(device))

    @torch.no_grad()
    def one_step(self, unet: nn.Module) -> dict[str, float]:
        """`t51`, ...: decibels inside the subject of the decoded prediction from timestep 51, ..."""
        scheduler, result, z = make_scheduler("v_prediction"), {}, self.latents
        for t in CHECKED:
            noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(t)).to(z.device)
            noisy = corrupt(z[:, :, None], t, scheduler, noise[:, :, None])[:, :, 0]
            with torch.autocast(z.device.type, torch.bfloat16, enabled=self.bf16):
                v = torch.cat([
                    unet(part, t, text).sample.float() for part, text in zip(noisy.split(64), self.text.split(64))
                ])  # fmt: skip
            clean, _ = split(v, noisy, level(scheduler, t), "v_prediction")
            result[f"t{t}"] = fidelity(decode(self.vae, clean), self.fresh.frames, self.fresh.masks)["db_subject"]
        return result

    def samples(self, unet: nn.Module, count: int = 90, frames: int = 1, seed: int = 0) -> dict[str, float]:
        """Sharpness of samples, and what the judge reads in them: `species`, `colour`, `scene` (and `movement`)."""
        pixels = self.pictures(unet, count, frames, seed)
        result = {"sample_sharpness": round(sharpness(pixels.flatten(0, 1)), 4)}
        if self.judge is not None:
            clips = pixels if frames > 1 else pixels.expand(-1, world.FRAMES, -1, -1, -1)
            verdict = self.judge(clips, self.fresh.facts[:count])
            names = {"subject": "species", "colour": "colour", "scene": "scene"}
            names |= {"movement": "movement"} if frames > 1 else {}
            result |= {new: round(float(verdict.right[old].mean()), 4) for old, new in names.items()}
            result["watermark"] = round(float((verdict.faults["watermark"] > 0.5).float().mean()), 4)
        return result

    def pictures(self, unet: nn.Module, count: int, frames: int = 1, seed: int = 0) -> Tensor:
        """Samples of the first captions, (N, F, 3, 64, 64) in [0, 1]."""
        c = self.latents.shape[1]
        shape = (c, 8, 8) if frames == 1 else (c, frames, 8, 8)
        z = torch.cat([
            sample_latents(unet, text, self.empty, shape, seed * 1000 + k, bf16=self.bf16)
            for k, text in enumerate(self.text[:count].split(45 if frames == 1 else 9))
        ])  # fmt: skip
        flat = z[:, :, None] if frames == 1 else z
        count = len(flat)
        pixels = decode(self.vae, flat.transpose(1, 2).flatten(0, 1))
        return pixels.unflatten(0, (count, -1))


def open_shipped_judge() -> Judge | None:
    """The shipped judge, None where there is none (a machine with nothing but this package's code)."""
    try:
        return open_judge()
    except InputError:
        return None


def report(name: str, numbers: dict[str, Any]) -> None:
    """One line of ceilings on the screen."""
    print(f"ceilings {name}:", "  ".join(f"{k} {v}" for k, v in numbers.items()), flush=True)
