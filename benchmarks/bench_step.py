"""Seconds and memory of one fine-tuning step on a CPU, against each setting that matters, in one run on one machine.

    python benchmarks/bench_step.py                                          # the reduced model
    python benchmarks/bench_step.py --show                                   # the table measured so far
    python benchmarks/bench_step.py --only base gradient --out data/results/bench_gradients.json    # cheaper gradients

Every row changes one thing against the base row, and runs in fp32 in a process of its own; its first step is not timed.
A step is loss and backward pass of one batch. `step_mb` is what it needs on top of the models: the largest growth of
the process. The row "as the authors do it" encodes the clips in every step, decodes all frames with gradient, keeps
gradients of the reward's weights, and has dropout and offset noise on. A GPU, and models of full size, are measured by
`on_a_gpu.py`, as training runs there.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from measure import Meter, in_own_process, save_table, show_tables
from torch import Tensor

from ivtutorial.method.batch import Batch
from ivtutorial.method.editing import edit
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.method.settings import RewardMethod
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora
from ivtutorial.models.memory import Memory
from ivtutorial.models.modes import network_mode
from ivtutorial.models.named import open_model
from ivtutorial.rewards.named import open_reward
from ivtutorial.training.fit import fitted, offload_text
from ivtutorial.training.methods import METHODS

RESULT = Path("data/results/bench_step.json")
COLUMNS = {
    "name": "setting",
    "seconds": "s a step",
    "spread": "range, s",
    "relative": "relative",
    "step_mb": "MiB a step",
    "peak_mb": "MiB in all",
}


@dataclass(frozen=True)
class Row:
    """One setting: what differs from the base row.

    Attributes:
        name: as shown.
        method: settings of the method, and as `name` which one, default InstructVideo. memory: settings of `Memory`.
        batch: clips, default as given. frames: of a clip, default as given.
        decode_all: decode every frame with gradient, then choose, as the authors do.
        unfrozen: keep gradients of the reward's weights. encode: encode clips and captions in every step.
    """

    name: str
    method: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    batch: int | None = None
    frames: int | None = None
    decode_all: bool = False
    unfrozen: bool = False
    encode: bool = False


BASE, FULL_CHAIN = "base: tau 0.6, D 20, K 1, S 4", "tau 1.0 (full chain)"
DECODE_ALL, AUTHORS = "decode all frames, then choose", "as the authors do it"
OFFICIAL = {"offset_noise": 0.1, "train_mode": True, "recompute": True}
ROWS = (
    Row(BASE),
    Row("tau 0.3", {"tau": 0.3}),
    Row(FULL_CHAIN, {"tau": 1.0}),
    Row("D 50", {"D": 50}),
    Row("K 2", {"K": 2}),
    Row("K 12 (all steps)", {"K": 12}),
    Row("K 12, whole steps recomputed", {"K": 12, "recompute": True}),
    Row("S 8", {"S": 8}),
    Row("every frame scored", {"selection": "dense"}),
    Row("guidance off", {"guidance": 1.0}),
    Row("guidance in two passes", memory={"guidance_passes": 2}),
    Row("UNet recomputed", memory={"recompute_unet": True}),
    Row("decoder recomputed, frame by frame", memory={"recompute_decode": True, "decode_chunk": 1}),
    Row("reward recomputed", memory={"recompute_reward": True}),
    Row("gradient in two phases", {"two_phase": True}),
    Row("gradient of the strongest step", {"K": "strongest"}),
    Row("gradient of three steps, DRTune", {"K": (2, 6, 10), "stop_gradient": True}),
    Row("gradient of three steps, DRTune in two phases", {"K": (2, 6, 10), "stop_gradient": True, "two_phase": True}),
    Row("gradient of the branch with caption", {"branch": "caption"}),
    Row("gradient of two frames drawn by TAR", {"S": 2, "selection": "attenuated"}),
    Row("gradient by Direct-Align", {"name": "DirectAlign"}),
    Row("gradient by QuickEdit", {"name": "QuickEdit"}),
    Row("8 frames", frames=8),
    Row("twice the clips", batch=4),
    Row(DECODE_ALL, decode_all=True),
    Row(
        AUTHORS,
        OFFICIAL,
        {"recompute_unet": True, "guidance_passes": 2},
        decode_all=True,
        unfrozen=True,
        encode=True,
    ),  # fmt: skip
)


def method_of(row: Row) -> RewardMethod:
    """The method of a row, with its settings."""
    settings = dict(row.method)
    return METHODS[settings.pop("name", InstructVideo.__name__)](**settings)


def step_loss(method: RewardMethod, backbone: Any, batch: Batch, reward: Any, generator: Any = None) -> Tensor:
    """The loss of the package: frames are chosen, then decoded."""
    return next(method.losses(backbone, batch, reward, generator))[0]


def all_frames_loss(method: InstructVideo, backbone: Any, batch: Batch, reward: Any, generator: Any = None) -> Tensor:
    """The authors' order: the value and gradient of choosing first, at the cost of decoding every frame."""
    predict = backbone.predictor(batch.embeds, batch.uncond_embeds, method.guidance)
    shared = {name: getattr(method, name) for name in ("tau", "D", "K", "eta", "offset_noise", "recompute")}
    z0 = edit(predict, batch.z, backbone.scheduler, generator=generator, **shared)
    frames = backbone.decode(z0.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(z0), -1))
    return -method.video_reward(reward).of_frames(frames, batch.captions, generator).reward.mean()


def measure(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """Time one row."""
    torch.set_num_threads(options.threads)
    memory = Memory(**row.memory)
    dtypes = memory.dtypes("fp32")
    backbone = open_model(options.model, dtypes, "cpu")
    reward = open_reward(options.reward, "cpu", dtypes["reward"])
    if row.unfrozen:
        reward.requires_grad_(True)  # type: ignore[attr-defined]
    attach_lora(backbone.unet)
    generator = torch.Generator().manual_seed(options.seed)
    frames, batch = row.frames or options.frames, row.batch or options.batch
    latents = torch.randn(batch, *backbone.latent_shape(frames), generator=generator)
    side = latents.shape[-1] * backbone.vae_factor
    clips = torch.rand(batch, frames, 3, side, side, generator=generator) if row.encode else None
    captions = [f"clip {i}" for i in range(batch)]
    backbone.embed([*captions, ""])
    getattr(reward, "text_features", lambda texts: None)(captions)
    config = method_of(row)
    with fitted(backbone, reward, memory) as scorer:
        offload_text(backbone, reward)
        loss_of = all_frames_loss if row.decode_all else step_loss
        meter = Meter(torch.device("cpu"))
        for _ in range(1 + options.repeats):
            meter.time(lambda: _step(backbone, scorer, loss_of, config, latents, clips, captions, generator))
    timed = meter.seconds[1:]
    return {"seconds": statistics.median(timed), "spread": max(timed) - min(timed), **meter.memory()}


def _step(
    backbone: Backbone,
    scorer: Any,
    loss_of: Any,
    config: Any,
    latents: Tensor,
    clips: Tensor | None,
    captions: list[str],
    generator: torch.Generator,
) -> None:
    """Loss and backward pass of one batch."""
    if clips is not None:
        backbone._embeddings.clear()
        latents = backbone.encode(clips, generator)
    batch = Batch(latents, backbone.embed(captions), backbone.embed([""]), captions)
    with network_mode(backbone.unet, config.train_mode):
        loss_of(config, backbone, batch, scorer, generator).backward()


def comparisons(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The ratios that the method promises; those of rows that were not measured are left out."""
    seconds = {row["name"]: row["seconds"] for row in rows if "seconds" in row}
    memory = {row["name"]: row["step_mb"] for row in rows if "step_mb" in row}
    pairs = {
        "time of an edit, as a share of the full chain's (the chain alone: 0.6)": (seconds, BASE, FULL_CHAIN),
        "time of choosing before decoding, as a share of decoding all frames": (seconds, BASE, DECODE_ALL),
        "memory of choosing before decoding, as a share of decoding all frames": (memory, BASE, DECODE_ALL),
        "time of the base, as a share of the authors' way": (seconds, BASE, AUTHORS),
        "memory of the base, as a share of the authors' way": (memory, BASE, AUTHORS),
    }
    return {name: table[a] / table[b] for name, (table, a, b) in pairs.items() if a in table and table.get(b)}


def main() -> None:
    """Measure every row and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reduced")
    parser.add_argument("--reward", default="reduced")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="only rows whose name contains one of these")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--show", action="store_true", help="print the table of --out and measure nothing")
    options = parser.parse_args()
    if options.show:
        print(show_tables(options.out, COLUMNS))
        return
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items() if k not in ("out", "show")}
    rows: list[dict[str, Any]] = []
    for row in ROWS:
        if options.only and not any(part in row.name for part in options.only):
            continue
        result = in_own_process(measure, row, options)
        first = next((item["seconds"] for item in rows if item["name"] == BASE and "seconds" in item), None)
        if "seconds" in result:
            result["relative"] = result["seconds"] / (first or result["seconds"])
        rows.append({"name": row.name, **result, "changes": _changes(row)})
        print({key: value for key, value in rows[-1].items() if key != "changes"}, flush=True)
        table = {"settings": settings, "rows": rows, "comparisons": comparisons(rows)}
        save_table(options.out, "cpu", table, options.seed)  # after each row: a night may be cut short


def _changes(row: Row) -> dict[str, Any]:
    empty = asdict(Row(row.name))
    return {name: value for name, value in asdict(row).items() if value != empty[name]}


if __name__ == "__main__":
    main()
