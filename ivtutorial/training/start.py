"""Everything before the first step: models, encoded data, adapter and optimiser, fresh or as a checkpoint has them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ivtutorial.data.clips import Clip, read_clips
from ivtutorial.data.dataset import LatentDataset, encode_clips
from ivtutorial.errors import InputError, first_line
from ivtutorial.method.segvr import check_segments
from ivtutorial.models.lora import attach_lora, load_lora
from ivtutorial.rewards.base import HasTextTower
from ivtutorial.rewards.combine import Recomputed
from ivtutorial.system.device import check_bf16
from ivtutorial.system.moving_average import MovingAverage
from ivtutorial.system.progress import bar
from ivtutorial.system.provenance import provenance
from ivtutorial.system.share import gather, rank_and_world
from ivtutorial.training import checkpoints, run_folder
from ivtutorial.training.checkpoints import Progress, differing
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.fit import offload_text
from ivtutorial.training.methods import once, step_losses
from ivtutorial.training.sharding import check_sharding, is_sharded, refuse_deepspeed, shard_frozen
from ivtutorial.training.step import Evaluations, LossFn, Run
from ivtutorial.training.trackers import FOLDER, installed_trackers
from ivtutorial.weights.fingerprint import fingerprint

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone
    from ivtutorial.rewards.base import ImageReward


def make_accelerator(config: FinetuneConfig, device: torch.device, out: Path) -> Any:
    """Join the processes, if there are several.

    Args:
        config: precision and trackers.
        device: of the model.
        out: folder of the run.

    Raises:
        InputError: fp16 without a GPU, bf16 on a GPU without it, a tracker that is not installed, a way to spread
            the model that does not fit, or an environment that asks for what is not there.
    """
    from accelerate.state import AcceleratorState, GradientState
    from accelerate.utils import AutocastKwargs, GradientAccumulationPlugin, ProjectConfiguration

    cpu = device.type == "cpu"
    if cpu and config.precision == "fp16":
        raise InputError("precision = 'fp16' needs a GPU: use 'fp32' or 'bf16' on a CPU.")
    check_bf16(config.precision, device)
    # It keeps its settings in global state; a second run in this process, in a notebook, may want others.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator = _join(
        cpu=cpu,
        mixed_precision="no" if config.precision == "fp32" else config.precision,
        log_with=installed_trackers(config.trackers),
        project_config=ProjectConfiguration(str(out), logging_dir=str(out / FOLDER)),
        # Passes are averaged here; the number in the environment, from `accelerate config`, would divide once more.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        # What sampling without gradient leaves in the cache has no gradient in the loss either, before torch 2.11.
        kwargs_handlers=[AutocastKwargs(cache_enabled=False)],
    )
    check_sharding(accelerator, config)
    return accelerator


def _join(**settings: Any) -> Any:
    """An `Accelerator`; what the environment asks of it and cannot be had is one error that names the variables."""
    from accelerate import Accelerator

    refuse_deepspeed(os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true")  # before it wants it installed
    before = dict(os.environ)
    try:
        return Accelerator(**settings)
    except (ImportError, ValueError) as error:
        for name in os.environ.keys() - before.keys():  # of accelerate: the next call would take it for the user's
            del os.environ[name]
        group = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
        asked = sorted(name for name in before if name.startswith("ACCELERATE_") or name in group)
        if not asked:
            raise
        raise InputError(
            f"the environment asks accelerate for what it cannot do ({first_line(error)}): unset what another job or "
            f"`accelerate config` left there ({', '.join(asked)}), or start with torchrun or accelerate launch."
        ) from error


def weights_dtypes(config: FinetuneConfig, device: torch.device) -> dict[str, torch.dtype]:
    """Frozen weights are held in the precision they compute in, on a CPU only the UNet's; the adapter stays float32."""
    dtypes = config.memory.dtypes(config.precision)
    return dtypes if device.type == "cuda" else {**config.memory.dtypes("fp32"), "unet": dtypes["unet"]}


def load_data(
    clips: str | Path | Sequence[Clip] | LatentDataset,
    backbone: AnyBackbone,
    config: FinetuneConfig,
    cache: Path,
    skip_bad: bool = False,
    progress: bool = False,
    root: Path | None = None,
) -> LatentDataset:
    """Encoded clips; each process encodes its share, then all read what was stored.

    Args:
        clips: as for `ivtutorial.training.finetuning.finetune`; so are cache, skip_bad and root.
        backbone: encodes.
        config: which frames.
        cache: folder of encoded clips.
        skip_bad: leave clips out that cannot be used.
        progress: show a bar.

    Raises:
        InputError: clips that cannot be used, or whose frames the segments do not divide.
    """
    rank, world = rank_and_world()
    if not isinstance(clips, LatentDataset):
        listed = read_clips(clips, root, skip_bad) if isinstance(clips, (str, Path)) else list(clips)
        with bar(len(listed), progress and rank == 0, "encoding clips") as advance:
            clips = encode_clips(
                backbone, listed, cache, config.frames, config.fps, config.height, config.width, advance,
                skip_bad=skip_bad, rank=rank, world=world, gather=gather,
            )  # fmt: skip
    check_segments(backbone.frame_count(clips.latents.shape[2]), config.method.S, config.method.selection)
    return clips


def start(
    out: Path,
    config: FinetuneConfig,
    accelerator: Any,
    backbone: AnyBackbone,
    reward: ImageReward,
    data: LatentDataset,
    evaluations: Evaluations,
    names: Mapping[str, str],
    loss_fn: LossFn | None = None,
) -> tuple[Run, Progress]:
    """Begin a run, or take up the one in the folder.

    Args:
        out: folder of the run.
        config: its settings.
        accelerator: see `make_accelerator`.
        backbone: gets the adapter.
        reward: image reward.
        data: encoded clips.
        evaluations: counts those of the UNet.
        names: what model and reward are called in config.json.
        loss_fn: instead of the method's own losses.

    Returns:
        The run, and where it stands.

    Raises:
        InputError: the checkpoint is damaged or was made otherwise; the folder cannot be written.
    """
    made_of = {
        "config": config.to_dict(),
        "slots": accelerator.num_processes * config.accumulation,
        "model": fingerprint(backbone.unet),
        "data": data.key,
        **_reward_facts(reward, names["reward"]),
    }
    _warm_up(backbone, reward, [*data.captions, *config.sample_prompts])
    offload_text(backbone, reward)
    checkpoint = _checkpoint_of(out)
    progress = Progress() if checkpoint is None else _check_same(out, made_of, checkpoint)
    if checkpoint is None:
        parameters = attach_lora(backbone.unet, config.lora_rank, config.seed)
    else:
        parameters = _stored_adapter(backbone, checkpoint)
    if is_sharded(accelerator):
        shard_frozen(backbone.unet, accelerator.device.type)
    optimizer = _optimizer(config, accelerator, parameters, checkpoint)
    average = _average(config, parameters, checkpoint)
    losses = step_losses(config.method, reward, config.guards) if loss_fn is None else once(loss_fn)
    updates = config.method.updates if loss_fn is None else 1
    run = Run(
        out, config, accelerator, backbone, data, reward, losses, updates, parameters, optimizer, average, made_of,
        evaluations,
    )  # fmt: skip
    if run.main:
        run_folder.trim_metrics(out, -1 if checkpoint is None else progress.step)
        run_folder.write_config(out, _description(run, names))
    return run, progress


def _warm_up(backbone: AnyBackbone, reward: ImageReward, captions: Sequence[str], chunk: int = 32) -> None:
    """Encode every caption once, always in the same groups: the last bits of an encoding depend on its group."""
    texts = list(dict.fromkeys(["", *captions]))
    for first in range(0, len(texts), chunk):
        backbone.embed(texts[first : first + chunk])
        if isinstance(reward, HasTextTower):
            reward.text_features(texts[first : first + chunk])


_CONTENT = {
    "model": "other weights of the model (fingerprint)",
    "data": "other clips or captions, or others that were left out (fingerprint)",
}


def _reward_facts(reward: Any, name: str) -> dict[str, str]:
    """What a reward is called, and the fingerprint of its network, by which it is known wherever its folder lies."""
    network = getattr(reward.rewards[0] if isinstance(reward, Recomputed) else reward, "model", None)
    return {"reward": name, "reward_weights": fingerprint(network) if isinstance(network, torch.nn.Module) else ""}


def _checkpoint_of(out: Path) -> Path | None:
    """The newest one; None for a run that begins, which must not take the place of a result."""
    checkpoint = checkpoints.latest_checkpoint(out)
    if checkpoint is None and (out / run_folder.LORA).is_dir():
        raise InputError(
            f"the run in {out} has a result and no checkpoint to continue from: a new one would replace it. Choose "
            f"another folder, or remove {out / run_folder.LORA} to begin again."
        )
    return checkpoint


def _check_same(out: Path, now: dict[str, Any], checkpoint: Path) -> Progress:
    """Where the checkpoint's run stands, if it is this run."""
    progress, was = checkpoints.read_state(checkpoint)
    split = ("batch_size", "accumulation")  # how a step is shared out; see `ivtutorial.system.step_draws`
    names = [name for name in differing(was["config"], now["config"]) if name not in split]
    message = [line for name in names for line in _changes(name, was["config"].get(name), now["config"].get(name))]
    message += [f"{words}: {was[name]}, now {now[name]}" for name, words in _CONTENT.items() if was[name] != now[name]]
    known, given = (made.get("reward_weights", "") for made in (was, now))
    if known != given if known else was["reward"] != now["reward"]:
        message.append(f"another reward: {was['reward']} {known}, now {now['reward']} {given}".rstrip())
    clips = [made["slots"] * made["config"]["batch_size"] for made in (was, now)]
    if clips[0] != clips[1]:
        message.append(f"batch_size * processes * accumulation = {clips[0]}, now {clips[1]}")
    if message:
        listed = "\n  ".join(message)
        raise InputError(f"the run in {out} was made otherwise; restore this, or choose another folder:\n  {listed}")
    return progress


def _stored_adapter(backbone: AnyBackbone, checkpoint: Path) -> list[torch.nn.Parameter]:
    try:
        return load_lora(backbone.unet, checkpoint)
    except InputError as error:
        raise InputError(f"the checkpoint {checkpoint} is damaged. {checkpoints.ANOTHER}\n  {error}") from error


def _changes(name: str, was: Any, now: Any) -> list[str]:
    """A line for each setting that differs; of those of the method or of memory the ones that do, not all of them."""
    if isinstance(was, Mapping) and isinstance(now, Mapping) and was.get("name") == now.get("name"):
        return [line for key in {**was, **now} if was.get(key) != now.get(key)
                for line in _changes(f"{name}.{key}", was.get(key), now.get(key))]  # fmt: skip
    return [f"{name} = {was!r}, now {now!r}"]


def _optimizer(
    config: FinetuneConfig, accelerator: Any, parameters: list[torch.nn.Parameter], checkpoint: Path | None
) -> Any:
    adamw = torch.optim.AdamW(parameters, config.lr, config.betas, weight_decay=config.weight_decay)
    optimizer = accelerator.prepare_optimizer(adamw)
    if checkpoint is None:
        return optimizer
    state = checkpoints.read_optimizer(checkpoint)
    try:
        optimizer.load_state_dict(state["optimizer"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
    except (KeyError, ValueError) as error:
        raise InputError(f"the optimizer's state in {checkpoint} belongs to another model ({error}).") from error
    return optimizer


def _average(config: FinetuneConfig, parameters: list[torch.nn.Parameter], checkpoint: Path | None) -> MovingAverage:
    average = MovingAverage(parameters, config.ema)
    if config.ema and checkpoint is not None:
        try:
            average.restore(checkpoints.read_optimizer(checkpoint)["average"])
        except (KeyError, ValueError) as error:
            raise InputError(f"the adapter's average in {checkpoint} belongs to another model ({error}).") from error
    return average


def _description(run: Run, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "finetune": run.config.to_dict(),
        **names,
        "data": {"clips": len(run.data), "left_out": list(run.data.left_out), "key": run.data.key},
        "processes": run.accelerator.num_processes,
        "device": str(run.backbone.device),
        "provenance": provenance(run.config.seed),
    }
