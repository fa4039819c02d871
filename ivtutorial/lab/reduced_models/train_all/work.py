"""The folder in which the plan of a training from nothing is carried out, and its time."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.tokenizer import token_ids
from ivtutorial.lab.reduced_models.train_all import ceilings
from ivtutorial.lab.reduced_models.train_all.budget import Budget
from ivtutorial.lab.reduced_models.train_all.encoded import Encoded
from ivtutorial.lab.reduced_models.train_all.loop import Group, Settings, fit_part
from ivtutorial.lab.reduced_models.train_all.parcel import pack
from ivtutorial.lab.reduced_models.train_all.parts.image_model import Texts, on_device
from ivtutorial.lab.reduced_models.train_all.plan import TRAINED, Plan
from ivtutorial.lab.reduced_models.train_all.pool import Pool
from ivtutorial.lab.reduced_models.train_all.resident import AnyPool, ResidentPool
from ivtutorial.lab.reduced_models.train_all.states import read_carried, read_stage_state
from ivtutorial.lab.world.judges.features import FeatureNet
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.provenance import hardware

LAST_SECONDS, LAST_SHARE = 15.0, 0.04  # kept free at the end of a budget of minutes: the smaller of the two


class Work:
    """A folder in which a plan is carried out by a group of processes."""

    def __init__(
        self, folder: Path, plan: Plan, budget: Budget, group: Group, parcel: Path | None = None,
        beside: bool = False,
    ) -> None:  # fmt: skip
        """Begins to count the minutes of a budget, unless its command has begun already.

        Args:
            folder: of everything.
            plan: what to train.
            budget: for all of it; minutes are those from now on.
            group: the processes that share the work.
            parcel: folder that is kept ready to go on from elsewhere, see :mod:`.parcel`.
            beside: whether other processes draw meanwhile. Pools are then kept on the device.
        """
        self.folder, self.plan, self.budget, self.group = folder, plan, budget, group
        self.parcel, self.beside = parcel, beside
        self.check_drawing: Callable[[], None] = lambda: None  # raises when those who draw have failed
        self.began = time.monotonic()  # the stage that is being carried out
        self.start = budget.since if budget.since is not None else self.began
        self._given: dict[str, Budget] = {}
        self._resident: tuple[AnyPool, AnyPool] | None = None
        self._fresh: ceilings.Fresh | None = None

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
            where = {"finished": now, "hardware": hardware(), "processes": self.group.size}
            rows = self.finished() | {stage: {**where, **facts}}
            atomic_write_text(self.folder / "stages.json", json.dumps(rows, indent=1) + "\n")
            self.pack()
        self.group.wait()

    def pack(self) -> None:
        """Bring the parcel, if there is one, up to date."""
        if self.parcel is not None:
            pack(self.folder, self.parcel)

    def stage_budget(self, stage: str) -> Budget:
        """The stage's share of what earlier stages left, of a budget of minutes with what it has had before.

        Raises:
            InputError: of the minutes none is left.
        """
        if self.budget.steps is not None:
            return self.budget
        finished, later = self.finished(), TRAINED[TRAINED.index(stage) :]
        share = self.plan.shares[stage] / sum(self.plan.shares[name] for name in later)
        if self.budget.core_hours is not None:
            before = [row for name, row in finished.items() if name not in later]
            left = self.budget.core_hours - sum(row["core_seconds"] for row in before) / 3600
            return Budget(core_hours=max(left, 1e-3) * share)
        left = self.seconds_left()
        if left <= 0:
            raise InputError(
                f"the {self.budget.minutes:g} minutes are over before stage {stage}; nothing is lost: run the same "
                "command again and it goes on"
            )
        return Budget(minutes=(seconds_had(self.folder, stage) + left * share) / 60)

    def seconds_left(self) -> float:
        """Of a budget of minutes, without what the last check and the saving of the result take; the same in every
        process."""
        assert self.budget.minutes is not None
        whole = 60 * self.budget.minutes
        left = self.start + whole - min(LAST_SECONDS, LAST_SHARE * whole) - time.monotonic()
        return float(self.group.mean(torch.tensor(left, dtype=torch.float64)))

    def settings(self, stage: str, **more: Any) -> Settings:
        """How a stage trains."""
        p = self.plan
        return Settings(
            batch=p.batches[stage], seed=p.seed, bf16=p.bf16, save_minutes=p.save_minutes,
            check_minutes=p.check_minutes, **more,
        )  # fmt: skip

    def train(
        self, stage: str, model: nn.Module, loss: Any, optimizers: Any, check: Any = None, **more: Any
    ) -> dict[str, Any]:
        """Run :func:`.loop.fit_part` on a stage.

        Returns:
            What it took, and the last check's numbers, for the stage's record.
        """
        budget = self._given[stage] = self.stage_budget(stage)
        saved = self.pack if self.parcel is not None else None
        settings = self.settings(stage, **more)
        numbers = fit_part(model, loss, optimizers, settings, budget, self.folder, stage, self.group, check, saved)
        return {**self.cost(stage), **numbers}

    def cost(self, stage: str) -> dict[str, Any]:
        """Steps and time of a trained stage."""
        state = read_stage_state(self.folder / f"{stage}.state.pt")
        limits = {k: v for k, v in asdict(self._given[stage]).items() if v is not None}
        numbers = {k: round(state[k], 1) for k in ("core_seconds", "seconds")}
        return {**numbers, "steps": state["step"], "batch": self.plan.batches[stage], "budget": limits}

    def files(self) -> tuple[Pool, Pool]:
        """The two pools, in files."""
        first, second = self.plan.pools()
        return Pool(self.folder / "pool", first), Pool(self.folder / "pool", second)

    def pools(self) -> tuple[AnyPool, AnyPool]:
        """The two pools to learn from: in files, or on the device where others draw meanwhile."""
        if not self.beside:
            return self.files()
        if self._resident is None:
            first, second = (ResidentPool(pool, self.device, self.check_drawing) for pool in self.files())
            self._resident = first, second
        return self._resident

    def encoded(self) -> tuple[Encoded, Encoded]:
        """Both pools encoded, on the device."""
        first, second = (Encoded(self.folder / "latents", pool, self.plan.channels) for pool in self.files())
        return first.to(self.device), second.to(self.device)

    def fast(self, network: nn.Module) -> nn.Module:
        """A network as its loss calls it: compiled if the plan asks for it, with the same weights."""
        return torch.compile(network, dynamic=False) if self.plan.compiled else network  # type: ignore[return-value]

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
        if self._fresh is None:
            self._fresh = ceilings.Fresh.draw(self.plan.checked)
        return self._fresh

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


def seconds_had(folder: Path, stage: str) -> float:
    """Time on the clock that a stage has had in earlier runs."""
    if (state := folder / f"{stage}.state.pt").exists():
        return float(read_stage_state(state)["seconds"])
    carried = folder / f"{stage}.carried.safetensors"
    return float(read_carried(carried)[1]["seconds"]) if carried.exists() else 0.0


def remove(folder: Path) -> None:
    """Delete a folder if it is there."""
    if folder.exists():
        shutil.rmtree(folder)
