"""Whether steps on the card are right, as `on_a_gpu.py` looks at it, and the models that its rows share."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import full_size
import torch
from bench_step import step_loss
from safetensors.torch import load_file
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora, lora_parameters
from ivtutorial.models.memory import DTYPES
from ivtutorial.models.modes import network_mode
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.system.device import check_bf16
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune

SMALL = 8  # widths of the networks whose numbers are compared are full size over this
SHORT = InstructVideo(tau=0.15, D=20)  # three steps of the chain, where rounding is looked at
SHORTEST = InstructVideo(tau=0.05, D=20, guidance=1.0)  # one network call, where many steps are taken
CAPTIONS = ("a red fox", "a deer in the snow", "a blue bear dances", "an owl at night")


class Unable(Exception):
    """The card cannot do what a row asks for."""


@dataclass
class Machine:
    """Where to measure, how large, and the models that rows share.

    Attributes:
        device: "cuda" or "cpu".
        divide: widths of the large networks are full size over this. shallow: few blocks, see `full_size`.
        frames: of a clip. side: of a frame, in latent cells. clips: of a pass, at most.
        D: steps of the whole chain.
        steps: of a row, the first of which is not timed. long: of a long run.
        turns: how often two ways are measured in turn.
        compiler: settings of `torch.compile` in the place of a row's own.
        ceiling: FLOP/s of a large product of matrices, once measured.
    """

    device: str = "cuda"
    divide: int = 1
    shallow: bool = False
    frames: int = 16
    side: int = 32
    clips: int = 8
    D: int = 20
    steps: int = 3
    long: int = 200
    turns: int = 2
    compiler: dict[str, Any] = field(default_factory=dict)
    ceiling: float | None = None
    _models: dict[int, tuple[Backbone, ClipReward]] = field(default_factory=dict)
    _expected: Tensor | None = None

    def models(self, divide: int) -> tuple[Backbone, ClipReward]:
        """Backbone and reward with random weights, made once and kept on the device."""
        if divide not in self._models:
            made = (
                f(divide, 0, self.device, self.shallow) for f in (full_size.random_backbone, full_size.random_reward)
            )
            self._models[divide] = tuple(made)  # type: ignore[assignment]
        return self._models[divide]

    def data(self, clips: int, frames: int | None = None) -> LatentDataset:
        """Noise in the place of encoded clips, always the same."""
        shape = (clips, 4, frames or self.frames, self.side, self.side)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        return LatentDataset(noise, [CAPTIONS[index % len(CAPTIONS)] for index in range(clips)])

    def check(self, precision: str) -> None:
        """Whether the device computes in a precision.

        Raises:
            Unable: it is bf16, and the card is older.
        """
        try:
            check_bf16(precision, torch.device(self.device))
        except InputError as error:
            raise Unable(str(error)) from error

    def half(self) -> Any:
        """fp16, which a CPU does not train in: bf16 there."""
        return "fp16" if self.device == "cuda" else "bf16"


def cast(models: tuple[Backbone, ClipReward], dtype: torch.dtype) -> None:
    """Frozen weights to another precision; an adapter stays as it is."""
    for part in (models[0].unet, models[0].vae, models[0].text_encoder, models[1].model):
        for weight in (*part.parameters(), *part.buffers()):
            if weight.is_floating_point() and not weight.requires_grad:
                weight.data = weight.data.to(dtype)


def gradient(machine: Machine, device: str, precision: str) -> Tensor:
    """Gradient of the adapter's matrices in one step of the small networks, as one vector on the CPU."""
    machine.check(precision)
    shallow = machine.shallow
    backbone, reward = (
        full_size.random_backbone(SMALL, 0, "cpu", shallow),
        full_size.random_reward(SMALL, 0, "cpu", shallow),
    )
    attach_lora(backbone.unet)
    for number, weight in enumerate(lora_parameters(backbone.unet)):  # B = 0 would leave A without a gradient
        weight.data += 0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
    cast((backbone, reward), DTYPES[precision])
    backbone, reward = backbone.to(device), reward.to(device)
    batch = machine.data(1).batch(backbone, [0])
    with network_mode(backbone.unet, False):
        step_loss(SHORT, backbone, batch, reward, torch.Generator().manual_seed(2)).backward()
    return torch.cat([weight.grad.flatten().float().cpu() for weight in lora_parameters(backbone.unet)])


def against_cpu(machine: Machine, precision: str) -> dict[str, Any]:
    """Relative distance and cosine of the gradient here, in a precision, to that on the CPU in fp32."""
    ours = gradient(machine, machine.device, precision)
    if machine._expected is None:
        machine._expected = gradient(machine, "cpu", "fp32")
    expected = machine._expected
    distance = float((ours - expected).norm() / expected.norm())
    return {"distance": distance, "cosine": float(torch.cosine_similarity(ours, expected, dim=0))}


def small_run(
    machine: Machine,
    folder: Path,
    steps: int,
    precision: Any,
    resume: bool = False,
    method: InstructVideo = SHORT,
    deterministic: bool = False,
) -> list[dict[str, Any]]:
    """Fine-tune the small networks, and return the log."""
    models = machine.models(SMALL)
    cast(models, DTYPES[precision])
    config = FinetuneConfig(
        method=method, steps=steps, lr=1e-3, batch_size=1, precision=precision, frames=machine.frames,
        checkpoint_every=2 if steps < 10 else steps, trackers=(), deterministic=deterministic,
    )  # fmt: skip
    finetune(models[0], machine.data(2), models[1], folder, config, resume=resume, progress=False)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def continued(machine: Machine, precision: Any, deterministic: bool = False) -> dict[str, Any]:
    """How many matrices of the adapter are the same to the bit after four steps at once and after two and two."""
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder, "whole"), Path(folder, "broken")
        for folder_of_run, steps, resume in ((whole, 4, False), (broken, 2, False), (broken, 4, True)):
            small_run(machine, folder_of_run, steps, precision, resume, deterministic=deterministic)
        first, second = (load_file(path / "lora" / "pytorch_lora_weights.safetensors") for path in (whole, broken))
    same = sum(torch.equal(first[name], second[name]) for name in first)
    apart = max(float((first[name] - second[name]).abs().max()) for name in first)
    return {"same": same, "of": len(first), "largest_difference": apart}


def long_run(machine: Machine) -> dict[str, Any]:
    """A run in fp16 with loss scaling: how many steps were skipped, first and last loss."""
    with tempfile.TemporaryDirectory() as folder:
        rows = small_run(machine, Path(folder, "run"), machine.long, machine.half(), method=SHORTEST)
    return {"steps": len(rows), "skipped_steps": rows[-1]["skipped"], "losses": [rows[0]["loss"], rows[-1]["loss"]]}


def ceiling(machine: Machine) -> dict[str, Any]:
    """FLOP/s of a product of two bf16 matrices, the fastest of ten."""
    from measure import Meter

    machine.check("bf16")
    n = 8192 if machine.device == "cuda" else 256
    a, b = (torch.randn(n, n, device=machine.device).bfloat16() for _ in range(2))
    meter = Meter(torch.device(machine.device))
    for _ in range(13):
        meter.time(lambda: a @ b)
    machine.ceiling = 2 * n**3 / max(min(meter.seconds[3:]), 1e-9)
    return {"tflops": machine.ceiling / 1e12, "size": n}
