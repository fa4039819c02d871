"""The pictures that all trainings learn from, drawn once into files that any process can map into memory.

| file | content |
|---|---|
| `pixels.bin` | uint8 (N, F, 64, 64, 3) |
| `masks.bin` | uint8 (N, F, 512): which pixels show the subject, eight to a byte |
| `classes.bin` | uint8 (N, 3): numbers of subject, colour and facing |
| `tokens.bin` | int16 (N, W, 24): W wordings of each clip's caption |
| `drawn.bin`, `told.bin` | uint8 (blocks,): which blocks of :data:`BLOCK` clips are drawn, and described |

Clip k of a species depends on (seed, pool, species, k) alone, all by name: another species more, another number of
clips or of processes changes no clip. Held-out combinations are never drawn.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTokenizer

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.tokenizer import MAX_LENGTH, token_ids
from ivtutorial.lab.world import facts as world, web_faults as web
from ivtutorial.lab.world.drawing.pen import Array, Pen
from ivtutorial.lab.world.drawing.subject import Palette, Pose
from ivtutorial.lab.world.drawing.subjects import ALL, subject
from ivtutorial.lab.world.judges.judge import targets
from ivtutorial.lab.world.training_captions import training_caption
from ivtutorial.system.files import atomic_write_text

BLOCK = 64
WORDINGS = 4
VISIBLE = 0.04  # a pixel shows the subject if drawing the subject changes it by more than this
Pixels = NDArray[np.uint8]

# Faults that no training needs in quantity are rare and mild: blur and blocks destroy the very shapes to be learnt.
# Watermark, wash and tint lie over the shapes and are what fine-tuning is to take away, so they stay frequent.
CHANCE = {"blur": 0.20, "wash": 0.45, "tint": 0.3, "noise": 0.2, "blocks": 0.1, "watermark": 0.50,
          "flicker": 0.4, "jitter": 0.2}  # fmt: skip
STRONGEST_FAULTS = {"blur": 0.8, "wash": 0.45, "tint": 0.3, "noise": 0.025, "blocks": 0.25, "watermark": 0.6,
             "flicker": 0.07, "jitter": 0.6}  # fmt: skip


@dataclass(frozen=True)
class PoolConfig:
    """What a pool holds.

    Attributes:
        name: of its folder, and part of the seed of every clip.
        count: clips. frames: of each; a pool of single frames (1) takes a random one of the clip's 16.
        only: the faults that may occur; all by default.
        seed: of everything random.

    Raises:
        InputError: no clips, or neither 1 nor 16 frames.
    """

    name: str
    count: int
    frames: int = world.FRAMES
    only: tuple[str, ...] = tuple(CHANCE)
    seed: int = 3

    def __post_init__(self) -> None:
        if self.count < 1 or self.frames not in (1, world.FRAMES):
            raise InputError(f"a pool needs clips of 1 or {world.FRAMES} frames, got {self.count} of {self.frames}")


@dataclass(frozen=True)
class Content:
    """What one clip of a pool shows: its facts, its faults, and the frames that are kept."""

    facts: world.ClipFacts
    faults: web.WebFaults
    frames: tuple[int, ...]


def content(config: PoolConfig, index: int) -> Content:
    """What clip ``index`` of a pool shows; the species take turns."""
    name = ALL[index % len(ALL)].name
    rng = np.random.default_rng((config.seed, zlib.crc32(f"{config.name}/{name}".encode()), index // len(ALL)))
    facts = world.draw_facts(rng, ALL, held_out=False, subject=name)
    strengths = {}
    for fault, chance in CHANCE.items():
        present, strength = rng.random() < chance, STRONGEST_FAULTS[fault] * rng.uniform(0.5, 1.0)
        strengths[fault] = float(strength) if present and fault in config.only else 0.0
    faults = web.WebFaults(**strengths, seed=int(rng.integers(2**31)))
    kept = (int(rng.integers(world.FRAMES)),) if config.frames == 1 else tuple(range(world.FRAMES))
    return Content(facts, faults, kept)


def render_with_mask(facts: world.ClipFacts, frames: tuple[int, ...]) -> tuple[Array, NDArray[np.bool_]]:
    """Draw a clean clip and a mask of the pixels that show its subject.

    Returns:
        float32 (F, 64, 64, 3) in [0, 1] and bool (F, 64, 64).
    """
    item, before = subject(facts.subject), []

    def draw(pen: Pen, pose: Pose, palette: Palette) -> None:
        before.append(pen.frames.copy())
        item.draw(pen, pose, palette)

    picture = world.render(facts, replace(item, draw=draw), frames=frames)
    return picture, np.abs(picture - np.clip(before[0], 0, 1)).max(-1) > VISIBLE


def draw_entry(config: PoolConfig, index: int) -> tuple[Pixels, NDArray[np.uint8]]:
    """Draw clip ``index`` with its faults.

    Returns:
        uint8 (F, 64, 64, 3) and the packed masks, uint8 (F, 512).
    """
    what = content(config, index)
    picture, mask = render_with_mask(what.facts, what.frames)
    faulty = web.degrade(picture, what.faults, np.asarray(what.frames))
    return np.round(faulty * 255).astype(np.uint8), np.packbits(mask.reshape(len(mask), -1), axis=1)


class Pool:
    """A pool that is being drawn or has been; see the module's docstring.

    Attributes:
        pixels, masks, classes, tokens: arrays that share memory with the files.
    """

    def __init__(self, folder: Path, config: PoolConfig) -> None:
        self.folder, self.config = folder / config.name, config
        self.folder.mkdir(parents=True, exist_ok=True)
        _check(self.folder / "config.json", config)
        n, f, size, blocks = config.count, config.frames, world.SIZE, -(-config.count // BLOCK)
        self.pixels = open_bytes(self.folder / "pixels.bin", (n, f, size, size, 3))
        self.masks = open_bytes(self.folder / "masks.bin", (n, f, size * size // 8))
        self.classes = open_bytes(self.folder / "classes.bin", (n, 3))
        self.tokens = open_bytes(self.folder / "tokens.bin", (n, WORDINGS, 2 * MAX_LENGTH)).view(np.int16)
        self.is_drawn = open_bytes(self.folder / "drawn.bin", (blocks,))
        self.is_told = open_bytes(self.folder / "told.bin", (blocks,))

    def __len__(self) -> int:
        return self.config.count

    def fill(self, tokenizer: CLIPTokenizer, rank: int = 0, world_size: int = 1) -> None:
        """Draw and describe what is missing of this process's share; killed, it loses at most one block."""
        for block in range(rank, len(self.is_drawn), world_size):
            self.fill_block(block, tokenizer)

    def fill_block(self, block: int, tokenizer: CLIPTokenizer) -> None:
        """Draw and describe one block, unless that is done."""
        rows = range(block * BLOCK, min((block + 1) * BLOCK, len(self)))
        if not self.is_told[block]:
            self._describe(rows, tokenizer)
            self.is_told[block] = 1
        if not self.is_drawn[block]:
            for i in rows:
                self.pixels[i], self.masks[i] = draw_entry(self.config, i)
            self.is_drawn[block] = 1

    def _describe(self, rows: range, tokenizer: CLIPTokenizer) -> None:
        texts = []
        for i in rows:
            what = content(self.config, i)
            known = targets(what.facts)
            self.classes[i] = known["subject"], known["colour"], what.facts.facing == "right"
            texts += [_wording(self.config, what, i, k) for k in range(WORDINGS)]
        tokens = token_ids(tokenizer, texts).numpy().astype(np.int16)
        self.tokens[rows.start : rows.stop] = tokens.reshape(len(rows), WORDINGS, -1)

    @property
    def complete(self) -> bool:
        """Whether everything is drawn and described."""
        return bool(self.is_drawn.all() and self.is_told.all())

    @property
    def ready(self) -> int:
        """Number of clips to choose from."""
        return len(self)

    @property
    def beginning(self) -> int:
        """Number of clips, from the first one on, that are drawn and described."""
        missing = np.flatnonzero((self.is_drawn == 0) | (self.is_told == 0))
        return min(int(missing[0]) * BLOCK, len(self)) if len(missing) else len(self)

    def labels(self, index: NDArray[np.int64]) -> Tensor:
        """Numbers of subject, colour and facing, int64 (B, 3)."""
        return torch.from_numpy(self.classes[index].astype(np.int64))

    def frames(self, index: NDArray[np.int64], frame: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Single frames: uint8 (B, 3, 64, 64), and their masks, bool (B, 64, 64)."""
        pixels = torch.from_numpy(self.pixels[index, frame]).permute(0, 3, 1, 2)
        masks = np.unpackbits(self.masks[index, frame], axis=1).reshape(-1, world.SIZE, world.SIZE)
        return pixels, torch.from_numpy(masks.astype(bool))


def fill_all(pools: Sequence[Pool], tokenizer: CLIPTokenizer, rank: int = 0, world_size: int = 1) -> None:
    """Draw and describe this process's share of several pools, all of them side by side: after a tenth of the time
    there is about a tenth of each."""
    blocks = sorted(
        ((b + 0.5) / len(pool.is_drawn), k, b) for k, pool in enumerate(pools) for b in range(len(pool.is_drawn))
    )
    for _, k, b in blocks[rank::world_size]:
        pools[k].fill_block(b, tokenizer)


def _wording(config: PoolConfig, what: Content, index: int, k: int) -> str:
    rng = np.random.default_rng((config.seed, zlib.crc32(f"{config.name}/captions".encode()), index, k))
    return training_caption(what.facts, subject(what.facts.subject), what.faults, rng)


def open_bytes(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map a file of zeros, made at its full size, so that a disk too small is noticed before any work is done."""
    size = int(np.prod(shape))
    if not path.exists() or path.stat().st_size != size:
        try:
            with open(path, "ab") as file:
                file.truncate(size)
                _reserve(file.fileno(), size)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise InputError(f"cannot make {path} of {size / 1e9:.1f} GB: {error.strerror or error}") from error
    return np.memmap(path, dtype=np.uint8, mode="r+", shape=shape)


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate") and size:
        os.posix_fallocate(descriptor, 0, size)


def _check(path: Path, config: PoolConfig) -> None:
    """Refuse a pool that was begun with other settings."""
    text = json.dumps(asdict(config), indent=1)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise InputError(f"{path.parent} was drawn with other settings; move it away, or restore the old settings")
    if not path.exists():
        atomic_write_text(path, text)
