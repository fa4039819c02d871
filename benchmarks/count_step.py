"""What one step of fine-tuning costs at full size, counted without a GPU, and the time that it takes at least.

    python benchmarks/count_step.py   # every preset, a few minutes on a CPU

The networks are built at full size on PyTorch's device `meta`, where tensors have a shape and no content, and one pass
(edit, decoding, scoring, backward) runs on it as training runs it. Of every operation three things are noted:

| name      | symbol | meaning                                                                                       |
|-----------|--------|-----------------------------------------------------------------------------------------------|
| `flops`   | c      | multiplications and additions of matrix products, convolutions and attention                  |
| `bytes`   | b      | bytes of the tensors that it reads and writes, each once; a view costs nothing                |
| `peak`    | -      | bytes of all tensors alive at once, with the frozen weights on the GPU and the adapter's state |

No operation ends on a card before max(c / rate, b / bandwidth), its peak rate and its memory's bandwidth; `floor` is
the sum of that over a pass, times the passes of a step. It is a bound for running one operation after another; a
compiler that fuses operations moves fewer bytes, and then only the sum of c / rate, `compute`, holds; nor does a card
wait for its memory where its cache still has a small tensor from the operation before. Neither time between operations
nor the casts of autocast nor workspace is counted, so real times and peaks are larger. Rate and bandwidth are those of
the data sheets: dense products of half-precision numbers, added up in single precision.
"""

from __future__ import annotations

import argparse
import json
import math
import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import full_size
import torch
from bench_step import all_frames_loss, step_loss
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ivtutorial.method.batch import Batch
from ivtutorial.method.chain import denoise
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import attach_lora, lora_parameters
from ivtutorial.models.memory import Memory
from ivtutorial.models.modes import network_mode
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.system.files import atomic_write_text
from ivtutorial.system.provenance import provenance
from ivtutorial.training.fit import fitted
from ivtutorial.training.presets import PRESETS

RESULT = Path("data/results/count_step.json")
CLIPS = 8  # of a step, as in the paper
FRAMES, TOKENS = 16, 77
ATTENTION = "scaled_dot_product_attention"
# Operations that do not read what their first argument held, and those that read of it only what is looked up.
OVERWRITES = ("copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_")
LOOKUPS = ("embedding", "index", "index_select", "gather")


@dataclass(frozen=True)
class Card:
    """A GPU's data sheet.

    Attributes:
        tflops: peak of half-precision products, 10^12 operations a second. gbytes: of its memory, 10^9 bytes a second.
        gib: memory that a program can use, GiB. bf16: whether it has units for bf16.
    """

    tflops: float
    gbytes: float
    gib: float
    bf16: bool = True


CARDS = {
    "T4": Card(65, 320, 15, bf16=False),
    "L4": Card(121, 300, 22),
    "RTX 4090": Card(165, 1008, 24),
    "A100": Card(312, 1555, 40),
    "H100": Card(989, 3350, 80),
}


@dataclass
class Count:
    """How often a pass has an operation of a given (FLOPs, bytes), and the most bytes that were alive at once."""

    operations: Counter[tuple[int, int]] = field(default_factory=Counter)
    alive: int = 0
    peak: int = 0

    def seconds(self, card: Card, move: bool = True) -> float:
        """Sum over the operations of max(c / rate, b / bandwidth), or with `move` off of c / rate."""
        compute, memory = card.tflops * 1e12, card.gbytes * 1e9
        return sum(n * max(c / compute, b / memory if move else 0.0) for (c, b), n in self.operations.items())

    def total(self) -> tuple[int, int]:
        """FLOPs and bytes of the pass."""
        flops, bytes_ = (sum(n * pair[i] for pair, n in self.operations.items()) for i in (0, 1))
        return flops, bytes_


class Counting(TorchDispatchMode):
    """Counts every operation inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.count = Count()
        self._known: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and note it; a number that the code looks at is 0."""
        if func._schema.name == "aten::_local_scalar_dense" and args[0].is_meta:
            return 0
        output = func(*args, **(kwargs or {}))
        after = tensors(output)
        if is_idle(func, tensors((args, kwargs)), after):
            return output
        formula = flop_registry.get(func._overloadpacket)
        flops = formula(*args, **(kwargs or {}), out_val=output) if formula else 0
        self.count.operations[flops, bytes_read(func, args, kwargs or {}, after) + sum(map(size, after))] += 1
        for tensor in after:
            self._follow(tensor)
        return output

    def _follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, bytes_ = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known[key] = weakref.finalize(storage, self._forget, key, bytes_)
            self.count.alive += bytes_
            self.count.peak = max(self.count.peak, self.count.alive)

    def _forget(self, key: int, bytes_: int) -> None:
        self.count.alive -= bytes_
        del self._known[key]


def fused_attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **rest: Any) -> Tensor:
    """Attention as one operation, as on a GPU; on `meta` PyTorch would build the matrix of scores."""
    recorded = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    output: Tensor = torch.ops.aten._scaled_dot_product_efficient_attention(query, key, value, None, recorded)[0]
    return output


def is_idle(func: Any, before: Sequence[Tensor], after: Sequence[Tensor]) -> bool:
    """Whether the operation moves nothing: it returns views of its input, or memory without content.

    Not every view says so in its schema (`_unsafe_view` of each product with a matrix does not), but each has the
    storage of an input.
    """
    if base_name(func).startswith(("empty", "new_empty")):
        return True
    given = {tensor.untyped_storage()._cdata for tensor in before}
    return bool(after) and not func._schema.is_mutable and all(x.untyped_storage()._cdata in given for x in after)


def bytes_read(func: Any, args: Sequence[Any], kwargs: dict[str, Any], after: Sequence[Tensor]) -> int:
    """Bytes of its inputs that an operation reads: a tensor given twice once, and none that it only writes into."""
    name, unread = base_name(func), []
    if name in OVERWRITES or name.startswith("new_") or name.endswith("_like"):
        unread = tensors(args[:1])
    elif name == "convolution_backward":  # (grad, input, weight, ...): each is there for the other's gradient
        of_input, of_weight, _ = args[-1]
        unread = [args[1]] * (not of_weight) + [args[2]] * (not of_input)
    skip = {id(tensor) for tensor in unread}
    read = {id(x): size(x) for x in tensors((args, kwargs)) if id(x) not in skip}
    if name in LOOKUPS:
        read[id(args[0])] = min(size(args[0]), sum(map(size, after)))
    return sum(read.values())


def base_name(func: Any) -> str:
    """An operation's name without library and overload, such as "mm"."""
    return str(func._schema.name).split("::")[-1]


def tensors(tree: Any) -> list[Tensor]:
    """Every tensor in nested arguments."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def size(tensor: Tensor) -> int:
    """Bytes to read or write: of an expanded tensor only those that are there."""
    there = math.prod(n for n, step in zip(tensor.shape, tensor.stride(), strict=True) if step or not n)
    return min(there * tensor.element_size(), tensor.untyped_storage().nbytes())


def models(dtype: torch.dtype, divide: int = 1) -> tuple[Backbone, ClipReward]:
    """ModelScope's networks and HPSv2's at full size on `meta`, as training opens them, with a fresh adapter."""
    backbone, reward = full_size.random_backbone(divide, 0, "meta"), full_size.random_reward(divide, 0, "meta")
    for network in (backbone.unet, backbone.vae, backbone.text_encoder, reward.model):
        network.to(dtype)
    attach_lora(backbone.unet)
    return backbone, reward


def resident(backbone: Backbone, reward: ClipReward, memory: Memory) -> int:
    """Bytes that stay on the GPU: frozen weights, and 16 a weight of the adapter (it, gradient, Adam's two)."""
    parts = [backbone.unet, backbone.vae, reward.model.visual]
    if not memory.offload_text:
        parts = [backbone.unet, backbone.vae, backbone.text_encoder, reward.model]
    frozen = sum(p.numel() * p.element_size() for part in parts for p in part.parameters() if not p.requires_grad)
    return frozen + 16 * sum(p.numel() for p in lora_parameters(backbone.unet))


def batch(backbone: Backbone, clips: int) -> Batch:
    """A batch of clips and captions without content."""
    z = torch.empty(clips, *backbone.latent_shape(FRAMES), device="meta")
    width = backbone.unet.config.cross_attention_dim
    embeds, empty = (torch.empty(n, TOKENS, width, device="meta", dtype=backbone.unet.dtype) for n in (clips, 1))
    return Batch(z, embeds, empty, [f"clip {index}" for index in range(clips)])


def count(
    networks: tuple[Backbone, ClipReward], memory: Memory, clips: int, method: InstructVideo, authors: bool = False
) -> Count:
    """Operations and memory of one pass of `clips` clips; `authors` as `bench_step.py` does it their way.

    The steps of the chain without gradient are all alike: one of them is counted, and taken as often as there are.
    """
    backbone, reward = networks
    for parameter in lora_parameters(backbone.unet):
        parameter.grad = None
    reward.requires_grad_(authors)

    def scored(frames: Tensor, captions: Sequence[str]) -> Tensor:
        return reward.image_features(frames).sum(-1)

    recorded, plain, given = Counting(), Counting(), batch(backbone, clips)
    with (
        fitted(backbone, scored, memory) as scorer,
        network_mode(backbone.unet, method.train_mode),
        patch.object(functional, ATTENTION, fused_attention),
    ):
        with recorded:
            if authors:
                side = given.latents.shape[-1] * backbone.vae_factor
                backbone.encode(torch.empty(clips, FRAMES, 3, side, side, device="meta"))
            loss_of = all_frames_loss if authors else step_loss
            loss_of(replace(method, tau=1 / method.D), backbone, given, scorer).backward()
        with plain, torch.no_grad():
            predict = backbone.predictor(given.embeds, given.uncond_embeds, method.guidance)
            denoise(predict, given.z, [500], backbone.scheduler)
    reward.requires_grad_(False)
    operations = recorded.count.operations.copy()
    for pair, times in plain.count.operations.items():
        operations[pair] += (method.steps - 1) * times
    peak = max(recorded.count.peak, plain.count.peak) + resident(backbone, reward, memory)
    return Count(operations, 0, peak)


def clip_rows(networks: tuple[Backbone, ClipReward]) -> list[dict[str, Any]]:
    """What one clip costs outside training: to be sampled in 20 steps with guidance, and to be encoded."""
    backbone, _ = networks
    given, step, decoding, encoding = batch(backbone, 1), Counting(), Counting(), Counting()
    side = given.latents.shape[-1] * backbone.vae_factor
    with torch.no_grad(), patch.object(functional, ATTENTION, fused_attention):
        with step:
            predict = backbone.predictor(given.embeds, given.uncond_embeds, 3.0)
            denoise(predict, given.z, [500], backbone.scheduler)
        with decoding:
            backbone.decode_clips(given.latents)
        with encoding:
            backbone.encode(torch.empty(1, FRAMES, 3, side, side, device="meta"))
    sampled = decoding.count.operations.copy()
    for pair, times in step.count.operations.items():
        sampled[pair] += 20 * times
    fixed = sum(p.numel() * p.element_size() for part in (backbone.unet, backbone.vae) for p in part.parameters())
    peak = max(step.count.peak, decoding.count.peak) + fixed
    alone = encoding.count.peak + sum(p.numel() * p.element_size() for p in backbone.vae.parameters())
    return [
        row("a clip sampled", Count(sampled, 0, peak), 1, "fp16", passes=1),
        row("a clip encoded", Count(encoding.count.operations, 0, alone), 1, "fp16", passes=1),
    ]


def row(name: str, counted: Count, clips: int, precision: str, passes: int | None = None) -> dict[str, Any]:
    """A row of the table, by default for a step of `CLIPS` clips on one GPU."""
    passes = passes or CLIPS // clips
    flops, bytes_ = counted.total()
    gib = counted.peak / 2**30
    cards = {}
    for card_name, card in CARDS.items():
        reason = "too large" if gib > card.gib else "no bf16" if precision == "bf16" and not card.bf16 else None
        floor, compute = (passes * counted.seconds(card, move) for move in (True, False))
        cards[card_name] = {"reason": reason} if reason else {"floor": round(floor, 3), "compute": round(compute, 3)}
    return {
        "name": name,
        "precision": precision,
        "clips": clips,
        "passes": passes,
        "operations": counted.operations.total(),
        "tflop": round(passes * flops / 1e12, 2),
        "gbyte": round(passes * bytes_ / 1e9, 1),
        "peak_gib": round(gib, 3),
        "cards": cards,
    }


def rows(half: dict[str, tuple[Backbone, ClipReward]]) -> list[dict[str, Any]]:
    """Every preset, the same with nothing recomputed, and the authors' way, with models by precision."""
    theirs = InstructVideo(train_mode=True, recompute=True)
    wanted = [
        *((f"preset {name}", item["precision"], item["batch_size"], Memory(**item["memory"]), InstructVideo(), False)
          for name, item in PRESETS.items()),
        ("nothing recomputed", "bf16", 1, Memory(), InstructVideo(), False),
        ("as the authors do it", "bf16", 1, Memory(recompute_unet=True, guidance_passes=2), theirs, True),
    ]  # fmt: skip
    result = []
    for name, precision, clips, memory, method, authors in wanted:
        counted = count(half[precision], memory, clips, method, authors)
        result.append(row(name, counted, clips, precision))
        print({key: value for key, value in result[-1].items() if key != "cards"}, flush=True)
    return result


def main() -> None:
    """Count every row and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    made = provenance(0)  # now: counting takes a while, and the code may be edited meanwhile
    settings = {"clips_of_a_step": CLIPS, "frames": FRAMES, "tokens": TOKENS}
    half = {"fp16": models(torch.float16), "bf16": models(torch.bfloat16)}
    cards = {name: asdict(card) for name, card in CARDS.items()}
    table = {"settings": settings, "cards": cards, "clips": clip_rows(half["fp16"]), "rows": rows(half)}
    atomic_write_text(options.out, json.dumps({**table, **made}, indent=1) + "\n")


if __name__ == "__main__":
    main()
