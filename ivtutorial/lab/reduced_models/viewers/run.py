"""Both judges, the pairs of samples, and the reward, one after another; killed, it goes on where it was."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.reward import Lessons, mix_weights, reward_config
from ivtutorial.lab.reduced_models.tokenizer import save_tokenizer
from ivtutorial.lab.reduced_models.train_all.budget import Budget, Schedule
from ivtutorial.lab.reduced_models.train_all.loop import Group, Settings, fit_part
from ivtutorial.lab.reduced_models.train_all.parts.image_model import adamw
from ivtutorial.lab.reduced_models.viewers.pairs import SampledPairs
from ivtutorial.lab.reduced_models.viewers.reading import judge_loss
from ivtutorial.lab.reduced_models.viewers.start import start_reward
from ivtutorial.lab.reduced_models.viewers.taste import taste_loss, words_loss
from ivtutorial.lab.world.judges.judge import Judge, JudgeNet
from ivtutorial.lab.world.judges.second import SecondNet
from ivtutorial.models.named import open_model
from ivtutorial.models.precision import unet_in
from ivtutorial.rewards.clip import WEIGHTS_FILE, ClipReward
from ivtutorial.rewards.preprocess import CLIP_MEAN, CLIP_STD
from ivtutorial.sampling.generation import Job, Sampling, sample_batches
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.processes import launch
from ivtutorial.system.provenance import hardware

PARTS = {
    "judge": 0.1,
    "judge_2": 0.3,
    "words": 0.3,
    "taste": 0.3,
}  # of the budget
TUNED = 0.75  # of the reward's weights are those after the choices


@dataclass(frozen=True)
class Viewers:
    """How the judges and the reward are trained.

    Attributes:
        batches: clips (judges) or frames (reward) a step of all processes together.
        pairs: pairs of samples. steps: DDIM steps of a sample.
        bf16: compute in bfloat16. save_minutes: between states. seed: of everything random.
        start: folder with the `judge` and the `reward` of an earlier training to start from; None: from nothing.
    """

    batches: tuple[tuple[str, int], ...] = (("judge", 24), ("judge_2", 24), ("words", 160), ("taste", 192))
    pairs: int = 640
    steps: int = 20
    bf16: bool = True
    save_minutes: float = 2.0
    seed: int = 0
    start: Path | None = None


def train_viewers(model: Path, folder: Path, plan: Viewers, budget: Budget, processes: int = 1) -> None:
    """Train what is missing.

    Args:
        model: folder of the text-to-video model whose samples will be judged, a stock pipeline.
        folder: gets `judge`, `judge_2`, `reward`, and beside them states and samples, from which it goes on.
        plan: how.
        budget: for the four trainings together; sampling the pairs comes on top.
        processes: single-threaded processes.

    Raises:
        InputError: no model there, or as :func:`ivtutorial.lab.reduced_models.train_all.loop.fit_part`.
    """
    if not (model / "model_index.json").is_file():
        raise InputError(
            f"no text-to-video model in {model}: expected a folder with model_index.json, such as train-all's"
        )
    launch(_stages, processes, model, folder, plan, budget)


def _stages(model: Path, folder: Path, plan: Viewers, budget: Budget) -> None:
    torch.set_num_threads(1)
    work = _Work(model, folder, plan, budget, Group.current(torch.device("cpu")))
    for name, kind in (("judge", JudgeNet), ("judge_2", SecondNet)):
        work.once(name, lambda name=name, kind=kind: work.judge(name, kind))  # type: ignore[misc]
    work.once("samples", work.samples)
    work.once("words", work.words)
    work.once("taste", work.taste)


class _Work:
    """The folder, and what its stages need."""

    def __init__(self, model: Path, folder: Path, plan: Viewers, budget: Budget, group: Group) -> None:
        self.model, self.folder, self.plan, self.budget, self.group = model, folder, plan, budget, group
        folder.mkdir(parents=True, exist_ok=True)

    def once(self, stage: str, carry_out: Any) -> None:
        """Carry out a stage unless that is done, and note it."""
        path = self.folder / "stages.json"
        done = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if stage not in done:
            began = (time.monotonic(), time.process_time())
            carry_out()
            self.group.wait()
            used = [b - a for a, b in zip(began, (time.monotonic(), time.process_time()))]
            row = {
                "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"), "hardware": hardware(),
                "processes": self.group.size,
                "seconds": round(used[0], 1), "core_seconds": round(used[1] * self.group.size, 1),
            }  # fmt: skip
            earlier = {"judge": "judge", "words": "reward"}.get(stage)
            if self.plan.start and earlier:
                record = self.plan.start / earlier / "training.json"
                row["started_from"] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else "weights"
            if self.group.rank == 0:
                atomic_write_text(path, json.dumps({**done, stage: row}, indent=1) + "\n")
            self.group.wait()

    def fit(self, stage: str, model: nn.Module, loss: Any, lr: float) -> None:
        """Train a stage's model with its share of the budget."""
        settings = Settings(
            batch=dict(self.plan.batches)[stage], schedule=Schedule(warmup=50, decay=0.3), ema=0.998,
            seed=self.plan.seed, bf16=self.plan.bf16, save_minutes=self.plan.save_minutes,
        )  # fmt: skip
        budget = self.budget if self.budget.steps is not None else self.budget.part(PARTS[stage])
        fit_part(model, loss, adamw(model, lr), settings, budget, self.folder, stage, self.group)

    def vae(self) -> AutoencoderKL:
        """The model's autoencoder, frozen."""
        return AutoencoderKL.from_pretrained(self.model / "vae", torch_dtype=torch.float32).eval().requires_grad_(False)

    def judge(self, name: str, kind: Any) -> None:
        """Train one judge; the second has another seed, too."""
        seed = self.plan.seed + (1000 if name == "judge_2" else 0)
        torch.manual_seed(seed)
        net = Judge.load(self.plan.start / name).net if self.plan.start and name == "judge" else kind()
        net.train().requires_grad_(True)
        self.fit(name, net, judge_loss(net, self.vae(), seed), 1.5e-3)
        if self.group.rank == 0:
            Judge(net).save(self.folder / name)

    def samples(self) -> None:
        """Sample the pairs, and have both judges read them."""
        backbone = open_model(self.model, unet_in("bf16" if self.plan.bf16 else "fp32"))
        sampling = Sampling(self.plan.steps)

        def draw(captions: list[str], numbers: list[int]) -> Tensor:
            jobs = [Job(number, text, self.plan.seed) for number, text in zip(numbers, captions)]
            return torch.cat([clips for _, clips in sample_batches(backbone, jobs, sampling)])

        judges = Judge.load(self.folder / "judge"), Judge.load(self.folder / "judge_2", SecondNet)
        self.bank().fill(draw, judges, self.group.rank, self.group.size)

    def bank(self) -> SampledPairs:
        """The pairs of samples."""
        return SampledPairs(self.folder / "pairs", self.plan.pairs, self.plan.seed)

    def lessons(self, weights: Path | None = None) -> tuple[Any, Lessons, CLIPTokenizer, dict[str, Any]]:
        """A reward, new or with the weights in a folder, and what it learns from."""
        torch.manual_seed(self.plan.seed)
        tokenizer = CLIPTokenizer.from_pretrained(self.model / "tokenizer")
        config = reward_config(len(tokenizer))
        text = {k: v for k, v in config["text_cfg"].items() if k != "hf_tokenizer_name"}
        model = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], text)
        if weights is not None:
            model.load_state_dict({k: v.float() for k, v in load_file(weights / WEIGHTS_FILE).items()}, strict=False)
        return model, Lessons(model, tokenizer, self.group.device), tokenizer, config

    def words(self) -> None:
        """The reward learns words."""
        model, lessons, tokenizer, config = self.lessons()
        if self.plan.start:
            start_reward(model, tokenizer, self.plan.start / "reward")
        self.fit("words", model, words_loss(lessons), 1.2e-3)
        self.save(model, tokenizer, config, "reward_words")

    def taste(self) -> None:
        """The reward learns what people prefer."""
        model, lessons, tokenizer, config = self.lessons(self.folder / "reward_words")
        self.fit("taste", model, taste_loss(lessons, self.bank()), 6e-4)
        self.save(model, tokenizer, config, "reward_taste")
        if self.group.rank == 0:
            mix_weights(self.folder / "reward_words", self.folder / "reward_taste", TUNED, self.folder / "reward")

    def save(self, model: Any, tokenizer: CLIPTokenizer, config: dict[str, Any], name: str) -> None:
        """Write a reward as a folder that open_clip opens."""
        if self.group.rank == 0:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            model.visual.image_mean, model.visual.image_std = CLIP_MEAN, CLIP_STD
            ClipReward(model, tokenizer, config).save(self.folder / name, torch.float16)
            save_tokenizer(tokenizer, self.folder / name)
        self.group.wait()
