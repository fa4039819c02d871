"""Everything before the first step: models, encoded data, adapter and optimiser, fresh or as a checkpoint has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ivtutorial.data.clips import Clip, read_clips
from ivtutorial.data.dataset import LatentDataset, encode_clips
from ivtutorial.errors import InputError
from ivtutorial.method.segvr import check_segments
from ivtutorial.models.lora import attach_lora, load_lora
from ivtutorial.rewards.base import HasTextTower
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
from ivtutorial.training.sharding import check_sharding, is_sharded, shard_frozen
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
        InputError: fp16 without a GPU, bf16 on a GPU without it, a tracker that is not installed, or a way to spread
            the model that does not fit.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState
    from accelerate.utils import AutocastKwargs, GradientAccumulationPlugin, ProjectConfiguration

    cpu = device.type == "cpu"
    if cpu and config.precision == "fp16":
        raise InputError("precision = 'fp16' needs a GPU: use 'fp32' or 'bf16' on a CPU.")
    check_bf16(config.precision, device)
    # It keeps its settings in global state; a second run in this process, in a notebook, may want others.
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator = Accelerator(
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
    checkpoint = checkpoints.latest_checkpoint(out)
    progress = Progress() if checkpoint is None else _check_same(out, made_of, checkpoint)
    if checkpoint is None:
        parameters = attach_lora(backbone.unet, config.lora_rank, config.seed)
    else:
        parameters = load_lora(backbone.unet, checkpoint)
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
    network = getattr(reward, "model", None)
    return {"reward": name, "reward_weights": fingerprint(network) if isinstance(network, torch.nn.Module) else ""}


def _check_same(out: Path, now: dict[str, Any], checkpoint: Path) -> Progress:
    """Where the checkpoint's run stands, if it is this run."""
    progress, was = checkpoints.read_state(checkpoint)
    split = ("batch_size", "accumulation")  # how a step is shared out; see `ivtutorial.system.step_draws`
    names = [name for name in differing(was["config"], now["config"]) if name not in split]
    message = [f"{name} = {was['config'].get(name)!r}, now {now['config'].get(name)!r}" for name in names]
    message += [f"{words}: {was[name]}, now {now[name]}" for name, words in _CONTENT.items() if was[name] != now[name]]
    known, given = (made.get("reward_weights", "") for made in (was, now))
    if known != given if known or given else was["reward"] != now["reward"]:
        message.append(f"another reward: {was['reward']} {known}, now {now['reward']} {given}".rstrip())
    clips = [made["slots"] * made["config"]["batch_size"] for made in (was, now)]
    if clips[0] != clips[1]:
        message.append(f"batch_size * processes * accumulation = {clips[0]}, now {clips[1]}")
    if message:
        listed = "\n  ".join(message)
        raise InputError(f"the run in {out} was made otherwise; restore this, or choose another folder:\n  {listed}")
    return progress


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
