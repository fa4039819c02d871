"""Training data of a run: clips encoded once into latents, drawn in a seeded order that any step can look up.

Which clips a step sees is a function of (seed, step, slot) alone. A slot is one pass of one process: with W processes
and A passes a step there are W * A slots, pass m of process r is slot r + W m, and the batch of slot s at step n is

    stream[(n W A + s) B : (n W A + s + 1) B]        stream: seeded permutations of all clips, one after another

so nothing about the data has to be stored to continue a run, no clip comes again before all others have come, and two
processes see the clips that one process with twice the passes would see.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ivtutorial.clips import Clip, check_caption
from ivtutorial.ddim import check_latents
from ivtutorial.errors import InputError
from ivtutorial.files import atomic_write, sha256
from ivtutorial.methods.batch import Batch

if TYPE_CHECKING:
    from ivtutorial.backbone import Backbone


@dataclass(frozen=True)
class LatentDataset:
    """Encoded clips with their captions.

    Attributes:
        latents: times the VAE's scaling factor, float32 (N, C, F, h, w), on the CPU.
        captions: N texts.

    Raises:
        InputError: wrong shape, another number of captions, or one that is not text.
    """

    latents: Tensor
    captions: Sequence[str]

    def __post_init__(self) -> None:
        check_latents(self.latents)
        object.__setattr__(self, "captions", tuple(check_caption(caption) for caption in self.captions))
        if len(self.captions) != len(self.latents) or not len(self.latents):
            raise InputError(f"{len(self.latents)} latents and {len(self.captions)} captions: expected N >= 1 of each.")

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def key(self) -> str:
        """Hash of the content: two data sets with the same key give the same training steps."""
        digest = hashlib.sha256(json.dumps([*self.captions, list(self.latents.shape)]).encode())
        digest.update(self.latents.float().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def batch(self, backbone: Backbone, positions: Sequence[int]) -> Batch:
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


def slot_generator(seed: int, step: int, slot: int) -> torch.Generator:
    """The source of every draw of one slot of one step; the global generator, which dropout uses, is seeded too."""
    state = np.random.SeedSequence((seed, 2, step, slot)).generate_state(2, np.uint64) >> np.uint64(1)
    torch.manual_seed(int(state[0]))
    return torch.Generator().manual_seed(int(state[1]))


def encode_clips(
    backbone: Backbone,
    clips: Sequence[Clip],
    cache: str | Path,
    frames: int = 16,
    fps: float = 8.0,
    height: int | None = None,
    width: int | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> LatentDataset:
    """Encode video files, or read what an earlier call encoded.

    The cache file's name holds a hash of the files' contents, the frame settings and the VAE's weights, so it can never
    be taken for another data set or model.

    Args:
        backbone: does the encoding (posterior mean).
        clips: files and captions.
        cache: folder of the cache file.
        frames: F.
        fps: frames a second to read at.
        height: in pixels; None is the model's own size. So is width.
        width: see height.
        advance: called with the number of clips done.

    Raises:
        InputError: no clips, or some that cannot be read or are too short, all of which are named; or the cache
            cannot be written.
    """
    if not clips:
        raise InputError("no clips to train on: the list is empty.")
    sides = tuple(side or own * backbone.vae_factor for side, own in zip((height, width), backbone.latent_shape()[2:]))
    path = Path(cache) / f"latents-{_cache_key(backbone, clips, (frames, fps, *sides))}.safetensors"
    captions = [clip.caption for clip in clips]
    if path.is_file():
        return LatentDataset(_read(path), captions)
    latents = _encode(backbone, clips, frames, fps, (sides[0], sides[1]), advance)
    _write(path, latents)
    return LatentDataset(latents, captions)


def fingerprint(module: nn.Module) -> str:
    """A short hash of a model: names and shapes of its weights, and the first 16 values of each in float32."""
    digest = hashlib.sha256()
    for name, weight in module.state_dict().items():
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().flatten()[:16].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _cache_key(backbone: Backbone, clips: Sequence[Clip], settings: tuple[float, ...]) -> str:
    content = [sha256(clip.path) for clip in clips]
    text = json.dumps([content, settings, fingerprint(backbone.vae), backbone.vae.config.scaling_factor])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _encode(
    backbone: Backbone,
    clips: Sequence[Clip],
    frames: int,
    fps: float,
    size: tuple[int, int],
    advance: Callable[[int], None],
) -> Tensor:
    """One clip at a time, so that only latents pile up; every bad file is found before the error."""
    from ivtutorial.media import read_video

    latents, problems = [], []
    for clip in clips:
        try:
            pixels = torch.from_numpy(read_video(clip.path, frames, fps, size))
        except InputError as error:
            problems.append(str(error))
            continue
        if not problems:
            latents.append(backbone.encode(pixels.permute(0, 3, 1, 2)[None].float() / 255).cpu())
        advance(1)
    if problems:
        listed = "\n  ".join(problems)
        raise InputError(f"the training clips: {len(problems)} bad of {len(clips)}:\n  {listed}")
    return torch.cat(latents)


def _write(path: Path, latents: Tensor) -> None:
    from safetensors.torch import save

    with atomic_write(path) as file:
        file.write(save({"latents": latents.contiguous()}))


def _read(path: Path) -> Tensor:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)["latents"]
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"the latent cache {path} is damaged ({error}). Delete it; it is made again.") from error
