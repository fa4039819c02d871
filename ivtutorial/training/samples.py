"""Rounds of sample clips during training: always the same prompts and noise, so that one sees what changes.

Their reward is measured by the paper's protocol. With prompts that are held out it is the curve to trust, and the one
that early stopping watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ivtutorial.evaluation.scoring import score
from ivtutorial.method.batch import motion
from ivtutorial.models.lora import save_lora
from ivtutorial.sampling.generation import Job, Sampling, make_jobs, sample_batches
from ivtutorial.system.share import gather
from ivtutorial.training import run_folder
from ivtutorial.training.checkpoints import Progress
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.sharding import is_sharded
from ivtutorial.training.step import Run
from ivtutorial.training.trackers import log_clips

FEW = 4


def sample_round(run: Run, progress: Progress) -> dict[str, float]:
    """Sample clips with the adapter as it is, write and show them, note a new best reward. Processes share the work.

    Args:
        run: see `ivtutorial.training.step.Run`.
        progress: changed in place: best reward, rounds without a new one, whether to stop.

    Returns:
        sample_reward, the mean over the clips; sample_motion, the mean absolute change of a pixel from frame to frame,
        with flicker.

    Raises:
        InputError: the samples cannot be written, or their reward is not finite.
    """
    config = run.config
    prompts = list(config.sample_prompts) or list(dict.fromkeys(run.data.captions))[:FEW]
    jobs = make_jobs(prompts, config.sample_seed)
    with run.average.in_place():
        sampled = gather(_sample(run, own_jobs(run.accelerator, jobs)))
    results = {job.index: (pixels, reward) for job, pixels, reward in sampled}
    clips = [results[job.index][0] for job in jobs]
    pixels = torch.stack(clips).float().div(255)
    reward = torch.tensor([results[job.index][1] for job in jobs]).mean().item()
    best = _note(config, progress, reward)
    if run.main:
        run_folder.write_samples(run.out, progress.step, prompts, clips, config.fps)
        log_clips(run.accelerator, run.out, progress.step, prompts, clips, config.fps)
        if best and config.patience is not None:
            with run.average.in_place():
                save_lora(run.backbone.unet, run.out / run_folder.BEST)
    return {"sample_reward": reward, "sample_motion": motion(pixels.transpose(1, 2)).item()}


def own_jobs(accelerator: Any, jobs: Sequence[Job]) -> list[Job]:
    """What this process samples; where the UNet is spread over processes, all of them sample equally many."""
    rank, world = accelerator.process_index, accelerator.num_processes
    share = list(jobs[rank::world])
    if is_sharded(accelerator):
        share += [jobs[0]] * (-(-len(jobs) // world) - len(share))
    return share


def _sample(run: Run, jobs: Sequence[Job]) -> list[tuple[Job, Tensor, float]]:
    """Each clip as uint8 (F, H, W, 3) with its reward."""
    c, results = run.config, []
    sampling = Sampling(c.method.D, c.method.guidance, c.frames, c.height, c.width, batch_size=c.batch_size)
    with torch.no_grad(), run.mixed_precision():
        for batch, clips in sample_batches(run.backbone, jobs, sampling):
            prompts = [job.prompt for job in batch]
            rewards = score(clips.to(run.backbone.device), prompts, run.reward, c.method.S).rewards
            pixels = (clips.permute(0, 1, 3, 4, 2) * 255).round().to(torch.uint8)
            results += list(zip(batch, pixels, rewards.tolist(), strict=True))
    return results


def _note(config: FinetuneConfig, progress: Progress, reward: float) -> bool:
    best = progress.best is None or reward > progress.best + config.min_rise
    progress.best = reward if best else progress.best
    progress.rounds_without = 0 if best else progress.rounds_without + 1
    progress.stopped = config.patience is not None and progress.rounds_without >= config.patience
    return best
