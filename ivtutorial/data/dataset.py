"""Training data of a run: clips encoded once into latents, drawn in a seeded order that any step can look up.

Which clips a step sees is a function of (seed, step, slot) alone. A slot is one pass of one process: with W processes
and A passes a step there are W * A slots, pass m of process r is slot r + W m, and the batch of slot s at step n is

    stream[(n W A + s) B : (n W A + s + 1) B]        stream: seeded permutations of all clips, one after another

so nothing about the data has to be stored to continue a run, no clip comes again before all others have come, and two
processes see the clips that one process with twice the passes, or the batch, would see.

Encoded clips are kept on disk, see `ivtutorial.data.latent_cache`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ivtutorial.checks import check_latents
from ivtutorial.data.captions import check_caption
from ivtutorial.data.latent_cache import FrameSettings, LatentCache, pin
from ivtutorial.data.lists import Clip
from ivtutorial.data.text import bad_entries
from ivtutorial.errors import InputError
from ivtutorial.method.batch import Batch
from ivtutorial.system.files import hash_of
from ivtutorial.system.step_draws import StepGenerator

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone


@dataclass(frozen=True)
class LatentDataset:
    """Encoded clips with their captions.

    Attributes:
        latents: times the VAE's scaling factor, float32 (N, C, F, h, w), on the CPU.
        captions: N texts.
        left_out: what was wrong with each clip that was left out (`skip_bad`).

    Raises:
        InputError: wrong shape, another number of captions, or one that is not text.
    """

    latents: Tensor
    captions: Sequence[str]
    left_out: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_latents(self.latents)
        object.__setattr__(self, "captions", tuple(check_caption(caption) for caption in self.captions))
        if len(self.captions) != len(self.latents) or not len(self.latents):
            raise InputError(f"{len(self.latents)} latents and {len(self.captions)} captions: expected N >= 1 of each.")

    def __len__(self) -> int:
        return len(self.captions)

    @cached_property
    def key(self) -> str:
        """Hash of the content: two data sets with the same key give the same training steps."""
        about = json.dumps([*self.captions, list(self.latents.shape)]).encode()
        # Clip by clip: all of them at once would be another copy in memory.
        return hash_of(chain([about], (clip.float().contiguous().numpy().tobytes() for clip in self.latents)))[:16]

    def batch(self, backbone: AnyBackbone, positions: Sequence[int]) -> Batch:
        """The clips at some places of the data, with their prompt embeddings, where the backbone is."""
        captions = [self.captions[i] for i in positions]
        batch = Batch(self.latents[list(positions)], backbone.embed(captions), backbone.embed([""]), captions)
        return batch.to(backbone.device)


def positions(clips: int, batch_size: int, step: int, slot: int, slots: int, seed: int) -> list[int]:
    """Places in the data of the batch of one slot of one step, see the module's first lines.

    Args:
        clips: size of the data, N.
        batch_size: clips of the batch, B.
        step: 0, 1, ...
        slot: 0 .. slots - 1.
        slots: W * A.
        seed: of the permutations.

    Returns:
        B places, 0 .. N - 1.

    Example:
        >>> sorted(positions(4, 2, 0, 0, 2, seed=0) + positions(4, 2, 0, 1, 2, seed=0))
        [0, 1, 2, 3]
    """
    start = (step * slots + slot) * batch_size
    stream = range(start, start + batch_size)
    orders = {epoch: _permutation(clips, seed, epoch) for epoch in {i // clips for i in stream}}
    return [int(orders[i // clips][i % clips]) for i in stream]


def _permutation(clips: int, seed: int, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.random.default_rng((seed, 1, epoch)).permutation(clips)


def slot_generator(seed: int, step: int, slot: int = 0, slots: int = 1) -> StepGenerator:
    """The source of every draw of one slot of one step.

    All slots of a step draw the same for all its clips, and each keeps the rows of its own (see
    :mod:`ivtutorial.system.step_draws`), so a run does not depend on how its steps are split. Dropout does: it uses
    the global generator, which is seeded here by slot.
    """
    whole, own = (_state(seed, step, number) for number in (0, slot))
    torch.manual_seed(own[0])
    source = StepGenerator(slot, slots)
    source.manual_seed(whole[1])
    return source


def _state(seed: int, step: int, slot: int) -> list[int]:
    state = np.random.SeedSequence((seed, 2, step, slot)).generate_state(2, np.uint64) >> np.uint64(1)
    return [int(number) for number in state]


def encode_clips(
    backbone: AnyBackbone,
    clips: Sequence[Clip],
    cache: str | Path,
    frames: int = 16,
    fps: float = 8.0,
    height: int | None = None,
    width: int | None = None,
    advance: Callable[[int], None] = lambda count: None,
    *,
    skip_bad: bool = False,
    rank: int = 0,
    world: int = 1,
    gather: Callable[[list[Any]], list[Any]] = list,
) -> LatentDataset:
    """Encode video files, or read what an earlier call encoded.

    Args:
        backbone: does the encoding (posterior mean).
        clips: files and captions.
        cache: folder of encoded clips, see `ivtutorial.data.latent_cache`.
        frames: F.
        fps: frames a second to read at.
        height: in pixels; None is the model's own size. So is width.
        width: see height.
        advance: called with the number of clips done.
        skip_bad: leave bad clips out, and list them in the result, instead of an error.
        rank: of this process; each encodes its share.
        world: number of processes.
        gather: joins the lists of all processes, and waits for them.

    Raises:
        InputError: no clips, or some that cannot be read or are too short, all of which are named; or the cache
            cannot be written.
    """
    if not clips:
        raise InputError("no clips to train on: the list is empty.")
    store = LatentCache(cache, backbone, FrameSettings.of(backbone, frames, fps, height, width))
    pinned, problems = pin(clips)
    first: dict[Clip, Clip] = {}
    for index, clip in enumerate(pinned):
        same = first.setdefault(replace(clip, path=Path()), clip)
        if same is not clip and index not in problems:
            problems[index] = f"{clip.path}: the same clip and caption as {same.path}."
    mine = [index for index in range(rank, len(clips), world) if index not in problems]
    unreadable = store.fill([pinned[index] for index in mine], advance=lambda count: advance(count * world))
    problems |= dict(gather([(mine[k], problem) for k, problem in unreadable.items()]))
    listed = [problems[index] for index in sorted(problems)]
    good = [clip for index, clip in enumerate(pinned) if index not in problems]
    if listed and not skip_bad or not good:
        raise bad_entries("the training clips", listed, len(clips))
    store.fill(good)  # nothing is left to do, but where each machine has a disk of its own
    first_latents = store.read(good[0])
    latents = first_latents.new_empty((len(good), *first_latents.shape))
    for index, clip in enumerate(good):  # a list of them and then their stack would need the room twice
        latents[index] = store.read(clip)
    return LatentDataset(latents, [clip.caption for clip in good], listed)
