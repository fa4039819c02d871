"""Steps of `finetune` at full size, as `on_a_gpu.py` times them: a preset, a setting, two ways in turn, Wan."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import full_size
import torch
from bench_step import OFFICIAL, all_frames_loss
from gpu_kernels import without_cudnn
from gpu_rows import CAPTIONS, Machine, cast
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.method.batch import Batch
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.memory import DTYPES, Memory
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from ivtutorial.training.presets import preset, with_defaults

IN_TURN = ("seconds", "clip_seconds", "peak_gib")  # what ways that are measured in turn are compared by
RESULTS = Path(__file__).resolve().parents[1] / "data" / "results"


def weights_made(machine: Machine) -> dict[str, Any]:
    """Seconds to make the networks' random weights where they are used."""
    began = time.monotonic()
    backbone, reward = machine.models(machine.divide)
    count = sum(p.numel() for part in (backbone.unet, backbone.vae, backbone.text_encoder, reward.model)
                for p in part.parameters())  # fmt: skip
    return {"seconds": time.monotonic() - began, "parameters": count}


def of_preset(machine: Machine, name: str, **memory: Any) -> dict[str, Any]:
    """A step with a preset; on a CPU in bf16, which is all that it has."""
    config = preset_config(machine, name, **memory)
    return timed(machine, config, counted="" if memory else f"preset {name}")


def preset_config(machine: Machine, name: str, **memory: Any) -> FinetuneConfig:
    """The settings of a preset, with further ones that save memory or time."""
    values = preset(name)
    precision = values["precision"] if machine.device == "cuda" else "bf16"
    return FinetuneConfig(**{**values, "precision": precision, "memory": Memory(**{**values["memory"], **memory})})


def of_setting(machine: Machine, method: Any, batch: int = 1, **memory: Any) -> dict[str, Any]:
    """A step of one pass in bf16, the UNet recomputed unless `memory` says otherwise."""
    memory = memory or {"recompute_unet": True}
    return timed(machine, FinetuneConfig(method=method, batch_size=batch, precision="bf16", memory=Memory(**memory)))


def timed(
    machine: Machine,
    config: FinetuneConfig,
    loss_fn: Any = None,
    counted: str = "",
    unfrozen: bool = False,
    given: tuple[Any, LatentDataset] | None = None,
) -> dict[str, Any]:
    """Seconds of a step of one pass as `finetune` takes it, and memory, at full size.

    Args:
        machine: where.
        config: of the run; D and steps are the machine's, and of the passes of a step one is taken.
        loss_fn: another loss, as for `finetune`.
        counted: the row of `count_step.py` that has the same operations.
        unfrozen: keep gradients of the reward's weights.
        given: another backbone than ModelScope's, and its data.
    """
    machine.check(config.precision)
    config = replace(config, batch_size=min(config.batch_size, machine.clips))
    backbone, reward = machine.models(machine.divide)
    cast((backbone, reward), DTYPES[config.precision])
    reward.requires_grad_(unfrozen)
    model, data = given or (backbone, machine.data(config.batch_size))
    config = replace(
        config, method=replace(config.method, D=machine.D), frames=config.frames if given else machine.frames,
        steps=machine.steps, accumulation=1, checkpoint_every=machine.steps, trackers=(),
    )  # fmt: skip
    cuda = machine.device == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        with tempfile.TemporaryDirectory() as folder:
            finetune(model, data, reward, Path(folder, "run"), config, loss_fn=loss_fn, progress=False)
            lines = Path(folder, "run", "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    finally:
        reward.requires_grad_(False).zero_grad(set_to_none=True)
        model.to(machine.device), reward.to(machine.device)
    rows = [json.loads(line) for line in lines]
    seconds = statistics.median(row["seconds"] for row in rows[1:])
    clips = config.batch_size
    result = {"seconds": seconds, "clips": clips, "clip_seconds": seconds / clips}
    result["skipped_steps"] = rows[-1]["skipped"]
    if cuda:
        free, total = torch.cuda.mem_get_info()
        result |= {"peak_gib": torch.cuda.max_memory_allocated() / 2**30, "taken_gib": (total - free) / 2**30}
    return {**result, **utilisation(machine, counted, seconds / clips)}


def utilisation(machine: Machine, counted: str, clip_seconds: float) -> dict[str, float]:
    """Counted operations over time, and that over what the card reached in a large product."""
    files = [RESULTS / f"count_{what}.json" for what in ("step", "wan")] if counted and machine.divide == 1 else []
    for file in filter(Path.exists, files):
        table = json.loads(file.read_text(encoding="utf-8"))
        for row in table["rows"]:  # the first of a name: of Wan the shortest and smallest clips
            if row["name"] == counted:
                rate = row["tflop"] * 1e12 / table["settings"]["clips_of_a_step"] / clip_seconds
                return {"tflops": rate / 1e12} | ({"of_peak": rate / machine.ceiling} if machine.ceiling else {})
    return {}


def in_turn(turns: int, ways: dict[str, Callable[[], dict[str, Any]]]) -> dict[str, Any]:
    """Two ways in turn: the median of each number, and as `..._ratio` the first over the second."""
    several: dict[str, list[dict[str, Any]]] = {who: [] for who in ways}
    for _ in range(turns):
        for who, way in ways.items():
            several[who].append(way())
    medians = {
        who: {what: statistics.median(row[what] for row in rows) for what in IN_TURN if what in rows[0]}
        for who, rows in several.items()
    }
    first, second = medians
    ratios = {f"{what}_ratio": value / medians[second][what] for what, value in medians[first].items()}
    return {f"{who}_{what}": value for who, row in medians.items() for what, value in row.items()} | ratios


def wide_and_narrow(machine: Machine) -> dict[str, Any]:
    """The preset h100, whose pass is wide and recomputes the UNet, and passes of two clips that keep everything."""
    wide = preset_config(machine, "h100")
    narrow = replace(wide, batch_size=2, accumulation=4, memory=replace(wide.memory, recompute_unet=False))
    return in_turn(machine.turns, {"wide": lambda: timed(machine, wide), "narrow": lambda: timed(machine, narrow)})


def against_authors(machine: Machine) -> dict[str, Any]:
    """Ours and the authors' way in turn, of one clip in bf16."""
    ours = FinetuneConfig(batch_size=1, precision="bf16", memory=Memory(recompute_unet=True))
    theirs = replace(
        ours, method=replace(InstructVideo(), train_mode=True), memory=Memory(recompute_unet=True, guidance_passes=2)
    )
    loss = authors_loss(machine, machine.models(machine.divide)[1])
    ways = {"ours": lambda: timed(machine, ours), "authors": lambda: timed(machine, theirs, loss, unfrozen=True)}
    return in_turn(machine.turns, ways)


def authors_loss(machine: Machine, reward: ClipReward) -> Callable[..., tuple[Tensor, dict[str, float]]]:
    """The authors' order of work: clips and captions are encoded in every step, and every frame is decoded."""
    method = replace(InstructVideo(D=machine.D), **OFFICIAL)

    def loss(backbone: Backbone, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        side = batch.z.shape[-1] * backbone.vae_factor
        shown = torch.rand(len(batch.z), machine.frames, 3, side, side, device=batch.z.device)
        backbone._embeddings.clear()
        embeds, empty = backbone.embed(batch.captions), backbone.embed([""])
        seen = Batch(backbone.encode(shown, generator), embeds, empty, batch.captions).to(batch.z.device)
        return all_frames_loss(method, backbone, seen, reward, generator), {}

    return loss


def variant(machine: Machine, name: str, change: Callable[[Machine], Any]) -> dict[str, Any]:
    """A preset with a change to the machine, and without it, in turn; ratios below 1 speak for the change."""
    config = preset_config(machine, name)

    def changed() -> dict[str, Any]:
        with change(machine):
            return timed(machine, config)

    return in_turn(machine.turns, {"changed": changed, "plain": lambda: timed(machine, config)})


def flash_attention(machine: Machine) -> Any:
    """A change: attention by torch's own kernels, as if there were none of cuDNN's."""
    return without_cudnn()


@contextmanager
def channels_last(machine: Machine) -> Iterator[None]:
    """A change: convolutions of the UNet have their channels last in memory, and so has what they give."""
    weights = [p for p in machine.models(machine.divide)[0].unet.parameters() if p.ndim == 4]
    try:
        for weight in weights:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        yield
    finally:
        for weight in weights:
            weight.data = weight.data.contiguous()


@contextmanager
def cuda_graphs(machine: Machine) -> Iterator[None]:
    """A change: the UNet compiled, its kernels launched as a graph."""
    unet = machine.models(machine.divide)[0].unet
    unet.compile(**(machine.compiler or {"mode": "reduce-overhead"}))
    try:
        yield
    finally:
        unet._compiled_call_impl = None


def compiled(machine: Machine, name: str) -> dict[str, Any]:
    """A step with a preset and `memory.compile`."""
    unet = machine.models(machine.divide)[0].unet
    with patch.object(unet, "compile", partial(unet.compile, **machine.compiler)):
        return of_preset(machine, name, compile=True)


def wan(machine: Machine) -> dict[str, Any]:
    """A step of Wan 2.1 1.3B on a short clip of 256 pixels with the preset 16gb; captions are noise."""
    values = preset("16gb")
    machine.check(values["precision"])
    backbone, _ = machine.models(machine.divide)
    backbone.to("cpu")  # ModelScope's is not to be counted
    try:
        model = full_size.half_wan(full_size.random_wan(machine.divide, 0, machine.device, machine.shallow))
        side = 8 * machine.side
        shape = model.latent_shape(machine.frames + 1, side, side)
        data = LatentDataset(torch.randn(1, *shape, generator=full_size.seeded(CAPTIONS[0])), [CAPTIONS[0]])
        values |= {"height": side, "width": side, "frames": machine.frames + 1}
        config = FinetuneConfig.from_dict(with_defaults(values, model))
        return timed(machine, config, counted="preset 16gb", given=(model, data))
    finally:
        backbone.to(machine.device)
