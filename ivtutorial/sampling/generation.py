"""Ordinary text-to-video generation: the full DDIM chain from pure noise, with or without a fine-tuned adapter.

The noise of a clip depends on the prompt's place in the list and the seed, and on nothing else. So the same list and
seeds give the same clips whatever the batch size or number of processes (up to rounding), and clips made before and
after fine-tuning form pairs.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ivtutorial.data.captions import check_caption
from ivtutorial.errors import InputError
from ivtutorial.method.chain import sample
from ivtutorial.models.dit.prompt_side import PromptSide
from ivtutorial.models.modes import network_mode
from ivtutorial.sampling.settings import Sampling as Sampling, open_to_sample, settled
from ivtutorial.system.device import allow_tf32
from ivtutorial.system.out_of_memory import OPENING_OPTIONS, SAMPLING_OPTIONS, explain_out_of_memory
from ivtutorial.system.processes import launch
from ivtutorial.system.progress import bar
from ivtutorial.system.share import gather, own_share, rank_and_world

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone


@dataclass(frozen=True)
class Job:
    """One clip to sample: the prompt, its place in the list of prompts, and the seed."""

    index: int
    prompt: str
    seed: int


def generate(
    model: AnyBackbone | str | Path,
    prompts: Sequence[str],
    seeds: int | Sequence[int] = 0,
    sampling: Sampling = Sampling(),
    *,
    lora: str | Path | None = None,
    lora_scale: float = 1.0,
    processes: int = 1,
    device: str | None = None,
    progress: bool = False,
) -> Tensor:
    """Generate clips from prompts.

    Args:
        model: a backbone, used where it is; or "reduced", "modelscope", a diffusers folder or a hub name.
        prompts: N texts.
        seeds: one seed, or several: then every prompt is sampled once for each.
        sampling: steps, guidance, frames, size, batch size.
        lora: folder of a run, or of an adapter (or its file), to use on top of the model. The model is left as it was.
        lora_scale: how much of the adapter to use, 0 to 1.
        processes: single-threaded processes that share the clips (CPU only).
        device: "cpu" or "cuda", for a model given by name; default the GPU if there is one and a single process.
        progress: show a progress bar.

    Returns:
        Clips (N * len(seeds), F, 3, H, W), float32 in [0, 1], on the CPU; ordered by prompt, then by seed.

    Raises:
        InputError: no prompts, one that is not text, a value out of range, or an unusable model or adapter.

    Example:
        >>> clips = generate("reduced", ["a red fox running through the snow"], seeds=[0, 1])  # doctest: +SKIP
        >>> clips.shape  # doctest: +SKIP
        torch.Size([2, 16, 3, 64, 64])
        >>> short = generate("reduced", ["a red fox"], sampling=Sampling(D=5, frames=8))  # doctest: +SKIP
    """
    jobs = make_jobs(prompts, seeds)
    sampling, device = settled(model, sampling, device, processes)
    parts = launch(_generate_share, processes, model, jobs, sampling, lora, lora_scale, device, progress)
    clips = dict(gather([made for part in parts for made in part]))
    return torch.stack([clips[job] for job in jobs])


def make_jobs(prompts: Sequence[str], seeds: int | Sequence[int] = 0) -> list[Job]:
    """Every prompt with every seed, ordered by prompt, then by seed.

    Raises:
        InputError: no prompts, one that is not text, no seeds, or one that is no number, negative or there twice.
    """
    if isinstance(prompts, str) or not len(prompts):
        raise InputError(f"Expected a list with at least one prompt, got {prompts!r}.")
    texts = [check_caption(prompt) for prompt in prompts]
    try:
        several = [operator.index(seed) for seed in (seeds if isinstance(seeds, Iterable) else [seeds])]
    except TypeError:  # None, text, or numbers that are not whole
        several = []
    if not several or min(several) < 0 or len(set(several)) < len(several):
        raise InputError(f"seeds = {seeds!r}: expected one whole number >= 0, or several different ones.")
    return [Job(index, text, seed) for index, text in enumerate(texts) for seed in several]


def clip_generator(index: int, seed: int) -> torch.Generator:
    """The source of all randomness of one clip, from the prompt's place in its list and the seed."""
    state = np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def sample_batches(
    backbone: AnyBackbone, jobs: Sequence[Job], sampling: Sampling
) -> Iterator[tuple[list[Job], Tensor]]:
    """Sample clips batch by batch, so that a long list need not fit into memory.

    Args:
        backbone: used as it is, with its adapter if it has one.
        jobs: what to sample.
        sampling: how.

    Yields:
        Up to `batch_size` jobs and their clips (B, F, 3, H, W), float32 in [0, 1], on the CPU.

    Raises:
        InputError: a height or width that the VAE cannot make, or the GPU's memory is too small.
    """
    shape = _latent_shape(backbone, sampling)
    for batch in in_batches(jobs, sampling):
        with explain_out_of_memory(SAMPLING_OPTIONS):
            clips = _sample_batch(backbone, batch, shape, sampling)
        yield batch, clips


def in_batches(jobs: Sequence[Job], sampling: Sampling) -> list[list[Job]]:
    """The jobs in the batches that `sample_batches` samples; with eta > 0 each alone."""
    size = 1 if sampling.eta else sampling.batch_size
    return [list(jobs[start : start + size]) for start in range(0, len(jobs), size)]


def embed_first(backbone: AnyBackbone, jobs: Sequence[Job]) -> None:
    """Let a model whose text encoder is large encode all prompts before its transformer is loaded."""
    if isinstance(backbone, PromptSide):
        with explain_out_of_memory(OPENING_OPTIONS):
            backbone.embed(list(dict.fromkeys(["", *(job.prompt for job in jobs)])))


@contextmanager
def adapter(backbone: AnyBackbone, lora: str | Path | None, scale: float = 1.0) -> Iterator[None]:
    """Use an adapter for a while; afterwards the model is as it was. Without a folder nothing happens.

    Args:
        backbone: without an adapter, if `lora` is given.
        lora: folder or file of the adapter.
        scale: how much of it to use.

    Raises:
        InputError: the model has an adapter already, or the file is unusable or belongs to another model.
    """
    if lora is None:
        yield
        return
    from ivtutorial.models.lora import load_lora, set_lora_scale

    load_lora(backbone.unet, lora)
    try:
        set_lora_scale(backbone.unet, scale)
        yield
    finally:
        backbone.unet.unload_lora()


def _generate_share(
    model: AnyBackbone | str | Path,
    jobs: Sequence[Job],
    sampling: Sampling,
    lora: str | Path | None,
    lora_scale: float,
    device: str,
    progress: bool,
) -> list[tuple[Job, Tensor]]:
    backbone = open_to_sample(model, sampling, device)
    embed_first(backbone, own_share(jobs))
    rank, world = rank_and_world()
    made: list[tuple[Job, Tensor]] = []
    with (
        allow_tf32(device, sampling.precision),
        adapter(backbone, lora, lora_scale),
        bar(len(jobs), progress and rank == 0) as advance,
    ):
        for batch, clips in sample_batches(backbone, own_share(jobs), sampling):
            made.extend(zip(batch, clips, strict=True))
            advance(len(batch) * world)
    return made


def _latent_shape(backbone: AnyBackbone, sampling: Sampling) -> tuple[int, ...]:
    for side in (sampling.height, sampling.width):
        if side is not None and side % backbone.vae_factor:
            raise InputError(f"{side} pixels: this model's height and width are multiples of {backbone.vae_factor}.")
    return backbone.latent_shape(sampling.frames, sampling.height, sampling.width)


@torch.no_grad()
def _sample_batch(backbone: AnyBackbone, batch: list[Job], shape: tuple[int, ...], sampling: Sampling) -> Tensor:
    generators = [clip_generator(job.index, job.seed) for job in batch]
    noise = torch.stack([torch.randn(shape, generator=source) for source in generators]).to(backbone.device)
    embeds = backbone.embed([job.prompt for job in batch])
    predict = backbone.predictor(embeds, backbone.embed([""]), sampling.guidance)
    schedule: Any = backbone.scheduler  # a table of alphas, or levels of its own: the chain takes both
    with network_mode(backbone.unet, train=False):
        z0 = sample(predict, noise, schedule, sampling.D, eta=sampling.eta, generator=generators[0])
    return backbone.decode_clips(z0).float().cpu()
