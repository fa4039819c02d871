"""What a row of `on_a_gpu.py` measures: whether steps on the card are right, and what they take."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import full_size
import torch
from bench_step import OFFICIAL, all_frames_loss, step_loss
from safetensors.torch import load_file
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.method.batch import Batch
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora, lora_parameters
from ivtutorial.models.memory import DTYPES, Memory
from ivtutorial.models.modes import network_mode
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune

COUNTED = Path(__file__).resolve().parents[1] / "data" / "results" / "count_step.json"
SMALL = 8  # widths of the networks whose numbers are compared are full size over this
SHORT = InstructVideo(tau=0.15, D=20)  # three steps of the chain, where rounding is looked at
SHORTEST = InstructVideo(tau=0.05, D=20, guidance=1.0)  # one network call, where many steps are taken
CAPTIONS = ("a red fox", "a deer in the snow", "a blue bear dances", "an owl at night")


@dataclass
class Machine:
    """Where to measure, how large, and the models that rows share.

    Attributes:
        device: "cuda" or "cpu".
        divide: widths of the large networks are full size over this. shallow: one block a level.
        frames: of a clip. side: of a frame, in latent cells.
        steps: of a row, the first of which is not timed. long: of a long run.
        ceiling: FLOP/s of a large product of matrices, once measured.
    """

    device: str = "cuda"
    divide: int = 1
    shallow: bool = False
    frames: int = 16
    side: int = 32
    steps: int = 3
    long: int = 200
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
    if machine._expected is None:
        machine._expected = gradient(machine, "cpu", "fp32")
    ours, expected = gradient(machine, machine.device, precision), machine._expected
    distance = float((ours - expected).norm() / expected.norm())
    return {"distance": distance, "cosine": float(torch.cosine_similarity(ours, expected, dim=0))}


def small_run(
    machine: Machine, folder: Path, steps: int, precision: Any, resume: bool = False, method: InstructVideo = SHORT
) -> list[dict[str, Any]]:
    """Fine-tune the small networks, and return the log."""
    models = machine.models(SMALL)
    cast(models, DTYPES[precision])
    config = FinetuneConfig(
        method=method, steps=steps, lr=1e-3, batch_size=1, precision=precision, frames=machine.frames,
        checkpoint_every=2 if steps < 10 else steps, trackers=(),
    )  # fmt: skip
    finetune(models[0], machine.data(2), models[1], folder, config, resume=resume, progress=False)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def continued(machine: Machine, precision: Any) -> dict[str, Any]:
    """How many matrices of the adapter are the same to the bit after four steps at once and after two and two."""
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder, "whole"), Path(folder, "broken")
        small_run(machine, whole, 4, precision)
        small_run(machine, broken, 2, precision)
        small_run(machine, broken, 4, precision, resume=True)
        first, second = (load_file(path / "lora" / "pytorch_lora_weights.safetensors") for path in (whole, broken))
    same = sum(torch.equal(first[name], second[name]) for name in first)
    apart = max(float((first[name] - second[name]).abs().max()) for name in first)
    return {"same": same, "of": len(first), "largest_difference": apart}


def long_run(machine: Machine) -> dict[str, Any]:
    """A run in fp16 with loss scaling: how many steps were skipped, first and last loss."""
    with tempfile.TemporaryDirectory() as folder:
        rows = small_run(machine, Path(folder, "run"), machine.long, machine.half(), method=SHORTEST)
    return {"steps": len(rows), "skipped": rows[-1]["skipped"], "losses": [rows[0]["loss"], rows[-1]["loss"]]}


def ceiling(machine: Machine) -> dict[str, Any]:
    """FLOP/s of a product of two bf16 matrices, the fastest of ten."""
    from measure import Meter

    n = 8192 if machine.device == "cuda" else 256
    a, b = (torch.randn(n, n, device=machine.device).bfloat16() for _ in range(2))
    meter = Meter(torch.device(machine.device))
    for _ in range(13):
        meter.time(lambda: a @ b)
    machine.ceiling = 2 * n**3 / max(min(meter.seconds[3:]), 1e-9)
    return {"tflops": machine.ceiling / 1e12, "size": n}


def timed(
    machine: Machine, config: FinetuneConfig, loss_fn: Any = None, counted: str = "", unfrozen: bool = False
) -> dict[str, Any]:
    """Seconds of a step of one pass as `finetune` takes it, and memory, at full size.

    Args:
        machine: where.
        config: of the run; steps and frames are the machine's, and of the passes of a step one is taken.
        loss_fn: another loss, as for `finetune`.
        counted: the row of `count_step.py` that has the same operations.
        unfrozen: keep gradients of the reward's weights.
    """
    models = machine.models(machine.divide)
    cast(models, DTYPES[config.precision])
    models[1].requires_grad_(unfrozen)
    config = replace(
        config, steps=machine.steps, frames=machine.frames, accumulation=1, checkpoint_every=machine.steps, trackers=()
    )  # fmt: skip
    data = machine.data(config.batch_size)
    cuda = machine.device == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        with tempfile.TemporaryDirectory() as folder:
            finetune(models[0], data, models[1], Path(folder, "run"), config, loss_fn=loss_fn, progress=False)
            lines = Path(folder, "run", "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    finally:
        models[1].requires_grad_(False).zero_grad(set_to_none=True)
        models[0].to(machine.device), models[1].to(machine.device)
    rows = [json.loads(line) for line in lines]
    seconds = statistics.median(row["seconds"] for row in rows[1:])
    clips = config.batch_size
    result = {"seconds": seconds, "clips": clips, "clip_seconds": seconds / clips, "skipped": rows[-1]["skipped"]}
    if cuda:
        free, total = torch.cuda.mem_get_info()
        result |= {"peak_gib": torch.cuda.max_memory_allocated() / 2**30, "taken_gib": (total - free) / 2**30}
    return {**result, **utilisation(machine, counted, seconds / clips)}


def utilisation(machine: Machine, counted: str, clip_seconds: float) -> dict[str, float]:
    """Counted operations over time, and that over what the card reached in a large product."""
    if machine.divide > 1 or not counted or not COUNTED.exists():
        return {}
    table = json.loads(COUNTED.read_text(encoding="utf-8"))
    row = next(row for row in table["rows"] if row["name"] == counted)
    rate = row["tflop"] * 1e12 / table["settings"]["clips_of_a_step"] / clip_seconds
    return {"tflops": rate / 1e12} | ({"of_peak": rate / machine.ceiling} if machine.ceiling else {})


def authors_loss(machine: Machine, reward: ClipReward) -> Callable[..., tuple[Tensor, dict[str, float]]]:
    """The authors' order of work: clips and captions are encoded in every step, and every frame is decoded."""
    method = replace(InstructVideo(), **OFFICIAL)

    def loss(backbone: Backbone, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        side = batch.z.shape[-1] * backbone.vae_factor
        shown = torch.rand(len(batch.z), machine.frames, 3, side, side, device=batch.z.device)
        backbone._embeddings.clear()
        embeds, empty = backbone.embed(batch.captions), backbone.embed([""])
        seen = Batch(backbone.encode(shown, generator), embeds, empty, batch.captions).to(batch.z.device)
        return all_frames_loss(method, backbone, seen, reward, generator), {}

    return loss


def in_turn(machine: Machine) -> dict[str, Any]:
    """Ours and the authors' way, one after the other, twice: medians and ratios, of one clip in bf16."""
    ours = FinetuneConfig(batch_size=1, precision="bf16", memory=Memory(recompute_unet=True))
    theirs = replace(
        ours, method=replace(InstructVideo(), train_mode=True), memory=Memory(recompute_unet=True, guidance_passes=2)
    )
    several: dict[str, list[dict[str, Any]]] = {"ours": [], "authors": []}
    for _ in range(2):
        several["ours"].append(timed(machine, ours, counted="nothing recomputed"))
        loss = authors_loss(machine, machine.models(machine.divide)[1])
        several["authors"].append(timed(machine, theirs, loss, unfrozen=True))
    result = {
        f"{who}_{what}": statistics.median(row[what] for row in rows)
        for who, rows in several.items()
        for what in ("seconds", "peak_gib")
        if what in rows[0]
    }
    pairs = ((what, f"ours_{what}", f"authors_{what}") for what in ("seconds", "peak_gib"))
    return {**result, **{f"{what}_ratio": result[a] / result[b] for what, a, b in pairs if a in result}}
