"""The plan of a training from nothing, and the folder in which it is carried out."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from ivtutorial.lab.reduced_models.tokenizer import token_ids
from ivtutorial.lab.reduced_models.train_all import ceilings
from ivtutorial.lab.reduced_models.train_all.budget import Budget
from ivtutorial.lab.reduced_models.train_all.encoded import Encoded
from ivtutorial.lab.reduced_models.train_all.loop import Group, Settings, fit_part, read_stage_state
from ivtutorial.lab.reduced_models.train_all.parts.autoencoder import AutoencoderConfig
from ivtutorial.lab.reduced_models.train_all.parts.decoder import DecoderConfig
from ivtutorial.lab.reduced_models.train_all.parts.image_model import ImageConfig, Texts, on_device
from ivtutorial.lab.reduced_models.train_all.parts.video_model import VideoConfig
from ivtutorial.lab.reduced_models.train_all.pool import Pool, PoolConfig
from ivtutorial.lab.world.judges.features import FeatureNet
from ivtutorial.system.files import atomic_write_text

# Of the budget; drawing and encoding take what they take.
SHARES = {"text": 0.006, "features": 0.014, "autoencoder": 0.30, "image": 0.34, "video": 0.27, "decoder": 0.07}
TRAINED = tuple(SHARES)


@dataclass(frozen=True)
class Plan:
    """What is trained, and how much of each.

    Attributes:
        frames, clips: sizes of the pools.
        autoencoder, channels: all of its latent channels are trained together; `channels` of them are kept.
        whitening, floor: see :func:`.latent_space.whiten`.
        image, video, decoder: their stages.
        batches: samples a step of all processes together (clips, for video).
        bf16: compute in bfloat16.
        save_minutes, check_minutes: see :class:`.loop.Settings`. checked: fresh pictures that checks look at.
        seed: of everything random.
    """

    frames: int = 160_000
    clips: int = 24_000
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    channels: int = 16
    whitening: float = 1.0
    floor: float = 0.0
    image: ImageConfig = field(default_factory=ImageConfig)
    video: VideoConfig = field(default_factory=VideoConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    batches: dict[str, int] = field(
        default_factory=lambda: {
            "text": 128,
            "features": 64,
            "autoencoder": 32,
            "image": 256,
            "video": 8,
            "decoder": 32,
        }  # fmt: skip
    )
    bf16: bool = True
    save_minutes: float = 2.0
    check_minutes: float = 15.0
    checked: int = 180
    seed: int = 0

    @classmethod
    def for_gpu(cls) -> Plan:
        """Batches as large as a GPU wants, and rates that go with them; a state every half minute."""
        batches = {"text": 256, "features": 512, "autoencoder": 256, "image": 1024, "video": 64, "decoder": 128}
        return replace(
            cls(), autoencoder=AutoencoderConfig(widths=(32, 64, 96, 128), lr=2e-3), image=ImageConfig(lr=1.5e-3),
            video=VideoConfig(lr=1e-3), batches=batches, save_minutes=0.5, check_minutes=60.0,
        )  # fmt: skip

    def pools(self) -> tuple[PoolConfig, PoolConfig]:
        """Single frames whose only fault is a watermark, and clips of web quality."""
        return PoolConfig("frames", self.frames, 1, ("watermark",)), PoolConfig("clips", self.clips)


class Work:
    """A folder in which a plan is carried out by a group of processes."""

    def __init__(self, folder: Path, plan: Plan, budget: Budget, group: Group) -> None:
        self.folder, self.plan, self.budget, self.group = folder, plan, budget, group
        self.began = time.monotonic()  # the stage that is being carried out

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.group.device

    def finished(self) -> dict[str, dict[str, Any]]:
        """The stages that are done, with what each took."""
        path = self.folder / "stages.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def finish(self, stage: str, **facts: Any) -> None:
        """Note that a stage is done. Its time on the clock includes loading, checks and saving."""
        facts["seconds"] = max(facts["seconds"], round(time.monotonic() - self.began, 1))
        self.began = time.monotonic()
        if self.group.rank == 0:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            rows = self.finished() | {stage: {"finished": now, "processes": self.group.size, **facts}}
            atomic_write_text(self.folder / "stages.json", json.dumps(rows, indent=1) + "\n")
        self.group.wait()

    def stage_budget(self, stage: str) -> Budget:
        """The stage's share of what earlier stages left."""
        if self.budget.steps is not None:
            return self.budget
        later = TRAINED[TRAINED.index(stage) :]
        before = [row for name, row in self.finished().items() if name not in later]
        share = SHARES[stage] / sum(SHARES[name] for name in later)
        if self.budget.core_hours is not None:
            left = self.budget.core_hours - sum(row["core_seconds"] for row in before) / 3600
            return Budget(core_hours=max(left, 1e-3) * share)
        assert self.budget.minutes is not None
        left = self.budget.minutes - sum(row["seconds"] for row in before) / 60
        return Budget(minutes=max(left, 1e-3) * share)

    def settings(self, stage: str, **more: Any) -> Settings:
        """How a stage trains."""
        p = self.plan
        return Settings(
            batch=p.batches[stage], seed=p.seed, bf16=p.bf16, save_minutes=p.save_minutes,
            check_minutes=p.check_minutes, **more,
        )  # fmt: skip

    def train(self, stage: str, model: nn.Module, loss: Any, optimizers: Any, check: Any = None, **more: Any) -> None:
        """Run :func:`.loop.fit_part` on a stage and note what it took."""
        settings, budget = self.settings(stage, **more), self.stage_budget(stage)
        fit_part(model, loss, optimizers, settings, budget, self.folder, stage, self.group, check)

    def cost(self, stage: str) -> dict[str, Any]:
        """Steps and time of a trained stage, for its record."""
        state = read_stage_state(self.folder / f"{stage}.state.pt")
        limits = {k: v for k, v in asdict(self.stage_budget(stage)).items() if v is not None}
        numbers = {k: round(state[k], 1) for k in ("core_seconds", "seconds")}
        return {**numbers, "steps": state["step"], "batch": self.plan.batches[stage], "budget": limits}

    def pools(self) -> tuple[Pool, Pool]:
        """The two pools."""
        first, second = self.plan.pools()
        return Pool(self.folder / "pool", first), Pool(self.folder / "pool", second)

    def encoded(self) -> tuple[Encoded, Encoded]:
        """Both pools encoded, on the device."""
        first, second = (Encoded(self.folder / "latents", pool, self.plan.channels) for pool in self.pools())
        return first.to(self.device), second.to(self.device)

    def tokenizer(self) -> CLIPTokenizer:
        """The trained tokenizer."""
        return CLIPTokenizer.from_pretrained(self.folder / "tokenizer")

    def texts(self) -> Texts:
        """The trained text encoder."""
        encoder = CLIPTextModel.from_pretrained(self.folder / "text_encoder", torch_dtype=torch.float32)
        return Texts(encoder, token_ids(self.tokenizer(), [""])).to(self.device)

    def vae(self) -> AutoencoderKL:
        """The autoencoder that latents are made with."""
        vae = AutoencoderKL.from_pretrained(self.folder / "vae", torch_dtype=torch.float32)
        return on_device(vae.eval().requires_grad_(False), self.device)

    def image_unet(self) -> UNet2DConditionModel:
        """The trained image model."""
        unet = UNet2DConditionModel.from_pretrained(self.folder / "image_unet", torch_dtype=torch.float32)
        return on_device(unet, self.device)

    def features(self) -> FeatureNet:
        """The trained feature network."""
        return FeatureNet.load(self.folder / "features").to(self.device)

    def fresh(self) -> ceilings.Fresh:
        """The pictures that checks look at."""
        return ceilings.Fresh.draw(self.plan.checked)

    def checks(self, fresh: ceilings.Fresh) -> ceilings.Sampled:
        """Checks of image and video models."""
        judge = ceilings.open_shipped_judge()
        return ceilings.Sampled(self.vae(), self.texts(), self.tokenizer(), judge, fresh, self.plan.bf16)

    def save(self, model: Any, name: str) -> None:
        """Save a diffusers or transformers model in float32, whole or not at all."""
        if self.group.rank == 0:
            made, kept = self.folder / f".{name}.made", self.folder / name
            remove(made)
            model.save_pretrained(made, safe_serialization=True)
            remove(kept)
            made.rename(kept)
        self.group.wait()


def remove(folder: Path) -> None:
    """Delete a folder if it is there."""
    if folder.exists():
        shutil.rmtree(folder)
