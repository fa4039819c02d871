"""The loop of a run: step, samples, log, checkpoint; and its end, planned or not."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ivtutorial.errors import InputError
from ivtutorial.models.lora import load_lora, save_lora
from ivtutorial.system.interruption import noting_signals
from ivtutorial.training import checkpoints, run_folder
from ivtutorial.training.checkpoints import Progress
from ivtutorial.training.run_folder import FinetuneResult
from ivtutorial.training.samples import sample_round
from ivtutorial.training.step import Run, end_if_diverged, take_step
from ivtutorial.training.trackers import log_numbers


def take_steps(run: Run, progress: Progress, show: bool) -> None:
    """Take the steps that are left.

    Args:
        run: see `ivtutorial.training.step.Run`.
        progress: where it stands; changed in place.
        show: a progress bar, with the reward and the time that is left.

    Raises:
        InputError: a file cannot be written, or the run has diverged.
        KeyboardInterrupt: Ctrl-C or SIGTERM in any process, after the step and its checkpoint.
    """
    from tqdm.auto import tqdm

    steps = run.config.steps
    bar = tqdm(total=steps, initial=progress.step, desc=run.out.name, disable=not (show and run.main))
    with bar, noting_signals() as stop_requested:
        if run.config.sample_every and progress.step == 0:
            _log(run, {"step": 0, **sample_round(run, progress)})
        while progress.step < steps and not progress.stopped:
            row = take_step(run, progress)
            if run.config.sample_every and progress.step % run.config.sample_every == 0:
                row.update(sample_round(run, progress))
            _log(run, row)
            bar.set_postfix({k: f"{row[k]:.4f}" for k in ("frame_reward", "sample_reward") if k in row})
            bar.update()
            end_if_diverged(run, progress)
            _keep(run, progress, _anyone(run, stop_requested))


def finish(run: Run, progress: Progress) -> FinetuneResult:
    """Write the adapter of a run that has ended: the last, or with `patience` the best; with `ema` its average.

    Raises:
        InputError: no step changed the adapter, or it cannot be written.
    """
    # fp16 spends its first steps on the search for a loss scale; see `end_if_diverged` for its limit.
    if progress.step and progress.skipped == progress.step and run.accelerator.scaler is None:
        raise InputError(
            f"none of {progress.step} steps had a finite loss and gradient, so the adapter is as it began: look at the "
            "reward's values, lower lr, or use precision 'fp32'."
        )
    lora, best = run.out / run_folder.LORA, run.out / run_folder.BEST
    if run.main:
        if run.config.patience is not None and best.is_dir():
            run.backbone.unet.unload_lora()
            load_lora(run.backbone.unet, best)
            save_lora(run.backbone.unet, lora)
        else:
            with run.average.in_place():
                save_lora(run.backbone.unet, lora)
    run.accelerator.wait_for_everyone()
    p = progress
    return FinetuneResult(run.out, lora, p.step, p.stopped, p.skipped, p.unet_evaluations, p.seconds)


def _keep(run: Run, progress: Progress, stop: bool) -> None:
    """A checkpoint if one is due; then, if one was requested, the end."""
    ended = progress.stopped or progress.step == run.config.steps
    if stop or ended or progress.step % run.config.checkpoint_every == 0:
        _checkpoint(run, progress)
    if stop and not ended:
        raise KeyboardInterrupt


def _anyone(run: Run, stop_requested: Callable[[], bool]) -> bool:
    """Whether some process received a signal to stop; all must stop at the same step."""
    if run.accelerator.num_processes == 1:
        return stop_requested()
    flag = torch.tensor(float(stop_requested()), device=run.backbone.device)
    return bool(run.accelerator.reduce(flag, "sum").item() > 0)


def _log(run: Run, row: dict[str, float]) -> None:
    if run.main:
        run_folder.log_metrics(run.out, row)
        log_numbers(run.accelerator, run.out, row)


def _checkpoint(run: Run, progress: Progress) -> None:
    if run.main:
        state = {"optimizer": run.optimizer.state_dict(), "average": run.average.means}
        if run.accelerator.scaler is not None:
            state["scaler"] = run.accelerator.scaler.state_dict()
        checkpoints.save_checkpoint(run.out, run.backbone.unet, state, progress, run.made_of, run.config.keep)
    run.accelerator.wait_for_everyone()
